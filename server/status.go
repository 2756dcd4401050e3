package server

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// errorRow says what a sentinel becomes at the edge.
type errorRow struct {
	name   string // as in the source, for the test that no sentinel is forgotten
	err    error
	code   codes.Code
	reason sluicev1.ErrorReason
	field  string        // of the request, where one is to blame
	retry  time.Duration // when asking again may help
	hide   bool          // a fault of ours: logged, never shown
}

// errorRows is the one table from errors to statuses. The first row that fits wins, so what wraps another comes first.
func errorRows() []errorRow {
	const (
		invalidArg   = codes.InvalidArgument
		precondition = codes.FailedPrecondition
		away         = codes.Unavailable
		internal     = sluicev1.ErrorReason_ERROR_REASON_INTERNAL
		invalidField = sluicev1.ErrorReason_ERROR_REASON_INVALID_FIELD
		order        = sluicev1.ErrorReason_ERROR_REASON_ORDER_NOT_APPLICABLE
		ledger       = sluicev1.ErrorReason_ERROR_REASON_LEDGER_UNAVAILABLE
		catalog      = sluicev1.ErrorReason_ERROR_REASON_INVALID_CATALOG
		soon         = 200 * time.Millisecond
	)
	return []errorRow{
		{name: "routing.ErrUnknownChannel", err: routing.ErrUnknownChannel, code: invalidArg, reason: sluicev1.ErrorReason_ERROR_REASON_UNKNOWN_CHANNEL, field: "channel"},
		{name: "routing.ErrUnknownAccount", err: routing.ErrUnknownAccount, code: invalidArg, reason: invalidField, field: "account"},
		{name: "routing.ErrUnknownInstrument", err: routing.ErrUnknownInstrument, code: invalidArg, reason: invalidField, field: "method"},
		{name: "routing.ErrUnknownBusinessType", err: routing.ErrUnknownBusinessType, code: invalidArg, reason: invalidField, field: "business_type"},
		{name: "routing.ErrDecisionID", err: routing.ErrDecisionID, code: invalidArg, reason: invalidField, field: "decision_id"},
		{name: "routing.ErrNoTable", err: routing.ErrNoTable, code: away, reason: sluicev1.ErrorReason_ERROR_REASON_NO_TABLE, retry: soon},
		{name: "routing.ErrAlreadyPaid", err: routing.ErrAlreadyPaid, code: precondition, reason: sluicev1.ErrorReason_ERROR_REASON_ALREADY_PAID},
		{name: "routing.ErrAmbiguousPreviousAttempt", err: routing.ErrAmbiguousPreviousAttempt, code: precondition, reason: sluicev1.ErrorReason_ERROR_REASON_AMBIGUOUS_PREVIOUS_ATTEMPT},
		{name: "routing.ErrFinalPreviousAttempt", err: routing.ErrFinalPreviousAttempt, code: precondition, reason: sluicev1.ErrorReason_ERROR_REASON_FINAL_PREVIOUS_ATTEMPT},
		{name: "routing.ErrRefused", err: routing.ErrRefused, code: away, reason: sluicev1.ErrorReason_ERROR_REASON_NO_USABLE_CHANNEL},
		{name: "routing.ErrSnapshotDamaged", err: routing.ErrSnapshotDamaged, code: codes.Internal, reason: internal, hide: true},
		{name: "routing.ErrSnapshotForeign", err: routing.ErrSnapshotForeign, code: codes.Internal, reason: internal, hide: true},
		{name: "routing.ErrSnapshotFeatures", err: routing.ErrSnapshotFeatures, code: codes.Internal, reason: internal, hide: true},
		{name: "routing.ErrSnapshotBase", err: routing.ErrSnapshotBase, code: codes.Internal, reason: internal, hide: true},
		{name: "routing.ErrStranded", err: routing.ErrStranded, code: precondition, reason: sluicev1.ErrorReason_ERROR_REASON_ORDER_STRANDED},
		{name: "routing.ErrCatalog", err: routing.ErrCatalog, code: invalidArg, reason: catalog, field: "catalog"},

		{name: "monitor.ErrStaleEtag", err: monitor.ErrStaleEtag, code: codes.Aborted, reason: sluicev1.ErrorReason_ERROR_REASON_STALE_ETAG},
		{name: "monitor.ErrRefused", err: monitor.ErrRefused, code: precondition, reason: sluicev1.ErrorReason_ERROR_REASON_GUARD_REFUSED},
		{name: "monitor.ErrRequestReused", err: monitor.ErrRequestReused, code: codes.AlreadyExists, reason: sluicev1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED, field: "request_id"},
		{name: "monitor.ErrNoIncident", err: monitor.ErrNoIncident, code: codes.NotFound, reason: sluicev1.ErrorReason_ERROR_REASON_UNKNOWN_INCIDENT},
		{name: "monitor.ErrNoRevision", err: monitor.ErrNoRevision, code: codes.NotFound, reason: sluicev1.ErrorReason_ERROR_REASON_UNKNOWN_REVISION},
		{name: "monitor.ErrInForce", err: monitor.ErrInForce, code: precondition, reason: sluicev1.ErrorReason_ERROR_REASON_REVISION_IN_FORCE},
		{name: "monitor.ErrConflict", err: monitor.ErrConflict, code: away, reason: ledger, retry: soon},
		{name: "monitor.ErrUnknownOutcome", err: monitor.ErrUnknownOutcome, code: away, reason: sluicev1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN, retry: time.Second},
		{name: "monitor.ErrNotLeader", err: monitor.ErrNotLeader, code: away, reason: ledger, retry: time.Second},
		{name: "monitor.ErrDuplicateRequest", err: monitor.ErrDuplicateRequest, code: codes.AlreadyExists, reason: sluicev1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED, field: "request_id"},
		{name: "monitor.ErrTooLarge", err: monitor.ErrTooLarge, code: invalidArg, reason: invalidField, field: "scope"},
		{name: "monitor.ErrUnattributed", err: monitor.ErrUnattributed, code: invalidArg, reason: invalidField, field: "reason"},
		{name: "monitor.ErrSeries", err: monitor.ErrSeries, code: invalidArg, reason: invalidField, field: "scope"},
		{name: "monitor.ErrDamaged", err: monitor.ErrDamaged, code: codes.Internal, reason: internal, hide: true},
		{name: "monitor.ErrEvidence", err: monitor.ErrEvidence, code: codes.Internal, reason: internal, hide: true},
		{name: "monitor.ErrGuard", err: monitor.ErrGuard, code: codes.Internal, reason: internal, hide: true}, // of simulations alone
		{name: "monitor.ErrPacked", err: monitor.ErrPacked, code: codes.Internal, reason: internal, hide: true},
		{name: "monitor.ErrClaim", err: monitor.ErrClaim, code: codes.Internal, reason: internal, hide: true},
		{name: "monitor.ErrFenced", err: monitor.ErrFenced, code: codes.Internal, reason: internal, hide: true},
		{name: "monitor.ErrScores", err: monitor.ErrScores, code: codes.Internal, reason: internal, hide: true},
		{name: "monitor.ErrItems", err: monitor.ErrItems, code: codes.Internal, reason: internal, hide: true},

		{name: "statemachine.ErrAction", err: statemachine.ErrAction, code: invalidArg, reason: invalidField, field: "action"},
		{name: "statemachine.ErrAuthorMissing", err: statemachine.ErrAuthorMissing, code: codes.Unauthenticated, reason: sluicev1.ErrorReason_ERROR_REASON_UNAUTHENTICATED},
		{name: "statemachine.ErrReasonMissing", err: statemachine.ErrReasonMissing, code: invalidArg, reason: invalidField, field: "reason"},
		{name: "statemachine.ErrExpiryMissing", err: statemachine.ErrExpiryMissing, code: invalidArg, reason: invalidField, field: "expire_after"},
		{name: "statemachine.ErrExpiryRange", err: statemachine.ErrExpiryRange, code: invalidArg, reason: invalidField, field: "expire_after"},
		{name: "statemachine.ErrExpiryNoUse", err: statemachine.ErrExpiryNoUse, code: invalidArg, reason: invalidField, field: "expire_after"},
		{name: "statemachine.ErrSuspended", err: statemachine.ErrSuspended, code: precondition, reason: order},
		{name: "statemachine.ErrNotSuspended", err: statemachine.ErrNotSuspended, code: precondition, reason: order},
		{name: "statemachine.ErrScope", err: statemachine.ErrScope, code: invalidArg, reason: invalidField, field: "scope"},
		{name: "statemachine.ErrName", err: statemachine.ErrName, code: invalidArg, reason: invalidField, field: "scope"},
		{name: "statemachine.ErrPolicy", err: statemachine.ErrPolicy, code: invalidArg, reason: catalog, field: "catalog"},
		{name: "statepb.ErrMessage", err: statepb.ErrMessage, code: codes.Internal, reason: internal, hide: true},
	}
}

// toStatus renders any error of a handler. Errors that no row knows are logged and shown as "internal error".
func (s *Server) toStatus(ctx context.Context, method string, err error) error {
	if f := asFault(err); f != nil {
		return f.GRPCStatus().Err()
	}
	switch {
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return status.Error(codes.Canceled, "the caller has gone away")
	case errors.Is(err, context.DeadlineExceeded):
		return (&fault{
			code: codes.DeadlineExceeded, reason: sluicev1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN,
			message: "the deadline has passed; a change may or may not have happened: ask again with the same request_id",
		}).GRPCStatus().Err()
	}
	s.log.LogAttrs(ctx, slog.LevelError, "internal error", slog.String("method", method), slog.String("error", Redact(err.Error())))
	return internalFault().GRPCStatus().Err()
}

// asFault renders an error that may be shown, nil for any other: a fault of this package, a field error, or a row's.
func asFault(err error) *fault {
	if f, ok := errors.AsType[*fault](err); ok {
		return f
	}
	if f, ok := errors.AsType[*routing.FieldError](err); ok {
		return invalid(f.Field, f.Want)
	}
	if f, ok := errors.AsType[*monitor.RefusedError](err); ok {
		return guardRefused(f)
	}
	if f, ok := errors.AsType[*routing.StrandedError](err); ok {
		return ordersStranded(f)
	}
	for _, row := range errorRows() {
		if errors.Is(err, row.err) {
			if row.hide {
				return nil
			}
			return row.fault(err)
		}
	}
	return nil
}

func internalFault() *fault {
	return &fault{code: codes.Internal, reason: sluicev1.ErrorReason_ERROR_REASON_INTERNAL, message: "internal error"}
}

// fault renders a known error: the fields that every fitting row of the same kind blames, or what stands against the call.
func (r errorRow) fault(err error) *fault {
	f := &fault{code: r.code, reason: r.reason, message: err.Error(), retry: r.retry}
	for _, other := range errorRows() {
		if other.field != "" && other.reason == r.reason && errors.Is(err, other.err) {
			f.violations = append(f.violations, violation{other.field, other.err.Error()})
		}
	}
	if len(f.violations) == 1 {
		f.violations[0].description = err.Error() // with the name that is wrong
	}
	if r.code == codes.FailedPrecondition {
		f.conditions = []violation{{"scope", err.Error()}}
	}
	return f
}

// guardRefused names the guard, so that the operator can override it, and the scope it spoke of.
func guardRefused(e *monitor.RefusedError) *fault {
	return &fault{
		code: codes.FailedPrecondition, reason: sluicev1.ErrorReason_ERROR_REASON_GUARD_REFUSED,
		message:    e.Error() + "; name it in override_guards to do it all the same",
		conditions: []violation{{e.Scope.String(), e.Ruling.Reason}},
		metadata:   map[string]string{"guard": e.Ruling.Guard, "scope": e.Scope.String()},
	}
}
