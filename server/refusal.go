package server

import (
	"errors"
	"time"

	"google.golang.org/protobuf/protoadapt"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/api/sluice/v1/routepb"
	"github.com/sluice-pay/sluice/routing"
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
	detail.DeferUntil = routepb.FromSecond(refused.DeferUntil)
	if wait := refused.DeferUntil - second; wait > 0 {
		f.retry = time.Duration(wait) * time.Second
	}
	detail.Candidates = r.candidates(w, second)
	f.details = []protoadapt.MessageV1{protoadapt.MessageV1Of(detail)}
	return f
}

// refusalFault is what a reason becomes at the edge.
func refusalFault(reason routing.RefusalReason) *fault {
	return refusedFault(routepb.FromRefusal(reason))
}

// refusedFault is the error of a decision as a fault, without its details.
func refusedFault(r routepb.Refused) *fault {
	f := &fault{code: r.Code, reason: r.Reason, message: r.Message, metadata: r.Metadata}
	if r.Subject != "" {
		f.conditions = []violation{{r.Subject, r.Want}}
	}
	return f
}

// previous renders the rule of previous attempts: paid, in doubt, or final.
func (r *routingService) previous(p *routing.PreviousAttemptError, detail *sluicev1.RouteRefusal) error {
	told, attempt := routepb.FromPrevious(p)
	f := refusedFault(told)
	counter := 2
	switch {
	case errors.Is(p.Err, routing.ErrAlreadyPaid):
		counter = 0
	case errors.Is(p.Err, routing.ErrAmbiguousPreviousAttempt):
		counter = 1
	}
	r.s.metrics.attempts[counter].Inc()
	if p.Remembered {
		f.metadata["remembered_by"] = r.s.cfg.Replica
		f.message += "; the request did not name the attempt, this replica remembered it: ask the channel, then name it with what it came to"
	}
	detail.Reason, detail.Attempt = f.reason, attempt
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

// candidateOf renders a candidate and what its strategy saw of it.
func candidateOf(c *routing.ExplainedCandidate) *sluicev1.Candidate {
	m := routepb.FromCandidate(c)
	m.ScorePpm, m.Criterion = uint32(c.Score), c.Decided
	for _, v := range c.Values {
		m.Criteria = append(m.Criteria, &sluicev1.CriterionValue{Criterion: v.Criterion, Value: v.Value})
	}
	return m
}
