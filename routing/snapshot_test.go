package routing

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

const env = "prod"

var written = time.Unix(noon, 0).UTC()

// drawTable draws a table of worldPlan with orders and scores.
func drawTable(t *rapid.T, p *Plan, rev Revision) *Table {
	states := drawStates(t, "states")
	for i := range states {
		o := statemachine.Override{Author: "li.wei", Reason: "drill", Since: statemachine.At(written)}
		switch rapid.IntRange(0, 5).Draw(t, "order") {
		case 0:
			states[i].Suspend = o
		case 1:
			states[i].Off = o
		case 2:
			states[i].OnNow = o
		case 3:
			states[i].Hold = o
		}
		states[i].CutBy, states[i].After = statemachine.Automation, rapid.Int64Range(0, 99).Draw(t, "after")
	}
	var sc *Scores
	if rapid.Bool().Draw(t, "scored") {
		sc = &Scores{Scores: []Score{{
			Item: statemachine.ChannelScope("a"), SuccessRate: statemachine.Share(rapid.IntRange(0, 1_000_000).Draw(t, "rate")), Feedback: 9_000, Frozen: true,
		}}}
	}
	return p.Table(rev, states, sc)
}

// sameDecision fails unless two tables answer a request alike, byte for byte.
func sameDecision(t *rapid.T, a, b *Table, q *Request) {
	second := rapid.Int64Range(noon-90_000, noon+90_000).Draw(t, "second")
	admission := Admission{Vetoed: rapid.Uint64().Draw(t, "vetoed"), Lifted: -1}
	var da, db Decision
	errA, errB := Decide(a, q, second, admission, &da), Decide(b, q, second, admission, &db)
	textA := fmt.Sprintf("%v %+v %+v %s %d %+v", errA, da.Candidates, da.Dropped, da.ID, da.ValidUntil, da.Admission)
	textB := fmt.Sprintf("%v %+v %+v %s %d %+v", errB, db.Candidates, db.Dropped, db.ID, db.ValidUntil, db.Admission)
	if textA != textB {
		t.Fatalf("%+v\ntable    %s\nsnapshot %s", q, textA, textB)
	}
}

func TestSnapshot_DecidesAsItsTable(t *testing.T) {
	plan := worldPlan(t)
	grown, err := CompilePlan(plan.source.catalog, mustPlan(t, newCatalog(newChannel("older")))) // its items have other indices
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		table := drawTable(t, rapid.SampledFrom([]*Plan{plan, grown}).Draw(t, "plan"), Revision{2, 100})
		data, err := EncodeSnapshot(NewSnapshot(table, env, written))
		if err != nil {
			t.Fatal(err)
		}
		s, err := DecodeSnapshot(data)
		if err != nil {
			t.Fatal(err)
		}
		var prev *Plan
		if rapid.Bool().Draw(t, "held before") {
			prev = plan
		}
		opened, err := OpenSnapshot(s, env, prev)
		if err != nil {
			t.Fatal(err)
		}
		if opened.Revision() != table.Revision() || !slices.Equal(opened.States(), table.States()) || !sameScores(opened.Scores(), table.Scores()) {
			t.Fatalf("opened %+v %+v, of %+v", opened.Revision(), opened.States(), table.States())
		}
		again, err := EncodeSnapshot(NewSnapshot(opened, env, written))
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("the snapshot of the opened table differs: %v", err)
		}
		for range 5 {
			sameDecision(t, table, opened, drawRequest(t))
		}
	})
}

func TestSnapshot_NamesNobodyAndKeepsTheCatalogue(t *testing.T) {
	c := newCatalog(newChannel("a", func(c *configv1.Channel) {
		c.Contacts = []*configv1.Contact{{Name: "Zhao Qiang"}}
		c.Accounts[0].Owner = &configv1.Contact{Name: "Li Wei"}
	}), newChannel("b"))
	before := proto.CloneOf(c)
	s := NewSnapshot(mustTable(t, c), env, written)
	if !proto.Equal(c, before) {
		t.Error("the catalogue was changed")
	}
	contacts := 0
	visitAll(s.ProtoReflect(), func(m protoreflect.Message) {
		if _, ok := m.Interface().(*configv1.Contact); ok {
			contacts++
		}
	})
	if contacts > 0 {
		t.Errorf("%d contacts in the snapshot", contacts)
	}
	for _, ch := range before.GetChannels() {
		ch.Contacts = nil
		for _, a := range ch.GetAccounts() {
			a.Owner = nil
		}
	}
	if !proto.Equal(s.GetCatalog(), before) {
		t.Error("more than contacts is missing from the catalogue")
	}
}

// visitAll visits a message and all below it.
func visitAll(m protoreflect.Message, visit func(protoreflect.Message)) {
	visit(m)
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() == nil || f.IsMap():
		case f.IsList():
			for i := range v.List().Len() {
				visitAll(v.List().Get(i).Message(), visit)
			}
		default:
			visitAll(v.Message(), visit)
		}
		return true
	})
}

func TestSnapshot_StaticOrder(t *testing.T) {
	c := newCatalog(newChannel("a"), newChannel("b"), newChannel("c", func(c *configv1.Channel) { c.Weight = 300 }), newChannel("d"))
	c.Routes[0].Members = []*configv1.RouteMember{
		{Channel: "a", Priority: 1}, {Channel: "b", Priority: 0, Split: 10}, {Channel: "c", Priority: 1}, {Channel: "d", Priority: 0, Split: 90},
	}
	c.Routes = slices.Insert(c.GetRoutes(), 0, &configv1.Route{
		Id: "vip", BusinessType: collect, Method: "QUICKPAY", UserTiers: []string{"VIP"}, Members: []*configv1.RouteMember{{Channel: "a"}},
	})
	c.Routes = append(c.GetRoutes(), &configv1.Route{Id: "deduct", BusinessType: deduct, Method: "QUICKPAY", Members: []*configv1.RouteMember{{Channel: "a"}}})
	c.StaticOrder = []*configv1.StaticOrder{{BusinessType: deduct, Method: "QUICKPAY", Channels: []string{"c", "a"}}}
	var got []string
	for _, o := range NewSnapshot(mustTable(t, c), env, written).GetStaticOrder() {
		got = append(got, o.GetBusinessType().String()+" "+strings.Join(o.GetChannels(), " "))
	}
	want := []string{"BUSINESS_TYPE_COLLECT d b c a", "BUSINESS_TYPE_DEDUCT c a"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func sampleSnapshot(tb testing.TB) *configv1.Snapshot {
	tb.Helper()
	plan := worldPlan(tb)
	t := plan.Table(Revision{2, 100}, []statemachine.State{off(statemachine.ChannelScope("a")), off(statemachine.ChannelScope("b"))},
		&Scores{Scores: []Score{{Item: statemachine.ChannelScope("a"), SuccessRate: 900_000}, {Item: statemachine.ChannelScope("b")}}})
	return proto.CloneOf(NewSnapshot(t, env, written))
}

// TestInvariant15_DamagedSnapshotRefused changes, removes and adds single bytes anywhere.
func TestInvariant15_DamagedSnapshotRefused(t *testing.T) {
	data, err := EncodeSnapshot(sampleSnapshot(t))
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, damaged []byte) {
		if _, err := DecodeSnapshot(damaged); !errors.Is(err, ErrSnapshotDamaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
	rng := rand.New(rand.NewPCG(1, 15))
	for i := range data {
		damaged := slices.Clone(data)
		damaged[i] ^= byte(1 + rng.IntN(255))
		refused(fmt.Sprintf("byte %d changed", i), damaged)
		refused(fmt.Sprintf("cut at %d", i), data[:i])
	}
	refused("one byte more", append(slices.Clone(data), 0))
	refused("twice", append(slices.Clone(data), data...))
	refused("sealed rubbish", Seal([]byte("rubbish")))
}

// TestInvariant15_ForeignOrUnfitSnapshotRefused opens snapshots that are whole but must not be used.
func TestInvariant15_ForeignOrUnfitSnapshotRefused(t *testing.T) {
	if _, err := OpenSnapshot(sampleSnapshot(t), env, nil); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		want error
		edit func(*configv1.Snapshot)
	}{
		"another environment": {ErrSnapshotForeign, func(s *configv1.Snapshot) { s.Environment = "staging" }},
		"no environment":      {ErrSnapshotForeign, func(s *configv1.Snapshot) { s.Environment = "" }},
		"unknown feature":     {ErrSnapshotFeatures, func(s *configv1.Snapshot) { s.FeatureBits = KnownFeatures | 1<<63 }},
		"no epoch":            {ErrSnapshotDamaged, func(s *configv1.Snapshot) { s.Epoch = 0 }},
		"no revision":         {ErrSnapshotDamaged, func(s *configv1.Snapshot) { s.Revision = 0 }},
		"no write time":       {ErrSnapshotDamaged, func(s *configv1.Snapshot) { s.WriteTime = nil }},
		"impossible time":     {ErrSnapshotDamaged, func(s *configv1.Snapshot) { s.WriteTime = &timestamppb.Timestamp{Nanos: -1} }},
		"no catalogue":        {ErrSnapshotDamaged, func(s *configv1.Snapshot) { s.Catalog = nil }},
		"bad catalogue":       {ErrSnapshotDamaged, func(s *configv1.Snapshot) { s.Catalog.Entities = nil }},
		"states out of order": {ErrSnapshotDamaged, func(s *configv1.Snapshot) { slices.Reverse(s.GetStates()) }},
		"state twice":         {ErrSnapshotDamaged, func(s *configv1.Snapshot) { s.States[1] = s.GetStates()[0] }},
		"state without phase": {ErrSnapshotDamaged, func(s *configv1.Snapshot) { s.States[0].Phase = 0 }},
		"share over one":      {ErrSnapshotDamaged, func(s *configv1.Snapshot) { s.States[0].SharePpm = 1_000_001 }},
		"scores out of order": {ErrSnapshotDamaged, func(s *configv1.Snapshot) { slices.Reverse(s.GetScores().GetScores()) }},
		"score of nothing":    {ErrSnapshotDamaged, func(s *configv1.Snapshot) { s.Scores.Scores[0].Scope = nil }},
		"score of a bad item": {ErrSnapshotDamaged, func(s *configv1.Snapshot) { s.Scores.Scores[0].Scope.Channel = "" }},
		"score over one":      {ErrSnapshotDamaged, func(s *configv1.Snapshot) { s.Scores.Scores[0].HeadroomPpm = 1_000_001 }},
	} {
		t.Run(name, func(t *testing.T) {
			s := sampleSnapshot(t)
			tc.edit(s)
			holder := NewSnapshotHolder(env)
			if _, err := OpenSnapshot(s, env, nil); !errors.Is(err, tc.want) {
				t.Errorf("opened: %v, want %v", err, tc.want)
			}
			if _, err := holder.Offer(s); !errors.Is(err, tc.want) {
				t.Errorf("offered: %v, want %v", err, tc.want)
			}
			if held, _ := holder.Held(); held != nil {
				t.Error("it is held all the same")
			}
		})
	}
}

func FuzzDecodeSnapshot(f *testing.F) {
	data, err := EncodeSnapshot(sampleSnapshot(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(Seal([]byte{0x1f, 0x8b}))
	f.Fuzz(func(t *testing.T, data []byte) {
		// Sealed anew, so that what lies under the digest is read too.
		for _, d := range [][]byte{data, Seal(data)} {
			s, err := DecodeSnapshot(d)
			if err != nil {
				if !errors.Is(err, ErrSnapshotDamaged) {
					t.Fatal(err)
				}
				continue
			}
			_, _ = OpenSnapshot(s, s.GetEnvironment(), nil)
		}
	})
}

// TestInvariant11_NeverBackToAnOlderSnapshot offers snapshots, changes and renewals in any order: what is held only advances,
// and is always the table of the newest that was offered and fits.
func TestInvariant11_NeverBackToAnOlderSnapshot(t *testing.T) {
	plan := worldPlan(t)
	rapid.Check(t, func(t *rapid.T) {
		tables := map[Revision]*Table{}
		for epoch := range uint64(2) {
			for revision := range int64(4) {
				r := Revision{epoch + 1, revision + 1}
				table := drawTable(t, plan, r)
				all := slices.Clone(table.states) // states are never deleted, so that changes lead from one table to another
				for _, s := range worldScopes() {
					if !slices.ContainsFunc(all, func(st statemachine.State) bool { return st.Scope == s }) {
						all = append(all, statemachine.NewState(s))
					}
				}
				tables[r] = plan.Table(r, all, table.scores)
			}
		}
		h := NewSnapshotHolder(env)
		for range rapid.IntRange(1, 20).Draw(t, "offers") {
			_, before := h.Held()
			s := drawStamp(t)
			got, want := offer(t, h, tables, s)
			table, after := h.Held()
			if got != want || before.Newer(after.Revision) || after.Revision == before.Revision && after.Written.Before(before.Written) {
				t.Fatalf("%+v brought %d, want %d: from %+v to %+v", s, got, want, before, after)
			}
			if table == nil {
				continue
			}
			if of := tables[after.Revision]; table.rev != after.Revision || !slices.Equal(table.States(), of.States()) || !sameScores(table.scores, of.scores) {
				t.Fatalf("%+v holds %+v", after, table.States())
			}
		}
	})
}

func drawStamp(t *rapid.T) Stamp {
	r := Revision{rapid.Uint64Range(1, 2).Draw(t, "epoch"), rapid.Int64Range(1, 4).Draw(t, "revision")}
	return Stamp{r, written.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "age")) * time.Second)}
}

// offer offers a stamp as a snapshot, a renewal or a change, and returns what it brought and what it should have.
func offer(t *rapid.T, h *SnapshotHolder, tables map[Revision]*Table, s Stamp) (got, want Advance) {
	_, before := h.Held()
	want = s.Over(before)
	var err error
	switch rapid.IntRange(0, 2).Draw(t, "what") {
	case 0:
		got, err = h.Offer(NewSnapshot(tables[s.Revision], env, s.Written))
	case 1:
		if got = h.Renew(s); want == AdvanceTable {
			want = AdvanceNone
		}
	default:
		base := tables[drawStamp(t).Revision]
		change, ok := tables[s.Revision].ChangeSince(base, s.Written)
		if !ok {
			return AdvanceNone, AdvanceNone
		}
		fits := before.Revision == base.rev
		if want != AdvanceTable || !fits {
			want = AdvanceNone
		}
		if got, err = h.Change(change); !fits && errors.Is(err, ErrSnapshotBase) {
			err = nil
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return got, want
}

func TestChangeSince_OnlyWhatChanged(t *testing.T) {
	plan := worldPlan(t)
	a, b := statemachine.ChannelScope("a"), statemachine.ChannelScope("b")
	sc := &Scores{Scores: []Score{{Item: a, Feedback: 10_000}}}
	old := plan.Table(Revision{1, 5}, []statemachine.State{off(a), off(b)}, sc)
	ramp := inPhase(b, statemachine.Ramping, 250_000)
	c, ok := plan.Table(Revision{1, 6}, []statemachine.State{off(a), ramp}, &Scores{Scores: slices.Clone(sc.Scores)}).ChangeSince(old, written)
	if !ok || len(c.States) != 1 || c.States[0].GetScope().GetChannel() != "b" || c.Scores != nil || c.Base != 5 {
		t.Errorf("%v %+v", ok, c)
	}
	for name, table := range map[string]*Table{
		"another epoch":     plan.Table(Revision{2, 6}, []statemachine.State{off(a), off(b)}, sc),
		"an older revision": plan.Table(Revision{1, 4}, []statemachine.State{off(a), off(b)}, sc),
		"another catalogue": worldPlan(t).Table(Revision{1, 6}, []statemachine.State{off(a), off(b)}, sc),
		"a state gone":      plan.Table(Revision{1, 6}, []statemachine.State{off(a)}, sc),
		"scores gone":       plan.Table(Revision{1, 6}, []statemachine.State{off(a), off(b)}, nil),
	} {
		if c, ok := table.ChangeSince(old, written); ok {
			t.Errorf("%s: told as a change %+v", name, c)
		}
	}
}

// BenchmarkSnapshot measures the codec for 1,000 channels of 100 instruments and 1,000 states.
func BenchmarkSnapshot(b *testing.B) {
	plan := forty(b)
	states := make([]statemachine.State, 1000)
	for i := range states {
		states[i] = off(statemachine.ChannelScope(fmt.Sprintf("channel-%05d", i)))
	}
	table := plan.Table(Revision{1, 7}, states, nil)
	data, err := EncodeSnapshot(NewSnapshot(table, env, written))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		for b.Loop() {
			if _, err := EncodeSnapshot(NewSnapshot(table, env, written)); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(data)), "bytes")
	})
	b.Run("decode", func(b *testing.B) {
		for b.Loop() {
			if _, err := DecodeSnapshot(data); err != nil {
				b.Fatal(err)
			}
		}
	})
	s, err := DecodeSnapshot(data)
	if err != nil {
		b.Fatal(err)
	}
	for name, prev := range map[string]*Plan{"open/new-catalogue": nil, "open/same-catalogue": plan} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := OpenSnapshot(s, env, prev); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
