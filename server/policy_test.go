package server

import (
	"math"
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/routing"
)

// policyOf compiles a catalogue with the policy given to its first channel, and returns what GetChannel shows.
func policyOf(t *testing.T, base, own *configv1.Policy) *configv1.Policy {
	t.Helper()
	c := testCatalog()
	c.DefaultPolicy, c.Channels[0].Policy = base, own
	plan, err := routing.CompilePlan(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	ch := c.GetChannels()[0]
	return policyMessage(plan.Policy(ch.GetId()), ch, c)
}

// fullPolicy gives every field a value that is no default.
func fullPolicy() *configv1.Policy {
	seconds := func(n int64) *durationpb.Duration { return &durationpb.Duration{Seconds: n} }
	return &configv1.Policy{
		Automation: configv1.AutomationLevel_AUTOMATION_LEVEL_OFF_ONLY, Detector: configv1.Detector_DETECTOR_SEQUENTIAL,
		OverrideExpiryMax: seconds(3601),
		Sequential:        &configv1.SequentialPolicy{FalseAlarmDays: new(77.0), MildBelow: new(0.21), HangAfterMin: seconds(7)},
		Windows: &configv1.WindowsPolicy{
			Window: seconds(11), Every: seconds(2), FailureRate: new(0.51), MinSamples: new(21.0), WidenFactorMax: new(uint32(7)), MildRate: new(0.23),
			CountRatio: &configv1.CountRatioRule{Count: new(13.0), Ratio: new(0.83), Window: seconds(17)},
		},
		Recovery: &configv1.RecoveryPolicy{
			CoolDown: seconds(19), CoolDownGrowth: new(2.5), CoolDownMax: seconds(601), ProbeEvidence: new(9.0), FailureLimit: new(0.37),
			ProbeInterval: seconds(4), ProbeBudgetPpm: new(uint32(110_000)), QuietRate: new(0.03), FirstSharePpm: new(uint32(33_000)),
			FirstShareMinPpm: new(uint32(21_000)), FirstShareMaxPpm: new(uint32(410_000)), Factor: new(2.75), Dwell: seconds(6),
			StepEvidence: new(7.0), StepSettled: new(0.91), Probation: seconds(301), TolerantTiers: []string{"staff"}, SmallAmount: new(int64(500)),
		},
		Guards:   &configv1.GuardPolicy{CapacityHeadroom: new(1.3), MinWeightShare: new(0.45), CutsPerMinute: new(uint32(3)), CertainFailure: new(0.92)},
		Feedback: &configv1.FeedbackPolicy{Count: new(23.0), Ratio: new(0.37)},
	}
}

// wantAllSet fails for every field that is left out, so that a new one is not forgotten here.
func wantAllSet(t *testing.T, m protoreflect.Message) {
	t.Helper()
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		switch {
		case !m.Has(f):
			t.Errorf("%s is left out", f.FullName())
		case f.Message() != nil && f.Message().FullName() != "google.protobuf.Duration":
			wantAllSet(t, m.Get(f).Message())
		}
	}
}

func TestPolicyIsShownAsTheCatalogueGivesIt(t *testing.T) {
	full := fullPolicy()
	wantAllSet(t, full.ProtoReflect())
	for name, got := range map[string]*configv1.Policy{"of the channel": policyOf(t, nil, full), "of all": policyOf(t, full, nil)} {
		if !proto.Equal(got, full) {
			t.Errorf("%s: got %v\nwant %v", name, got, full)
		}
	}
}

// TestPolicyOverThePolicyBehind lets a channel take back what the default policy says, field by field.
func TestPolicyOverThePolicyBehind(t *testing.T) {
	own := &configv1.Policy{
		Detector:   configv1.Detector_DETECTOR_WINDOWS,
		Sequential: &configv1.SequentialPolicy{FalseAlarmDays: new(0.0), MildBelow: new(0.0)},
		Recovery:   &configv1.RecoveryPolicy{SmallAmount: new(int64(0))},
		Feedback:   &configv1.FeedbackPolicy{Count: new(0.0)},
	}
	want := fullPolicy()
	want.Detector = own.GetDetector()
	want.Sequential.FalseAlarmDays, want.Sequential.MildBelow, want.Recovery.SmallAmount = new(0.0), new(0.0), new(int64(0))
	want.Feedback.Count = new(0.0)
	if got := policyOf(t, fullPolicy(), own); !proto.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestDefaultPolicyIsShownInFull(t *testing.T) {
	got := policyOf(t, nil, nil)
	got.Recovery.TolerantTiers = []string{"any"} // left out means any
	wantAllSet(t, got.ProtoReflect())
	if err := protovalidate.Validate(got); err != nil {
		t.Error(err)
	}
}

// TestSequentialRangesAgree holds the rules of the schema to those of the state machine.
func TestSequentialRangesAgree(t *testing.T) {
	days := func(x float64) *configv1.SequentialPolicy { return &configv1.SequentialPolicy{FalseAlarmDays: &x} }
	mild := func(x float64) *configv1.SequentialPolicy { return &configv1.SequentialPolicy{MildBelow: &x} }
	hang := func(d time.Duration) *configv1.SequentialPolicy {
		return &configv1.SequentialPolicy{HangAfterMin: durationpb.New(d)}
	}
	for _, tt := range []struct {
		name  string
		p     *configv1.SequentialPolicy
		field string // that is refused, empty = none
	}{
		{"by the traffic", days(0), ""},
		{"a day", days(1), ""},
		{"a million days", days(1e6), ""},
		{"half a day", days(0.5), "false_alarm_days"},
		{"more days", days(1e6 + 1), "false_alarm_days"},
		{"less than no days", days(-1), "false_alarm_days"},
		{"no number", days(math.NaN()), "false_alarm_days"},
		{"every fault cuts", mild(0), ""},
		{"none cuts", mild(1), ""},
		{"a negative part", mild(-0.01), "mild_below"},
		{"more than all", mild(1.01), "mild_below"},
		{"a second", hang(time.Second), ""},
		{"a minute", hang(time.Minute), ""},
		{"sooner", hang(999 * time.Millisecond), "hang_after_min"},
		{"later", hang(61 * time.Second), "hang_after_min"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := testCatalog()
			c.Channels[0].Policy = &configv1.Policy{Sequential: tt.p}
			_, err := routing.CompilePlan(c, nil)
			problems := routing.Problems(err)
			rules := protovalidate.Validate(tt.p)
			if tt.field == "" {
				if rules != nil || err != nil {
					t.Errorf("refused: by the schema %v, by the plan %v", rules, err)
				}
				return
			}
			path := "channels[0].policy.sequential." + tt.field
			if rules == nil || len(problems) != 1 || problems[0].Path != path {
				t.Errorf("schema %v, plan %v; want both to refuse %s", rules, err, path)
			}
		})
	}
}
