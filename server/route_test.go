package server

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// detailOf returns the detail of a type that an error carries.
func detailOf[D any](tb testing.TB, err error) D {
	tb.Helper()
	for _, d := range status.Convert(err).Details() {
		if found, ok := d.(D); ok {
			return found
		}
	}
	var none D
	tb.Fatalf("error %v has no detail %T", err, none)
	return none
}

// same reports a difference in one thing.
func same[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// wantError checks code and reason of an error.
func wantError(tb testing.TB, err error, code codes.Code, reason string) {
	tb.Helper()
	if status.Code(err) != code {
		tb.Fatalf("got %v, want %v %s", err, code, reason)
	}
	if info := detailOf[*errdetails.ErrorInfo](tb, err); info.GetReason() != reason || info.GetDomain() != "sluice" {
		tb.Fatalf("got reason %s of %s, want %s", info.GetReason(), info.GetDomain(), reason)
	}
}

func TestRouteAnswersInOrder(t *testing.T) {
	s := newStand(t, nil)
	reply, err := s.routing().Route(as(t, Cashier), payment("p1"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for rank, c := range reply.GetChannels() {
		got = append(got, c.GetChannel())
		id, at, err := routing.ParseAttemptID(c.GetAttemptId())
		if err != nil || at != rank || id.String() != reply.GetDecisionId() {
			t.Errorf("attempt id %s of rank %d: %v, %d, %v", c.GetAttemptId(), rank, id, at, err)
		}
		if c.GetAccount() != "a1" || c.GetReason() != sluicev1.RankReason_RANK_REASON_PRIORITY || c.GetKind() != sluicev1.TrafficKind_TRAFFIC_KIND_NORMAL {
			t.Errorf("rank %d: %v", rank, c)
		}
	}
	if want := []string{"alpha", "beta", "gamma"}; !slices.Equal(got, want) {
		t.Errorf("channels %v, want %v", got, want)
	}
	if got := reply.GetValidUntil().AsTime().Sub(s.now()).Seconds(); got != 10 {
		t.Errorf("valid for %v s, want the default 10", got)
	}
	wantEnvelope(t, s, reply)
}

// wantEnvelope checks what a reply adds to a decision, now and when the table was not confirmed for long.
func wantEnvelope(t *testing.T, s *stand, reply *sluicev1.RouteResponse) {
	t.Helper()
	if reply.GetTableRevision() != s.Sight().View.Revision || reply.GetSource() != sluicev1.TableSource_TABLE_SOURCE_FRESH ||
		reply.GetInstrumentHealth() != sluicev1.Availability_AVAILABILITY_AVAILABLE {
		t.Errorf("envelope %v", reply)
	}
	s.second.Add(31)
	if reply, err := s.routing().Route(as(t, Cashier), payment("p1")); err != nil || reply.GetSource() != sluicev1.TableSource_TABLE_SOURCE_STALE || reply.GetTableAge().GetSeconds() != 31 {
		t.Errorf("31 s after the last confirmation: %v, %v", reply, err)
	}
}

// A large answer has more channels than the bundle holds.
func TestRouteAnswersWithMoreChannelsThanABundle(t *testing.T) {
	s := newStandOf(t, largeCatalog(60, 60), nil)
	q := payment("p1")
	q.Payment.Merchant, q.MaxChannels = "m0", 64
	reply, err := s.routing().Route(as(t, Cashier), q)
	if err != nil || len(reply.GetChannels()) != 60 {
		t.Fatalf("got %d channels, %v", len(reply.GetChannels()), err)
	}
	for rank, c := range reply.GetChannels() {
		if _, at, err := routing.ParseAttemptID(c.GetAttemptId()); err != nil || at != rank {
			t.Errorf("rank %d has attempt id %s: %v", rank, c.GetAttemptId(), err)
		}
	}
}

func TestRouteRefusals(t *testing.T) {
	in := func(o configv1.Outcome, code string) func(*sluicev1.RouteRequest) {
		return func(m *sluicev1.RouteRequest) {
			m.Attempts = []*sluicev1.PreviousAttempt{{Channel: "alpha", Account: "a1", Outcome: o, RawCode: code}}
		}
	}
	tests := map[string]struct {
		change func(*sluicev1.RouteRequest)
		code   codes.Code
		reason string
	}{
		"paid already":       {in(configv1.Outcome_OUTCOME_SUCCEEDED, ""), codes.FailedPrecondition, "ALREADY_PAID"},
		"in doubt":           {in(configv1.Outcome_OUTCOME_TIMED_OUT, ""), codes.FailedPrecondition, "AMBIGUOUS_PREVIOUS_ATTEMPT"},
		"nothing said":       {in(configv1.Outcome_OUTCOME_UNSPECIFIED, ""), codes.FailedPrecondition, "AMBIGUOUS_PREVIOUS_ATTEMPT"},
		"final by its code":  {in(configv1.Outcome_OUTCOME_UNSPECIFIED, "51"), codes.FailedPrecondition, "FINAL_PREVIOUS_ATTEMPT"},
		"unknown entity":     {func(m *sluicev1.RouteRequest) { m.Payment.SettlementEntity = "other" }, codes.FailedPrecondition, "UNSUPPORTED"},
		"unknown bank":       {func(m *sluicev1.RouteRequest) { m.Payment.Bank = "XYZ" }, codes.FailedPrecondition, "UNSUPPORTED"},
		"all excluded":       {func(m *sluicev1.RouteRequest) { m.Exclude = []string{"alpha", "beta", "gamma", "delta"} }, codes.Unavailable, "NO_USABLE_CHANNEL"},
		"card number":        {func(m *sluicev1.RouteRequest) { m.Payment.PaymentId = "4111111111111111" }, codes.InvalidArgument, "CARD_NUMBER_REFUSED"},
		"malformed merchant": {func(m *sluicev1.RouteRequest) { m.Payment.Merchant = "a b" }, codes.InvalidArgument, "INVALID_FIELD"},
	}
	s := newStand(t, nil)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := s.routing().Route(as(t, Cashier), changed(payment("p1"), test.change))
			wantError(t, err, test.code, test.reason)
		})
	}
}

// A refusal tells which previous attempt decided, what its code advises, and why each channel was not usable.
func TestRouteRefusalDetails(t *testing.T) {
	s := newStand(t, nil)
	q := payment("p1")
	q.Attempts = []*sluicev1.PreviousAttempt{{Channel: "alpha", Account: "a1", RawCode: "51", AttemptId: "x/0"}}
	_, err := s.routing().Route(as(t, Cashier), q)
	if a := detailOf[*sluicev1.RouteRefusal](t, err).GetAttempt(); a.GetChannel() != "alpha" || a.GetAdvice() != "ASK_FOR_ANOTHER_CARD" ||
		a.GetOutcome() != configv1.Outcome_OUTCOME_USER_DECLINED || a.GetAttemptId() != "x/0" {
		t.Errorf("decisive attempt %v", a)
	}
	icbc := statemachine.Instrument{Method: "QUICKPAY", Bank: "ICBC", CardType: "DEBIT"}
	for _, channel := range []string{"alpha", "beta", "gamma"} {
		if _, err := s.channels().SwitchChannel(as(t, Operator), &sluicev1.SwitchChannelRequest{
			Action: sluicev1.Action_ACTION_OFF, Scope: &sluicev1.Scope{Name: statemachine.InstrumentScope(channel, icbc).String()}, Reason: "drill",
			Expiry: expireAfter(3600e9), OverrideGuards: []sluicev1.Guard{sluicev1.Guard_GUARD_LAST_USABLE, sluicev1.Guard_GUARD_CAPACITY},
		}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = s.routing().Route(as(t, Cashier), payment("p2"))
	wantError(t, err, codes.Unavailable, "BANK_DOWN_EVERYWHERE")
	refusal := detailOf[*sluicev1.RouteRefusal](t, err)
	for _, channel := range []string{"alpha", "beta", "gamma"} {
		i := slices.IndexFunc(refusal.GetCandidates(), func(c *sluicev1.Candidate) bool { return c.GetChannel() == channel })
		if i < 0 || refusal.GetCandidates()[i].GetDropReason() != sluicev1.DropReason_DROP_REASON_SWITCHED_OFF ||
			!strings.HasPrefix(refusal.GetCandidates()[i].GetScope().GetName(), channel+"/instrument=") {
			t.Errorf("%s: %v", channel, refusal.GetCandidates())
		}
	}
	if refusal.GetTableRevision() != s.Sight().View.Revision || refusal.GetReason() != sluicev1.ErrorReason_ERROR_REASON_BANK_DOWN_EVERYWHERE {
		t.Errorf("refusal %v", refusal)
	}
}

func TestListPaymentOptions(t *testing.T) {
	s := newStand(t, nil)
	s.cut(statemachine.InstrumentScope("alpha", statemachine.Instrument{Method: "QUICKPAY", Bank: "ICBC", CardType: "DEBIT"}))
	reply, err := s.routing().ListPaymentOptions(as(t, Cashier), &sluicev1.ListPaymentOptionsRequest{
		Merchant: "shop", SettlementEntity: "acme", BusinessType: collect, Currency: "CNY", Banks: []string{"ICBC", "XYZ"}, IncludeUnsupported: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]sluicev1.Availability{}
	for _, o := range reply.GetOptions() {
		got[o.GetBank()+" "+routing.CardName(o.GetCardType())] = o.GetAvailability()
	}
	want := map[string]sluicev1.Availability{
		"ICBC DEBIT": sluicev1.Availability_AVAILABILITY_DEGRADED, "ICBC CREDIT": sluicev1.Availability_AVAILABILITY_AVAILABLE,
		"XYZ -": sluicev1.Availability_AVAILABILITY_UNSUPPORTED,
	}
	for k, w := range want {
		if got[k] != w || len(got) != len(want) {
			t.Errorf("%s: got %v, want %v (all: %v)", k, got[k], w, got)
		}
	}
}

func TestExplainRoute(t *testing.T) {
	s := newStand(t, nil)
	reply, err := s.routing().ExplainRoute(as(t, Viewer), &sluicev1.ExplainRouteRequest{Subject: &sluicev1.ExplainRouteRequest_Request{Request: payment("p1")}})
	if err != nil || reply.GetDecision().GetChannels()[0].GetChannel() != "alpha" || len(reply.GetCandidates()) != 4 || reply.GetRoute() != "quick" {
		t.Fatalf("explained %v, %v", reply, err)
	}
	decided, err := s.routing().Route(as(t, Cashier), payment("p1"))
	if err != nil || decided.GetDecisionId() != reply.GetDecision().GetDecisionId() {
		t.Errorf("explained as %s, decided as %s, %v", reply.GetDecision().GetDecisionId(), decided.GetDecisionId(), err)
	}
}

// What is not built says so, with a reason that programs can read.
func TestNotBuiltYet(t *testing.T) {
	s := newStand(t, nil)
	_, err := s.channels().QuerySeries(as(t, Viewer), &sluicev1.QuerySeriesRequest{Scope: &sluicev1.Scope{Channel: "alpha"}})
	wantError(t, err, codes.Unimplemented, "NOT_BUILT_YET")
}
