package server

import (
	"context"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
)

// ReportResult counts the result of one attempt.
func (r *routingService) ReportResult(ctx context.Context, m *sluicev1.ReportResultRequest) (*sluicev1.ReportResultResponse, error) {
	if !reporter(m.GetReporter()) || CardNumber(m.GetReporter()) {
		r.s.cfg.Counters.Reject()
		return nil, bad("reporter", wantReporter)
	}
	d, err := r.s.ingest.Report(m.GetReport(), reporterOf(ctx, m.GetReporter()), r.s.cfg.Clock.Second())
	if err != nil {
		return nil, err
	}
	return &sluicev1.ReportResultResponse{Disposition: dispositionOf(d)}, nil
}

// ReportResults counts the results of many attempts.
func (r *routingService) ReportResults(ctx context.Context, m *sluicev1.ReportResultsRequest) (*sluicev1.ReportResultsResponse, error) {
	err := checkBatch(m)
	if err == nil && CardNumber(m.GetReporter()) {
		err = bad("reporter", wantReporter)
	}
	if err != nil {
		for range m.GetReports() { // each is a delivery that was refused
			r.s.cfg.Counters.Reject()
		}
		return nil, err
	}
	if err := r.s.fair.count(ctx); err != nil {
		return nil, err
	}
	defer r.s.fair.counted()
	b, _ := r.batches.Get().(*Batch)
	defer r.batches.Put(b)
	reply := &sluicev1.ReportResultsResponse{}
	refuse := func(i int, err error) { reply.Rejections = append(reply.Rejections, rejection(i, err)) }
	n := r.s.ingest.Reports(m.GetReports(), reporterOf(ctx, m.GetReporter()), r.s.cfg.Clock.Second(), b, refuse)
	reply.Counts = countsOf(n)
	return reply, nil
}

// reporterOf fingerprints who reports: the caller's identity, and with it the instance it names, so that nobody can pass for
// another caller. Callers without an identity of their own are told apart by the name alone.
func reporterOf(ctx context.Context, instance string) uint64 {
	name := callerOf(ctx).Name
	if instance != "" {
		name += "\x00" + instance
	}
	return ReporterID(name)
}

func dispositionOf(d monitor.Disposition) sluicev1.ReportDisposition {
	switch d {
	case monitor.Applied:
		return sluicev1.ReportDisposition_REPORT_DISPOSITION_APPLIED
	case monitor.Corrected:
		return sluicev1.ReportDisposition_REPORT_DISPOSITION_CORRECTED
	case monitor.Duplicate:
		return sluicev1.ReportDisposition_REPORT_DISPOSITION_DUPLICATE
	case monitor.Late:
		return sluicev1.ReportDisposition_REPORT_DISPOSITION_LATE
	case monitor.RejectedIn: // an error, not a disposition
	}
	return sluicev1.ReportDisposition_REPORT_DISPOSITION_UNSPECIFIED
}

// rejection says why one report of a batch was refused.
func rejection(i int, err error) *sluicev1.ReportRejection {
	f := asFault(err)
	if f == nil {
		f = internalFault()
	}
	r := &sluicev1.ReportRejection{Index: uint32(i), Reason: word(f.reason), Description: Redact(f.message)} //nolint:gosec // at most 1000
	if len(f.violations) > 0 {
		r.Field, r.Description = f.violations[0].field, Redact(f.violations[0].description)
	}
	return r
}
