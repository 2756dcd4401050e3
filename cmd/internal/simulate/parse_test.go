package simulate

import (
	"errors"
	"strings"
	"testing"
)

const minimal = `name: x
duration: 1m
catalog:
  entities: [{id: e-1}]
  channels:
    - {id: a, provider: p, business_types: [COLLECT], instruments: [{method: WALLET}], accounts: [{id: a-1, entity: e-1}], currencies: [CNY]}
  routes:
    - {id: r, business_type: COLLECT, method: WALLET, members: [{channel: a}]}
traffic:
  - {business_type: COLLECT, method: WALLET, merchant: m, settlement_entity: e-1, amount: 1, currency: CNY, rate: 1}
truth:
`

func TestProblemsAreReportedAtOnceWithTheirPlace(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"unknown keys and bad values", minimal + `  - {channel: a, outcome: {SUCCEEDED: 1}}
  - {channel: a, outcomes: {SUCCEEDED: 0.5, CHANNEL_FAILED: 0.4}}
  - {from: 30s, to: 10s, latency: 1s}
  - {outcomes: {WORKED: 1}}
  - {from: 2m, latency: soon}
operators:
  - {at: 1s, action: STOP, scope: {channel: a}}
`, []string{
			"f.yaml:12:18: truth[0].outcome: unknown key",
			"f.yaml:13:28: truth[1].outcomes: probabilities add up to 0.9, want 1",
			"f.yaml:14:5: truth[2]: to must be after from",
			"f.yaml:15:25: truth[3].outcomes.WORKED: unknown outcome",
			"f.yaml:16:25: truth[4].latency: \"soon\": want a duration",
			"f.yaml:16:5: truth[4]: never happens",
			"f.yaml:18:22: operators[0].action: \"STOP\": want OFF",
			"operators[0]: reason is missing",
		}},
		{"mistakes in the catalogue have the lines of the file", strings.Replace(minimal, "method: WALLET}]", "mthod: WALLET}]", 1), []string{"f.yaml:6:"}},
		{"what cannot be simulated says so", minimal + "  - {latency: 1s}\nfaults: [{kind: redis_slow, from: 1s}]\n", []string{"not supported yet"}},
		{"a shape has its own keys only", strings.Replace(minimal, "rate: 1}", "rate: 1, shape: {kind: ramp, peak: \"20:00\"}}", 1), []string{
			"traffic[0].shape: a ramp shape needs factor", "traffic[0].shape: a ramp shape has no peak",
		}},
		{"no YAML", "name: [", []string{"f.yaml: "}},
		{"nothing in it", "name: x\n", []string{"duration is missing", "traffic is missing"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("f.yaml", []byte(tt.text))
			if err == nil {
				t.Fatal("accepted")
			}
			if !errors.Is(err, ErrScenario) {
				t.Error("is no ErrScenario")
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("want %q in\n%v", w, err)
				}
			}
		})
	}
}

func TestNamesMustBeInTheCatalogue(t *testing.T) {
	s, err := Parse("f.yaml", []byte(minimal+`  - {channel: b, latency: 1s}
  - {account: a-2, latency: 1s}
  - {failure_domain: d, latency: 1s}
`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Prepare(s, Options{})
	for _, w := range []string{"f.yaml:12:5: truth[0]: unknown channel \"b\"", "f.yaml:13:5: truth[1]: unknown account", "unknown failure_domain"} {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("want %q in %v", w, err)
		}
	}
}

func TestACatalogueIsNamedExactlyOnce(t *testing.T) {
	with, err := Parse("f.yaml", []byte(minimal+"  - {latency: 1s}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Prepare(with, Options{Catalog: with.Catalog}); !errors.Is(err, ErrTwoCatalogs) {
		t.Errorf("got %v", err)
	}
	without := *with
	without.Catalog = nil
	if _, err := Prepare(&without, Options{}); !errors.Is(err, ErrNoCatalog) {
		t.Errorf("got %v", err)
	}
	if _, err := Prepare(&without, Options{Catalog: with.Catalog}); err != nil {
		t.Errorf("got %v", err)
	}
}

// Whatever the bytes, Parse answers with a scenario or a typed error.
func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte(minimal + "  - {from: 1s, to: 2s, raw_codes: {\"10\": 1}}\nfaults: [{at: 1s, kind: clock_step, replica: 1, step: -30s}]\n"))
	f.Add([]byte("traffic: [{shape: {kind: diurnal, amplitude: 0.6, peak: \"20:00\"}}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("f.yaml", data)
		if (s == nil) == (err == nil) {
			t.Fatalf("want either a scenario or an error: %v, %v", s, err)
		}
		if err != nil && !errors.Is(err, ErrScenario) {
			t.Fatalf("untyped error %v", err)
		}
	})
}
