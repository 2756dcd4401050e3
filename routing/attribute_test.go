package routing

import (
	"errors"
	"slices"
	"testing"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

func TestAttribute(t *testing.T) {
	in := func(c *configv1.Channel) { c.FailureDomains = []string{"net"} }
	c := newCatalog(newChannel("a", in), newChannel("b"))
	c.FailureDomains = []*configv1.FailureDomain{{Id: "net", Kind: configv1.FailureDomainKind_FAILURE_DOMAIN_KIND_EGRESS}}
	const n, p, r = statemachine.KindNormal, statemachine.KindProbe, statemachine.KindRamp
	ramp := func(s statemachine.Scope) statemachine.State { return inPhase(s, statemachine.Ramping, 100_000) }
	healed := statemachine.NewState(statemachine.ChannelScope("a"))
	healed.After = 50
	tests := []struct {
		name     string
		states   []statemachine.State
		decided  int64
		kinds    [5]statemachine.LaneKind // channel, business type, method, account, instrument
		evidence bool
	}{
		{"healthy", nil, 60, [5]statemachine.LaneKind{n, n, n, n, n}, true},
		{"healthy, no decision", nil, 0, [5]statemachine.LaneKind{n, n, n, n, n}, true},
		{"a child's ramp does not feed its parents", []statemachine.State{ramp(statemachine.InstrumentScope("a", icbc))}, 60, [5]statemachine.LaneKind{r, r, r, r, r}, true},
		{"a parent's ramp feeds its healthy children", []statemachine.State{ramp(statemachine.ChannelScope("a"))}, 60, [5]statemachine.LaneKind{r, n, n, n, n}, true},
		{"a method's ramp", []statemachine.State{ramp(statemachine.MethodScope("a", "QUICKPAY"))}, 60, [5]statemachine.LaneKind{r, r, r, r, n}, true},
		{"an account's ramp", []statemachine.State{ramp(statemachine.AccountScope("a", "main"))}, 60, [5]statemachine.LaneKind{r, r, r, r, r}, true},
		{"a domain's ramp", []statemachine.State{ramp(statemachine.DomainScope("net"))}, 60, [5]statemachine.LaneKind{n, n, n, n, n}, true},
		{"a probe is stronger", []statemachine.State{ramp(statemachine.InstrumentScope("a", icbc)), inPhase(statemachine.ChannelScope("a"), statemachine.Probing, 0)}, 60, [5]statemachine.LaneKind{p, r, r, r, r}, true},
		{"decided before the step", []statemachine.State{ramp(statemachine.ChannelScope("a"))}, 50, [5]statemachine.LaneKind{r, n, n, n, n}, false},
		{"no decision while ramping", []statemachine.State{ramp(statemachine.ChannelScope("a"))}, 0, [5]statemachine.LaneKind{r, n, n, n, n}, false},
		{"decided before it healed", []statemachine.State{healed}, 50, [5]statemachine.LaneKind{n, n, n, n, n}, false},
		{"decided after it healed", []statemachine.State{healed}, 51, [5]statemachine.LaneKind{n, n, n, n, n}, true},
		{"no decision, healed", []statemachine.State{healed}, 0, [5]statemachine.LaneKind{n, n, n, n, n}, true},
		{"another channel's ramp", []statemachine.State{ramp(statemachine.ChannelScope("b"))}, 1, [5]statemachine.LaneKind{n, n, n, n, n}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table := mustTable(t, c, tt.states...)
			a, err := table.Attribute("a", "main", statemachine.Collect, icbc, tt.decided)
			if err != nil || a.Kinds != tt.kinds || a.Evidence != tt.evidence {
				t.Errorf("got %v, evidence %t (%v); want %v, %t", a.Kinds, a.Evidence, err, tt.kinds, tt.evidence)
			}
			var items []string
			for _, i := range a.Items {
				items = append(items, table.Plan().Items()[i].String())
			}
			want := []string{"a", "a/business=COLLECT", "a/method=QUICKPAY", "a/account=main", "a/instrument=QUICKPAY:ICBC:DEBIT"}
			if !slices.Equal(items, want) {
				t.Errorf("items %q, want %q", items, want)
			}
		})
	}
}

func TestAttributeRefusesUnknownNames(t *testing.T) {
	table := mustTable(t, newCatalog(newChannel("a"), newChannel("b")))
	odd := statemachine.Instrument{Method: "QUICKPAY", Bank: "XYZ", CardType: "DEBIT"}
	for _, tt := range []struct {
		channel, account string
		b                statemachine.BusinessType
		i                statemachine.Instrument
		want             error
	}{
		{"x", "main", statemachine.Collect, icbc, ErrUnknownChannel},
		{"a", "x", statemachine.Collect, icbc, ErrUnknownAccount},
		{"a", "main", statemachine.Payout, icbc, ErrUnknownBusinessType},
		{"a", "main", 200, icbc, ErrUnknownBusinessType},
		{"a", "main", statemachine.Collect, odd, ErrUnknownInstrument},
	} {
		if _, err := table.Attribute(tt.channel, tt.account, tt.b, tt.i, 0); !errors.Is(err, tt.want) {
			t.Errorf("%+v: got %v", tt, err)
		}
	}
}
