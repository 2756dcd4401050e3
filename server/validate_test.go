package server

import (
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// texts are values near the edges of every rule on text.
func texts() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{
			"", "a", "A1", "-", ".", "_a", "a-b_c.d", "a b", "a\n", "a\x00", "a\x7f", "!", "~", "é", "日本", "CNY", "cny", "CNYX", "C", "12345", "123456",
			"12345678", "123456789", "x/0", strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 65), strings.Repeat("é", 32),
			strings.Repeat("é", 33), strings.Repeat("é", 64), strings.Repeat("é", 65), strings.Repeat("a", 128), strings.Repeat("a", 129),
			strings.Repeat("a", 160), strings.Repeat("a", 161), strings.Repeat(".", 64),
		}),
		rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._-]{0,20}`),
		rapid.String(),
	)
}

// mostly gives a good value most of the time, so that one wrong field is not hidden behind another.
func mostly[T any](t *rapid.T, what string, good T, other *rapid.Generator[T]) T {
	if rapid.IntRange(0, 11).Draw(t, what+" wrong") != 0 {
		return good
	}
	return other.Draw(t, what)
}

func enum[E ~int32](low, high int32) *rapid.Generator[E] {
	return rapid.Map(rapid.OneOf(rapid.Int32Range(low, high), rapid.SampledFrom([]int32{-1, 99, 1 << 30, -1 << 31})), func(n int32) E { return E(n) })
}

func businesses() *rapid.Generator[configv1.BusinessType] {
	return enum[configv1.BusinessType](-1, 8)
}
func cards() *rapid.Generator[configv1.CardType]      { return enum[configv1.CardType](-1, 4) }
func allOutcomes() *rapid.Generator[configv1.Outcome] { return enum[configv1.Outcome](-1, 11) }
func amounts() *rapid.Generator[int64] {
	return rapid.SampledFrom([]int64{0, 1, -1, 1200, 1 << 62, -1 << 63})
}

func names(t *rapid.T, what string, most int) []string {
	n := rapid.SampledFrom([]int{0, 0, 0, 1, 2, most, most + 1}).Draw(t, what+" length")
	out := make([]string, n)
	for i := range out {
		out[i] = "c1"
	}
	if n > 0 {
		out[n-1] = mostly(t, what, "c2", texts())
	}
	return out
}

func drawRoute(t *rapid.T) *sluicev1.RouteRequest {
	m := &sluicev1.RouteRequest{
		Exclude: names(t, "exclude", 64), MaxChannels: rapid.SampledFrom([]uint32{0, 3, 64, 65, 1 << 31}).Draw(t, "max"),
	}
	if rapid.IntRange(0, 30).Draw(t, "no payment") != 0 {
		m.Payment = drawPayment(t)
	}
	for range rapid.SampledFrom([]int{0, 0, 1, 2, 64, 65}).Draw(t, "attempts") {
		m.Attempts = append(m.Attempts, &sluicev1.PreviousAttempt{Channel: "alpha"})
	}
	if n := len(m.GetAttempts()); n > 0 {
		m.Attempts[n-1] = &sluicev1.PreviousAttempt{
			Channel: mostly(t, "attempt channel", "alpha", texts()), Outcome: mostly(t, "attempt outcome", configv1.Outcome_OUTCOME_REJECTED, allOutcomes()),
			RawCode: mostly(t, "raw code", "", texts()), Account: mostly(t, "attempt account", "", texts()), AttemptId: mostly(t, "attempt id", "", texts()),
		}
	}
	return m
}

func drawPayment(t *rapid.T) *sluicev1.Payment {
	p := &sluicev1.Payment{
		PaymentId: mostly(t, "payment id", "p1", texts()), Merchant: mostly(t, "merchant", "shop", texts()),
		SettlementEntity: mostly(t, "entity", "acme", texts()), BusinessType: mostly(t, "business", collect, businesses()),
		Method: mostly(t, "method", "QUICKPAY", texts()), Bank: mostly(t, "bank", "ICBC", texts()), CardType: mostly(t, "card", debit, cards()),
		Amount: mostly(t, "amount", 100, amounts()), Currency: mostly(t, "currency", "CNY", texts()), UserTier: mostly(t, "tier", "", texts()),
		EnrolledChannels: names(t, "enrolled", 256), Bin: mostly(t, "bin", "", texts()), PayerKey: rapid.Uint64().Draw(t, "payer"),
	}
	if rapid.Bool().Draw(t, "deadline") {
		p.Deadline = &timestamppb.Timestamp{Seconds: rapid.Int64().Draw(t, "deadline seconds"), Nanos: rapid.Int32().Draw(t, "deadline nanos")}
	}
	follows := p.GetBusinessType() >= refund && p.GetBusinessType() <= configv1.BusinessType_BUSINESS_TYPE_QUERY
	if mostly(t, "original", follows, rapid.Bool()) {
		p.Original = &sluicev1.OriginalPayment{
			Channel: mostly(t, "original channel", "alpha", texts()), Account: mostly(t, "original account", "a1", texts()),
			AttemptId: mostly(t, "original attempt", "", texts()),
		}
	}
	return p
}

func drawReport(t *rapid.T) *sluicev1.Report {
	return &sluicev1.Report{
		AttemptId: mostly(t, "attempt id", "x/0", texts()), PaymentId: mostly(t, "payment id", "p1", texts()), DecisionId: mostly(t, "decision id", "", texts()),
		Channel: mostly(t, "channel", "alpha", texts()), Account: mostly(t, "account", "a1", texts()), Method: mostly(t, "method", "QUICKPAY", texts()),
		Bank: mostly(t, "bank", "ICBC", texts()), CardType: mostly(t, "card", debit, cards()), BusinessType: mostly(t, "business", collect, businesses()),
		Outcome: rapid.OneOf(rapid.Just(configv1.Outcome_OUTCOME_SUCCEEDED), allOutcomes()).Draw(t, "outcome"), RawCode: mostly(t, "raw code", "", texts()),
		RequestWritten: rapid.Bool().Draw(t, "written"), Reason: mostly(t, "reason", "", texts()),
		LatencyMs:   mostly(t, "latency", 5, rapid.SampledFrom([]uint32{0, 86_400_000, 86_400_001, 1 << 31})),
		StartUnixMs: mostly(t, "start", 0, amounts()), Amount: mostly(t, "amount", 0, amounts()), Currency: mostly(t, "currency", "CNY", texts()),
		Finality: mostly(t, "finality", sluicev1.Finality_FINALITY_FINAL, enum[sluicev1.Finality](-1, 3)),
		Source:   mostly(t, "source", sluicev1.ReportSource_REPORT_SOURCE_REPLY, enum[sluicev1.ReportSource](-1, 4)),
	}
}

// What is checked by hand, and the rules in the protos, come to the same verdict on every message.
func TestChecksByHandAgreeWithTheProtos(t *testing.T) {
	same := func(t *rapid.T, m proto.Message, byHand error, good bool) {
		rules := protovalidate.Validate(m)
		if (rules == nil) != good {
			t.Fatalf("by hand: %v\nby the protos: %v\nmessage: %v", byHand, rules, m)
		}
	}
	t.Run("RouteRequest", rapid.MakeCheck(func(t *rapid.T) {
		m := drawRoute(t)
		err := checkRoute(m)
		same(t, m, err, err == nil)
	}))
	t.Run("Report", rapid.MakeCheck(func(t *rapid.T) {
		m := drawReport(t)
		err := checkReport(m)
		same(t, m, err, err == nil)
	}))
	t.Run("ReportResultsRequest", rapid.MakeCheck(func(t *rapid.T) {
		m := &sluicev1.ReportResultsRequest{Reporter: texts().Draw(t, "reporter")}
		for range rapid.SampledFrom([]int{0, 1, 1000, 1001}).Draw(t, "reports") {
			m.Reports = append(m.Reports, result("x/0", "alpha"))
		}
		err := checkBatch(m)
		same(t, m, err, err == nil)
	}))
}

// The field that is blamed by hand is one that the protos blame too, so that both speak of the same field.
func TestChecksByHandBlameTheRightField(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawRoute(t)
		byHand := checkRoute(m)
		if byHand == nil {
			return
		}
		f, ok := ruleFault(protovalidate.Validate(m)).(*fault) //nolint:errorlint // made just now
		if !ok {
			t.Fatalf("no fault for %v", m)
		}
		for _, v := range f.violations {
			// Rules over several fields are blamed on their message; by hand the field to mend is named.
			if v.field == byHand.Field || strings.HasPrefix(byHand.Field, v.field) || strings.HasPrefix(v.field, "payment.") && strings.HasPrefix(byHand.Field, "payment.") {
				return
			}
		}
		t.Fatalf("by hand %q is blamed, by the protos %v", byHand.Field, f.violations)
	})
}

func TestGoodMessagesAreCheckedWithoutAllocation(t *testing.T) {
	route, report := payment("p1"), result("x/0", "alpha")
	route.Attempts = []*sluicev1.PreviousAttempt{{Channel: "alpha", AttemptId: "x/0"}}
	n := testing.AllocsPerRun(100, func() {
		if checkRoute(route) != nil || cardInRoute(route) != "" || checkReport(report) != nil || cardInReport(report) != "" {
			t.Error("refused")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
