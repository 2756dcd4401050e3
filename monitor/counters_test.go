package monitor

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-pay/sluice/statemachine"
)

const t0 = int64(1_700_000_000)

func testItems() []statemachine.Scope {
	return []statemachine.Scope{
		statemachine.ChannelScope("c1"),
		statemachine.BusinessScope("c1", statemachine.Collect),
		statemachine.MethodScope("c1", "QUICKPAY"),
		statemachine.AccountScope("c1", "a1"),
		statemachine.InstrumentScope("c1", bank("ICBC")),
		statemachine.InstrumentScope("c1", bank("CCB")),
	}
}

func bank(name string) statemachine.Instrument {
	return statemachine.Instrument{Method: "QUICKPAY", Bank: name, CardType: "DEBIT"}
}

func newTestCounters(tb testing.TB, o CountersOptions) *Counters {
	tb.Helper()
	c := NewCounters(o)
	if err := c.SetItems(testItems()); err != nil {
		tb.Fatal(err)
	}
	return c
}

// report is a normal report of ICBC's instrument, evidence for all items.
func report(attempt uint64, o statemachine.Outcome) *Report {
	return &Report{
		Attempt: attempt, Items: [5]int32{0, 1, 2, 3, 4}, Evidence: [5]bool{true, true, true, true, true},
		Outcome: o, Age: 1, Payer: attempt, Reporter: 3, Revision: 7, LatencyMillis: 300, Reason: "E1",
	}
}

func find(tb testing.TB, s SecondCounts, item statemachine.Scope) ItemCounts {
	tb.Helper()
	for _, c := range s.Items {
		if c.Item == item {
			return c
		}
	}
	tb.Fatalf("second %d has no item %s", s.Second, item)
	return ItemCounts{}
}

func TestCountersDispositions(t *testing.T) {
	type delivery struct {
		outcome statemachine.Outcome
		final   bool
		want    Disposition
	}
	const p, f = false, true
	tests := []struct {
		name       string
		deliveries []delivery
		evidence   string // outcomes in evidence
		totals     string
		contradict int
	}{
		{"one result", []delivery{{statemachine.Succeeded, p, Applied}}, "SUCCEEDED=1", "SUCCEEDED=1", 0},
		{"a repeated result", []delivery{{statemachine.Succeeded, p, Applied}, {statemachine.Succeeded, p, Duplicate}}, "SUCCEEDED=1", "SUCCEEDED=1", 0},
		{"another provisional result changes nothing", []delivery{{statemachine.TimedOut, p, Applied}, {statemachine.Succeeded, p, Duplicate}}, "TIMED_OUT=1", "TIMED_OUT=1", 0},
		{"pending then result", []delivery{{statemachine.Pending, p, Applied}, {statemachine.ChannelFailed, p, Corrected}}, "PENDING=1 CHANNEL_FAILED=1", "CHANNEL_FAILED=1", 0},
		{"pending then final", []delivery{{statemachine.Pending, p, Applied}, {statemachine.Succeeded, f, Corrected}}, "SUCCEEDED=1 PENDING=1", "SUCCEEDED=1", 0},
		{"pending twice", []delivery{{statemachine.Pending, p, Applied}, {statemachine.Pending, f, Duplicate}}, "PENDING=1", "PENDING=1", 0},
		{"late pending", []delivery{{statemachine.Succeeded, p, Applied}, {statemachine.Pending, p, Duplicate}}, "SUCCEEDED=1", "SUCCEEDED=1", 0},
		{"final corrects the totals alone", []delivery{{statemachine.TimedOut, p, Applied}, {statemachine.Succeeded, f, Corrected}}, "TIMED_OUT=1", "SUCCEEDED=1", 0},
		{"final confirms", []delivery{{statemachine.Succeeded, p, Applied}, {statemachine.Succeeded, f, Corrected}, {statemachine.Succeeded, f, Duplicate}}, "SUCCEEDED=1", "SUCCEEDED=1", 0},
		{"final first", []delivery{{statemachine.Succeeded, f, Applied}, {statemachine.TimedOut, p, Duplicate}}, "SUCCEEDED=1", "SUCCEEDED=1", 0},
		{"contradicting finals", []delivery{{statemachine.Succeeded, f, Applied}, {statemachine.ChannelFailed, f, Duplicate}}, "SUCCEEDED=1", "SUCCEEDED=1", 1},
		{"final corrects once", []delivery{{statemachine.TimedOut, p, Applied}, {statemachine.Succeeded, f, Corrected}, {statemachine.ChannelFailed, f, Duplicate}}, "TIMED_OUT=1", "SUCCEEDED=1", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newTestCounters(t, CountersOptions{})
			for i, d := range tt.deliveries {
				r := report(1, d.outcome)
				r.Final = d.final
				if got := c.Count(r, t0); got != d.want {
					t.Errorf("delivery %d: %s, want %s", i, got, d.want)
				}
			}
			closed := c.Close(t0)[0]
			for _, item := range testItems()[:5] {
				got := find(t, closed, item)
				if e := outcomes(got.Evidence[statemachine.KindNormal].Outcomes[:]); e != tt.evidence {
					t.Errorf("%s: evidence %q, want %q", item, e, tt.evidence)
				}
				if e := outcomes(got.Totals[:]); e != tt.totals {
					t.Errorf("%s: totals %q, want %q", item, e, tt.totals)
				}
			}
			if n := len(c.Contradictions()); n != tt.contradict {
				t.Errorf("%d contradictions, want %d", n, tt.contradict)
			}
			if b := c.Books(); !b.Balanced() || b.Deliveries != uint64(len(tt.deliveries)) || b.Applied != 1 {
				t.Errorf("books %+v", b)
			}
		})
	}
}

func outcomes[N int32 | uint32](list []N) string {
	var parts []string
	for o, n := range list {
		if n != 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", statemachine.Outcome(o), n))
		}
	}
	return strings.Join(parts, " ")
}

func TestCountersHealthMeanings(t *testing.T) {
	channel, account := testItems()[0], testItems()[3]
	tests := []struct {
		name    string
		outcome statemachine.Outcome
		coded   bool
		item    statemachine.Scope
		want    Tally // outcomes left out
	}{
		{"user declines are good", statemachine.UserDeclined, true, channel, Tally{}},
		{"coded failure", statemachine.ChannelFailed, true, channel, Tally{Bad: 2, BadPayers: 2, CodedBad: 2}},
		{"uncoded failure names its reporters", statemachine.TimedOut, false, channel, Tally{Bad: 2, BadPayers: 2, Reporters: 1 << 3}},
		{"unmapped counts half", statemachine.OutcomeUnmapped, true, channel, Tally{Half: 2, HalfPayers: 2}},
		{"throttled says nothing", statemachine.Throttled, true, channel, Tally{}},
		{"our account is no fault of the channel", statemachine.AccountFailed, true, channel, Tally{}},
		{"our account is bad", statemachine.AccountFailed, true, account, Tally{Bad: 2, BadPayers: 2, CodedBad: 2}},
		{"an unknown outcome is in doubt", statemachine.NumOutcomes + 3, false, channel, Tally{Bad: 2, BadPayers: 2, Reporters: 1 << 3}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newTestCounters(t, CountersOptions{})
			for i := range uint64(2) {
				r := report(i+1, tt.outcome)
				r.Coded = tt.coded
				c.Count(r, t0)
			}
			got := find(t, c.Close(t0)[0], tt.item).Evidence[statemachine.KindNormal]
			got.Outcomes = tt.want.Outcomes
			if got != tt.want {
				t.Errorf("%s: %+v, want %+v", tt.item, got, tt.want)
			}
		})
	}
}

func TestCountersOnePayerIsOnePieceOfEvidence(t *testing.T) {
	c := newTestCounters(t, CountersOptions{})
	count := func(attempt, payer uint64, second int64) {
		r := report(attempt, statemachine.ChannelFailed)
		r.Payer = payer
		c.Count(r, second)
	}
	for i := range uint64(8) { // a retry storm
		count(i+1, 77, t0+int64(i))
	}
	count(20, 78, t0+8)
	count(21, 77, t0+119)
	count(22, 77, t0+120)
	var bad, payers []uint32
	for _, s := range c.Close(t0 + 120) {
		if len(s.Items) > 0 {
			tally := s.Items[0].Evidence[statemachine.KindNormal]
			bad, payers = append(bad, tally.Bad), append(payers, tally.BadPayers)
		}
	}
	if want := []uint32{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}; !slices.Equal(bad, want) {
		t.Errorf("bad by second %v, want %v", bad, want)
	}
	if want := []uint32{1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1}; !slices.Equal(payers, want) {
		t.Errorf("bad by distinct payer by second %v, want %v", payers, want)
	}
}

func TestCountersWithoutPayerKeyUseThePayment(t *testing.T) {
	c := newTestCounters(t, CountersOptions{})
	for i := range uint64(3) {
		r := report(i+1, statemachine.ChannelFailed)
		r.Payer, r.Payment = 0, 5
		c.Count(r, t0)
	}
	if got := c.Close(t0)[0].Items[0].Evidence[statemachine.KindNormal].BadPayers; got != 1 {
		t.Errorf("three attempts of one payment count as %d payers, want 1", got)
	}
}

func TestCountersWithoutEvidenceCountTotalsOnly(t *testing.T) {
	c := newTestCounters(t, CountersOptions{})
	r := report(1, statemachine.ChannelFailed)
	r.Evidence = [5]bool{4: true}
	r.Kinds[4] = statemachine.KindRamp
	r.Items[3] = NoItem
	c.Count(r, t0)
	s := c.Close(t0)[0]
	if len(s.Items) != 4 {
		t.Errorf("%d items, want 4: the account does not apply", len(s.Items))
	}
	if got := find(t, s, testItems()[0]); got.Evidence != [statemachine.NumLaneKinds]Tally{} || got.Totals[statemachine.ChannelFailed] != 1 {
		t.Errorf("channel: %+v, want totals and no evidence", got)
	}
	if got := find(t, s, testItems()[4]).Evidence; got[statemachine.KindRamp].Bad != 1 || got[statemachine.KindNormal].Bad != 0 {
		t.Errorf("instrument: %+v, want one bad of kind ramp", got)
	}
}

func TestCountersReasons(t *testing.T) {
	c := newTestCounters(t, CountersOptions{})
	n := uint64(0)
	for i := range 40 {
		for range 40 - i {
			n++
			r := report(n, statemachine.ChannelFailed)
			r.Reason = fmt.Sprintf("E%02d", i)
			c.Count(r, t0)
		}
	}
	r := report(n+1, statemachine.UserDeclined)
	r.Reason = "NO_MONEY"
	c.Count(r, t0)
	got := c.Close(t0)[0].Items[0].Reasons
	if len(got) != MaxReasons || got[0].Reason != OtherReason || got[1] != (statemachine.ReasonCount{Reason: "E00", N: 40}) {
		t.Errorf("reasons %v, want %d of them, OTHER and E00 first", got, MaxReasons)
	}
	for _, r := range got {
		if r.Reason == "NO_MONEY" {
			t.Error("the reason of a good result is among the causes of bad ones")
		}
	}
}

func TestCountersLateTickClosesByReceiptTime(t *testing.T) {
	c := newTestCounters(t, CountersOptions{})
	c.Close(t0 - 1)
	c.Count(report(1, statemachine.Succeeded), t0)
	c.Count(report(2, statemachine.Succeeded), t0+2)
	c.Count(report(3, statemachine.Succeeded), t0+3)
	c.AddRouter(t0+2, nil, nil, []statemachine.SentCount{{Item: testItems()[0], Kind: statemachine.KindProbe, N: 4}})
	var got []string
	for _, s := range c.Close(t0 + 2) {
		n := int32(0)
		if len(s.Items) > 0 {
			n = s.Items[0].Totals[statemachine.Succeeded]
		}
		got = append(got, fmt.Sprintf("%d:%d", s.Second-t0, n))
	}
	if want := []string{"0:1", "1:0", "2:1"}; !slices.Equal(got, want) {
		t.Errorf("closed %v, want %v", got, want)
	}
	c.Count(report(4, statemachine.Succeeded), t0+1) // a clock that stepped back
	s := c.Close(t0 + 3)
	if len(s) != 1 || s[0].Items[0].Totals[statemachine.Succeeded] != 2 || s[0].Revision != 7 {
		t.Errorf("closed %+v, want second 3 with both", s)
	}
}

func TestCountersSetItems(t *testing.T) {
	c := newTestCounters(t, CountersOptions{})
	items := testItems()
	if err := c.SetItems(items[1:]); err == nil {
		t.Error("a shorter list was taken")
	}
	if err := c.SetItems(append(slices.Clone(items), items[0])); err == nil {
		t.Error("an item given twice was taken")
	}
	more := append(slices.Clone(items), statemachine.ChannelScope("c2"))
	if err := c.SetItems(more); err != nil {
		t.Fatal(err)
	}
	r := report(1, statemachine.Succeeded)
	r.Items = [5]int32{6, 99, NoItem, NoItem, NoItem}
	if d := c.Count(r, t0); d != Applied {
		t.Errorf("%s, want applied", d)
	}
	if s := c.Close(t0)[0]; len(s.Items) != 1 || s.Items[0].Item != more[6] {
		t.Errorf("%+v, want c2 alone", s.Items)
	}
}

// model is what Counters promise, written without any bound or reuse.
type model struct {
	known  map[uint64]statemachine.Outcome
	final  map[uint64]bool
	payers map[[2]uint64]int64
	books  Books
	bad    map[int64]map[statemachine.Scope][3]uint32 // second → item → bad, by payer, good
	totals map[statemachine.Scope]map[statemachine.Outcome]int32
}

func (m *model) count(r *Report, items []statemachine.Scope, second int64) {
	m.books.Deliveries++
	old, known := m.known[r.Attempt]
	final := r.Final && r.Outcome != statemachine.Pending
	var evidence bool
	switch {
	case !known:
		m.books.Applied++
		evidence = true
	case r.Outcome == statemachine.Pending || m.final[r.Attempt] || !final && old != statemachine.Pending:
		m.books.Duplicate++
		if final && m.final[r.Attempt] && old != r.Outcome {
			m.books.Contradictions++
		}
		return
	default:
		m.books.Corrected++
		evidence = old == statemachine.Pending
	}
	m.known[r.Attempt], m.final[r.Attempt] = r.Outcome, final
	m.enter(r, items, second, old, known, evidence)
}

func (m *model) enter(r *Report, items []statemachine.Scope, second int64, old statemachine.Outcome, known, evidence bool) {
	for _, i := range r.Items {
		item := items[i]
		if m.totals[item] == nil {
			m.totals[item] = make(map[statemachine.Outcome]int32)
		}
		m.totals[item][r.Outcome]++
		if known {
			m.totals[item][old]--
		}
		if !evidence {
			continue
		}
		if m.bad[second] == nil {
			m.bad[second] = map[statemachine.Scope][3]uint32{}
		}
		n := m.bad[second][item]
		switch h := r.Outcome.Health(); {
		case h == statemachine.HealthGood:
			n[2]++
		case h == statemachine.HealthBad, h == statemachine.HealthAccountBad && item.Kind == statemachine.ScopeAccount:
			n[0]++
			key := [2]uint64{r.Payer, uint64(i)}
			if at, ok := m.payers[key]; !ok || second-at >= payerWindow {
				m.payers[key] = second
				n[1]++
			}
		}
		m.bad[second][item] = n
	}
}

// drawReports counts random deliveries, with repeats and in any order, into counters and model.
func drawReports(t *rapid.T, c *Counters, m *model) int64 {
	outs := []statemachine.Outcome{
		statemachine.Succeeded, statemachine.Pending, statemachine.UserDeclined, statemachine.ChannelFailed,
		statemachine.AccountFailed, statemachine.TimedOut, statemachine.Throttled,
	}
	second := t0
	for range rapid.IntRange(1, 150).Draw(t, "deliveries") {
		second += int64(rapid.SampledFrom([]int{0, 0, 0, 1, 2, 40, 130}).Draw(t, "seconds"))
		if rapid.IntRange(0, 9).Draw(t, "reject") == 0 {
			c.Reject()
			m.books.Deliveries++
			m.books.Rejected++
			continue
		}
		r := report(rapid.Uint64Range(1, 30).Draw(t, "attempt"), rapid.SampledFrom(outs).Draw(t, "outcome"))
		r.Final = rapid.Bool().Draw(t, "final")
		r.Payer = rapid.Uint64Range(1, 6).Draw(t, "payer")
		r.Items[4] = rapid.Int32Range(4, 5).Draw(t, "instrument")
		c.Count(r, second)
		m.count(r, testItems(), second)
	}
	return second
}

func newModel() *model {
	return &model{
		known: map[uint64]statemachine.Outcome{}, final: map[uint64]bool{}, payers: map[[2]uint64]int64{},
		bad: map[int64]map[statemachine.Scope][3]uint32{}, totals: map[statemachine.Scope]map[statemachine.Outcome]int32{},
	}
}

func TestInvariant07_NoReportIsCountedTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, m := NewCounters(CountersOptions{}), newModel()
		_ = c.SetItems(testItems())
		last := drawReports(t, c, m)
		totals := map[statemachine.Scope]map[statemachine.Outcome]int32{}
		for _, s := range c.Close(last) {
			for _, i := range s.Items {
				tally := i.Evidence[statemachine.KindNormal]
				if got, want := [3]uint32{tally.Bad, tally.BadPayers, tally.Good()}, m.bad[s.Second][i.Item]; got != want {
					t.Fatalf("second %d %s: bad, by payer, good %v, want %v", s.Second-t0, i.Item, got, want)
				}
				delete(m.bad[s.Second], i.Item)
				if totals[i.Item] == nil {
					totals[i.Item] = make(map[statemachine.Outcome]int32)
				}
				for o, n := range i.Totals {
					totals[i.Item][statemachine.Outcome(o)] += n
				}
			}
		}
		for second, items := range m.bad {
			for item, n := range items {
				if n != [3]uint32{} {
					t.Fatalf("second %d %s was lost: %v", second-t0, item, n)
				}
			}
		}
		for item, want := range m.totals {
			sum := int32(0)
			for o := range statemachine.NumOutcomes {
				if got := totals[item][o]; got != want[o] {
					t.Fatalf("%s %s: total %d, want %d", item, o, got, want[o])
				}
				sum += want[o]
			}
			if item.Kind == statemachine.ScopeChannel && uint64(sum) != c.Books().Applied {
				t.Fatalf("%s: totals of %d, %d attempts applied", item, sum, c.Books().Applied)
			}
		}
	})
}

func TestInvariant08_NoReportIsLostSilently(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, m := NewCounters(CountersOptions{}), newModel()
		_ = c.SetItems(testItems())
		drawReports(t, c, m)
		if got := c.Books(); got != m.books || !got.Balanced() {
			t.Fatalf("books %+v, want %+v", got, m.books)
		}
	})
}

func TestInvariant08_BoundedMemoryTurnsOldReportsLate(t *testing.T) {
	c := newTestCounters(t, CountersOptions{DuplicateSlots: firstSlots, DuplicateWindow: 1 << 40})
	n := uint64(0)
	for second := t0; second < t0+100; second++ {
		for range 50 {
			n++
			c.Count(report(n, statemachine.Succeeded), second)
		}
	}
	window := c.DuplicateWindow(t0 + 99)
	if window < 14 || window > 32 { // 768 entries a generation at 50 a second
		t.Fatalf("the window achieved is %d s, want one to two generations of 15 s", window)
	}
	for attempt := uint64(1); attempt <= n; attempt++ { // every report once more
		sent := t0 + int64(attempt-1)/50
		r := report(attempt, statemachine.Succeeded)
		r.Age = int32(t0 + 99 - sent)
		d := c.Count(r, t0+99)
		if d != Duplicate && d != Late {
			t.Fatalf("attempt %d of second %d: %s, it was counted twice", attempt, sent-t0, d)
		}
		if int64(r.Age) < window && d != Duplicate {
			t.Fatalf("attempt %d is %d s old, within the window of %d s: %s, want duplicate", attempt, r.Age, window, d)
		}
	}
	if b := c.Books(); !b.Balanced() || b.Applied != n || b.Late == 0 || b.Duplicate == 0 {
		t.Errorf("books %+v", b)
	}
}

func TestCountersCountAllIsCount(t *testing.T) {
	one, all := newTestCounters(t, CountersOptions{}), newTestCounters(t, CountersOptions{})
	batch := []Report{*report(1, statemachine.Succeeded), *report(1, statemachine.Succeeded), *report(2, statemachine.TimedOut)}
	out := make([]Disposition, len(batch))
	all.CountAll(batch, t0, out)
	for i := range batch {
		if d := one.Count(&batch[i], t0); d != out[i] {
			t.Errorf("report %d: %s in the batch, %s alone", i, out[i], d)
		}
	}
	if a, b := one.Close(t0), all.Close(t0); !reflect.DeepEqual(a, b) {
		t.Errorf("batch %+v, alone %+v", b, a)
	}
}

func TestLatencyBucketsFollowTheirBounds(t *testing.T) {
	for _, bound := range LatencyBounds {
		if a, b := latencyBucket(bound), latencyBucket(bound+1); b != a+1 || LatencyBounds[a] != bound {
			t.Errorf("%d ms falls into bucket %d and %d ms into %d", bound, a, bound+1, b)
		}
	}
	if latencyBucket(1<<31) != NumLatencyBuckets-1 {
		t.Error("the last bucket is not open")
	}
}

func BenchmarkCount(b *testing.B) {
	c := newTestCounters(b, CountersOptions{})
	r := report(1, statemachine.Succeeded)
	c.Count(r, t0)
	b.Run("five-items", func(b *testing.B) { // without the duplicate check
		b.ReportAllocs()
		s := c.at(t0)
		for b.Loop() {
			c.mu.Lock()
			c.apply(s, r, statemachine.Succeeded, change{evidence: true})
			c.mu.Unlock()
		}
	})
	n := uint64(0)
	next := func() {
		n++
		r.Attempt = n * 0xD6E8FEB86659FD93
		c.Count(r, t0+int64(n>>16))
	}
	for range 1 << 20 { // both generations at their full size
		next()
	}
	b.Run("with-duplicate-check", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			next()
		}
	})
	b.Run("with-claims", func(b *testing.B) { // what a second replica costs
		b.ReportAllocs()
		c := newTestCounters(b, CountersOptions{Claims: true})
		r := report(1, statemachine.Succeeded)
		for b.Loop() {
			n++
			r.Attempt = n * 0xD6E8FEB86659FD93
			second := t0 + int64(n>>14)
			if n&(1<<14-1) == 0 {
				c.Close(second - 1)
				c.TakeClaims()
			}
			c.Count(r, second)
		}
	})
	b.Run("bad-with-duplicate-check", func(b *testing.B) {
		b.ReportAllocs()
		r := report(1, statemachine.TimedOut)
		for b.Loop() {
			n++
			r.Attempt, r.Payer = n*0xD6E8FEB86659FD93, n
			c.Count(r, t0+int64(n>>16))
		}
	})
}
