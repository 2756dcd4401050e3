package server

import (
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/protoadapt"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// refusal renders the error of a decision with its details: why each channel was not usable, when to ask again, and which
// previous attempt decided.
func (r *routingService) refusal(w *scratch, second int64, err error) error {
	detail := &sluicev1.RouteRefusal{TableRevision: w.decision.Revision.Revision}
	if p, ok := errors.AsType[*routing.PreviousAttemptError](err); ok {
		return r.previous(p, detail)
	}
	refused, ok := errors.AsType[*routing.Refusal](err)
	if !ok {
		return err
	}
	detail.BankDownSince = r.s.bankDownSince(w.request.Instrument.Bank)
	reason := blamed(refused.Reason, &w.decision, detail.GetBankDownSince())
	if int(reason) < numRefusals && reason != routing.RefusalNone {
		r.s.metrics.refusals[reason].Inc()
	}
	f := refusalFault(reason)
	detail.Reason = f.reason
	detail.DeferUntil = secondStamp(refused.DeferUntil)
	if wait := refused.DeferUntil - second; wait > 0 {
		f.retry = time.Duration(wait) * time.Second
	}
	detail.Candidates = r.candidates(w, second)
	f.details = []protoadapt.MessageV1{protoadapt.MessageV1Of(detail)}
	return f
}

// refusalFault is what a reason becomes at the edge.
func refusalFault(reason routing.RefusalReason) *fault {
	f := &fault{message: reason.Text(), metadata: map[string]string{"refusal": reason.String()}}
	switch reason {
	case routing.BankDownEverywhere:
		f.code, f.reason = codes.Unavailable, sluicev1.ErrorReason_ERROR_REASON_BANK_DOWN_EVERYWHERE
	case routing.UnsupportedEntity, routing.UnsupportedRoute, routing.UnsupportedPayment, routing.UnsupportedOriginal:
		f.code, f.reason = codes.FailedPrecondition, sluicev1.ErrorReason_ERROR_REASON_UNSUPPORTED
		f.conditions = []violation{{"payment", reason.Text()}}
	case routing.DeadlinePassed:
		f.code, f.reason = codes.DeadlineExceeded, sluicev1.ErrorReason_ERROR_REASON_PAYMENT_EXPIRED
	case routing.MerchantLimited:
		f.code, f.reason = codes.ResourceExhausted, sluicev1.ErrorReason_ERROR_REASON_MERCHANT_LIMITED
	case routing.AttemptsExhausted:
		f.code, f.reason = codes.FailedPrecondition, sluicev1.ErrorReason_ERROR_REASON_ATTEMPTS_EXHAUSTED
		f.conditions = []violation{{"attempts", reason.Text()}}
	case routing.NoUsableChannel, routing.RefusalNone:
		f.code, f.reason = codes.Unavailable, sluicev1.ErrorReason_ERROR_REASON_NO_USABLE_CHANNEL
	}
	return f
}

// previous renders the rule of previous attempts: paid, in doubt, or final.
func (r *routingService) previous(p *routing.PreviousAttemptError, detail *sluicev1.RouteRefusal) error {
	f := &fault{code: codes.FailedPrecondition, message: p.Error(), conditions: []violation{{"attempts", p.Err.Error()}}}
	counter := 0
	switch {
	case errors.Is(p.Err, routing.ErrAlreadyPaid):
		f.reason = sluicev1.ErrorReason_ERROR_REASON_ALREADY_PAID
	case errors.Is(p.Err, routing.ErrAmbiguousPreviousAttempt):
		f.reason, counter = sluicev1.ErrorReason_ERROR_REASON_AMBIGUOUS_PREVIOUS_ATTEMPT, 1
	default:
		f.reason, counter = sluicev1.ErrorReason_ERROR_REASON_FINAL_PREVIOUS_ATTEMPT, 2
	}
	r.s.metrics.attempts[counter].Inc()
	f.metadata = map[string]string{"channel": p.Channel}
	if p.Meaning.Advice != "" {
		f.metadata["advice"] = p.Meaning.Advice
	}
	if p.Remembered {
		f.metadata["remembered_by"] = r.s.cfg.Replica
		f.message += "; the request did not name the attempt, this replica remembered it: ask the channel, then name it with what it came to"
	}
	detail.Reason = f.reason
	detail.Attempt = &sluicev1.DecisiveAttempt{
		Channel: p.Channel, Account: p.Account, AttemptId: p.Attempt.Attempt, Outcome: configv1.Outcome(p.Meaning.Outcome),
		RawCode: p.Code, Advice: p.Meaning.Advice, Remembered: p.Remembered,
	}
	f.details = []protoadapt.MessageV1{protoadapt.MessageV1Of(detail)}
	return f
}

// candidates explains every channel of a refusal. If the table has changed since, only the reasons are told.
func (r *routingService) candidates(w *scratch, second int64) []*sluicev1.Candidate {
	if t := r.s.cfg.Router.Table(); t != nil && t.Revision() == w.decision.Revision {
		return candidatesOf(routing.Explain(t, &w.request, second, w.decision.Admission))
	}
	var all []*sluicev1.Candidate
	for i := range w.decision.Dropped {
		all = append(all, candidateOf(&routing.ExplainedCandidate{Candidate: w.decision.Dropped[i], Text: w.decision.Dropped[i].Drop.Text()}))
	}
	return all
}

func candidatesOf(e *routing.Explanation) []*sluicev1.Candidate {
	var all []*sluicev1.Candidate
	for i := range e.Candidates {
		all = append(all, candidateOf(&e.Candidates[i]))
	}
	return all
}

func candidateOf(c *routing.ExplainedCandidate) *sluicev1.Candidate {
	m := &sluicev1.Candidate{
		Channel: c.Channel, Account: c.Account, DropReason: sluicev1.DropReason(c.Drop), RankReason: sluicev1.RankReason(c.Why),
		Kind: kindOf(c.Kind), Until: secondStamp(c.Until), Priority: uint32(c.Priority), Hash: c.Hash, Vetoed: c.Vetoed,
		Explanation: c.Text, ScorePpm: uint32(c.Score), Criterion: c.Decided,
	}
	for _, v := range c.Values {
		m.Criteria = append(m.Criteria, &sluicev1.CriterionValue{Criterion: v.Criterion, Value: v.Value})
	}
	if c.Drop != routing.DropNone && c.State.Scope != (statemachine.Scope{}) {
		m.Scope, m.IncidentId = scopeMessage(c.State.Scope), c.State.Incident
	}
	return m
}
