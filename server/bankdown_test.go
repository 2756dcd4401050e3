package server

import (
	"testing"

	"google.golang.org/grpc/codes"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// findDown puts banks that are down into the sight, as the loop would.
func (w *world) findDown(banks ...monitor.DownBank) {
	next := *w.sight.Load()
	next.BanksDown = NewBanksDown(banks)
	w.sight.Store(&next)
}

// switchOff closes a scope by an operator's order, whatever the guards say.
func (s *stand) switchOff(scope *sluicev1.Scope) {
	s.t.Helper()
	if _, err := s.channels().SwitchChannel(as(s.t, Operator), &sluicev1.SwitchChannelRequest{
		Action: sluicev1.Action_ACTION_OFF, Scope: scope, Reason: "drill", Expiry: expireAfter(3600e9),
		OverrideGuards: []sluicev1.Guard{sluicev1.Guard_GUARD_LAST_USABLE, sluicev1.Guard_GUARD_CAPACITY},
	}); err != nil {
		s.t.Fatal(err)
	}
}

// A payment whose bank is down everywhere is decided as before, byte for byte, and the reply says so and since when.
func TestRouteTellsThatTheBankIsDown(t *testing.T) {
	s := newStand(t, nil)
	route := func() *sluicev1.RouteResponse {
		t.Helper()
		reply, err := s.routing().Route(as(t, Cashier), payment("p1"))
		if err != nil {
			t.Fatal(err)
		}
		return reply
	}
	before := route()
	since := s.Second() - 90
	s.findDown(monitor.DownBank{Bank: "CMB", Since: since - 5}, monitor.DownBank{Bank: "ICBC", Since: since})
	during := route()
	same(t, "health", during.GetInstrumentHealth(), sluicev1.Availability_AVAILABILITY_BANK_DOWN)
	same(t, "since", during.GetBankDownSince().GetSeconds(), since)
	same(t, "decision", during.GetDecisionId(), before.GetDecisionId())
	same(t, "channels", len(during.GetChannels()), len(before.GetChannels()))
	same(t, "first channel", during.GetChannels()[0].GetAttemptId(), before.GetChannels()[0].GetAttemptId())
	explained, err := s.routing().ExplainRoute(as(t, Viewer), &sluicev1.ExplainRouteRequest{Subject: &sluicev1.ExplainRouteRequest_Request{Request: payment("p1")}})
	if err != nil || explained.GetDecision().GetBankDownSince().GetSeconds() != since {
		t.Errorf("explained %v, %v", explained.GetDecision(), err)
	}
	s.findDown(monitor.DownBank{Bank: "CMB", Since: since})
	after := route()
	if after.GetInstrumentHealth() != sluicev1.Availability_AVAILABILITY_AVAILABLE || after.GetBankDownSince() != nil {
		t.Errorf("another bank is down, told as %v since %v", after.GetInstrumentHealth(), after.GetBankDownSince())
	}
}

// Where nothing is usable, the reason is the bank if it is down, whatever closed the channels.
func TestRefusalBlamesTheBankThatIsDown(t *testing.T) {
	s := newStand(t, nil)
	for _, channel := range []string{"alpha", "beta", "gamma"} {
		s.switchOff(&sluicev1.Scope{Channel: channel})
	}
	refused := func(want string) *sluicev1.RouteRefusal {
		t.Helper()
		_, err := s.routing().Route(as(t, Cashier), payment("p1"))
		wantError(t, err, codes.Unavailable, want)
		e, err := s.routing().ExplainRoute(as(t, Viewer), &sluicev1.ExplainRouteRequest{Subject: &sluicev1.ExplainRouteRequest_Request{Request: payment("p1")}})
		if err != nil || e.GetRefusalReason() != want {
			t.Errorf("explained as %s, %v, want %s", e.GetRefusalReason(), err, want)
		}
		_, err = s.routing().Route(as(t, Cashier), payment("p1"))
		return detailOf[*sluicev1.RouteRefusal](t, err)
	}
	if d := refused("NO_USABLE_CHANNEL"); d.GetBankDownSince() != nil {
		t.Errorf("the bank is well: %v", d)
	}
	s.findDown(monitor.DownBank{Bank: "ICBC", Since: s.Second() - 7})
	d := refused("BANK_DOWN_EVERYWHERE")
	same(t, "since", d.GetBankDownSince().GetSeconds(), s.Second()-7)
	same(t, "reason", d.GetReason(), sluicev1.ErrorReason_ERROR_REASON_BANK_DOWN_EVERYWHERE)
	if len(d.GetCandidates()) < 3 {
		t.Errorf("candidates %v, want why each is closed", d.GetCandidates())
	}
	wantSamples(t, scrape(t, s), `sluice_route_refusals_total{reason="NO_USABLE_CHANNEL"} 2`, `sluice_route_refusals_total{reason="BANK_DOWN_EVERYWHERE"} 2`)
	dollars := payment("p2")
	dollars.Payment.Currency = "USD"
	_, err := s.routing().Route(as(t, Cashier), dollars)
	wantError(t, err, codes.Unavailable, "NO_USABLE_CHANNEL") // no channel takes them: another card would not help
}

// A payment that has failed on every channel needs another card where the bank is why.
func TestRefusalBlamesTheBankWhenEveryChannelWasTried(t *testing.T) {
	s := newStand(t, nil)
	q := payment("p1")
	for i, channel := range []string{"alpha", "beta", "gamma"} {
		q.Attempts = append(q.Attempts, &sluicev1.PreviousAttempt{Channel: channel, AttemptId: "x/" + string(rune('0'+i)), Outcome: configv1.Outcome_OUTCOME_CHANNEL_FAILED})
	}
	_, err := s.routing().Route(as(t, Cashier), q)
	wantError(t, err, codes.Unavailable, "NO_USABLE_CHANNEL")
	s.findDown(monitor.DownBank{Bank: "ICBC", Since: s.Second() - 7})
	_, err = s.routing().Route(as(t, Cashier), q)
	wantError(t, err, codes.Unavailable, "BANK_DOWN_EVERYWHERE")
}

func TestListPaymentOptionsTellsBanksThatAreDown(t *testing.T) {
	s := newStand(t, nil)
	since := s.Second() - 30
	s.findDown(monitor.DownBank{Bank: "ICBC", Since: since})
	list := func() map[string]*sluicev1.PaymentOption {
		t.Helper()
		reply, err := s.routing().ListPaymentOptions(as(t, Cashier), &sluicev1.ListPaymentOptionsRequest{
			Merchant: "shop", SettlementEntity: "acme", BusinessType: collect, Currency: "CNY", IncludeUnsupported: true, Banks: []string{"ICBC", "CMB", "XYZ"},
		})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]*sluicev1.PaymentOption{}
		for _, o := range reply.GetOptions() {
			got[o.GetBank()+" "+routing.CardName(o.GetCardType())] = o
		}
		return got
	}
	want := func(options map[string]*sluicev1.PaymentOption, name string, availability sluicev1.Availability, since int64) {
		t.Helper()
		o := options[name]
		if o == nil || o.GetAvailability() != availability || o.GetBankDownSince().GetSeconds() != since {
			t.Errorf("%s is %v, want %v since %d", name, o, availability, since)
		}
	}
	got := list()
	for _, card := range []string{"ICBC DEBIT", "ICBC CREDIT"} {
		want(got, card, sluicev1.Availability_AVAILABILITY_BANK_DOWN, since)
		if got[card].GetChannelsUsable() == 0 {
			t.Errorf("%s: %v, want its channels usable as before", card, got[card])
		}
	}
	want(got, "XYZ -", sluicev1.Availability_AVAILABILITY_UNSUPPORTED, 0)
	for name, o := range got {
		if o.GetBank() == "CMB" {
			want(got, name, o.GetAvailability(), 0)
		}
	}
	icbc := statemachine.Instrument{Method: "QUICKPAY", Bank: "ICBC", CardType: "DEBIT"}
	for _, channel := range []string{"alpha", "beta", "gamma"} {
		s.switchOff(&sluicev1.Scope{Name: statemachine.InstrumentScope(channel, icbc).String()})
	}
	s.findDown(monitor.DownBank{Bank: "ICBC", Since: since})
	want(list(), "ICBC DEBIT", sluicev1.Availability_AVAILABILITY_DOWN, since)
}

// What the replies need of it is read without memory.
func TestBankDownIsReadWithoutMemory(t *testing.T) {
	s := newStand(t, nil)
	s.findDown(monitor.DownBank{Bank: "ABC", Since: 1}, monitor.DownBank{Bank: "ICBC", Since: 2})
	var told *sluicev1.RouteResponse
	reply := &sluicev1.RouteResponse{}
	if n := testing.AllocsPerRun(100, func() { reply.BankDownSince, told = s.server.bankDownSince("ICBC"), reply }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	same(t, "since", told.GetBankDownSince().GetSeconds(), 2)
}
