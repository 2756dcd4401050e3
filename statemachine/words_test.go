package statemachine

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestScopesComeBackFromTheirText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Scope{
		"alipay":                                ChannelScope("alipay"),
		"alipay/business=COLLECT":               BusinessScope("alipay", Collect),
		"alipay/method=QUICKPAY":                MethodScope("alipay", "QUICKPAY"),
		"alipay/account=a1":                     AccountScope("alipay", "a1"),
		"alipay/instrument=QUICKPAY:ICBC:DEBIT": InstrumentScope("alipay", Instrument{"QUICKPAY", "ICBC", "DEBIT"}),
		"alipay/instrument=WALLET:-:-":          InstrumentScope("alipay", Instrument{"WALLET", NoBank, NoBank}),
		"domain=unionpay-network":               DomainScope("unionpay-network"),
	} {
		got, err := ParseScope(text)
		if err != nil || got != want || got.String() != text || want.Validate() != nil {
			t.Errorf("%s: got %+v %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "a b", "a/b", "a/instrument=ICBC", "a/instrument=X:Y:Z:W", "a/business=UNSPECIFIED", "a/business=collect", "a/method=", "domain=", "/method=X",
		"a/domain=x", "a/method=x/y", "银行", strings.Repeat("x", 65),
	} {
		if s, err := ParseScope(text); !errors.Is(err, ErrScope) {
			t.Errorf("%q: got %+v %v, want ErrScope", text, s, err)
		}
	}
}

func TestWordsComeBackFromTheirText(t *testing.T) {
	t.Parallel()
	for o := range NumOutcomes {
		if got, err := ParseOutcome(o.String()); err != nil || got != o {
			t.Errorf("%s: got %s %v", o, got, err)
		}
	}
	for b := Collect; b < NumBusinessTypes; b++ {
		if got, err := ParseBusinessType(b.String()); err != nil || got != b {
			t.Errorf("%s: got %s %v", b, got, err)
		}
	}
	i := Instrument{"QUICKPAY", "ICBC", "CREDIT"}
	if got, err := ParseInstrument(i.String()); err != nil || got != i {
		t.Errorf("%s: got %s %v", i, got, err)
	}
	for _, bad := range []string{"PAID", "", "succeeded"} {
		if _, err := ParseOutcome(bad); !errors.Is(err, ErrName) {
			t.Errorf("outcome %q: %v", bad, err)
		}
	}
	if _, err := ParseInstrument("QUICKPAY:ICBC"); !errors.Is(err, ErrName) {
		t.Errorf("two words: %v", err)
	}
}

func TestPolicyNamesEveryFieldOutOfRange(t *testing.T) {
	t.Parallel()
	if err := DefaultPolicy().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	// Each field, set to a value that no range holds, is named. Fields whose zero is in range get another one.
	fine := map[string]bool{"Detector": true, "FalseAlarmDays": true, "MildBelow": true, "Level": true, "MildRate": true, "RatioCount": true, "QuietRate": true, "FirstShare": true, "Probation": true, "MinWeightLeft": true}
	for i := range reflect.TypeFor[Policy]().NumField() {
		p := DefaultPolicy()
		field := reflect.ValueOf(&p).Elem().Field(i)
		name := reflect.TypeFor[Policy]().Field(i).Name
		field.SetZero()
		err := p.Validate()
		if fine[name] {
			if err != nil {
				t.Errorf("%s 0: %v", name, err)
			}
			switch {
			case field.CanFloat():
				field.SetFloat(math.NaN())
			case field.CanInt():
				field.SetInt(-1)
			default:
				field.SetUint(1<<min(field.Type().Bits(), 30) - 1)
			}
			err = p.Validate()
		}
		if !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), name+" ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	err := Policy{}.Validate()
	if n := strings.Count(err.Error(), "\n") + 1; n < 20 {
		t.Errorf("only %d errors at once: %v", n, err)
	}
}

func TestFirstShare(t *testing.T) {
	t.Parallel()
	p := DefaultPolicy()
	for _, c := range []struct {
		perSecond float64
		routers   int
		want      Share
	}{
		{30, 1, 50_000}, {30, 4, 200_000}, {1000, 1, 20_000}, {1, 1, 500_000}, {0, 0, 500_000}, {math.NaN(), 1, 500_000}, {30, 0, 50_000},
	} {
		if got := p.firstShare(c.perSecond, c.routers); got != c.want {
			t.Errorf("%g/s, %d routers: got %s, want %s", c.perSecond, c.routers, got, c.want)
		}
	}
	p.FirstShare = ShareOf(0.07)
	if got := p.firstShare(1, 1); got != 70_000 {
		t.Errorf("set by policy: got %s", got)
	}
}

func TestWilsonLower(t *testing.T) {
	t.Parallel()
	// By hand: all bad of n gives n / (n + z²) with z² = 5.412.
	for _, c := range []struct{ bad, n, least, most float64 }{
		{3, 3, 0.3566, 0.3567}, {2, 2, 0.2698, 0.2699}, {0, 100, 0, 0}, {0, 0, 0, 0}, {50, 100, 0.38, 0.39}, {5, 3, 0.3566, 0.3567},
	} {
		if got := WilsonLower(c.bad, c.n); got < c.least-1e-9 || got > c.most+1e-9 {
			t.Errorf("%g of %g: got %g, want %g to %g", c.bad, c.n, got, c.least, c.most)
		}
	}
}

func TestCoolDownGrowsToItsCap(t *testing.T) {
	t.Parallel()
	p := DefaultPolicy()
	for _, c := range []struct {
		relapses, failed uint32
		want             time.Duration
	}{
		{0, 0, 2 * time.Second},
		{1, 0, 4 * time.Second},
		{3, 0, 15 * time.Second},
		{0, 1, 3200 * time.Millisecond},
		{0, 2, 5120 * time.Millisecond},
		{0, 3, 8192 * time.Millisecond},
		{0, 4, 13107 * time.Millisecond},
		{0, 5, 15 * time.Second},
		{1, 1, 6400 * time.Millisecond},
		{math.MaxUint32, math.MaxUint32, 15 * time.Second},
	} {
		if got := p.coolDown(c.relapses, c.failed).Truncate(time.Millisecond); got != c.want {
			t.Errorf("%d relapses, %d failed probings: got %s, want %s", c.relapses, c.failed, got, c.want)
		}
	}
	p.CoolDownGrowth = 1
	if got := p.coolDown(3, 3); got != p.CoolDown {
		t.Errorf("without growth: got %s, want %s", got, p.CoolDown)
	}
}

func TestProbationIsLongerForQuietScopes(t *testing.T) {
	t.Parallel()
	p := DefaultPolicy()
	for perSecond, want := range map[float64]time.Duration{
		30: 5 * time.Minute, 0.1: 5 * time.Minute, 0.04: 500 * time.Second, 0.01: 15 * time.Minute, 0: 15 * time.Minute,
	} {
		if got := p.probation(perSecond); got != want {
			t.Errorf("%g payments a second: got %s, want %s", perSecond, got, want)
		}
	}
	if p.Probation = 0; p.probation(0) != 0 {
		t.Error("a policy without probation has one")
	}
}

// A handful of probes or results of a ramp step does not change what is known of the fault, unless it contradicts it.
func TestTheFaultsRateOutlivesItsProbes(t *testing.T) {
	t.Parallel()
	ev := func(bad, n float64) Evidence { return Evidence{Answered: n, Bad: bad, Rate: bad / n} }
	open := NewState(ChannelScope("union"))
	ramp := State{Scope: open.Scope, Phase: Ramping, Share: 50_000, Kind: Cut, Incident: "i", Base: ShareOf(0.5)}
	probing := State{Scope: open.Scope, Phase: Probing, Generation: 4, Kind: Cut, Incident: "i", Base: ShareOf(0.2), CutBy: Automation}
	home := open
	home.Probation = At(scenarioStart.Add(time.Minute))
	again := func(e Evidence, fault float64) Evidence { e.Fault = fault; return e }
	for name, c := range map[string]struct {
		s    State
		ev   Evidence
		want float64
	}{
		"detected":                        {open, ev(6, 8), 0.75},
		"again, after it came home":       {home, again(ev(2, 3), 0.3), 0.3},
		"again, clearly worse":            {home, again(ev(9, 9), 0.3), 1},
		"relapse of the same fault":       {ramp, ev(3, 9), 0.5},
		"relapse that is clearly worse":   {ramp, ev(40, 40), 1},
		"relapse that is clearly milder":  {ramp, ev(20, 100), 0.2},
		"probes fail":                     {probing, ev(1, 1), 0.2},
		"a lowered share has to be cut":   {State{Scope: open.Scope, Phase: Ramping, Share: 500_000, Kind: Degraded, Incident: "i", Base: ShareOf(0.2)}, ev(30, 40), 0.75},
		"relapse of a fault not measured": {State{Scope: open.Scope, Phase: Ramping, Share: 500_000, Kind: Cut, Incident: "i"}, ev(3, 9), 1. / 3},
	} {
		e := Event(Verdict{Kind: Failing, Evidence: c.ev})
		if c.s.Phase == Probing {
			e = StepEvidence{Generation: c.s.Generation, Judgement: Failed, Answered: c.ev.Answered, Bad: c.ev.Bad, Evidence: c.ev}
		}
		to, _ := Step(c.s, e, DefaultPolicy(), scenarioStart)
		if to.Phase != Disabled || to.Base != ShareOf(c.want) {
			t.Errorf("%s: %s with a fault of %s, want %s", name, to.Phase, to.Base, ShareOf(c.want))
		}
	}
}

// That the fault is attempts without an answer is remembered until the scope is healthy.
func TestHangingIsRemembered(t *testing.T) {
	t.Parallel()
	p := DefaultPolicy()
	s := NewState(ChannelScope("union"))
	seen, _ := Step(s, Verdict{Kind: Failing, Evidence: Evidence{Rule: RuleHanging, Answered: 9, Bad: 9, Rate: 1}}, p, scenarioStart)
	timeouts := Evidence{Answered: 9, Bad: 8, Rate: 0.9}
	timeouts.Outcomes[TimedOut], timeouts.Outcomes[ChannelFailed] = 6, 2
	returned, _ := Step(s, Verdict{Kind: Failing, Evidence: timeouts}, p, scenarioStart)
	timeouts.Outcomes[TimedOut], timeouts.Outcomes[ChannelFailed] = 2, 6
	coded, _ := Step(s, Verdict{Kind: Failing, Evidence: timeouts}, p, scenarioStart)
	if !seen.Hangs || !returned.Hangs || coded.Hangs {
		t.Errorf("hanging: %t, timeouts: %t, codes: %t, want yes, yes, no", seen.Hangs, returned.Hangs, coded.Hangs)
	}
	probing, _ := Step(seen, Tick{}, p, scenarioStart.Add(time.Minute))
	quiet := StepEvidence{Generation: probing.Generation, Judgement: Passed, Answered: 2}
	healthy, _ := Step(probing, quiet, p, scenarioStart.Add(2*time.Minute))
	if !probing.Hangs || healthy.Phase != Healthy || healthy.Hangs {
		t.Errorf("probing: %t, then %s: %t", probing.Hangs, healthy.Phase, healthy.Hangs)
	}
}

// TestRebased: only a new phase, generation or ramp step moves After; an order, an incident or an expiry does not.
func TestRebased(t *testing.T) {
	t.Parallel()
	from := State{Phase: Ramping, Share: 100_000, Generation: 3, Step: 1, After: 40}
	for name, c := range map[string]struct {
		change func(*State)
		want   int64
	}{
		"order":      {func(s *State) { s.Hold = Override{Author: "li", Since: 1} }, 40},
		"incident":   {func(s *State) { s.Incident, s.Kind = "i", Observed }, 40},
		"phase":      {func(s *State) { s.Phase = Disabled }, 55},
		"generation": {func(s *State) { s.Generation++ }, 55},
		"step":       {func(s *State) { s.Step++ }, 55},
	} {
		to := from
		c.change(&to)
		if got := to.Rebased(from, 55); got.After != c.want {
			t.Errorf("%s: after %d, want %d", name, got.After, c.want)
		}
	}
}

func TestCheckFindsEachError(t *testing.T) {
	t.Parallel()
	p := DefaultPolicy()
	open := NewState(ChannelScope("union"))
	suspended := open
	suspended.Suspend = Override{Author: "legal", Reason: "contract", Since: 1}
	good := Order{Action: ActionOff, Author: "li", Reason: "r", For: time.Hour}
	for name, c := range map[string]struct {
		state State
		order Order
		want  error
	}{
		"good":               {open, good, nil},
		"no author":          {open, Order{Action: ActionOff, Reason: "r", For: time.Hour}, ErrAuthorMissing},
		"no reason":          {open, Order{Action: ActionOff, Author: "li", For: time.Hour}, ErrReasonMissing},
		"no expiry":          {open, Order{Action: ActionOnNow, Author: "li", Reason: "r"}, ErrExpiryMissing},
		"too long":           {open, Order{Action: ActionOff, Author: "li", Reason: "r", For: 73 * time.Hour}, ErrExpiryRange},
		"too short":          {open, Order{Action: ActionHold, Author: "li", Reason: "r", For: time.Millisecond}, ErrExpiryRange},
		"expiry of no use":   {open, Order{Action: ActionSuspend, Author: "li", Reason: "r", For: time.Hour}, ErrExpiryNoUse},
		"suspended":          {suspended, good, ErrSuspended},
		"not suspended":      {open, Order{Action: ActionLift, Author: "li", Reason: "r"}, ErrNotSuspended},
		"lift":               {suspended, Order{Action: ActionLift, Author: "li", Reason: "r"}, nil},
		"hold for ever":      {open, Order{Action: ActionHold, Author: "li", Reason: "r"}, nil},
		"no action":          {open, Order{Author: "li", Reason: "r"}, ErrAction},
		"an unknown action":  {open, Order{Action: 99, Author: "li", Reason: "r"}, ErrAction},
		"release of nothing": {open, Order{Action: ActionRelease, Author: "li", Reason: "r"}, nil},
	} {
		if err := c.state.Check(c.order, p, scenarioStart); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}
