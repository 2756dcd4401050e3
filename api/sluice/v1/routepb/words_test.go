package routepb_test

import (
	"testing"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/api/sluice/v1/routepb"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

func TestWordsReadBackAsTheyWereTold(t *testing.T) {
	for n := range configv1.CardType_name {
		if c := configv1.CardType(n); routepb.FromCard(routing.CardName(c)) != c {
			t.Errorf("%s reads back as %s", c, routepb.FromCard(routing.CardName(c)))
		}
	}
	for n, name := range configv1.BusinessType_name {
		if b := routepb.ToBusiness(configv1.BusinessType(n)); configv1.BusinessType(b) != configv1.BusinessType(n) {
			t.Errorf("%s reads as %s", name, b)
		}
	}
	for n, name := range configv1.Outcome_name {
		if o := routepb.ToOutcome(configv1.Outcome(n)); configv1.Outcome(o) != configv1.Outcome(n) {
			t.Errorf("%s reads as %s", name, o)
		}
	}
}

func TestUnknownNumbersBecomeWhatIsRefused(t *testing.T) {
	for _, n := range []int32{-1, 99, 257} { // 257 would be 1 in a byte
		if b := routepb.ToBusiness(configv1.BusinessType(n)); b != statemachine.BusinessUnspecified {
			t.Errorf("business type %d reads as %s", n, b)
		}
		if o := routepb.ToOutcome(configv1.Outcome(n)); o != statemachine.OutcomeUnmapped {
			t.Errorf("outcome %d reads as %s", n, o)
		}
	}
}
