package server

import (
	"math"
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// edges are the values near the bounds of every rule for a kind of field.
func edges(f protoreflect.FieldDescriptor) []protoreflect.Value {
	var out []protoreflect.Value
	switch f.Kind() { //nolint:exhaustive // the kinds that occur; another one fails the test below
	case protoreflect.StringKind:
		for _, s := range []string{
			"", "a", "-", ".", "_a", ".a", "-a", "a_", "a-b", "a b", "a\n", "\x7f", "~", "é", "CNY", "cny", "CNYX", "12345", "123456", "12345678", "123456789", strings.Repeat("a", 64),
			strings.Repeat("a", 65), strings.Repeat("é", 32), strings.Repeat("é", 33), strings.Repeat("a", 128), strings.Repeat("a", 129), strings.Repeat("a", 160), strings.Repeat("a", 161),
		} {
			out = append(out, protoreflect.ValueOfString(s))
		}
	case protoreflect.EnumKind:
		for n := protoreflect.EnumNumber(-1); n <= 12; n++ {
			out = append(out, protoreflect.ValueOfEnum(n))
		}
		out = append(out, protoreflect.ValueOfEnum(256), protoreflect.ValueOfEnum(257), protoreflect.ValueOfEnum(math.MaxInt32), protoreflect.ValueOfEnum(math.MinInt32))
	case protoreflect.Int64Kind:
		for _, n := range []int64{0, 1, -1, math.MaxInt64, math.MinInt64} {
			out = append(out, protoreflect.ValueOfInt64(n))
		}
	case protoreflect.Uint32Kind:
		for _, n := range []uint32{0, 63, 64, 65, maxLatencyMS, maxLatencyMS + 1, math.MaxUint32} {
			out = append(out, protoreflect.ValueOfUint32(n))
		}
	case protoreflect.Fixed64Kind:
		out = append(out, protoreflect.ValueOfUint64(0), protoreflect.ValueOfUint64(math.MaxUint64))
	case protoreflect.BoolKind:
		out = append(out, protoreflect.ValueOfBool(false), protoreflect.ValueOfBool(true))
	}
	return out
}

// visit sets every field of a message, and of those inside it, to every edge in turn and calls check each time.
func visit(t *testing.T, m protoreflect.Message, check func()) {
	t.Helper()
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		old := m.Get(f)
		switch {
		case f.Message() != nil && strings.HasPrefix(string(f.Message().FullName()), "google."): // no rules
		case f.IsList() && f.Message() != nil:
			for n := range old.List().Len() {
				visit(t, old.List().Get(n).Message(), check)
			}
		case f.IsList():
			for _, e := range edges(f) {
				l := m.NewField(f)
				l.List().Append(e)
				m.Set(f, l)
				check()
			}
			m.Clear(f) // the good messages have no lists of texts
		case f.Message() != nil:
			if m.Has(f) {
				visit(t, old.Message(), check)
				m.Clear(f)
				check()
				m.Set(f, old)
			}
		case len(edges(f)) == 0:
			t.Errorf("no edges for %s", f.FullName())
		default:
			for _, e := range edges(f) {
				m.Set(f, e)
				check()
			}
			m.Set(f, old)
		}
	}
}

// Each field at each of its edges, the rest being good: both ways of checking come to the same verdict.
func TestChecksByHandAgreeAtEveryEdge(t *testing.T) {
	compare := func(m proto.Message, byHand func() error) func() {
		return func() {
			if hand, rules := byHand(), protovalidate.Validate(m); (hand == nil) != (rules == nil) {
				t.Errorf("by hand: %v\nby the protos: %v\nmessage: %v", hand, rules, m)
			}
		}
	}
	route := payment("p1")
	route.Attempts = []*sluicev1.PreviousAttempt{{Channel: "alpha", Outcome: configv1.Outcome_OUTCOME_REJECTED}}
	back := changed(route, func(m *sluicev1.RouteRequest) {
		m.Payment.BusinessType, m.Payment.Original = refund, &sluicev1.OriginalPayment{Channel: "alpha", Account: "a1"}
	})
	free := changed(route, func(m *sluicev1.RouteRequest) {
		m.Payment.BusinessType, m.Payment.Amount = configv1.BusinessType_BUSINESS_TYPE_AUTHENTICATE, 0
	})
	for _, m := range []*sluicev1.RouteRequest{route, back, free} {
		visit(t, m.ProtoReflect(), compare(m, func() error {
			if err := checkRoute(m); err != nil {
				return err
			}
			return nil
		}))
	}
	good := result("x/0", "alpha")
	pending := changed(good, func(m *sluicev1.Report) {
		m.Outcome, m.RawCode, m.Amount, m.RequestWritten = configv1.Outcome_OUTCOME_PENDING, "", 0, true
	})
	for _, m := range []*sluicev1.Report{good, pending} {
		visit(t, m.ProtoReflect(), compare(m, func() error {
			if err := checkReport(m); err != nil {
				return err
			}
			return nil
		}))
	}
}
