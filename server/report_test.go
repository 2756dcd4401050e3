package server

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

func TestReportResultDispositions(t *testing.T) {
	s := newStand(t, nil)
	send := func(m *sluicev1.Report) (sluicev1.ReportDisposition, error) {
		r, err := s.routing().ReportResult(as(t, Gateway), &sluicev1.ReportResultRequest{Report: m})
		return r.GetDisposition(), err
	}
	pending := changed(result("a/0", "alpha"), func(m *sluicev1.Report) { m.Outcome, m.RawCode = configv1.Outcome_OUTCOME_PENDING, "" })
	final := changed(result("a/0", "alpha"), func(m *sluicev1.Report) { m.Finality = sluicev1.Finality_FINALITY_FINAL })
	for _, step := range []struct {
		report *sluicev1.Report
		want   sluicev1.ReportDisposition
	}{
		{pending, sluicev1.ReportDisposition_REPORT_DISPOSITION_APPLIED},
		{pending, sluicev1.ReportDisposition_REPORT_DISPOSITION_DUPLICATE},
		{final, sluicev1.ReportDisposition_REPORT_DISPOSITION_CORRECTED},
		{final, sluicev1.ReportDisposition_REPORT_DISPOSITION_DUPLICATE},
	} {
		if got, err := send(step.report); err != nil || got != step.want {
			t.Errorf("got %v, %v, want %v", got, err, step.want)
		}
	}
	if b := s.counters.Books(); !b.Balanced() || b.Deliveries != 4 || b.Applied != 1 || b.Corrected != 1 || b.Duplicate != 2 {
		t.Errorf("books %+v", b)
	}
}

func TestReportRefusals(t *testing.T) {
	tests := map[string]struct {
		change func(*sluicev1.Report)
		reason string
		field  string
	}{
		"unknown channel":       {func(m *sluicev1.Report) { m.Channel = "nowhere" }, "UNKNOWN_CHANNEL", "channel"},
		"unknown account":       {func(m *sluicev1.Report) { m.Account = "a9" }, "INVALID_FIELD", "account"},
		"unknown bank":          {func(m *sluicev1.Report) { m.Bank = "XYZ" }, "INVALID_FIELD", "method"},
		"unknown business type": {func(m *sluicev1.Report) { m.BusinessType = configv1.BusinessType_BUSINESS_TYPE_PAYOUT }, "INVALID_FIELD", "business_type"},
		"written": {func(m *sluicev1.Report) {
			m.Outcome, m.RawCode, m.RequestWritten = configv1.Outcome_OUTCOME_NETWORK_FAILED, "", true
		}, "REQUEST_WAS_WRITTEN", "outcome"},
		"written by its code": {func(m *sluicev1.Report) { m.RawCode, m.RequestWritten = "N0", true }, "REQUEST_WAS_WRITTEN", "raw_code"},
		"card number":         {func(m *sluicev1.Report) { m.Reason = "card 4111111111111111 refused" }, "CARD_NUMBER_REFUSED", "reason"},
		"no result":           {func(m *sluicev1.Report) { m.Outcome, m.RawCode = 0, "" }, "INVALID_FIELD", "outcome"},
		"final pending": {func(m *sluicev1.Report) {
			m.Outcome, m.RawCode, m.Finality = configv1.Outcome_OUTCOME_PENDING, "", sluicev1.Finality_FINALITY_FINAL
		}, "INVALID_FIELD", "finality"},
	}
	s := newStand(t, nil)
	deliveries := uint64(0)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := changed(result("a/0", "alpha"), test.change)
			_, err := s.routing().ReportResult(as(t, Gateway), &sluicev1.ReportResultRequest{Report: m})
			wantError(t, err, codes.InvalidArgument, test.reason)
			batch, err := s.routing().ReportResults(as(t, Gateway), &sluicev1.ReportResultsRequest{Reports: []*sluicev1.Report{result(strings.ReplaceAll(name, " ", "-"), "beta"), m}})
			if err != nil {
				t.Fatal(err)
			}
			if r := batch.GetRejections(); len(r) != 1 || r[0].GetIndex() != 1 || r[0].GetReason() != test.reason || r[0].GetField() != test.field {
				t.Errorf("rejections %v, want field %s", r, test.field)
			}
			if c := batch.GetCounts(); c.GetApplied() != 1 || c.GetRejected() != 1 {
				t.Errorf("counts %v", c)
			}
		})
		deliveries += 3
	}
	if b := s.counters.Books(); !b.Balanced() || b.Deliveries != deliveries || b.Rejected != 2*deliveries/3 {
		t.Errorf("books %+v after %d deliveries", b, deliveries)
	}
	for _, item := range s.counters.Close(s.Second())[0].Items {
		if item.Item.Channel != "beta" {
			t.Errorf("a refused report was counted for %s", item.Item)
		}
	}
}

// A decision's id says under which table it was made: results of decisions made before a cut are no evidence after it.
func TestReportOfAnEarlierDecisionIsNoEvidence(t *testing.T) {
	s := newStand(t, nil)
	reply, err := s.routing().Route(as(t, Cashier), payment("p1"))
	if err != nil {
		t.Fatal(err)
	}
	s.cut(statemachine.ChannelScope("alpha"))
	s.second.Add(3)
	in := NewIngest(s.router, s.counters)
	var r monitor.Report
	m := result(reply.GetChannels()[0].GetAttemptId(), "alpha")
	if err := resolve(s.router.Table(), m, 7, s.Second(), &r, &routing.Result{}); err != nil {
		t.Fatal(err)
	}
	if r.Age != 3 || r.Evidence[0] || r.Outcome != statemachine.Succeeded || !r.Coded || r.Reporter != 7 {
		t.Errorf("resolved %+v", r)
	}
	id, _, err := routing.ParseAttemptID(m.GetAttemptId())
	if err != nil {
		t.Fatal(err)
	}
	id.Epoch++ // revisions of another epoch mean nothing here
	if rev, age := decisionOf(result(string(id.AppendAttempt(nil, 0)), "alpha"), id.Epoch-1, s.Second()); rev != 0 || age != monitor.NoAge {
		t.Errorf("another epoch: revision %d, age %d", rev, age)
	}
	if d, err := in.Report(m, 7, s.Second()); d != monitor.Applied || err != nil {
		t.Errorf("counted as %v, %v", d, err)
	}
}

// Whatever is delivered, every delivery is in the books once, and the reply says the same.
func TestInvariant08_EveryReportIsBooked(t *testing.T) {
	s := newStand(t, nil)
	rapid.Check(t, func(rt *rapid.T) {
		before := s.counters.Books()
		m := &sluicev1.ReportResultsRequest{Reporter: mostly(rt, "reporter", "g1", texts())}
		for range rapid.IntRange(0, 8).Draw(rt, "reports") {
			m.Reports = append(m.Reports, drawReport(rt))
		}
		reply, err := newRoutingService(s.server).ReportResults(t.Context(), m)
		after := s.counters.Books()
		if !after.Balanced() || after.Deliveries-before.Deliveries != uint64(len(m.GetReports())) {
			rt.Fatalf("%d reports: books %+v, before %+v (%v)", len(m.GetReports()), after, before, err)
		}
		c := reply.GetCounts()
		if err == nil && (uint64(c.GetApplied()) != after.Applied-before.Applied || uint64(c.GetRejected()) != after.Rejected-before.Rejected ||
			int(c.GetRejected()) != len(reply.GetRejections())) {
			rt.Fatalf("reply %v, books %+v, before %+v", reply, after, before)
		}
	})
}

// The caller's name is the reporter: two callers are told apart whatever they write, and one caller's instances by their names.
func TestReporterIsTheCaller(t *testing.T) {
	ctx := func(name string) uint64 {
		return reporterOf(withCaller(t.Context(), &Identity{Name: name}), "i1")
	}
	if ctx("a") == ctx("b") || reporterOf(withCaller(t.Context(), &Identity{Name: "a"}), "") == ctx("a") {
		t.Error("reporters are mixed up")
	}
}

func TestReportIsCountedWithoutAllocation(t *testing.T) {
	s := newStand(t, nil)
	reply, err := s.routing().Route(as(t, Cashier), payment("p1"))
	if err != nil {
		t.Fatal(err)
	}
	in, m := NewIngest(s.router, s.counters), result(reply.GetChannels()[0].GetAttemptId(), "alpha")
	if _, err := in.Report(m, 1, s.Second()); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = in.Report(m, 1, s.Second()) }); n != 0 {
		t.Errorf("%v allocations a report", n)
	}
}

func TestHostileMessages(t *testing.T) {
	s := newStand(t, nil)
	long := strings.Repeat("x", 5<<20)
	_, err := s.routing().Route(as(t, Cashier), changed(payment("p1"), func(m *sluicev1.RouteRequest) { m.Payment.UserTier = long }))
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("5 MiB: %v", err)
	}
	_, err = s.routing().Route(as(t, Cashier), &sluicev1.RouteRequest{})
	wantError(t, err, codes.InvalidArgument, "INVALID_FIELD")
	_, err = s.routing().ReportResult(as(t, Gateway), &sluicev1.ReportResultRequest{})
	wantError(t, err, codes.InvalidArgument, "INVALID_FIELD")
	_, err = s.routing().ReportResults(as(t, Gateway), &sluicev1.ReportResultsRequest{})
	wantError(t, err, codes.InvalidArgument, "INVALID_FIELD")
	_, err = s.routing().Route(as(t, Cashier), changed(payment("p1"), func(m *sluicev1.RouteRequest) { m.Payment.BusinessType = 77 }))
	wantError(t, err, codes.InvalidArgument, "INVALID_FIELD")
	_, err = s.channels().SwitchChannel(as(t, Operator), &sluicev1.SwitchChannelRequest{Action: 99, Scope: &sluicev1.Scope{Name: "alpha"}, Reason: "why"})
	wantError(t, err, codes.InvalidArgument, "INVALID_FIELD")
	_, err = s.channels().ListChannels(as(t, Viewer), &sluicev1.ListChannelsRequest{PageToken: "%%%"})
	wantError(t, err, codes.InvalidArgument, "INVALID_FIELD")
}
