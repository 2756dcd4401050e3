package server

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
)

// A merchant above its rate gets RESOURCE_EXHAUSTED with the time to ask again; other merchants are served meanwhile.
func TestMerchantAboveItsRate(t *testing.T) {
	c := proto.CloneOf(testCatalog())
	c.MerchantLimits = []*configv1.MerchantLimit{{Merchant: "shop", PaymentsPerSecond: 2}}
	s := newStandOf(t, c, nil)
	var err error
	for i := range 3 {
		if _, err = s.routing().Route(as(t, Cashier), payment(fmt.Sprint("p", i))); (err == nil) != (i < 2) {
			t.Fatalf("payment %d: %v", i, err)
		}
	}
	wantError(t, err, codes.ResourceExhausted, "MERCHANT_LIMITED")
	detail := detailOf[*sluicev1.RouteRefusal](t, err)
	if detail.GetDeferUntil().GetSeconds() != s.Second()+1 || detail.GetReason() != sluicev1.ErrorReason_ERROR_REASON_MERCHANT_LIMITED {
		t.Errorf("told %v", detail)
	}
	other := payment("q")
	other.Payment.Merchant = "stall"
	if _, err := s.routing().Route(as(t, Cashier), other); err != nil {
		t.Errorf("another merchant: %v", err)
	}
	s.second.Add(1)
	if _, err := s.routing().Route(as(t, Cashier), payment("p3")); err != nil {
		t.Errorf("a second later: %v", err)
	}
}

// fill routes payments until one is refused.
func fill(t *testing.T, s *stand) (replies []*sluicev1.RouteResponse, err error) {
	t.Helper()
	for i := range 20 {
		reply, err := s.routing().Route(as(t, Cashier), payment(fmt.Sprint("p", i)))
		if err != nil {
			return replies, err //nolint:wrapcheck // it is what the test looks at
		}
		replies = append(replies, reply)
	}
	return replies, nil
}

// Channels that are full are told with their reason where none is left, a result makes room at once, and the decision that
// skipped a full one is explained by the vetoes in its id.
func TestFullChannelsAreTold(t *testing.T) {
	c := proto.CloneOf(testCatalog())
	for i, ch := range c.GetChannels() {
		ch.Capacity = &configv1.Capacity{Concurrent: 1}
		if i > 1 {
			ch.Capacity = &configv1.Capacity{PaymentsPerSecond: 1}
		}
	}
	s := newStandOf(t, c, nil)
	replies, err := fill(t, s)
	wantError(t, err, codes.Unavailable, "NO_USABLE_CHANNEL")
	detail := detailOf[*sluicev1.RouteRefusal](t, err)
	var reasons []string
	for _, x := range detail.GetCandidates() {
		reasons = append(reasons, x.GetDropReason().String())
		if x.GetExplanation() == "" {
			t.Errorf("candidate %v", x)
		}
	}
	slices.Sort(reasons)
	want := []string{"DROP_REASON_CONCURRENCY_LIMITED", "DROP_REASON_CONCURRENCY_LIMITED", "DROP_REASON_INSTRUMENT_UNSUPPORTED", "DROP_REASON_RATE_LIMITED"}
	if len(replies) != 3 || !slices.Equal(reasons, want) || detail.GetDeferUntil().GetSeconds() != s.Second()+1 {
		t.Fatalf("%d served, then %v, deferred until %v", len(replies), reasons, detail.GetDeferUntil())
	}
	second := replies[1]
	id, err := routing.ParseDecisionID(second.GetDecisionId())
	if err != nil || id.Admission.Why(0) != routing.VetoConcurrency {
		t.Errorf("the second decision says %+v, %v", id.Admission, err)
	}
	first := replies[0].GetChannels()[0]
	if _, err := s.routing().ReportResult(as(t, Gateway), &sluicev1.ReportResultRequest{Report: result(first.GetAttemptId(), first.GetChannel())}); err != nil {
		t.Fatal(err)
	}
	if reply, err := s.routing().Route(as(t, Cashier), payment("again")); err != nil || reply.GetChannels()[0].GetChannel() != first.GetChannel() {
		t.Errorf("after a result: %v, %v", reply, err)
	}
}
