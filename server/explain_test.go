package server

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/api/sluice/v1/routepb"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

func (s *stand) explainID(id string) *sluicev1.ExplainRouteResponse {
	s.t.Helper()
	return s.explain(&sluicev1.ExplainRouteRequest{Subject: &sluicev1.ExplainRouteRequest_DecisionId{DecisionId: id}})
}

func (s *stand) explainPayment(id string) *sluicev1.ExplainRouteResponse {
	s.t.Helper()
	return s.explain(&sluicev1.ExplainRouteRequest{Subject: &sluicev1.ExplainRouteRequest_PaymentId{PaymentId: id}})
}

func (s *stand) explain(m *sluicev1.ExplainRouteRequest) *sluicev1.ExplainRouteResponse {
	s.t.Helper()
	reply, err := s.routing().ExplainRoute(as(s.t, Viewer), m)
	if err != nil {
		s.t.Fatal(err)
	}
	return reply
}

// decided routes a payment.
func (s *stand) decided(m *sluicev1.RouteRequest) *sluicev1.RouteResponse {
	s.t.Helper()
	reply, err := s.routing().Route(as(s.t, Cashier), m)
	if err != nil {
		s.t.Fatal(err)
	}
	return reply
}

// bare is a reply without what its replica adds.
func bare(m *sluicev1.RouteResponse) *sluicev1.RouteResponse {
	m = proto.CloneOf(m)
	m.TableAge, m.Source, m.PressurePpm = nil, 0, 0
	return m
}

func TestADecisionIsExplainedAsItWasMade(t *testing.T) {
	s := newStand(t, nil)
	first := payment("p1")
	decided := s.decided(first)
	s.second.Add(3)
	s.cut(statemachine.ChannelScope("alpha")) // the world has changed since
	for name, e := range map[string]*sluicev1.ExplainRouteResponse{
		"decision": s.explainID(decided.GetDecisionId()),
		"attempt":  s.explainID(decided.GetChannels()[0].GetAttemptId()),
		"payment":  s.explainPayment("p1"),
	} {
		t.Run(name, func(t *testing.T) {
			if !e.GetRecomputed() || e.GetKept() != "" {
				t.Errorf("recomputed %v, kept %q", e.GetRecomputed(), e.GetKept())
			}
			if !proto.Equal(e.GetRequest(), first) {
				t.Errorf("the request is told as %v, was %v", e.GetRequest(), first)
			}
			if !proto.Equal(e.GetDecision(), bare(decided)) {
				t.Errorf("the decision is told as %v, was %v", e.GetDecision(), decided)
			}
			same(t, "decision id", e.GetDecisionId(), decided.GetDecisionId())
			same(t, "second", e.GetSecond(), epoch.Unix())
			same(t, "revision", e.GetTableRevision(), decided.GetTableRevision())
			same(t, "route", e.GetRoute(), "quick")
			same(t, "replica", e.GetReplica(), "r1")
			same(t, "first candidate", e.GetCandidates()[0].GetChannel(), "alpha")
		})
	}
}

func TestARefusalIsExplainedAsItWasMade(t *testing.T) {
	s := newStand(t, nil)
	m := payment("p1")
	m.Exclude = []string{"alpha", "beta", "gamma", "delta"}
	if _, err := s.routing().Route(as(t, Cashier), m); err == nil {
		t.Fatal("it was not refused")
	}
	e := s.explainPayment("p1")
	if !e.GetRecomputed() || e.GetRefusalReason() != "NO_USABLE_CHANNEL" || e.GetDecision() != nil || e.GetDecisionId() == "" {
		t.Errorf("explained as %v", e)
	}
	for _, c := range e.GetCandidates() {
		if c.GetChannel() == "alpha" && c.GetDropReason() != sluicev1.DropReason_DROP_REASON_EXCLUDED {
			t.Errorf("alpha is told as %v", c)
		}
	}
}

func TestTheDecisionsOfAPaymentAreListed(t *testing.T) {
	s := newStand(t, nil)
	m := payment("p1")
	one := s.decided(m)
	s.decided(m) // the same id
	s.second.Add(2)
	m.Attempts = []*sluicev1.PreviousAttempt{{Channel: one.GetChannels()[0].GetChannel(), Outcome: configv1.Outcome_OUTCOME_NETWORK_FAILED}}
	two := s.decided(m)
	s.second.Add(2)
	m.Attempts[0].Outcome = configv1.Outcome_OUTCOME_TIMED_OUT
	if _, err := s.routing().Route(as(t, Cashier), m); err == nil {
		t.Fatal("a second channel while the first is in doubt")
	}
	s.decided(payment("p2"))
	e := s.explainPayment("p1")
	same(t, "reason of the newest", e.GetRefusalReason(), "AMBIGUOUS_PREVIOUS_ATTEMPT")
	want := []*sluicev1.KeptDecision{
		{DecisionId: two.GetDecisionId(), Second: epoch.Unix() + 2, Channel: two.GetChannels()[0].GetChannel(), Attempts: 1},
		{DecisionId: one.GetDecisionId(), Second: epoch.Unix(), Channel: one.GetChannels()[0].GetChannel()},
	}
	if len(e.GetOthers()) != len(want) {
		t.Fatalf("others %v, want %v", e.GetOthers(), want)
	}
	for i, o := range e.GetOthers() {
		if !proto.Equal(o, want[i]) {
			t.Errorf("other %d is %v, want %v", i, o, want[i])
		}
	}
}

func TestWhatIsNotKeptIsSaid(t *testing.T) {
	s := newStand(t, func(c *Config) {
		c.Recorder = routing.NewRecorder(routing.RecorderOptions{Requests: 64, Tables: 1, TableBytes: -1})
	})
	s.server.Refresh()
	before := s.decided(payment("p1"))

	elsewhere, err := routing.ParseDecisionID(before.GetDecisionId())
	if err != nil {
		t.Fatal(err)
	}
	elsewhere.Hash++
	e := s.explainID(elsewhere.String())
	if e.GetRecomputed() || !strings.Contains(e.GetKept(), "another replica") || !strings.Contains(e.GetKept(), "is kept") || e.GetSecond() != epoch.Unix() {
		t.Errorf("made elsewhere: %v", e)
	}

	s.second.Add(1)
	for i := range int64(100) { // the world goes on
		s.server.recorder.KeepTable(s.plan.Table(routing.Revision{Epoch: 1, Revision: before.GetTableRevision() + 1 + i}, nil, nil))
	}
	e = s.explainID(before.GetDecisionId())
	if e.GetRecomputed() || e.GetRequest().GetPayment().GetPaymentId() != "p1" || !strings.Contains(e.GetKept(), "the payment is kept; the table of revision "+strconv.FormatInt(before.GetTableRevision(), 10)+" is not kept (") {
		t.Errorf("without its table: %v", e)
	}

	s.second.Add(1)
	for range 64 {
		s.decided(payment("p3"))
	}
	e = s.explainID(before.GetDecisionId())
	if e.GetRecomputed() || e.GetRequest() != nil || !strings.Contains(e.GetKept(), "the newest 64 decisions it made, now those since "+epoch.Add(2*time.Second).Format(time.RFC3339)) {
		t.Errorf("displaced: %v", e)
	}

	for _, m := range []*sluicev1.ExplainRouteRequest{
		{Subject: &sluicev1.ExplainRouteRequest_PaymentId{PaymentId: "p1"}},
		{Subject: &sluicev1.ExplainRouteRequest_DecisionId{DecisionId: "nonsense"}},
	} {
		_, err := s.routing().ExplainRoute(as(t, Viewer), m)
		wantError(t, err, codes.NotFound, "UNKNOWN_DECISION")
	}
}

// TestARequestIsToldAsItCame fills every field that decides something: one that requestMessage forgets would be told wrongly.
func TestARequestIsToldAsItCame(t *testing.T) {
	m := payment("p1")
	m.Payment.BusinessType, m.Payment.Original = configv1.BusinessType_BUSINESS_TYPE_REFUND, &sluicev1.OriginalPayment{Channel: "alpha", Account: "a", AttemptId: "x/0"}
	m.Payment.UserTier, m.Payment.PayerKey, m.Payment.EnrolledChannels = "gold", 7, []string{"alpha"}
	m.Payment.Deadline = routepb.FromSecond(epoch.Unix())
	m.MaxChannels, m.Exclude = 5, []string{"beta"}
	m.Attempts = []*sluicev1.PreviousAttempt{{Channel: "gamma", Account: "g", AttemptId: "y/1", Outcome: configv1.Outcome_OUTCOME_REJECTED, RawCode: "E1"}}
	var w scratch
	routepb.ReadRequest(m, &w.request)
	if back := requestMessage(&w.request); !proto.Equal(back, m) {
		t.Errorf("%v is told as %v", m, back)
	}
	v := reflect.ValueOf(w.request)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("%s is not set by this test", v.Type().Field(i).Name)
		}
	}
}
