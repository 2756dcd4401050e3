package cli

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// The exit codes of every command. They are stable: scripts may branch on them.
const (
	ExitOK          = 0 // done
	ExitFailed      = 1 // tried and failed, or not found
	ExitUsage       = 2 // wrong command line, or an argument that the server finds wrong
	ExitRefused     = 3 // a guard refused, the etag was stale, or the order does not fit the state
	ExitUnreachable = 4 // no answer, or an answer that nothing can be done now: asking again may help
	ExitDiffers     = 5 // `catalog diff` found a difference
)

// exitCodesHelp documents the codes in `sluice help`.
const exitCodesHelp = `Exit codes: 0 done; 1 failed or not found; 2 wrong usage; 3 refused by a guard, by a stale etag or
by the scope's state; 4 Sluice cannot be reached or cannot act now, asking again may help; 5 the catalogues
differ.`

// usageError is a mistake on the command line.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// ExitCode makes it end the process with ExitUsage.
func (usageError) ExitCode() int { return ExitUsage }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// exitCode says how the process ends. Errors of other commands may bring their own code.
func exitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	if own, ok := errors.AsType[interface {
		error
		ExitCode() int
	}](err); ok {
		return own.ExitCode()
	}
	s, ok := rpcStatus(err)
	if !ok {
		return ExitFailed
	}
	switch errorReason(s) { //nolint:exhaustive // The other reasons follow the code.
	case sluicev1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED:
		return ExitUsage
	case sluicev1.ErrorReason_ERROR_REASON_GUARD_REFUSED, sluicev1.ErrorReason_ERROR_REASON_STALE_ETAG:
		return ExitRefused
	}
	return exitCodeOf(s.Code())
}

func exitCodeOf(code codes.Code) int {
	switch code { //nolint:exhaustive // The rest has failed.
	case codes.OK:
		return ExitOK
	case codes.InvalidArgument, codes.OutOfRange:
		return ExitUsage
	case codes.FailedPrecondition, codes.Aborted:
		return ExitRefused
	case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted:
		return ExitUnreachable
	}
	return ExitFailed
}

// rpcStatus finds the status of a failed call, wrapped or not. An expired wait for the answer counts as one.
func rpcStatus(err error) (*status.Status, bool) {
	if s, ok := errors.AsType[interface {
		error
		GRPCStatus() *status.Status
	}](err); ok {
		return s.GRPCStatus(), true
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return status.New(codes.DeadlineExceeded, "no answer in time"), true
	}
	return nil, false
}
