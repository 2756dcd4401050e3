package client

import (
	"errors"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/api/sluice/v1/routepb"
	"github.com/sluice-pay/sluice/routing"
)

// errorDomain is the domain of every google.rpc.ErrorInfo of Sluice.
const errorDomain = "sluice"

// refusal is an error of a local decision, told as a replica tells it.
type refusal struct {
	code     codes.Code
	reason   sluicev1.ErrorReason
	message  string
	metadata map[string]string
	field    string // of the request that is wrong
	want     string // what would be right there
	subject  string // of the condition that is not met; its text is want
	retry    time.Duration
	detail   *sluicev1.RouteRefusal // nil = none
}

// err renders the refusal as a status.
func (r *refusal) err() error {
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: word(r.reason), Domain: errorDomain, Metadata: r.metadata}}
	if r.field != "" {
		details = append(details, &errdetails.BadRequest{
			FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: r.field, Description: r.want}},
		})
	}
	if r.subject != "" {
		details = append(details, &errdetails.PreconditionFailure{
			Violations: []*errdetails.PreconditionFailure_Violation{{Type: word(r.reason), Subject: r.subject, Description: r.want}},
		})
	}
	if r.retry > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(r.retry)})
	}
	if r.detail != nil {
		details = append(details, protoadapt.MessageV1Of(r.detail))
	}
	st := status.New(r.code, r.message)
	full, err := st.WithDetails(details...)
	if err != nil { // an OK code or a message that cannot be packed: neither occurs
		return st.Err()
	}
	return full.Err()
}

// word is a reason as it stands in google.rpc.ErrorInfo.
func word(r sluicev1.ErrorReason) string { return strings.TrimPrefix(r.String(), "ERROR_REASON_") }

// invalid refuses a request for one of its fields.
func invalid(field, want string) error {
	r := &refusal{
		code: codes.InvalidArgument, reason: sluicev1.ErrorReason_ERROR_REASON_INVALID_FIELD,
		message: field + ": want " + want, field: field, want: "want " + want,
	}
	return r.err()
}

// noTable says that the client has nothing to decide by.
func noTable() error {
	r := &refusal{
		code: codes.Unavailable, reason: sluicev1.ErrorReason_ERROR_REASON_NO_TABLE, retry: 500 * time.Millisecond,
		message: "no replica answered, and the client has no snapshot yet: give it a File, Etcd or Static to begin with",
	}
	return r.err()
}

// refusal renders the error of a decision with its details: why each channel was not usable, when to ask again, and which
// previous attempt decided.
func (c *Client) refusal(w *scratch, second int64, source Source, err error) error {
	detail := &sluicev1.RouteRefusal{TableRevision: w.decision.Revision.Revision}
	if p, ok := errors.AsType[*routing.PreviousAttemptError](err); ok {
		return previous(p, detail)
	}
	refused, ok := errors.AsType[*routing.Refusal](err)
	if !ok {
		return noTable()
	}
	r := refusalOf(routepb.FromRefusal(refused.Reason))
	detail.Reason, detail.DeferUntil = r.reason, routepb.FromSecond(refused.DeferUntil)
	if wait := refused.DeferUntil - second; refused.DeferUntil != 0 && wait > 0 {
		r.retry = time.Duration(wait) * time.Second
	}
	detail.Candidates = c.candidates(w, second, source)
	r.detail = detail
	return r.err()
}

// previous renders the rule of previous attempts: paid, in doubt, or final.
func previous(p *routing.PreviousAttemptError, detail *sluicev1.RouteRefusal) error {
	told, attempt := routepb.FromPrevious(p)
	r := refusalOf(told)
	if p.Remembered {
		r.metadata["remembered_by"] = "client"
		r.message += "; the request did not name the attempt, this client remembered it: ask the channel, then name it with what it came to"
	}
	detail.Reason, detail.Attempt, r.detail = r.reason, attempt, detail
	return r.err()
}

// candidates explains every channel of a refusal. If the table has changed since, or the client has amended it, only the
// reasons are told.
func (c *Client) candidates(w *scratch, second int64, source Source) []*sluicev1.Candidate {
	t := c.mem.sight().table
	if source == SourceStatic {
		t = c.static.Table()
	}
	if t != nil && t.Revision() == w.decision.Revision {
		e := routing.Explain(t, &w.request, second, w.decision.Admission)
		all := make([]*sluicev1.Candidate, 0, len(e.Candidates))
		for i := range e.Candidates {
			all = append(all, routepb.FromCandidate(&e.Candidates[i]))
		}
		return all
	}
	var all []*sluicev1.Candidate
	for i := range w.decision.Dropped {
		d := &w.decision.Dropped[i]
		all = append(all, routepb.FromCandidate(&routing.ExplainedCandidate{Candidate: *d, Text: d.Drop.Text()}))
	}
	return all
}

// refusalOf is the error of a decision as a refusal, without its details.
func refusalOf(r routepb.Refused) *refusal {
	return &refusal{code: r.Code, reason: r.Reason, message: r.Message, metadata: r.Metadata, subject: r.Subject, want: r.Want}
}
