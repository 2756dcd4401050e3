package routepb

import (
	"errors"

	"google.golang.org/grpc/codes"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// Refused is the error of a decision as its status tells it.
type Refused struct {
	Code     codes.Code
	Reason   sluicev1.ErrorReason
	Message  string
	Metadata map[string]string // of google.rpc.ErrorInfo
	Subject  string            // of the condition that is not met, empty = none
	Want     string            // the text of that condition
}

// FromRefusal returns what a reason becomes in a status.
func FromRefusal(reason routing.RefusalReason) Refused {
	r := Refused{Message: reason.Text(), Metadata: map[string]string{"refusal": reason.String()}}
	switch reason {
	case routing.BankDownEverywhere:
		r.Code, r.Reason = codes.Unavailable, sluicev1.ErrorReason_ERROR_REASON_BANK_DOWN_EVERYWHERE
	case routing.UnsupportedEntity, routing.UnsupportedRoute, routing.UnsupportedPayment, routing.UnsupportedOriginal:
		r.Code, r.Reason = codes.FailedPrecondition, sluicev1.ErrorReason_ERROR_REASON_UNSUPPORTED
		r.Subject, r.Want = "payment", reason.Text()
	case routing.DeadlinePassed:
		r.Code, r.Reason = codes.DeadlineExceeded, sluicev1.ErrorReason_ERROR_REASON_PAYMENT_EXPIRED
	case routing.MerchantLimited:
		r.Code, r.Reason = codes.ResourceExhausted, sluicev1.ErrorReason_ERROR_REASON_MERCHANT_LIMITED
	case routing.AttemptsExhausted:
		r.Code, r.Reason = codes.FailedPrecondition, sluicev1.ErrorReason_ERROR_REASON_ATTEMPTS_EXHAUSTED
		r.Subject, r.Want = "attempts", reason.Text()
	case routing.NoUsableChannel, routing.RefusalNone:
		r.Code, r.Reason = codes.Unavailable, sluicev1.ErrorReason_ERROR_REASON_NO_USABLE_CHANNEL
	}
	return r
}

// FromPrevious returns what the rule of previous attempts becomes in a status (paid, in doubt, or final), and the attempt that
// decided. Who remembered an attempt that the request did not name is added by who did.
func FromPrevious(p *routing.PreviousAttemptError) (Refused, *sluicev1.DecisiveAttempt) {
	r := Refused{
		Code: codes.FailedPrecondition, Message: p.Error(), Subject: "attempts", Want: p.Err.Error(),
		Metadata: map[string]string{"channel": p.Channel},
	}
	switch {
	case errors.Is(p.Err, routing.ErrAlreadyPaid):
		r.Reason = sluicev1.ErrorReason_ERROR_REASON_ALREADY_PAID
	case errors.Is(p.Err, routing.ErrAmbiguousPreviousAttempt):
		r.Reason = sluicev1.ErrorReason_ERROR_REASON_AMBIGUOUS_PREVIOUS_ATTEMPT
	default:
		r.Reason = sluicev1.ErrorReason_ERROR_REASON_FINAL_PREVIOUS_ATTEMPT
	}
	if p.Meaning.Advice != "" {
		r.Metadata["advice"] = p.Meaning.Advice
	}
	return r, &sluicev1.DecisiveAttempt{
		Channel: p.Channel, Account: p.Account, AttemptId: p.Attempt.Attempt, Outcome: configv1.Outcome(p.Meaning.Outcome),
		RawCode: p.Code, Advice: p.Meaning.Advice, Remembered: p.Remembered,
	}
}

// FromCandidate returns a candidate with why it is where it is, without what its strategy saw of it.
func FromCandidate(c *routing.ExplainedCandidate) *sluicev1.Candidate {
	m := &sluicev1.Candidate{
		Channel: c.Channel, Account: c.Account, DropReason: sluicev1.DropReason(c.Drop), RankReason: sluicev1.RankReason(c.Why),
		Kind: FromKind(c.Kind), Until: FromSecond(c.Until), Priority: uint32(c.Priority), Hash: c.Hash, Vetoed: c.Vetoed,
		Explanation: c.Text,
	}
	if c.Drop != routing.DropNone && c.State.Scope != (statemachine.Scope{}) {
		m.Scope, m.IncidentId = FromScope(c.State.Scope), c.State.Incident
	}
	return m
}
