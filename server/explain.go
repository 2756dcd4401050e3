package server

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
)

// What ExplainRoute says of what it does not have.
const (
	keptOfID = "the id holds when and on which table it was decided and what live counters said; the payment itself is not kept: " +
		"give it as `request` to see how it is decided now"
	keptOfPayment = "decisions are not kept by payment id: give the payment as `request`, or a decision id"
	keptNow       = "decided now, on the table in force, without counting it; live counters of ramps and probes were not asked"
)

// ExplainRoute tells why a payment was, or would be, routed as it was.
func (r *routingService) ExplainRoute(_ context.Context, m *sluicev1.ExplainRouteRequest) (*sluicev1.ExplainRouteResponse, error) {
	switch subject := m.GetSubject().(type) {
	case *sluicev1.ExplainRouteRequest_DecisionId:
		return explainID(subject.DecisionId)
	case *sluicev1.ExplainRouteRequest_Request:
		return r.explainNow(subject.Request)
	}
	return nil, notFound(sluicev1.ErrorReason_ERROR_REASON_UNKNOWN_DECISION, keptOfPayment)
}

// explainID tells what a decision id, or an attempt id, holds.
func explainID(text string) (*sluicev1.ExplainRouteResponse, error) {
	id, err := routing.ParseDecisionID(text)
	if err != nil {
		if id, _, err = routing.ParseAttemptID(text); err != nil {
			return nil, notFound(sluicev1.ErrorReason_ERROR_REASON_UNKNOWN_DECISION, "this is no id of a decision: "+err.Error())
		}
	}
	return &sluicev1.ExplainRouteResponse{
		Admission: admissionOf(id.Admission), Second: id.Second, Epoch: id.Epoch, TableRevision: id.Revision, Kept: keptOfID,
	}, nil
}

// explainNow decides a request without counting it. Its rules were checked with the message.
func (r *routingService) explainNow(m *sluicev1.RouteRequest) (*sluicev1.ExplainRouteResponse, error) {
	t := r.s.cfg.Router.Table()
	if t == nil {
		return nil, noTable()
	}
	second := r.s.cfg.Clock.Second()
	w := &scratch{}
	w.read(m)
	var ranking routing.Ranking
	routing.Rank(t, &w.request, second, &ranking)
	e := routing.Explain(t, &w.request, second, routing.NoAdmission(&ranking))
	reply := &sluicev1.ExplainRouteResponse{
		Request: proto.CloneOf(m), Candidates: candidatesOf(e), Admission: admissionOf(e.Admission), Second: e.Second,
		Epoch: e.Revision.Epoch, TableRevision: e.Revision.Revision, Route: e.Route, Kept: keptNow,
	}
	if err := routing.Finish(&ranking, e.Admission, &w.decision); err != nil {
		reply.RefusalReason = refusalWord(err, &w.decision, r.s.bankDownSince(w.request.Instrument.Bank))
		return reply, nil
	}
	reply.Decision = r.reply(w, second)
	return reply, nil
}

// refusalWord is the reason of ErrorReason for a decision's error, given since when the payment's bank is down.
func refusalWord(err error, d *routing.Decision, bankDown *timestamppb.Timestamp) string {
	if refused, ok := errors.AsType[*routing.Refusal](err); ok {
		return word(refusalFault(blamed(refused.Reason, d, bankDown)).reason)
	}
	if f := asFault(err); f != nil {
		return word(f.reason)
	}
	return word(internalFault().reason)
}

func admissionOf(a routing.Admission) *sluicev1.Admission {
	m := &sluicev1.Admission{Vetoed: a.Vetoed, MerchantLimited: a.MerchantLimited}
	if a.Reasons != [len(a.Reasons)]uint64{} {
		m.Reasons = a.Reasons[:]
	}
	if a.Lifted >= 0 {
		lifted := uint32(a.Lifted)
		m.Lifted = &lifted
	}
	return m
}
