package server

import (
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// errorDomain is the domain of every google.rpc.ErrorInfo.
const errorDomain = "sluice"

// fault is an error as the caller gets it: a code, a stable reason, and what to do next.
type fault struct {
	code       codes.Code
	reason     sluicev1.ErrorReason
	message    string
	violations []violation       // wrong fields of the request
	conditions []violation       // what stands against it, by its subject
	metadata   map[string]string // facts for programs
	retry      time.Duration     // when asking again may help; 0 = not said
	details    []protoadapt.MessageV1
	rendered   *status.Status // the whole, of one that is told often
}

// violation is one wrong field, or one condition that is not met.
type violation struct{ field, description string }

// Error returns the message.
func (f *fault) Error() string { return f.message }

// GRPCStatus renders the fault. Whatever is shaped like a card number is redacted.
func (f *fault) GRPCStatus() *status.Status {
	if f.rendered != nil {
		return f.rendered
	}
	st := status.New(f.code, Redact(f.message))
	var details []protoadapt.MessageV1
	if f.reason != sluicev1.ErrorReason_ERROR_REASON_UNSPECIFIED {
		details = append(details, f.info())
	}
	if len(f.violations) > 0 {
		b := &errdetails.BadRequest{}
		for _, v := range f.violations {
			b.FieldViolations = append(b.FieldViolations, &errdetails.BadRequest_FieldViolation{Field: v.field, Description: Redact(v.description)})
		}
		details = append(details, b)
	}
	if len(f.conditions) > 0 {
		p := &errdetails.PreconditionFailure{}
		for _, v := range f.conditions {
			p.Violations = append(p.Violations, &errdetails.PreconditionFailure_Violation{Type: word(f.reason), Subject: v.field, Description: Redact(v.description)})
		}
		details = append(details, p)
	}
	if f.retry > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(f.retry)})
	}
	full, err := st.WithDetails(append(details, f.details...)...)
	if err != nil { // an OK code or a message that cannot be packed: neither occurs
		return st
	}
	return full
}

func (f *fault) info() *errdetails.ErrorInfo {
	metadata := make(map[string]string, len(f.metadata))
	for k, v := range f.metadata {
		metadata[k] = Redact(v)
	}
	return &errdetails.ErrorInfo{Reason: word(f.reason), Domain: errorDomain, Metadata: metadata}
}

// word is the reason as it stands in google.rpc.ErrorInfo.
func word(r sluicev1.ErrorReason) string {
	return strings.TrimPrefix(r.String(), "ERROR_REASON_")
}

func unauthenticated(message string) *fault {
	return &fault{code: codes.Unauthenticated, reason: sluicev1.ErrorReason_ERROR_REASON_UNAUTHENTICATED, message: message}
}

func denied(message string) *fault {
	return &fault{code: codes.PermissionDenied, reason: sluicev1.ErrorReason_ERROR_REASON_PERMISSION_DENIED, message: message}
}

func invalid(field, want string) *fault {
	return &fault{
		code: codes.InvalidArgument, reason: sluicev1.ErrorReason_ERROR_REASON_INVALID_FIELD,
		message: field + ": want " + want, violations: []violation{{field, "want " + want}},
	}
}

func cardRefused(field string) *fault {
	const text = "is shaped like a card number; send an opaque id instead"
	return &fault{
		code: codes.InvalidArgument, reason: sluicev1.ErrorReason_ERROR_REASON_CARD_NUMBER_REFUSED,
		message: field + " " + text, violations: []violation{{field, text}},
	}
}

// requestWritten refuses NETWORK_FAILED for a request of which something was written.
func requestWritten(field string) *fault {
	f := invalid(field, wantNothingWritten)
	f.reason = sluicev1.ErrorReason_ERROR_REASON_REQUEST_WAS_WRITTEN
	return f
}

func notFound(reason sluicev1.ErrorReason, message string) *fault {
	return &fault{code: codes.NotFound, reason: reason, message: message}
}

func notBuilt(what string) *fault {
	return &fault{
		code: codes.Unimplemented, reason: sluicev1.ErrorReason_ERROR_REASON_NOT_BUILT_YET,
		message: what + " is declared but not built yet",
	}
}

func noTable() *fault {
	return &fault{
		code: codes.Unavailable, reason: sluicev1.ErrorReason_ERROR_REASON_NO_TABLE,
		message: "this replica has no table yet; ask again, or another replica", retry: 500 * time.Millisecond,
	}
}

func staleEtag(given, current string) *fault {
	return &fault{
		code: codes.Aborted, reason: sluicev1.ErrorReason_ERROR_REASON_STALE_ETAG,
		message:  "somebody changed it meanwhile: read it again and decide anew",
		metadata: map[string]string{"etag": given, "current_etag": current},
	}
}
