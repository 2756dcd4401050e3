package routing

import (
	"errors"
	"testing"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

func TestInterpret(t *testing.T) {
	no := false
	c := newCatalog(newChannel("a", func(c *configv1.Channel) { c.CodeTable = "t" }), newChannel("b"))
	c.CodeTables = []*configv1.CodeTable{{Id: "t", Codes: []*configv1.ResponseCode{
		{Code: "00", Outcome: configv1.Outcome_OUTCOME_SUCCEEDED},
		{Code: "54", Outcome: configv1.Outcome_OUTCOME_REJECTED, Final: &no, Advice: "TRY_ANOTHER_CHANNEL"},
	}}}
	p := mustPlan(t, c)
	for _, tt := range []struct {
		channel string
		outcome statemachine.Outcome
		code    string
		want    Meaning
	}{
		{"a", statemachine.ChannelFailed, "00", Meaning{statemachine.Succeeded, statemachine.MoneyPaid, "", true}},
		{"a", statemachine.OutcomeUnspecified, "54", Meaning{statemachine.Rejected, statemachine.MoneyReroutable, "TRY_ANOTHER_CHANNEL", true}},
		{"a", statemachine.Rejected, "", Meaning{statemachine.Rejected, statemachine.MoneyFinal, "", false}},
		{"a", statemachine.OutcomeUnspecified, "99", Meaning{statemachine.OutcomeUnmapped, statemachine.MoneyInDoubt, "", true}},
		{"a", statemachine.ChannelFailed, "99", Meaning{statemachine.ChannelFailed, statemachine.MoneyReroutable, "", true}},
		{"b", statemachine.OutcomeUnspecified, "00", Meaning{statemachine.OutcomeUnmapped, statemachine.MoneyInDoubt, "", true}},
		{"b", statemachine.OutcomeUnspecified, "", Meaning{statemachine.OutcomeUnspecified, statemachine.MoneyInDoubt, "", false}},
	} {
		if got, err := p.Interpret(tt.channel, tt.outcome, tt.code); err != nil || got != tt.want {
			t.Errorf("%s %s %q: got %+v (%v), want %+v", tt.channel, tt.outcome, tt.code, got, err, tt.want)
		}
	}
	if _, err := p.Interpret("x", statemachine.Succeeded, ""); !errors.Is(err, ErrUnknownChannel) {
		t.Errorf("got %v", err)
	}
}
