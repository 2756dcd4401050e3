package cli

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The night all tests play in.
var (
	zone  = time.FixedZone("CST", 8*60*60)
	night = time.Date(2026, 11, 22, 3, 6, 23, 0, zone)
)

// at is a time of that night.
func at(hour, minute, second int) *timestamppb.Timestamp {
	return timestamppb.New(time.Date(2026, 11, 22, hour, minute, second, 0, zone))
}

func testView(width int) view { return view{now: night, loc: zone, width: width} }

// golden compares a text with a file under testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -run %s -update accepts it):\n--- got\n%s--- want\n%s", file, t.Name(), got, want)
	}
}

func scope(name string) *sluicev1.Scope { return &sluicev1.Scope{Name: name} }

func stored(name string) *configv1.Scope {
	s, err := statemachine.ParseScope(name)
	if err != nil {
		return nil
	}
	return statepb.FromScope(s)
}

func evidence(bad, answered float64, seconds int64, reasons ...*configv1.ReasonCount) *configv1.Evidence {
	end := at(3, 2, 10).GetSeconds()
	return &configv1.Evidence{
		Detector: "windows", Rule: "rate", FromSecond: end - seconds + 1, ToSecond: end,
		Answered: answered, Bad: bad, Rate: bad / answered, Lower: bad / answered * 0.93, Baseline: 0.012,
		Statistic: bad / answered, Threshold: 0.3, MinSamples: 20, CodedBad: bad, Reasons: reasons,
	}
}

func reason(word string, n uint64) *configv1.ReasonCount {
	return &configv1.ReasonCount{Reason: word, Count: n}
}

const icbc = "unionpay-b/instrument=QUICKPAY:ICBC:DEBIT"

// cutStatus is a bank that automation has closed.
func cutStatus() *sluicev1.ScopeStatus {
	return &sluicev1.ScopeStatus{
		Scope: scope(icbc), Phase: configv1.Phase_PHASE_DISABLED, Etag: "88214",
		State: &configv1.ScopeState{
			Scope: stored(icbc), Phase: configv1.Phase_PHASE_DISABLED, Generation: 7, Since: at(3, 2, 11),
			CutBy: configv1.Cause_CAUSE_AUTOMATION, Kind: configv1.IncidentKind_INCIDENT_KIND_CUT, Incident: "5f0c3a9d2b41",
		},
		Evidence: evidence(515, 842, 10, reason("TIMEOUT", 402), reason("CONN_RESET", 72), reason("5XX", 41)),
		Next:     "single payments probe it", NextTime: at(3, 7, 11),
	}
}

func rampStatus() *sluicev1.ScopeStatus {
	const name = "quickpay-c/instrument=QUICKPAY:CMB:-"
	return &sluicev1.ScopeStatus{
		Scope: scope(name), Phase: configv1.Phase_PHASE_RAMPING, SharePpm: 80_000,
		State: &configv1.ScopeState{
			Scope: stored(name), Phase: configv1.Phase_PHASE_RAMPING, SharePpm: 80_000, Step: 2, Since: at(3, 4, 0),
			CutBy: configv1.Cause_CAUSE_AUTOMATION, Kind: configv1.IncidentKind_INCIDENT_KIND_CUT, Incident: "a1b2c3d4e5f6",
		},
		Evidence: evidence(19, 21, 2, reason("BANK_SYSTEM_ERROR", 19)),
		Next:     "16 % when the step has its evidence", NextTime: at(3, 6, 53),
		Progress: &sluicev1.StepProgress{Answered: 24, Bad: 1, Needed: 30, WouldBe: 412, Sent: 32, Settled: 30},
		Traffic:  &sluicev1.Traffic{Window: durationpb.New(time.Minute), Results: 60, Succeeded: 55, Answered: 60, Bad: 1, PaymentsPerSecond: 1.2},
	}
}

func offStatus() *sluicev1.ScopeStatus {
	const name = "netbank/instrument=NETBANK:BOC:-"
	return &sluicev1.ScopeStatus{
		Scope: scope(name), Phase: configv1.Phase_PHASE_DISABLED, Etag: "88190",
		State: &configv1.ScopeState{
			Scope: stored(name), Phase: configv1.Phase_PHASE_HEALTHY, SharePpm: fullPPM,
			Off: &configv1.Override{Author: "zhao.q", Reason: "bank maintenance CHG-8812", Since: at(2, 0, 0), Until: at(6, 0, 0)},
		},
		Reason: "bank maintenance CHG-8812",
	}
}

// refusedStatus fails, and a guard does not let automation close it.
func refusedStatus() *sluicev1.ScopeStatus {
	const name = "quickpay-a/instrument=QUICKPAY:PSBC:DEBIT"
	return &sluicev1.ScopeStatus{
		Scope: scope(name), Phase: configv1.Phase_PHASE_HEALTHY, SharePpm: fullPPM,
		State: &configv1.ScopeState{
			Scope: stored(name), Phase: configv1.Phase_PHASE_HEALTHY, SharePpm: fullPPM, Answer: statemachine.GuardLastUsable,
			Kind: configv1.IncidentKind_INCIDENT_KIND_REFUSED, Incident: "0badc0ffee00",
		},
		Evidence: evidence(41, 230, 20, reason("SYSTEM_BUSY", 30)),
		Traffic:  &sluicev1.Traffic{Window: durationpb.New(time.Minute), Results: 700, Answered: 690, Bad: 124, PaymentsPerSecond: 11.5},
	}
}

func heldDomain() *sluicev1.ScopeStatus {
	return &sluicev1.ScopeStatus{
		Scope: scope("domain=unionpay-network"), Phase: configv1.Phase_PHASE_HEALTHY, SharePpm: fullPPM,
		State: &configv1.ScopeState{
			Scope: stored("domain=unionpay-network"), Phase: configv1.Phase_PHASE_HEALTHY, SharePpm: fullPPM,
			Hold: &configv1.Override{Author: "li.wei", Reason: "drill", Since: at(3, 0, 0)},
		},
	}
}

func channel(id string, scopes ...*sluicev1.ScopeStatus) *sluicev1.ChannelStatus {
	own := &sluicev1.ScopeStatus{Scope: scope(id), Phase: configv1.Phase_PHASE_HEALTHY, SharePpm: fullPPM}
	return &sluicev1.ChannelStatus{
		Channel: id, Name: id + " (contract)", Provider: "provider", Phase: configv1.Phase_PHASE_HEALTHY, SharePpm: fullPPM,
		Scopes: append([]*sluicev1.ScopeStatus{own}, scopes...), Instruments: 12, InstrumentsDown: uint32(len(scopes)),
		Traffic:  &sluicev1.Traffic{Window: durationpb.New(time.Minute), Answered: 1200, Bad: 14, PaymentsPerSecond: 20.4},
		InWindow: true, FailureDomains: []string{"unionpay-network"},
	}
}

// badNight has something of everything.
func badNight() *sluicev1.ListChannelsResponse {
	closed := channel("alipay")
	closed.InWindow = false
	return &sluicev1.ListChannelsResponse{
		Channels: []*sluicev1.ChannelStatus{
			closed, channel("netbank", offStatus()), channel("nucc"), channel("quickpay-a", refusedStatus()),
			channel("quickpay-c", rampStatus()), channel("unionpay-b", cutStatus()), channel("wechat"),
		},
		FailureDomains: []*sluicev1.ScopeStatus{heldDomain()},
		TableRevision:  88214, TableAge: durationpb.New(300 * time.Millisecond),
	}
}
