package routing

import (
	"cmp"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/sluice-pay/sluice/statemachine"
)

// Recent yields recent requests, each with the second it was decided in and what live counters said, until yield returns false;
// (*Recorder).Recent is one. What is yielded is valid until yield returns.
type Recent func(yield func(q *Request, second int64, a Admission) bool)

// TrafficDiff says what a table would have changed for recent requests.
type TrafficDiff struct {
	Sample uint64            // requests for which one of the tables has a channel
	Moved  uint64            // of them to another channel, or to or from none
	Since  int64             // second of the oldest of them, 0 without any
	Shifts []TrafficShift    // where they move, greatest first
	Taken  map[string]uint64 // requests that took a channel before, by channel
}

// TrafficShift is what moves of one bank from one channel to another.
type TrafficShift struct {
	Bank      string // empty where the method knows no banks
	From      string // empty = was refused
	To        string // empty = is refused
	Decisions uint64
	OfBank    uint64 // requests of the sample that are of this bank
}

// CompareTraffic decides recent requests by two tables, which should have the same states and scores, and tells what moves. What
// live counters said of a channel holds for both tables. Of a channel they were not asked about, a ramp takes its share, by a
// hash of the payment, and probing takes nothing. Payments lifted as probes are decided as if they were not.
func CompareTraffic(before, after *Table, recent Recent) *TrafficDiff {
	c := &comparison{
		before: before, after: after, out: &TrafficDiff{Taken: map[string]uint64{}},
		shifts: map[shiftKey]uint64{}, banks: map[string]uint64{}, said: map[candidateKey]VetoReason{},
	}
	recent(func(q *Request, second int64, a Admission) bool {
		c.add(q, second, a)
		return true
	})
	for key, n := range c.shifts {
		c.out.Shifts = append(c.out.Shifts, TrafficShift{Bank: key.bank, From: key.from, To: key.to, Decisions: n, OfBank: c.banks[key.bank]})
	}
	slices.SortFunc(c.out.Shifts, func(x, y TrafficShift) int {
		return cmp.Or(cmp.Compare(y.Decisions, x.Decisions), strings.Compare(x.Bank, y.Bank), strings.Compare(x.From, y.From), strings.Compare(x.To, y.To))
	})
	return c.out
}

type shiftKey struct{ bank, from, to string }

// candidateKey names a candidate beyond one ranking.
type candidateKey struct{ channel, account string }

// admitted is the VetoReason of a candidate that live counters let pass.
const admitted VetoReason = 255

type comparison struct {
	before, after *Table
	out           *TrafficDiff
	shifts        map[shiftKey]uint64
	banks         map[string]uint64
	said          map[candidateKey]VetoReason // about the candidates of one request
	buf           Decision
}

func (c *comparison) add(q *Request, second int64, a Admission) {
	c.remember(q, second, a)
	from, to := c.decide(c.before, q, second, a.MerchantLimited), c.decide(c.after, q, second, a.MerchantLimited)
	if from == "" && to == "" {
		return
	}
	bank := q.Instrument.Bank
	if bank == statemachine.NoBank {
		bank = ""
	}
	c.out.Sample++
	c.banks[bank]++
	if c.out.Since == 0 || second < c.out.Since {
		c.out.Since = second
	}
	if from != "" {
		c.out.Taken[from]++
	}
	if from != to {
		c.out.Moved++
		c.shifts[shiftKey{bank, from, to}]++
	}
}

// remember notes what live counters said about the candidates they were asked about: those up to the one that was admitted.
func (c *comparison) remember(q *Request, second int64, a Admission) {
	clear(c.said)
	rk := &c.buf.ranking
	Rank(c.before, q, second, rk)
	a = rk.bounded(a)
	for i := range rk.ranked {
		if a.Vetoed&(1<<i) == 0 {
			c.said[rk.key(i)] = admitted
			return
		}
		c.said[rk.key(i)] = a.Why(i)
	}
}

func (rk *Ranking) key(i int) candidateKey {
	p, at := rk.table.plan, &rk.list[i]
	key := candidateKey{channel: p.heads[at.channel].id}
	if at.account >= 0 {
		key.account = p.accounts[at.account].id
	}
	return key
}

// decide returns the channel that a table gives, empty for none.
func (c *comparison) decide(t *Table, q *Request, second int64, merchantLimited bool) string {
	d := &c.buf
	rk := &d.ranking
	Rank(t, q, second, rk)
	a := Admission{Lifted: -1, MerchantLimited: merchantLimited}
	for i := range rk.ranked {
		if why := c.vetoOf(rk, i); why != admitted {
			a.Veto(i, why)
		}
	}
	if Finish(rk, a, d) != nil || len(d.Candidates) == 0 {
		return ""
	}
	return d.Candidates[0].Channel
}

// vetoOf says what live counters would say about a candidate.
func (c *comparison) vetoOf(rk *Ranking, i int) VetoReason {
	at := &rk.list[i]
	said, asked := c.said[rk.key(i)]
	switch {
	case at.phase == statemachine.Probing:
		return VetoState
	case asked && (said != VetoState || at.phase == statemachine.Ramping):
		return said // a gate of a state that is over says nothing any more
	case at.phase == statemachine.Ramping && at.closing >= 0:
		if draw := xxhash.Sum64String(rk.request.PaymentID) % uint64(statemachine.FullShare); draw >= uint64(rk.table.hot[at.closing].share) {
			return VetoState
		}
	}
	return admitted
}
