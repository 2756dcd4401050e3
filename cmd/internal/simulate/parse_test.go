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
		{"what cannot be simulated says so", strings.Replace(minimal, "business_type: COLLECT, method: WALLET, merchant", "business_type: REFUND, method: WALLET, merchant", 1), []string{
			"f.yaml:10:5: traffic[0]: traffic of business type REFUND, which follows an original payment, is not supported yet",
		}},
		{"a shape has its own keys only", strings.Replace(minimal, "rate: 1}", "rate: 1, shape: {kind: ramp, peak: \"20:00\"}}", 1), []string{
			"traffic[0].shape: a ramp shape needs factor", "traffic[0].shape: a ramp shape has no peak",
		}},
		{"several shapes are checked each", strings.Replace(minimal, "rate: 1}", "rate: 1, shape: [{kind: window, from: 5m, to: 4m}, {kind: saw}, {kind: bursts, every: 10s, length: 20s, factor: 2}]}", 1), []string{
			"traffic[0].shape[0]: to must be after from", "traffic[0].shape[1]: kind \"saw\"", "traffic[0].shape[2]: length must be below every",
			"traffic[0].shape: never happens: the run lasts 1m0s",
		}},
		{"an empty list of shapes", strings.Replace(minimal, "rate: 1}", "rate: 1, shape: []}", 1), []string{"traffic[0].shape: want a shape, or a list"}},
		{"faults of the control plane", minimal + `  - {latency: 1s}
faults:
  - {kind: redis_melts, at: 1s}
  - {kind: redis_down, from: 30s, to: 20s}
  - {kind: redis_slow, from: 1s, replica: 1}
  - {kind: etcd_down, from: 1s, at: 2s}
  - {kind: replica_killed, at: 1s}
  - {kind: replica_killed, at: 1s, replica: 2}
  - {kind: clock_step, at: 1s}
  - {kind: leader_killed, at: 1s, step: 3s}
  - {kind: etcd_down, at: 3m}
`, []string{
			"f.yaml:14:5: faults[0]: kind \"redis_melts\": want redis_down, redis_slow", "f.yaml:15:5: faults[1]: to must be after from",
			"f.yaml:16:5: faults[2]: redis_slow has no replica", "f.yaml:17:5: faults[3]: give one of at and from",
			"f.yaml:18:5: faults[4]: replica_killed needs a replica", "f.yaml:19:5: faults[5].replica: 2: the scenario has 1",
			"f.yaml:20:5: faults[6]: clock_step needs a step", "f.yaml:21:5: faults[7]: leader_killed has no step",
			"f.yaml:22:5: faults[8]: never happens",
		}},
		{"selectors beyond what there is", minimal + `  - {gateway: 2, latency: 1s}
  - {replica: 3, latency: 1s}
  - {gateway: 0, latency: 1s}
  - {bank: "no bank", latency: 1s}
  - {card_type: GOLD, latency: 1s}
  - {business_type: GIVE, latency: 1s}
`, []string{
			"f.yaml:12:5: truth[0].gateway: 2: the scenario has 1", "f.yaml:13:5: truth[1].replica: 3: the scenario has 1",
			"f.yaml:14:15: truth[2].gateway: \"0\": want a whole number from 1 to 64", "truth[3].bank: \"no bank\": want 1 to 64 of letters",
			"truth[4].card_type: \"GOLD\": want DEBIT, CREDIT or PREPAID", "f.yaml:17:21: truth[5].business_type",
		}},
		{"entries that say too much or nothing", minimal + `  - {channel: a}
  - {outcomes: {SUCCEEDED: 1}, raw_codes: {"00": 1}}
  - {outcomes: {SUCCEEDED: 1}, factor: 0.5}
  - {outcomes: {SUCCEEDED: 1}, otherwise: REJECTED}
  - {payer_burst: {failures: 3, over: 1s}, latency: 1s}
  - {payer_burst: {failures: 3}}
  - {success: {amplitude: 0.1}}
  - {wander: {sigma: 0.3}}
  - {pending: {share: 0.5}}
  - {pending: {share: 1.5, final: 3s}}
  - {common_mode: true, incident: x, latency: 1s}
  - {raw_codes: {"00": 0.5, "01": 0.6}}
  - {outcomes: {SUCCEEDED: -0.5, REJECTED: 1.5}}
  - {latency: {p50: 2s, p99: 1s}}
  - {latency_of: {TIMED_OUT: 10s}}
  - {latency: 1s, latency_of: {LATE: 10s, TIMED_OUT: 0s}}
`, []string{
			"truth[0]: says nothing", "truth[1]: give one of outcomes, raw_codes and success", "truth[2]: factor changes the entry below",
			"truth[3]: otherwise stands with success or factor", "truth[4]: payer_burst stands alone", "truth[5].payer_burst: want failures and over",
			"truth[6].success: base is missing", "truth[7].wander: want sigma and every", "truth[8].pending: want share",
			"f.yaml:21:23: truth[9].pending.share: \"1.5\": want a number from 0 to 1", "truth[10]: common_mode must not be cut",
			"truth[11].raw_codes: probabilities add up to 1.1, want 1", "truth[12].outcomes.SUCCEEDED: \"-0.5\"", "truth[13].latency: want p50 above zero and p99 not below it",
			"truth[14]: latency_of needs latency", "truth[15].latency_of.LATE: unknown outcome", "truth[15].latency_of.TIMED_OUT: want a latency above zero",
		}},
		{"silent gateways", strings.Replace(minimal, "truth:", "reports: {lost: 2, silent: [{from: 20s, to: 10s}, {from: 2m}, {gateway: 2}, {from: 1s, still: true}]}\ntruth:", 1), []string{
			"f.yaml:11:17: reports.lost: \"2\": want a number from 0 to 1", "reports.silent[0]: to must be after from", "reports.silent[1]: never happens",
			"reports.silent[2].gateway: 2: the scenario has 1", "reports.silent[3].still: unknown key",
		}},
		{"names are looked up with everything else", minimal + `  - {channel: b, outcomes: {SUCCEEDED: 0.5}}
  - {bank: ICBC, latency: 1s}
  - {method: QUICKPAY, latency: 1s}
`, []string{
			"f.yaml:12:5: truth[0]: unknown channel \"b\"; want one of a", "truth[0].outcomes: probabilities add up to 0.5, want 1",
			"truth[1]: unknown bank \"ICBC\"", "truth[2]: unknown method \"QUICKPAY\"; want one of WALLET",
		}},
		{"names that do not belong together", strings.Replace(minimal, "entities: [{id: e-1}]", "entities: [{id: e-1}]\n  failure_domains: [{id: net, kind: CLEARING_NETWORK}]", 1) +
			"  - {channel: a, failure_domain: net, latency: 1s}\n  - {business_type: PAYOUT, latency: 1s}\n", []string{
			"truth[0]: the catalogue has all of these names, but nothing that matches them together", "truth[1]: the catalogue has all of these names",
		}},
		{"a key given twice", minimal + "traffic: []\n", []string{"f.yaml:12:1: traffic: given twice"}},
		{"two documents", minimal + "---\nname: y\n", []string{"want one YAML document"}},
		{"no YAML", "name: x\nduration: [1m\n", []string{"f.yaml:2:", "not well-formed YAML"}},
		{"too deep", "name: " + strings.Repeat("[", 2000), []string{"f.yaml:1:1007: nested more than 1000 brackets deep"}},
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

// A catalogue that is named on the command line is known only when the run is prepared.
func TestNamesMustBeInTheNamedCatalogue(t *testing.T) {
	whole, err := Parse("f.yaml", []byte(minimal+"  - {latency: 1s}\n"))
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(minimal, "catalog:")
	_, rest, _ = strings.Cut(rest, "traffic:")
	s, err := Parse("f.yaml", []byte(head+"traffic:"+rest+`  - {channel: b, latency: 1s}
  - {account: a-2, latency: 1s}
  - {failure_domain: d, latency: 1s}
operators:
  - {at: 1s, action: HOLD, scope: {channel: c}, reason: r}
`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Prepare(s, Options{Catalog: whole.Catalog})
	for _, w := range []string{
		"f.yaml:6:5: truth[0]: unknown channel \"b\"", "f.yaml:7:5: truth[1]: unknown account", "unknown failure_domain", "operators[0].scope: unknown channel \"c\"",
	} {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("want %q in %v", w, err)
		}
	}
}

func TestAStreamThatNobodyServesSaysWhy(t *testing.T) {
	tests := []struct{ was, is, want string }{
		{"business_type: COLLECT, method: WALLET, merchant", "business_type: PAYOUT, method: WALLET, merchant", "none has business type PAYOUT"},
		{"COLLECT, method: WALLET, merchant", "COLLECT, method: WALLET, bank: ICBC, merchant", "none of the rest carries WALLET:ICBC"},
		{"currency: CNY, rate", "currency: EUR, rate", "none of the rest settles in EUR"},
		{"settlement_entity: e-1, amount", "settlement_entity: e-2, amount", "none of the rest has an account for merchant m of settlement entity e-2"},
		{"business_type: COLLECT, method: WALLET, members", "business_type: PAYOUT, method: WALLET, members", "no route leads there"},
	}
	for _, tt := range tests {
		text := strings.Replace(minimal, tt.was, tt.is, 1)
		_, err := Parse("f.yaml", []byte(text+"  - {latency: 1s}\n"))
		if want := "f.yaml:10:5: traffic[0]: no channel of the catalogue serves this stream: " + tt.want; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in %v", want, err)
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
	f.Add([]byte(minimal + "  - {pending: {share: 0.5, final: {p50: 1s, p99: 5s}}}\nreports: {silent: [{from: 1s, to: 9s, gateway: 1, kept: true}]}\n"))
	f.Add([]byte("traffic: [{shape: [{kind: ramp, factor: 2}, {kind: window, from: 1s, to: 2s}]}]"))
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
