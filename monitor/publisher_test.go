package monitor

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-pay/sluice/statemachine"
)

// cluster is some replicas that share an exchange.
type cluster struct {
	exchange *MemoryExchange
	replicas []*member
}

type member struct {
	name   string
	boot   uint64
	faulty *faultyStore
	*Counters
	*Publisher
}

var errStore = errors.New("the store does not answer")

// faultyStore answers nothing while down; what it was asked may still be carried out.
type faultyStore struct {
	Exchange
	Claims
	down, late bool
}

func (f *faultyStore) Publish(ctx context.Context, r *Row) error {
	if !f.down {
		return f.Exchange.Publish(ctx, r)
	}
	if f.late {
		f.Exchange.Publish(ctx, r)
	}
	return errStore
}

func (f *faultyStore) Claim(ctx context.Context, second, now int64, claims []Claim) ([]ClaimAnswer, error) {
	if !f.down {
		return f.Claims.Claim(ctx, second, now, claims)
	}
	if f.late {
		f.Claims.Claim(ctx, second, now, claims)
	}
	answers := make([]ClaimAnswer, len(claims))
	for i := range answers {
		answers[i].Verdict = Unverified
	}
	return answers, errStore
}

func newCluster(tb testing.TB, n int) *cluster {
	tb.Helper()
	c := &cluster{exchange: NewMemoryExchange()}
	for i := range n {
		c.start(tb, fmt.Sprintf("r%d", i), 1)
	}
	return c
}

func (c *cluster) start(tb testing.TB, name string, boot uint64) *member {
	tb.Helper()
	f := &faultyStore{Exchange: c.exchange, Claims: NewMemoryClaims(c.exchange, name, boot)}
	m := &member{name: name, boot: boot, faulty: f, Counters: newTestCounters(tb, CountersOptions{Claims: true})}
	m.Publisher = NewPublisher(f, f, m.Counters)
	c.replicas = append(c.replicas, m)
	return m
}

// tick closes a second and publishes it.
func (m *member) tick(second int64) error {
	var rows []*Row
	for _, s := range m.Close(second) {
		rows = append(rows, &Row{Replica: m.name, Boot: m.boot, Counts: s})
	}
	return m.Publish(context.Background(), rows, second+1)
}

// sum adds up what was published in seconds from t0 to last.
func (c *cluster) sum(tb interface{ Fatal(args ...any) }, last int64) map[statemachine.Scope]ItemCounts {
	all := map[statemachine.Scope]ItemCounts{}
	for s := t0; s <= last; s++ {
		rows, err := c.exchange.Read(context.Background(), s)
		if err != nil {
			tb.Fatal(err)
		}
		sum := Sum(rows)
		for _, item := range sum.Items {
			at := all[item.Item]
			at.Item = item.Item
			at.add(&item)
			all[item.Item] = at
		}
	}
	return all
}

func TestInvariant07_TwoReplicasToldOfOneAttemptCountItOnce(t *testing.T) {
	c := newCluster(t, 2)
	for _, m := range c.replicas {
		m.Count(report(1, statemachine.TimedOut), t0)
		m.Count(report(100+m.boot, statemachine.Succeeded), t0)
	}
	for s := t0; s < t0+3; s++ {
		for _, m := range c.replicas {
			if err := m.tick(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := c.sum(t, t0+2)[testItems()[0]]
	if got.Totals[statemachine.TimedOut] != 1 || got.Totals[statemachine.Succeeded] != 1 || got.Evidence[0].Bad != 1 || got.Evidence[0].Answered() != 2 {
		t.Errorf("the sum is %+v, want one timed out and one succeeded", got)
	}
	if b := c.replicas[1].Books(); b.Duplicate != 2 || b.Applied != 0 || !b.Balanced() {
		t.Errorf("the loser's books %+v, want two duplicates", b)
	}
	if b := c.replicas[0].Books(); b.Applied != 2 || b.Unverified != 0 || !b.Balanced() {
		t.Errorf("the winner's books %+v, want two applied", b)
	}
}

func TestAFinalCorrectsWhatAnotherReplicaCounted(t *testing.T) {
	c := newCluster(t, 2)
	c.replicas[0].Count(report(1, statemachine.TimedOut), t0)
	final := report(1, statemachine.Succeeded)
	final.Final = true
	c.replicas[1].Count(final, t0+1)
	for s := t0; s < t0+3; s++ {
		for _, m := range c.replicas {
			if err := m.tick(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := c.sum(t, t0+2)[testItems()[0]]
	if e := outcomes(got.Totals[:]); e != "SUCCEEDED=1" {
		t.Errorf("totals %s, want SUCCEEDED=1", e)
	}
	if e := outcomes(got.Evidence[0].Outcomes[:]); e != "TIMED_OUT=1" {
		t.Errorf("evidence %s, want the first result alone", e)
	}
	if b := c.replicas[1].Books(); b.Corrected != 1 || b.Applied != 0 || !b.Balanced() {
		t.Errorf("books %+v, want one corrected", b)
	}
	contradiction := report(1, statemachine.ChannelFailed)
	contradiction.Final = true
	c.replicas[0].Count(contradiction, t0+3)
	if err := c.replicas[0].tick(t0 + 3); err != nil {
		t.Fatal(err)
	}
	if b, list := c.replicas[0].Books(), c.replicas[0].Contradictions(); b.Contradictions != 1 || len(list) != 1 || list[0].Kept != statemachine.Succeeded ||
		list[0].Scope != testItems()[0] {
		t.Errorf("books %+v, contradictions %+v: want the other replica's final kept and people told", b, list)
	}
}

func TestInvariant08_WhatADeadReplicaClaimedIsTakenOver(t *testing.T) {
	c := newCluster(t, 2)
	dead, alive := c.replicas[0], c.replicas[1]
	dead.Count(report(1, statemachine.TimedOut), t0)
	dead.Close(t0)
	claims := dead.TakeClaims()[0].Claims()
	if _, err := dead.faulty.Claims.Claim(t.Context(), t0, t0+1, claims); err != nil { // and dies before it publishes
		t.Fatal(err)
	}
	alive.Count(report(1, statemachine.TimedOut), t0)
	for s := t0; s < t0+6; s++ {
		if err := alive.tick(s); err != nil {
			t.Fatal(err)
		}
		want := int32(0)
		if s > t0+3 { // asked again at t0+4, counted in the second that is open then
			want = 1
		}
		if got := c.sum(t, s)[testItems()[0]].Totals[statemachine.TimedOut]; got != want {
			t.Errorf("after second %d: %d counted, want %d", s-t0, got, want)
		}
	}
	if b := alive.Books(); b.Applied != 1 || b.Duplicate != 0 || !b.Balanced() {
		t.Errorf("books %+v", b)
	}
	// The dead one was only frozen: its row must not count the attempt a second time.
	row := &Row{Replica: dead.name, Boot: dead.boot, Counts: SecondCounts{Second: t0}}
	if err := dead.faulty.Publish(t.Context(), row); !errors.Is(err, ErrFenced) {
		t.Errorf("publishing after the takeover: %v, want ErrFenced", err)
	}
}

func TestInvariant07_AFrozenReplicaLosesWhatWasTakenOver(t *testing.T) {
	c := newCluster(t, 2)
	frozen, alive := c.replicas[0], c.replicas[1]
	frozen.Count(report(1, statemachine.TimedOut), t0)
	frozen.Count(report(2, statemachine.Succeeded), t0)
	frozen.faulty.down, frozen.faulty.late = true, true
	frozen.faulty.Exchange = lost{c.exchange} // claims arrive, the row does not
	if err := frozen.tick(t0); !errors.Is(err, errStore) {
		t.Fatalf("tick of a frozen store: %v", err)
	}
	alive.Count(report(1, statemachine.TimedOut), t0)
	for s := t0; s < t0+6; s++ {
		if err := alive.tick(s); err != nil {
			t.Fatal(err)
		}
	}
	if frozen.Waiting() != 1 || frozen.Books().Unverified != 2 {
		t.Errorf("waiting %d, books %+v: want one second and two unverified results", frozen.Waiting(), frozen.Books())
	}
	frozen.faulty.down, frozen.faulty.Exchange = false, c.exchange
	if err := frozen.tick(t0 + 6); err != nil {
		t.Fatal(err)
	}
	got := c.sum(t, t0+7)[testItems()[0]]
	if e := outcomes(got.Totals[:]); e != "SUCCEEDED=1 TIMED_OUT=1" {
		t.Errorf("totals %s, want each attempt once", e)
	}
	if b := frozen.Books(); b.Applied != 1 || b.Duplicate != 1 || b.Unverified != 0 || frozen.Waiting() != 0 {
		t.Errorf("books %+v, waiting %d", b, frozen.Waiting())
	}
}

func TestInvariant07_WhatAnOutageLeftUnverifiedIsSettledAfterIt(t *testing.T) {
	c := newCluster(t, 2)
	for s := t0; s < t0+200; s++ {
		for i, m := range c.replicas {
			m.Count(report(uint64(s), statemachine.TimedOut), s)
			m.faulty.down = true
			m.faulty.late = i == 0 // of the first everything arrives, unknown to it
			if err := m.tick(s); !errors.Is(err, errStore) {
				t.Fatalf("tick without a store: %v", err)
			}
		}
	}
	for s := t0 + 200; s < t0+210; s++ {
		for _, m := range c.replicas {
			m.faulty.down = false
			if err := m.tick(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := c.sum(t, t0+210)[testItems()[0]]; got.Totals[statemachine.TimedOut] != 200 || got.Evidence[0].Bad != 200 {
		t.Errorf("200 attempts count as %+v", got)
	}
	for _, m := range c.replicas {
		if b := m.Books(); b.Unverified != 0 || m.Waiting() != 0 || !b.Balanced() {
			t.Errorf("%s: %d seconds waiting, books %+v", m.name, m.Waiting(), b)
		}
	}
}

// lost is an exchange whose rows go astray.
type lost struct{ Exchange }

func (lost) Publish(context.Context, *Row) error { return nil }

func TestDisownTakesOutEverythingAResultEntered(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		build := func(skip map[int]bool, reports []*Report) (SecondCounts, *Counters) {
			c := newTestCounters(t, CountersOptions{Claims: true})
			for i, r := range reports {
				if !skip[i] {
					c.Count(r, t0)
				}
			}
			return c.Close(t0)[0], c
		}
		var reports []*Report
		skip := map[int]bool{}
		for i := range rapid.IntRange(1, 30).Draw(rt, "reports") {
			r := report(uint64(i+1), statemachine.Outcome(rapid.IntRange(0, int(statemachine.NumOutcomes)).Draw(rt, "outcome")))
			r.Items[4] = rapid.SampledFrom([]int32{4, 5, NoItem}).Draw(rt, "instrument")
			r.Kinds[4] = statemachine.LaneKind(rapid.IntRange(0, 2).Draw(rt, "kind"))
			r.Evidence[0] = rapid.Bool().Draw(rt, "evidence")
			r.Coded = rapid.Bool().Draw(rt, "coded")
			r.Reporter = uint64(rapid.IntRange(0, 70).Draw(rt, "reporter"))
			r.LatencyMillis = uint32(rapid.IntRange(0, 100000).Draw(rt, "latency"))
			r.Age = int32(rapid.IntRange(-1, 200).Draw(rt, "age"))
			r.Reason = rapid.SampledFrom([]string{"A", "B", "", "C"}).Draw(rt, "reason")
			reports = append(reports, r)
			skip[i] = rapid.Bool().Draw(rt, "lost")
		}
		want, _ := build(skip, reports)
		got, c := build(nil, reports)
		claims := c.TakeClaims()[0]
		answers := make([]ClaimAnswer, claims.Len())
		for i := range answers {
			if skip[i] {
				answers[i] = ClaimAnswer{Verdict: Lost, Known: true, Prior: statemachine.Succeeded}
			}
		}
		c.Disown(claims, answers, &got)
		got.Reporters = want.Reporters // everyone who reported anything, duplicates too
		got.Revision = want.Revision
		if len(got.Items) == 0 {
			got.Items = nil
		}
		if !reflect.DeepEqual(got, want) {
			rt.Fatalf("left %+v\nwant %+v", got, want)
		}
		if b := c.Books(); !b.Balanced() || b.Duplicate != uint64(len(slices.DeleteFunc(answers, func(a ClaimAnswer) bool { return a.Verdict != Lost }))) {
			rt.Fatalf("books %+v", b)
		}
	})
}

func TestInvariant07_EveryAttemptCountsOnceOnAnyNumberOfReplicas(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := newCluster(t, 3)
		told := map[uint64][]Claim{}
		faults := rapid.Bool().Draw(rt, "faults")
		seconds := rapid.Int64Range(1, 12).Draw(rt, "seconds")
		for s := t0; s < t0+seconds; s++ {
			for range rapid.IntRange(0, 6).Draw(rt, "deliveries") {
				r := report(uint64(rapid.IntRange(1, 4).Draw(rt, "attempt")), rapid.SampledFrom([]statemachine.Outcome{
					statemachine.Pending, statemachine.Succeeded, statemachine.TimedOut, statemachine.ChannelFailed,
				}).Draw(rt, "outcome"))
				r.Final = rapid.Bool().Draw(rt, "final")
				c.replicas[rapid.IntRange(0, 2).Draw(rt, "replica")].Count(r, s)
				told[r.Attempt] = append(told[r.Attempt], Claim{Outcome: r.Outcome})
			}
			for i := range 3 {
				m := c.replicas[(i+int(s))%3]
				if faults {
					m.faulty.down, m.faulty.late = rapid.Bool().Draw(rt, "down"), rapid.Bool().Draw(rt, "late")
				}
				m.tick(s)
			}
		}
		last := t0 + seconds + 10
		for s := t0 + seconds; s <= last; s++ {
			for _, m := range c.replicas {
				m.faulty.down = false
				if err := m.tick(s); err != nil {
					rt.Fatal(err)
				}
			}
		}
		checkOnce(rt, c, told, last, faults)
	})
}

// checkOnce fails unless the sums say each attempt once, by an outcome it was told with, and all books balance.
func checkOnce(rt *rapid.T, c *cluster, told map[uint64][]Claim, last int64, faults bool) {
	got := c.sum(rt, last)[testItems()[0]]
	n, results, withResult := int32(0), uint32(0), uint32(0)
	for o, k := range got.Totals {
		n += k
		if k < 0 {
			rt.Fatalf("totals %s", outcomes(got.Totals[:]))
		}
		if statemachine.Outcome(o) != statemachine.Pending {
			results += got.Evidence[0].Outcomes[o]
		}
	}
	for _, list := range told {
		if slices.ContainsFunc(list, func(c Claim) bool { return c.Outcome != statemachine.Pending }) {
			withResult++
		}
	}
	if n != int32(len(told)) {
		rt.Fatalf("%d attempts count as %d: %s", len(told), n, outcomes(got.Totals[:]))
	}
	if !faults && results != withResult { // with faults, what was unverified when its second was published may be evidence twice
		rt.Fatalf("%d attempts with a result are %d results in evidence", withResult, results)
	}
	for _, m := range c.replicas {
		if b := m.Books(); !b.Balanced() || b.Unverified != 0 || m.Waiting() != 0 || len(m.asked) != 0 {
			rt.Fatalf("%s: books %+v, %d seconds waiting, %d asked", m.name, b, m.Waiting(), len(m.asked))
		}
	}
}
