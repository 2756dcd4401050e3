package routing

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sluice-pay/sluice/statemachine"
)

// TestKeptTablesDecideAsTheyDid keeps many revisions of several catalogues, in which states come and scores move, and asks for
// each of them again: those that are promised decide as they did, those beyond the budget are gone.
func TestKeptTablesDecideAsTheyDid(t *testing.T) {
	const promised, all = 256, 500
	d := dice{rand.New(rand.NewPCG(7, 7))}
	rec := NewRecorder(RecorderOptions{Requests: 64, Tables: promised})
	rec.tables.budget = 0
	tables := d.history(t, all)
	for n, table := range tables {
		if n%2 == 0 {
			rec.KeepTable(table)
		} else {
			rec.tables.seen(table) // as Keep tells of it
		}
	}
	for n, was := range tables {
		table := rec.Table(was.rev)
		if table == nil {
			if n >= all-promised {
				t.Fatalf("revision %d of %d is not kept", n+1, all)
			}
			continue
		}
		if n < all-promised-2*chunkTables {
			t.Errorf("revision %d of %d is still kept", n+1, all)
		}
		d.decidesAlike(t, was, table)
	}
	if s := rec.Stats(); s.Tables < promised || s.NewestRev.Revision != all || rec.Table(s.OldestRev) == nil ||
		rec.Table(Revision{1, s.OldestRev.Revision - 1}) != nil || s.TableBytes != rec.tables.weigh() {
		t.Errorf("stats say %+v, its parts weigh %d", s, rec.tables.weigh())
	}
	compiled := 0
	for _, p := range rec.tables.plans {
		if p.plan.Load() != nil {
			compiled++
		}
	}
	if compiled != compiledPlans {
		t.Errorf("%d of %d catalogues are compiled, want %d", compiled, len(rec.tables.plans), compiledPlans)
	}
}

// history draws tables of growing revisions, in which catalogue, states and scores change.
func (d dice) history(t *testing.T, all int) []*Table {
	t.Helper()
	var plan *Plan
	var tables []*Table
	var states []statemachine.State
	var scores *Scores
	for n := range all {
		if plan == nil || n%40 == 0 {
			plan = d.plan(t, plan)
			states, scores = d.states(plan), d.scores(plan)
		}
		if s := d.states(plan); len(s) > 0 && d.chance(70) { // one more state, or another one
			states = merge(states, s[:1])
		}
		if scores != nil && d.chance(50) && len(scores.Scores) > 0 {
			next := *scores
			next.Scores = slices.Clone(scores.Scores)
			next.Scores[d.IntN(len(next.Scores))].SuccessRate = statemachine.Share(d.IntN(1_000_000))
			next.Second++
			scores = &next
		}
		if d.chance(3) { // scores are gone, or something of them is
			scores = d.scores(plan)
		}
		tables = append(tables, plan.Table(Revision{1, int64(n + 1)}, states, scores))
	}
	return tables
}

// weigh adds up what the counted bytes should be.
func (k *recorderTables) weigh() int64 {
	var sum int64
	for _, c := range k.chunks {
		sum += c.bytes
	}
	for _, p := range k.plans {
		sum += int64(len(p.packed))
	}
	return sum
}

// plan draws a catalogue that compiles.
func (d dice) plan(t *testing.T, prev *Plan) *Plan {
	t.Helper()
	var err error
	for range 100 {
		var p *Plan
		if p, err = CompilePlan(d.catalog(), prev); err == nil {
			return p
		}
	}
	t.Fatal(err)
	return nil
}

// decidesAlike fails unless two tables are the same to payments and to people.
func (d dice) decidesAlike(t *testing.T, a, b *Table) {
	t.Helper()
	if a.rev != b.rev || !slices.Equal(a.states, b.states) || !sameScores(a.scores, b.scores) {
		t.Fatalf("revision %v has other states or scores", a.rev)
	}
	if a.scores != nil && a.scores.Second != b.scores.Second {
		t.Fatalf("revision %v has scores of second %d, want %d", a.rev, b.scores.Second, a.scores.Second)
	}
	var q Request
	var x, y Decision
	for i := range 5 {
		d.request(&q, i, 12)
		admission := Admission{Vetoed: d.Uint64() & d.Uint64(), Lifted: -1}
		_, _ = Decide(a, &q, noon, admission, &x), Decide(b, &q, noon, admission, &y)
		if !bytes.Equal(x.AppendBytes(nil), y.AppendBytes(nil)) {
			t.Fatalf("revision %v decides %+v as %+v, before as %+v", a.rev, q, y.Candidates, x.Candidates)
		}
	}
}

func TestManyRevisionsAreKeptWhileTheyAreLight(t *testing.T) {
	rec, plan := NewRecorder(RecorderOptions{Requests: 64}), mustPlan(t, newCatalog(newChannel("a")))
	for n := range 2 * mostTables {
		rec.KeepTable(plan.Table(Revision{1, int64(n + 1)}, nil, nil))
	}
	s := rec.Stats()
	if s.Tables < mostTables || s.Tables > mostTables+chunkTables || s.TableBytes > 1<<20 {
		t.Errorf("%d revisions are kept in %d bytes", s.Tables, s.TableBytes)
	}
}

func TestTablesThatNobodyFoldsAreBounded(t *testing.T) {
	rec, plan := NewRecorder(RecorderOptions{Requests: 64}), mustPlan(t, newCatalog(newChannel("a")))
	for n := range 1000 {
		rec.tables.seen(plan.Table(Revision{1, int64(n + 1)}, nil, nil))
		rec.tables.seen(plan.Table(Revision{1, int64(n/2 + 1)}, nil, nil)) // a late payment
		if len(rec.tables.pending) > pendingTables {
			t.Fatalf("%d tables wait", len(rec.tables.pending))
		}
	}
	for n := range 1000 {
		if rec.Table(Revision{1, int64(n + 1)}) == nil {
			t.Fatalf("revision %d is not kept", n+1)
		}
	}
	if s := rec.Stats(); s.Tables != 1000 || s.NewestRev.Revision != 1000 {
		t.Errorf("%d tables are kept up to revision %d, want each once, the newest last", s.Tables, s.NewestRev.Revision)
	}
}
