package routing

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

func TestDiffCatalogs(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*configv1.Catalog)
		want string
	}{
		"nothing": {func(*configv1.Catalog) {}, ""},
		"a weight and a label": {
			func(c *configv1.Catalog) { c.Channels[1].Weight, c.Version = 50, "v2" },
			"channels[b].weight: → 50\nversion: → v2",
		},
		"an entry is named by its id wherever it stands": {
			func(c *configv1.Catalog) {
				c.Channels = append([]*configv1.Channel{newChannel("new")}, c.GetChannels()...)
				c.Channels[3].Accounts[0].Entity = "e-2"
			},
			"channels[c].accounts[main].entity: e-1 → e-2\n" +
				"channels[new]: → {id: new, provider: p-new, business_types: [COLLECT, DEDUCT, REFUND, QUERY], instruments: [{method: QUICKPAY, " +
				"banks: [ICBC, CCB], card_types: [DEBIT, CREDIT]}], accounts: [{id: main, entity: e-1}], currencies: [CNY]}",
		},
		"taken out": {
			func(c *configv1.Catalog) {
				c.Channels, c.Routes[0].Members = c.GetChannels()[1:], c.GetRoutes()[0].GetMembers()[1:]
				c.Channels[0].Instruments[0].Banks = []string{"CCB"}
			},
			"channels[a]: {id: a, provider: p-a, business_types: [COLLECT, DEDUCT, REFUND, QUERY], instruments: [{method: QUICKPAY, " +
				"banks: [ICBC, CCB], card_types: [DEBIT, CREDIT]}], accounts: [{id: main, entity: e-1}], currencies: [CNY]} →\n" +
				"channels[b].instruments[QUICKPAY].banks[ICBC]: ICBC →\nroutes[collect].members[a]: {channel: a} →",
		},
		"order of what stays": {
			func(c *configv1.Catalog) {
				m := c.GetRoutes()[0].GetMembers()
				m[1], m[2] = m[2], m[1]
			},
			"routes[collect].members.order: b, c → c, b",
		},
		"words as in the file": {
			func(c *configv1.Catalog) {
				c.DecisionLifetime = durationpb.New(90 * time.Second)
				c.Channels[0].Tags = map[string]string{"team": "a, b"}
				c.Channels[0].Capacity = &configv1.Capacity{Pool: "x", Concurrent: 3}
				c.Channels[0].RequiresEnrolment = []configv1.BusinessType{deduct}
				c.Channels[0].Retired = true
			},
			"channels[a].capacity: → {concurrent: 3, pool: x}\nchannels[a].requires_enrolment[DEDUCT]: → DEDUCT\nchannels[a].retired: → true\n" +
				"channels[a].tags[team]: → a, b\ndecision_lifetime: → 1m30s",
		},
		"one method in several entries": {
			func(c *configv1.Catalog) {
				in := c.GetChannels()[0].GetInstruments()[0]
				other := proto.CloneOf(in)
				in.Banks, other.Banks = []string{"CCB"}, []string{"ICBC"}
				other.Limits = []*configv1.AmountLimit{{Currency: "CNY", Max: 5}}
				c.Channels[0].Instruments = []*configv1.Instrument{in, other}
			},
			"channels[a].instruments[QUICKPAY:CCB:DEBIT]: → {method: QUICKPAY, banks: [CCB], card_types: [DEBIT, CREDIT]}\n" +
				"channels[a].instruments[QUICKPAY:ICBC:DEBIT].banks[CCB]: CCB →\n" +
				"channels[a].instruments[QUICKPAY:ICBC:DEBIT].limits[CNY]: → {currency: CNY, max: 5}",
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := newCatalog(newChannel("a"), newChannel("b"), newChannel("c"))
			after := proto.CloneOf(before)
			test.edit(after)
			var got []string
			for _, c := range DiffCatalogs(before, after) {
				got = append(got, strings.TrimSpace(c.Path+": "+c.Before+" → "+c.After))
			}
			for i := range got {
				got[i] = strings.ReplaceAll(got[i], ":  →", ": →")
			}
			if text := strings.Join(got, "\n"); text != test.want {
				t.Errorf("got\n%s\nwant\n%s", text, test.want)
			}
			back := DiffCatalogs(after, before)
			if len(back) != len(got) {
				t.Errorf("%d changes there, %d back: %v", len(got), len(back), back)
			}
		})
	}
}

// Whatever field is changed, however deep, is told; and nothing is told of equal catalogues.
func TestDiffCatalogs_TellsEveryField(t *testing.T) {
	full := &configv1.Catalog{}
	fillMessage(full.ProtoReflect(), 0)
	if changes := DiffCatalogs(full, proto.CloneOf(full)); len(changes) != 0 {
		t.Fatalf("equal catalogues differ in %v", changes)
	}
	v := visitor{t: t, full: full, other: proto.CloneOf(full)}
	v.visit(v.other.ProtoReflect(), "")
	if v.n < 100 {
		t.Errorf("only %d fields were tried", v.n)
	}
}

// fillMessage sets every field, lists to one entry.
func fillMessage(m protoreflect.Message, depth int) {
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		if one := f.ContainingOneof(); one != nil && !one.IsSynthetic() && m.WhichOneof(one) != nil || f.IsMap() {
			continue
		}
		switch {
		case f.Message() != nil && depth > 5:
		case f.IsList() && f.Message() != nil:
			fillMessage(m.Mutable(f).List().AppendMutable().Message(), depth+1)
		case f.IsList():
			m.Mutable(f).List().Append(another(f, protoreflect.Value{}))
		case f.Message() != nil:
			fillMessage(m.Mutable(f).Message(), depth+1)
		default:
			m.Set(f, another(f, protoreflect.Value{}))
		}
	}
}

// visitor changes one field after another and looks whether that is told.
type visitor struct {
	t           *testing.T
	full, other *configv1.Catalog
	n           int
}

func (v *visitor) visit(m protoreflect.Message, path string) {
	m.Range(func(f protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		at := path + "." + string(f.Name())
		switch {
		case f.IsList() && f.Message() != nil:
			v.visit(value.List().Get(0).Message(), at)
		case f.IsList():
			old := value.List().Get(0)
			value.List().Set(0, another(f, old))
			v.told(at)
			value.List().Set(0, old)
		case f.Message() != nil:
			v.visit(value.Message(), at)
		default:
			m.Set(f, another(f, value))
			v.told(at)
			m.Set(f, value)
		}
		return true
	})
}

func (v *visitor) told(path string) {
	v.n++
	if len(DiffCatalogs(v.full, v.other)) == 0 {
		v.t.Errorf("a change of %s is not told", path)
	}
}

// another is a value that differs from a given one.
func another(f protoreflect.FieldDescriptor, v protoreflect.Value) protoreflect.Value {
	switch x := v.Interface().(type) {
	case nil:
		return firstOf(f)
	case string:
		return protoreflect.ValueOfString(x + "y")
	case bool:
		return protoreflect.ValueOfBool(!x)
	case protoreflect.EnumNumber:
		return protoreflect.ValueOfEnum(x + 1)
	case int32:
		return protoreflect.ValueOfInt32(x + 1)
	case int64:
		return protoreflect.ValueOfInt64(x + 1)
	case uint32:
		return protoreflect.ValueOfUint32(x + 1)
	case uint64:
		return protoreflect.ValueOfUint64(x + 1)
	case float64:
		return protoreflect.ValueOfFloat64(x + 1)
	}
	panic("a field of a kind that no test knows: " + f.FullName())
}

// firstOf is a value that is not a field's zero.
func firstOf(f protoreflect.FieldDescriptor) protoreflect.Value {
	switch f.Kind() { //nolint:exhaustive // the rest has a zero to add to
	case protoreflect.StringKind:
		return protoreflect.ValueOfString("x-1")
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(1)
	}
	return another(f, f.Default())
}

// recorded is a Recent of requests decided by a table under the admissions given.
type recorded struct {
	q      *Request
	second int64
	a      Admission
}

func recentOf(list []recorded) Recent {
	return func(yield func(*Request, int64, Admission) bool) {
		for _, r := range slices.Backward(list) {
			if !yield(r.q, r.second, r.a) {
				return
			}
		}
	}
}

// dealtCatalog deals a route over a and b.
func dealtCatalog(a, b uint32) *configv1.Catalog {
	c := newCatalog(newChannel("a"), newChannel("b"))
	for i, m := range c.GetRoutes()[0].GetMembers() {
		m.Priority, m.Split = 0, []uint32{a, b}[i]
	}
	return c
}

func payments(n int) []recorded {
	var list []recorded
	for i := range n {
		bank := "ICBC"
		if i%4 == 0 {
			bank = "CCB"
		}
		list = append(list, recorded{newRequest(func(r *Request) {
			r.PaymentID, r.Instrument.Bank = fmt.Sprintf("pay-%d", i), bank
		}), noon + int64(i/100), Admission{Lifted: -1}})
	}
	return list
}

// A split of 90:10 that becomes 50:50 moves 40 % of the traffic, of each bank, from a to b and nothing back.
func TestCompareTraffic_Split(t *testing.T) {
	d := CompareTraffic(mustTable(t, dealtCatalog(90, 10)), mustTable(t, dealtCatalog(50, 50)), recentOf(payments(10_000)))
	if d.Sample != 10_000 || d.Since != noon || d.Taken["a"]+d.Taken["b"] != 10_000 {
		t.Errorf("got %+v", d)
	}
	if part := float64(d.Moved) / float64(d.Sample); part < 0.38 || part > 0.42 {
		t.Errorf("%.3f moves, want 0.4", part)
	}
	banks := map[string]uint64{}
	for _, s := range d.Shifts {
		banks[s.Bank] = s.OfBank
		if part := float64(s.Decisions) / float64(s.OfBank); s.From+">"+s.To != "a>b" || part < 0.36 || part > 0.44 {
			t.Errorf("%+v: %.3f of the bank", s, part)
		}
	}
	if len(d.Shifts) != 2 || banks["ICBC"] != 7500 || banks["CCB"] != 2500 || d.Shifts[0].Bank != "ICBC" {
		t.Errorf("shifts %+v, want the greatest first, one of each bank", d.Shifts)
	}
}

// What live counters vetoed holds under both tables; a ramp that was not asked takes its share; probing takes nothing.
func TestCompareTraffic_States(t *testing.T) {
	first := newCatalog(newChannel("a"), newChannel("b"))
	swapped := proto.CloneOf(first)
	swapped.Routes[0].Members[0].Priority, swapped.Routes[0].Members[1].Priority = 1, 0
	moved := func(list []recorded, states ...statemachine.State) float64 {
		d := CompareTraffic(mustTable(t, first, states...), mustTable(t, swapped, states...), recentOf(list))
		return float64(d.Moved) / float64(d.Sample)
	}
	list := payments(4000)
	b := statemachine.ChannelScope("b")
	if got := moved(list); got != 1 {
		t.Errorf("b goes first: %.3f moves, want all", got)
	}
	if got := moved(list, inPhase(b, statemachine.Ramping, 100_000)); got < 0.08 || got > 0.12 {
		t.Errorf("b ramps at 10 %%: %.3f moves, want 0.1", got)
	}
	for _, st := range []statemachine.State{off(b), inPhase(b, statemachine.Probing, 0)} {
		if got := moved(list, st); got != 0 {
			t.Errorf("b is %s: %.3f moves, want nothing", st.Phase, got)
		}
	}
	for i := range list { // a ramps and every second payment was not admitted: it went to b
		if i%2 == 0 {
			list[i].a.Veto(0, VetoState)
		}
	}
	if got := moved(list, inPhase(statemachine.ChannelScope("a"), statemachine.Ramping, 500_000)); got != 0.5 {
		t.Errorf("a took half of the payments: %.3f moves, want 0.5", got)
	}
	for i := range list { // b had no payment of its rate left for the others
		list[i].a = Admission{Lifted: -1}
		list[i].a.Veto(0, VetoRate)
	}
	if got := moved(list); got != 0 {
		t.Errorf("a was full for every payment: %.3f moves, want nothing", got)
	}
}

// TestCompareTraffic_NothingMovesByItself: for any requests, states and admissions the same table moves nothing.
func TestCompareTraffic_NothingMovesByItself(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		phases := []statemachine.Phase{statemachine.Healthy, statemachine.Disabled, statemachine.Probing, statemachine.Ramping}
		var states []statemachine.State
		for _, c := range []string{"a", "b"} {
			p := rapid.SampledFrom(phases).Draw(r, "phase")
			states = append(states, inPhase(statemachine.ChannelScope(c), p, 300_000))
		}
		list := payments(rapid.IntRange(0, 40).Draw(r, "payments"))
		for i := range list {
			for at := range 2 {
				if rapid.Bool().Draw(r, "vetoed") {
					list[i].a.Veto(at, VetoReason(rapid.IntRange(0, 4).Draw(r, "why")))
				}
			}
			list[i].a.Lifted = int8(rapid.IntRange(-1, 1).Draw(r, "lifted"))
		}
		table := mustPlan(t, dealtCatalog(60, 40)).Table(Revision{1, 100}, states, nil)
		other := mustPlan(t, dealtCatalog(60, 40)).Table(Revision{1, 101}, states, nil)
		if d := CompareTraffic(table, other, recentOf(list)); d.Moved != 0 || len(d.Shifts) != 0 {
			r.Fatalf("moved %d of %d: %+v", d.Moved, d.Sample, d.Shifts)
		}
	})
}

// What would lose refunds is warned of, with how much recent traffic is concerned and what to do instead.
func TestDiffTables_Warnings(t *testing.T) {
	before := dealtCatalog(50, 50)
	before.Channels = append(before.GetChannels(), newChannel("quiet"))
	for name, test := range map[string]struct {
		edit func(*configv1.Catalog)
		want []string
	}{
		"retired": {func(c *configv1.Catalog) { c.Channels[0].Retired = true }, nil},
		"a channel is taken out": {func(c *configv1.Catalog) {
			c.Channels, c.Routes[0].Members = c.GetChannels()[1:], c.GetRoutes()[0].GetMembers()[1:]
		}, []string{"channel a is taken out and took", "of the last 1000 decisions: refunds", "`retired: true`", "closed by automation", "a/method=QUICKPAY (RAMPING)"}},
		"a quiet channel is taken out": {func(c *configv1.Catalog) { c.Channels = c.GetChannels()[:2] }, []string{"channel quiet is taken out: refunds"}},
		"an account is taken out":      {func(c *configv1.Catalog) { c.Channels[1].Accounts[0].Id = "other" }, []string{"account main of channel b is taken out and took"}},
		"no refunds any more": {
			func(c *configv1.Catalog) { c.Channels[1].BusinessTypes = []configv1.BusinessType{collect} },
			[]string{"channel b no longer supports REFUND", "channel b no longer supports QUERY"},
		},
		"a bank is taken out": {
			func(c *configv1.Catalog) { c.Channels[1].Instruments[0].Banks = []string{"CCB"} },
			[]string{"channel b no longer has QUICKPAY:ICBC:CREDIT and 1 more: refunds"},
		},
		"all are retired": {
			func(c *configv1.Catalog) { c.Channels[0].Retired, c.Channels[1].Retired = true, true },
			[]string{"route collect has only retired channels"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			after := proto.CloneOf(before)
			test.edit(after)
			state := inPhase(statemachine.MethodScope("a", "QUICKPAY"), statemachine.Ramping, statemachine.FullShare)
			d := DiffTables(mustTable(t, before, state), mustTable(t, after, state), recentOf(payments(1000)))
			text := strings.Join(d.Warnings, "\n")
			for _, want := range test.want {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in\n%s", want, text)
				}
			}
			if (len(test.want) == 0) != (text == "") {
				t.Errorf("warned of\n%s", text)
			}
		})
	}
}
