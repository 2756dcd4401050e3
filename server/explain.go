package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/api/sluice/v1/routepb"
	"github.com/sluice-pay/sluice/routing"
)

const (
	keptNow = "decided now, on the table in force, without counting it; live counters of ramps and probes were not asked"
	// maxDecisionsOf is how many decisions of one payment are told.
	maxDecisionsOf = 16
)

// ExplainRoute tells why a payment was, or would be, routed as it was.
func (r *routingService) ExplainRoute(ctx context.Context, m *sluicev1.ExplainRouteRequest) (*sluicev1.ExplainRouteResponse, error) {
	var reply *sluicev1.ExplainRouteResponse
	var err error
	switch subject := m.GetSubject().(type) {
	case *sluicev1.ExplainRouteRequest_DecisionId:
		reply, err = r.explainID(ctx, subject.DecisionId)
	case *sluicev1.ExplainRouteRequest_PaymentId:
		reply, err = r.explainPayment(ctx, subject.PaymentId)
	case *sluicev1.ExplainRouteRequest_Request:
		reply, err = r.explainNow(subject.Request)
	default:
		return nil, notFound(sluicev1.ErrorReason_ERROR_REASON_UNKNOWN_DECISION, "want a decision id, a payment id or a request")
	}
	if err != nil {
		return nil, err
	}
	reply.Replica = r.s.cfg.Replica
	return reply, nil
}

// explainID explains the decision with an id, or with that of one of its attempts.
func (r *routingService) explainID(ctx context.Context, text string) (*sluicev1.ExplainRouteResponse, error) {
	id, err := routing.ParseDecisionID(text)
	if err != nil {
		if id, _, err = routing.ParseAttemptID(text); err != nil {
			return nil, notFound(sluicev1.ErrorReason_ERROR_REASON_UNKNOWN_DECISION, "this is no id of a decision: "+err.Error())
		}
	}
	if kept, ok := r.s.recorder.Find(id); ok {
		return r.explainKept(ctx, kept), nil
	}
	table := r.s.recorder.Table(routing.Revision{Epoch: id.Epoch, Revision: id.Revision}) != nil
	stats := r.s.recorder.Stats()
	return &sluicev1.ExplainRouteResponse{
		DecisionId: id.String(), Admission: admissionOf(id.Admission), Second: id.Second, Epoch: id.Epoch, TableRevision: id.Revision,
		Kept: requestMissing(&stats, id.Second) + "; " + tableKept(&stats, id.Revision, table),
	}, nil
}

// explainPayment explains the newest decision for a payment and lists the others.
func (r *routingService) explainPayment(ctx context.Context, payment string) (*sluicev1.ExplainRouteResponse, error) {
	kept := r.s.recorder.FindPayment(payment, maxDecisionsOf)
	if len(kept) == 0 {
		stats := r.s.recorder.Stats()
		return nil, notFound(sluicev1.ErrorReason_ERROR_REASON_UNKNOWN_DECISION, fmt.Sprintf(
			"no decision for this payment is kept here: replica %s keeps %s; other replicas, and clients that decide by themselves, "+
				"keep their own; give the payment as `request` to see how it is decided now", r.s.cfg.Replica, keepsWhat(&stats)))
	}
	return r.explainKept(ctx, kept[0]), nil
}

// explainKept decides a kept request again.
func (r *routingService) explainKept(ctx context.Context, kept routing.Kept) *sluicev1.ExplainRouteResponse {
	id := kept.ID
	reply := &sluicev1.ExplainRouteResponse{
		DecisionId: id.String(), Request: requestMessage(&kept.Request), Admission: admissionOf(id.Admission), Second: id.Second,
		Epoch: id.Epoch, TableRevision: id.Revision, Others: r.othersOf(&kept),
	}
	replay := r.s.recorder.Replay(kept)
	if replay.Table == nil {
		stats := r.s.recorder.Stats()
		reply.Kept = "the payment is kept; " + tableKept(&stats, id.Revision, false)
		return reply
	}
	if reply.Recomputed = replay.Same; !replay.Same {
		reply.Kept = "payment and table are kept, but deciding again came out otherwise: this is a fault of Sluice"
		r.s.log.LogAttrs(ctx, slog.LevelError, "a decision came out otherwise when it was made again", slog.String("decision", reply.GetDecisionId()))
	}
	e := routing.Explain(replay.Table, &kept.Request, id.Second, id.Admission)
	reply.Candidates, reply.Route = candidatesOf(e), e.Route
	w := &scratch{request: kept.Request}
	if err := routing.Decide(replay.Table, &w.request, id.Second, id.Admission, &w.decision); err != nil {
		reply.RefusalReason = refusalWord(err, &w.decision, nil)
	} else {
		b, _ := routepb.FromDecision(&w.decision, nil)
		reply.Decision = &b.Response
	}
	return reply
}

// othersOf lists the other decisions for the payment, newest first.
func (r *routingService) othersOf(kept *routing.Kept) []*sluicev1.KeptDecision {
	var all []*sluicev1.KeptDecision
	told := map[routing.DecisionID]bool{kept.ID: true} // a request that was repeated has one id
	var d routing.Decision
	for _, k := range r.s.recorder.FindPayment(kept.Request.PaymentID, maxDecisionsOf) {
		if told[k.ID] {
			continue
		}
		told[k.ID] = true
		m := &sluicev1.KeptDecision{DecisionId: k.ID.String(), Second: k.ID.Second, Attempts: uint32(len(k.Request.Attempts))} //nolint:gosec // bounded
		if t := r.s.recorder.Table(routing.Revision{Epoch: k.ID.Epoch, Revision: k.ID.Revision}); t != nil {
			if err := routing.Decide(t, &k.Request, k.ID.Second, k.ID.Admission, &d); err != nil {
				m.RefusalReason = refusalWord(err, &d, nil)
			} else {
				m.Channel = d.Candidates[0].Channel
			}
		}
		all = append(all, m)
	}
	return all
}

// requestMissing says why a payment is not kept, as far as that can be told.
func requestMissing(s *routing.RecorderStats, second int64) string {
	what := "the id holds when and on which table it was decided and what live counters said; the payment itself is not kept here: "
	switch {
	case s.Requests > 0 && second >= s.Oldest:
		return what + "another replica, or a client by itself, made the decision"
	case s.Requests == 0 || !s.Full():
		return what + "the decision was made before this replica started, by another replica, or by a client itself"
	}
	return what + "it keeps " + keepsWhat(s)
}

// keepsWhat says which requests are kept.
func keepsWhat(s *routing.RecorderStats) string {
	if s.Requests == 0 {
		return fmt.Sprintf("the newest %d decisions it made, and has made none since it started", s.Capacity)
	}
	return fmt.Sprintf("the newest %d decisions it made, now those since %s", s.Capacity, time.Unix(s.Oldest, 0).UTC().Format(time.RFC3339))
}

// tableKept says whether the table of a revision is kept, and which are.
func tableKept(s *routing.RecorderStats, revision int64, kept bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "the table of revision %d is", revision)
	if !kept {
		b.WriteString(" not")
	}
	b.WriteString(" kept")
	if s.Tables > 0 {
		fmt.Fprintf(&b, " (%d revisions are, %d to %d)", s.Tables, s.OldestRev.Revision, s.NewestRev.Revision)
	}
	return b.String()
}

// explainNow decides a request without counting it. Its rules were checked with the message.
func (r *routingService) explainNow(m *sluicev1.RouteRequest) (*sluicev1.ExplainRouteResponse, error) {
	t := r.s.cfg.Router.Table()
	if t == nil {
		return nil, noTable()
	}
	second := r.s.cfg.Clock.Second()
	w := &scratch{}
	routepb.ReadRequest(m, &w.request)
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
