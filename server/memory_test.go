package server

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// A caller that forgets is told by whoever took the report: which attempt to ask about, and that it was not in the request.
func TestInvariant10_TheReplicaRemembers(t *testing.T) {
	s := newStand(t, nil)
	ask := func(attempts ...*sluicev1.PreviousAttempt) (*sluicev1.RouteResponse, error) {
		return s.routing().Route(as(t, Cashier), &sluicev1.RouteRequest{Payment: payment("p1").GetPayment(), Attempts: attempts})
	}
	tell := func(r *sluicev1.Report) {
		t.Helper()
		r.PaymentId = "p1"
		if _, err := s.routing().ReportResults(as(t, Gateway), &sluicev1.ReportResultsRequest{Reports: []*sluicev1.Report{r}}); err != nil {
			t.Fatal(err)
		}
	}
	first, err := ask()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ask()
	if err != nil || again.GetDecisionId() != first.GetDecisionId() {
		t.Fatalf("asked again in the same second: %v, %v", again, err)
	}
	attempt := first.GetChannels()[0]
	report := result(attempt.GetAttemptId(), attempt.GetChannel())
	report.RawCode, report.Outcome, report.RequestWritten = "", configv1.Outcome_OUTCOME_TIMED_OUT, true
	tell(report)

	_, err = ask()
	wantError(t, err, codes.FailedPrecondition, "AMBIGUOUS_PREVIOUS_ATTEMPT")
	detail := detailOf[*sluicev1.RouteRefusal](t, err).GetAttempt()
	if !detail.GetRemembered() || detail.GetAttemptId() != attempt.GetAttemptId() || detail.GetChannel() != attempt.GetChannel() ||
		detail.GetAccount() != attempt.GetAccount() || detail.GetOutcome() != configv1.Outcome_OUTCOME_TIMED_OUT {
		t.Errorf("told %v", detail)
	}
	if !strings.Contains(err.Error(), "this replica remembered it") {
		t.Errorf("message: %v", err)
	}
	_, err = ask(&sluicev1.PreviousAttempt{Channel: attempt.GetChannel(), AttemptId: attempt.GetAttemptId(), Outcome: configv1.Outcome_OUTCOME_TIMED_OUT})
	if detail := detailOf[*sluicev1.RouteRefusal](t, err).GetAttempt(); detail.GetRemembered() {
		t.Errorf("what the request named is told as remembered: %v", detail)
	}
	next, err := ask(&sluicev1.PreviousAttempt{Channel: attempt.GetChannel(), AttemptId: attempt.GetAttemptId(), Outcome: configv1.Outcome_OUTCOME_CHANNEL_FAILED})
	if err != nil || next.GetChannels()[0].GetChannel() == attempt.GetChannel() {
		t.Errorf("after the caller has asked the channel: %v, %v", next, err)
	}

	report.Outcome, report.RequestWritten, report.Finality = configv1.Outcome_OUTCOME_CHANNEL_FAILED, false, sluicev1.Finality_FINALITY_FINAL
	tell(report)
	if _, err := ask(); err != nil {
		t.Errorf("after it has failed for good: %v", err)
	}
	report = result("other/0", attempt.GetChannel())
	tell(report)
	_, err = ask()
	wantError(t, err, codes.FailedPrecondition, "ALREADY_PAID")
	wantSamples(t, scrape(t, s), `sluice_route_remembered_total{what="DOUBT"} 1`, `sluice_route_remembered_total{what="PAID"} 1`,
		`sluice_memory_payments{kind="doubt"} 1`)
}

func TestAttemptsExhaustedIsTold(t *testing.T) {
	catalog := testCatalog()
	catalog.MaxAttempts = 1
	s := newStandOf(t, catalog, nil)
	_, err := s.routing().Route(as(t, Cashier), &sluicev1.RouteRequest{
		Payment:  payment("p1").GetPayment(),
		Attempts: []*sluicev1.PreviousAttempt{{Channel: "alpha", Outcome: configv1.Outcome_OUTCOME_NETWORK_FAILED}},
	})
	wantError(t, err, codes.FailedPrecondition, "ATTEMPTS_EXHAUSTED")
	if r := detailOf[*sluicev1.RouteRefusal](t, err); r.GetReason() != sluicev1.ErrorReason_ERROR_REASON_ATTEMPTS_EXHAUSTED || r.GetAttempt() != nil {
		t.Errorf("detail %v", r)
	}
}
