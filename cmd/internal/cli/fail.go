package cli

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// errorDomain is the domain of the ErrorInfo whose reasons are ours.
const errorDomain = "sluice"

// helpedError carries what would set the failure right: commands and hints, each a line.
type helpedError struct {
	error

	fix []string
}

func (e helpedError) Unwrap() error { return e.error }

// errorInfo returns the ErrorInfo of a status, nil if it has none of ours.
func errorInfo(s *status.Status) *errdetails.ErrorInfo {
	for _, d := range s.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == errorDomain {
			return info
		}
	}
	return nil
}

// errorReason returns the stable reason of a status, unspecified if it has none.
func errorReason(s *status.Status) sluicev1.ErrorReason {
	info := errorInfo(s)
	if info == nil {
		return sluicev1.ErrorReason_ERROR_REASON_UNSPECIFIED
	}
	return sluicev1.ErrorReason(sluicev1.ErrorReason_value["ERROR_REASON_"+info.GetReason()])
}

// failure renders an error for people: what is the matter, the stable reason, and what sets it right.
func failure(err error, address string, fix []string) string {
	var b strings.Builder
	s, ok := rpcStatus(err)
	if !ok {
		fmt.Fprintf(&b, "sluice: %v\n", err)
		writeFix(&b, fix)
		return b.String()
	}
	info := errorInfo(s)
	if info == nil && (s.Code() == codes.Unavailable || s.Code() == codes.DeadlineExceeded) {
		fmt.Fprintf(&b, "sluice: no answer from %s: %s\n", address, clean(s.Message()))
		fix = append(slices.Clone(fix), "is `sluice serve` running there? --address or SLUICE_ADDRESS names another")
	} else {
		fmt.Fprintf(&b, "sluice: %s: %s\n", headline(s), clean(s.Message()))
	}
	if info != nil {
		fmt.Fprintf(&b, "  reason   %s%s\n", info.GetReason(), facts(info))
	}
	for _, v := range violations(s) {
		fmt.Fprintf(&b, "  field    %s\n", v)
	}
	fix = append(slices.Clone(fix), generalFix(s, info)...)
	writeFix(&b, fix)
	return b.String()
}

func writeFix(b *strings.Builder, fix []string) {
	for i, line := range fix {
		label := "to fix"
		if i > 0 {
			label = "    or"
		}
		fmt.Fprintf(b, "  %s   %s\n", label, line)
	}
}

// headline says in a word or two what became of the call.
func headline(s *status.Status) string {
	switch s.Code() { //nolint:exhaustive // The rest has failed.
	case codes.FailedPrecondition:
		return "refused"
	case codes.Aborted:
		return "somebody was faster"
	case codes.InvalidArgument:
		return "not understood"
	case codes.NotFound:
		return "not found"
	case codes.Unauthenticated, codes.PermissionDenied:
		return "not allowed"
	case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted:
		return "not now"
	case codes.Unimplemented:
		return "not built yet"
	}
	return "failed"
}

// facts lists what the server added to the reason, sorted; the advice has a line of its own.
func facts(info *errdetails.ErrorInfo) string {
	keys := make([]string, 0, len(info.GetMetadata()))
	for k, v := range info.GetMetadata() {
		if k != "next" && v != "" {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	var b strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&b, "  %s=%s", k, clean(info.GetMetadata()[k]))
	}
	return b.String()
}

// violations lists the fields that the server found wrong.
func violations(s *status.Status) []string {
	var list []string
	for _, d := range s.Details() {
		if bad, ok := d.(*errdetails.BadRequest); ok {
			for _, v := range bad.GetFieldViolations() {
				list = append(list, clean(v.GetField()+": "+v.GetDescription()))
			}
		}
	}
	return list
}

// generalFix is what helps whatever the command was: the server's own advice, and what is known of the reason.
func generalFix(s *status.Status, info *errdetails.ErrorInfo) []string {
	var fix []string
	if next := info.GetMetadata()["next"]; next != "" {
		fix = append(fix, clean(next))
	}
	switch errorReason(s) { //nolint:exhaustive // For the others the command knows, or nothing helps.
	case sluicev1.ErrorReason_ERROR_REASON_UNKNOWN_CHANNEL, sluicev1.ErrorReason_ERROR_REASON_UNKNOWN_SCOPE:
		fix = append(fix, "sluice channels                  # lists what there is")
	case sluicev1.ErrorReason_ERROR_REASON_UNKNOWN_INCIDENT:
		fix = append(fix, "sluice incidents                 # lists what is kept")
	case sluicev1.ErrorReason_ERROR_REASON_UNKNOWN_REVISION, sluicev1.ErrorReason_ERROR_REASON_REVISION_IN_FORCE:
		fix = append(fix, "sluice catalog history           # lists what is kept")
	case sluicev1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED:
		fix = append(fix, "leave --request-id out: a new one is made for you")
	}
	if s.Code() == codes.Unauthenticated || s.Code() == codes.PermissionDenied {
		fix = append(fix, "give a token that may do this: SLUICE_TOKEN, ~/.config/sluice/token or --token")
	}
	for _, d := range s.Details() {
		if retry, ok := d.(*errdetails.RetryInfo); ok {
			fix = append(fix, "try again in "+span(retry.GetRetryDelay().AsDuration()))
		}
	}
	return fix
}
