package clienttest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/api/sluice/v1/routepb"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// Routed is one call of Route that reached the server. What a client decided by itself is not among them.
type Routed struct {
	Request *sluicev1.RouteRequest
	Reply   *sluicev1.RouteResponse // nil = Err
	Err     error
}

// Books are what became of the reports delivered: Deliveries = Applied + Corrected + Duplicate + Rejected.
type Books struct {
	Deliveries, Applied, Corrected, Duplicate, Rejected int
}

// Routed returns the calls of Route so far, in order.
func (s *Server) Routed() []Routed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.routed)
}

// Reports returns what was counted, in order: each attempt's first report, and a FINAL that followed it.
func (s *Server) Reports() []*sluicev1.Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Concat(s.ledger.published, s.ledger.fresh)
}

// Books returns what became of the reports delivered so far, repeated ones included.
func (s *Server) Books() Books {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ledger.books
}

// Decisions returns what local-first clients said they decided.
func (s *Server) Decisions() []*sluicev1.LocalDecisions {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.decisions)
}

// WaitReports waits until so many reports were counted, and returns them; the test fails after ten seconds, or when ctx ends.
func (s *Server) WaitReports(ctx context.Context, n int) []*sluicev1.Report {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ticker := time.NewTicker(lookAgain)
	defer ticker.Stop()
	for {
		if all := s.Reports(); len(all) >= n {
			return all
		}
		select {
		case <-ctx.Done():
			s.tb.Fatalf("clienttest: %d reports were counted, want %d: %v", len(s.Reports()), n, ctx.Err())
		case <-ticker.C:
		}
	}
}

// HoldPublishing lets the server acknowledge reports without publishing them, until it is called with false: an outage then
// loses them, and a reporter has to send them again.
func (s *Server) HoldPublishing(hold bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = hold
}

// ledger is what was reported.
type ledger struct {
	published, fresh []*sluicev1.Report // fresh ones are lost in a crash
	books            Books
}

// crash loses what was not published.
func (l *ledger) crash() { l.fresh = nil }

func (l *ledger) publish() {
	l.published = append(l.published, l.fresh...)
	l.fresh = nil
}

// last returns the newest report of an attempt, nil if there is none.
func (l *ledger) last(attempt string) *sluicev1.Report {
	for _, list := range [][]*sluicev1.Report{l.fresh, l.published} {
		for _, r := range slices.Backward(list) {
			if r.GetAttemptId() == attempt {
				return r
			}
		}
	}
	return nil
}

// enter books a valid report.
func (l *ledger) enter(m *sluicev1.Report) sluicev1.ReportDisposition {
	l.books.Deliveries++
	final := func(r *sluicev1.Report) bool { return r.GetFinality() == sluicev1.Finality_FINALITY_FINAL }
	old := l.last(m.GetAttemptId())
	switch {
	case old == nil:
		l.books.Applied++
		l.fresh = append(l.fresh, proto.CloneOf(m))
		return sluicev1.ReportDisposition_REPORT_DISPOSITION_APPLIED
	case final(m) && !final(old):
		l.books.Corrected++
		l.fresh = append(l.fresh, proto.CloneOf(m))
		return sluicev1.ReportDisposition_REPORT_DISPOSITION_CORRECTED
	}
	l.books.Duplicate++
	return sluicev1.ReportDisposition_REPORT_DISPOSITION_DUPLICATE
}

// scopeState is what a grant needs of a scope.
type scopeState struct {
	message    *configv1.Scope
	generation uint64
}

func (s *Server) stateOf(text string) scopeState {
	s.tb.Helper()
	scope, err := statemachine.ParseScope(text)
	if err != nil {
		s.tb.Fatalf("clienttest: %v", err)
	}
	t, _ := s.sight()
	return scopeState{statepb.FromScope(scope), t.State(scope).Generation}
}

// resolve says what a report means, or which of its fields the catalogue does not know.
func resolve(t *routing.Table, m *sluicev1.Report) (routing.Result, *sluicev1.ReportRejection) {
	bad := func(field, reason, description string) (routing.Result, *sluicev1.ReportRejection) {
		return routing.Result{}, &sluicev1.ReportRejection{Field: field, Reason: reason, Description: description}
	}
	business, outcome := statemachine.BusinessType(m.GetBusinessType()), statemachine.Outcome(m.GetOutcome()) //nolint:gosec // checked below
	switch {
	case m.GetAttemptId() == "":
		return bad("attempt_id", "INVALID_FIELD", "want 1 to 160 printable ASCII characters")
	case m.GetPaymentId() == "":
		return bad("payment_id", "INVALID_FIELD", "want 1 to 128 printable ASCII characters")
	case m.GetBusinessType() <= 0 || business >= statemachine.NumBusinessTypes:
		return bad("business_type", "INVALID_FIELD", "want COLLECT, PAYOUT, DEDUCT, AUTHENTICATE, REFUND, CANCEL or QUERY")
	case m.GetOutcome() < 0 || outcome >= statemachine.OutcomeUnmapped, m.GetOutcome() == 0 && m.GetRawCode() == "":
		return bad("outcome", "INVALID_FIELD", "want an outcome, a raw_code, or both")
	case outcome == statemachine.NetworkFailed && m.GetRequestWritten():
		return bad("outcome", "REQUEST_WAS_WRITTEN", "want TIMED_OUT: NETWORK_FAILED means that nothing was written")
	}
	p := t.Plan()
	if _, err := p.Interpret(m.GetChannel(), outcome, m.GetRawCode()); err != nil {
		return bad("channel", "UNKNOWN_CHANNEL", err.Error())
	}
	at, err := t.Attribute(m.GetChannel(), m.GetAccount(), business, routepb.ToInstrument(m.GetMethod(), m.GetBank(), m.GetCardType()), 0)
	if err != nil {
		return bad(fieldOf(err), "INVALID_FIELD", err.Error())
	}
	return routing.Result{
		Entity: at.Entity, Payment: m.GetPaymentId(), Business: business, Channel: m.GetChannel(), Account: m.GetAccount(),
		Attempt: m.GetAttemptId(), Outcome: outcome, Code: m.GetRawCode(), Final: m.GetFinality() == sluicev1.Finality_FINALITY_FINAL,
		Money: p.Judge(business, m.GetChannel(), outcome, m.GetRawCode()).Money,
	}, nil
}

// fieldOf is the field that an error of Attribute begins with.
func fieldOf(err error) string {
	var field string
	if _, scan := fmt.Sscanf(err.Error(), "%s", &field); scan != nil {
		return ""
	}
	return field[:max(0, len(field)-1)]
}
