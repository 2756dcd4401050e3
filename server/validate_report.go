package server

import (
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
)

// checkReport returns the first field of a report that breaks the rules of the protos, nil if none does. It allocates nothing
// for a good report.
func checkReport(r *sluicev1.Report) *routing.FieldError {
	if r == nil {
		return bad("report", "the report")
	}
	if err := checkReportNames(r); err != nil {
		return err
	}
	if err := checkResult(r); err != nil {
		return err
	}
	return checkReportNumbers(r)
}

func checkReportNames(r *sluicev1.Report) *routing.FieldError {
	switch {
	case !printable(r.GetAttemptId(), maxAttemptID):
		return bad("attempt_id", wantAttempt)
	case !printable(r.GetPaymentId(), maxPaymentID):
		return bad("payment_id", wantPayment)
	case !printableOrNone(r.GetDecisionId(), maxPaymentID):
		return bad("decision_id", wantPayment)
	case !name(r.GetChannel()):
		return bad("channel", wantName)
	case !name(r.GetAccount()):
		return bad("account", wantName)
	case !name(r.GetMethod()):
		return bad("method", wantName)
	case !nameOrNone(r.GetBank()):
		return bad("bank", wantName)
	case !cardType(r.GetCardType()):
		return bad("card_type", wantCard)
	case !business(r.GetBusinessType()):
		return bad("business_type", wantBusiness)
	}
	return nil
}

// checkResult checks what the attempt came to.
func checkResult(r *sluicev1.Report) *routing.FieldError {
	switch {
	case !outcome(r.GetOutcome()):
		return bad("outcome", wantOutcome)
	case !printableOrNone(r.GetRawCode(), maxCode):
		return bad("raw_code", wantCode)
	case r.GetOutcome() == configv1.Outcome_OUTCOME_UNSPECIFIED && r.GetRawCode() == "":
		return bad("outcome", "an outcome, a raw_code, or both")
	case r.GetOutcome() == configv1.Outcome_OUTCOME_NETWORK_FAILED && r.GetRequestWritten():
		return bad("outcome", wantNothingWritten)
	case len(r.GetReason()) > maxReason:
		return bad("reason", "at most 64 bytes, a short stable word such as CONN_RESET")
	case r.GetFinality() < sluicev1.Finality_FINALITY_UNSPECIFIED || r.GetFinality() > sluicev1.Finality_FINALITY_FINAL:
		return bad("finality", "PROVISIONAL or FINAL")
	case r.GetOutcome() == configv1.Outcome_OUTCOME_PENDING && r.GetFinality() == sluicev1.Finality_FINALITY_FINAL:
		return bad("finality", "PROVISIONAL: PENDING cannot be FINAL")
	case r.GetSource() < sluicev1.ReportSource_REPORT_SOURCE_UNSPECIFIED || r.GetSource() > sluicev1.ReportSource_REPORT_SOURCE_QUERY:
		return bad("source", "REPLY, NOTIFY or QUERY")
	}
	return nil
}

// wantNothingWritten tells what to report instead of NETWORK_FAILED for a written request.
const wantNothingWritten = "TIMED_OUT: NETWORK_FAILED means that nothing was written, and request_written is true"

func checkReportNumbers(r *sluicev1.Report) *routing.FieldError {
	switch {
	case r.GetLatencyMs() > maxLatencyMS:
		return bad("latency_ms", "milliseconds, at most one day")
	case r.GetStartUnixMs() < 0:
		return bad("start_unix_ms", "Unix milliseconds, or 0")
	case r.GetAmount() < 0:
		return bad("amount", wantAmount)
	case !currencyOrNone(r.GetCurrency()), r.GetCurrency() == "" && r.GetAmount() != 0:
		return bad("currency", wantCurrency)
	}
	return nil
}

// checkBatch checks a batch but for its reports, which are refused one by one.
func checkBatch(m *sluicev1.ReportResultsRequest) *routing.FieldError {
	switch {
	case len(m.GetReports()) == 0 || len(m.GetReports()) > maxReports:
		return bad("reports", "1 to 1000 reports")
	case !reporter(m.GetReporter()):
		return bad("reporter", wantReporter)
	}
	return nil
}

// cardInReport returns the field of a valid report that is shaped like a card number, empty if none is.
func cardInReport(r *sluicev1.Report) string {
	switch {
	case cardInAttempt(r.GetAttemptId()):
		return "attempt_id"
	case CardNumber(r.GetPaymentId()):
		return "payment_id"
	case cardInDecision(r.GetDecisionId()):
		return "decision_id"
	case CardNumber(r.GetReason()):
		return "reason"
	case CardNumber(r.GetRawCode()):
		return "raw_code"
	case CardNumber(r.GetAccount()):
		return "account"
	case CardNumber(r.GetChannel()):
		return "channel"
	case CardNumber(r.GetMethod()), CardNumber(r.GetBank()):
		return "method"
	}
	return ""
}
