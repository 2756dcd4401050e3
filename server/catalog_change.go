package server

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// catalogChange is a catalogue on its way into force.
type catalogChange struct {
	catalog                 *configv1.Catalog
	reason, etag, requestID string
	rollbackOf              uint64
	validateOnly            bool
}

// catalogChanged is what became of it; both replies say the same.
type catalogChanged struct {
	revision *sluicev1.CatalogRevision
	diff     *sluicev1.CatalogDiff
	etag     string
	table    int64
	sequence uint64
}

// ApplyCatalog puts a catalogue in force.
func (c *catalogService) ApplyCatalog(ctx context.Context, m *sluicev1.ApplyCatalogRequest) (*sluicev1.ApplyCatalogResponse, error) {
	r, err := c.change(ctx, &catalogChange{
		catalog: m.GetCatalog(), reason: m.GetReason(), etag: m.GetEtag(), requestID: m.GetRequestId(), validateOnly: m.GetValidateOnly(),
	})
	if err != nil {
		return nil, err
	}
	return &sluicev1.ApplyCatalogResponse{Revision: r.revision, Diff: r.diff, Etag: r.etag, TableRevision: r.table, JournalSequence: r.sequence}, nil
}

// RollbackCatalog puts an earlier catalogue in force again, as a new revision.
func (c *catalogService) RollbackCatalog(ctx context.Context, m *sluicev1.RollbackCatalogRequest) (*sluicev1.RollbackCatalogResponse, error) {
	v, err := c.s.look()
	if err != nil {
		return nil, err
	}
	catalog, _, err := c.kept(ctx, m.GetRevision(), v.View.Head.Catalog)
	if err != nil {
		return nil, err
	}
	r, err := c.change(ctx, &catalogChange{
		catalog: catalog, reason: m.GetReason(), etag: m.GetEtag(), requestID: m.GetRequestId(), validateOnly: m.GetValidateOnly(),
		rollbackOf: m.GetRevision(),
	})
	if err != nil {
		return nil, err
	}
	return &sluicev1.RollbackCatalogResponse{Revision: r.revision, Diff: r.diff, Etag: r.etag, TableRevision: r.table, JournalSequence: r.sequence}, nil
}

// change compiles a catalogue, tells what it changes, and commits it. Nothing is committed that does not compile beside the table in
// force.
func (c *catalogService) change(ctx context.Context, q *catalogChange) (*catalogChanged, error) {
	v, err := c.s.look()
	if err != nil {
		return nil, err
	}
	request, err := q.request(callerOf(ctx).Name)
	if err != nil {
		return nil, err
	}
	plan, err := routing.CompilePlan(q.catalog, v.Table.Plan())
	if err != nil {
		return nil, catalogProblems(err)
	}
	request.Check = func(view *monitor.View) error { return plan.CheckOrders(view.StateList()) } //nolint:wrapcheck // becomes a status
	next := plan.Table(v.Table.Revision(), v.View.StateList(), v.Table.Scores())
	diff := diffMessage(routing.DiffTables(v.Table, next, c.s.recent(ctx)))
	result, err := c.s.cfg.Catalogs.ApplyCatalog(ctx, request, v.now)
	if err != nil {
		return nil, c.changeError(err, q.etag)
	}
	r := &catalogChanged{diff: diff, table: result.Revision, sequence: result.Sequence, etag: catalogEtag(v.View.Head.Catalog)}
	if now, err := c.s.look(); err == nil {
		r.etag = catalogEtag(now.View.Head.Catalog)
	}
	return r, c.tell(ctx, r, q, &result, v)
}

// tell fills in what became of a change.
func (c *catalogService) tell(ctx context.Context, r *catalogChanged, q *catalogChange, result *monitor.Result, v *viewer) error {
	before := v.View.Head.Catalog
	switch {
	case q.validateOnly && !result.Replayed:
		r.revision = &sluicev1.CatalogRevision{Version: q.catalog.GetVersion(), Author: callerOf(ctx).Name, Reason: q.reason, RollbackOf: q.rollbackOf}
		r.table, r.sequence = 0, 0
		if len(r.diff.GetChanges()) == 0 {
			r.diff.Warnings = append(r.diff.Warnings, "nothing would change: this catalogue is in force already, as revision "+catalogEtag(before))
		}
		return nil
	case result.Revision == 0 && !result.Replayed:
		r.revision = c.about(ctx, result.Catalog, q.catalog)
		r.diff.Warnings = append(r.diff.Warnings, "nothing changed: this catalogue is in force already, as revision "+catalogEtag(result.Catalog))
		return nil
	case result.Replayed:
		return c.tellReplay(ctx, r, result)
	case result.Catalog != before+1: // somebody was between: what changed is another difference
		diff, err := c.changesOf(ctx, result.Catalog)
		if err != nil {
			return err
		}
		r.diff = diff
	}
	info := monitor.CatalogRevision{
		Number: result.Catalog, Version: q.catalog.GetVersion(), Author: callerOf(ctx).Name, Reason: q.reason, At: statemachine.At(v.now), RollbackOf: q.rollbackOf,
	}
	r.revision = revisionMessage(&info, result.Catalog)
	return nil
}

// tellReplay answers a request that was carried out before with what it did then. Traffic is not told again: it is another by now.
func (c *catalogService) tellReplay(ctx context.Context, r *catalogChanged, result *monitor.Result) error {
	r.revision, r.diff = &sluicev1.CatalogRevision{Revision: result.Catalog}, &sluicev1.CatalogDiff{}
	_, info, err := c.s.cfg.Catalogs.Catalog(ctx, result.Catalog)
	if err != nil && !errors.Is(err, monitor.ErrNoRevision) {
		return err //nolint:wrapcheck // becomes a status
	}
	if err == nil {
		inForce, _ := strconv.ParseUint(r.etag, 10, 64)
		r.revision = revisionMessage(&info, inForce)
		if r.diff, err = c.changesOf(ctx, result.Catalog); err != nil {
			return err
		}
	}
	r.diff.Warnings = append(r.diff.Warnings, "this request was carried out before; this is what it did then")
	return nil
}

// changesOf tells what a revision changed, as far as the one before it is kept.
func (c *catalogService) changesOf(ctx context.Context, number uint64) (*sluicev1.CatalogDiff, error) {
	after, _, err := c.kept(ctx, number, number)
	if err != nil {
		return nil, err
	}
	before, _, err := c.kept(ctx, number-1, number)
	if f := asFault(err); f != nil && f.code == codes.NotFound {
		return &sluicev1.CatalogDiff{Warnings: []string{"the revision before is no longer kept: what changed cannot be told"}}, nil
	}
	if err != nil {
		return nil, err
	}
	return diffMessage(&routing.CatalogDiff{Changes: routing.DiffCatalogs(before, after)}), nil
}

// request turns a change into the request of package monitor.
func (q *catalogChange) request(author string) (monitor.CatalogRequest, error) {
	r := monitor.CatalogRequest{
		Version: q.catalog.GetVersion(), Author: author, Reason: q.reason, RequestID: q.requestID, RollbackOf: q.rollbackOf, ValidateOnly: q.validateOnly,
	}
	if q.etag != "" {
		number, err := strconv.ParseUint(q.etag, 10, 64)
		if err != nil || number == 0 {
			return r, invalid("etag", "the etag of the catalogue as it was read, or nothing")
		}
		r.Number = number
	}
	var err error
	if r.Catalog, err = (proto.MarshalOptions{Deterministic: true}).Marshal(q.catalog); err != nil {
		return r, fmt.Errorf("catalogue: %w", err)
	}
	if _, err := monitor.PackCatalog(r.Catalog); errors.Is(err, monitor.ErrTooLarge) {
		return r, catalogTooLarge(err)
	}
	return r, nil
}

// changeError adds the current etag to a stale one, for information only.
func (c *catalogService) changeError(err error, etag string) error {
	f := asFault(err)
	if f == nil || f.reason != sluicev1.ErrorReason_ERROR_REASON_STALE_ETAG {
		return err
	}
	current := ""
	if v, err := c.s.look(); err == nil {
		current = catalogEtag(v.View.Head.Catalog)
	}
	return staleEtag(etag, current)
}

// recent yields the requests that this replica keeps, until the caller has gone away.
func (s *Server) recent(ctx context.Context) routing.Recent {
	const between = 1024 // looks at ctx
	return func(yield func(q *routing.Request, second int64, a routing.Admission) bool) {
		n := 0
		s.recorder.Recent(func(q *routing.Request, second int64, a routing.Admission) bool {
			n++
			return (n%between != 0 || ctx.Err() == nil) && yield(q, second, a)
		})
	}
}

// mostProblems bounds how many problems of a catalogue one error tells.
const mostProblems = 100

// catalogProblems names every problem of a catalogue by its field.
func catalogProblems(err error) error {
	problems := routing.Problems(err)
	if len(problems) == 0 {
		return err
	}
	f := &fault{code: codes.InvalidArgument, reason: sluicev1.ErrorReason_ERROR_REASON_INVALID_CATALOG}
	var lines []string
	for _, p := range problems {
		text := p.Message
		if p.Want != "" {
			text += "; want " + p.Want
		}
		if len(lines) == mostProblems {
			lines = append(lines, fmt.Sprintf("and %d more", len(problems)-mostProblems))
			break
		}
		lines = append(lines, p.Path+": "+text)
		f.violations = append(f.violations, violation{"catalog." + p.Path, text})
	}
	f.message = "the catalogue has problems: " + strings.Join(lines, "; ")
	return f
}

func catalogTooLarge(err error) error {
	f := invalid("catalog", fmt.Sprintf("at most %d bytes compressed", monitor.MaxCatalogBytes))
	f.message = err.Error()
	return f
}

// ordersStranded names every scope that keeps a catalogue out of force.
func ordersStranded(e *routing.StrandedError) *fault {
	f := &fault{
		code: codes.FailedPrecondition, reason: sluicev1.ErrorReason_ERROR_REASON_ORDER_STRANDED, message: e.Error(),
		metadata: map[string]string{},
	}
	var names []string
	for _, s := range e.Scopes {
		f.conditions = append(f.conditions, violation{s.String(), "is under an operator's order and not in the new catalogue"})
		names = append(names, s.String())
	}
	f.metadata["scopes"] = strings.Join(names, " ")
	return f
}
