package monitor

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

const ppm = 1_000_000

// QuotaRule is a quota of the catalogue as it is counted.
type QuotaRule struct {
	ID      string
	Items   []statemachine.Scope // channels and accounts whose payments count
	Units   int64                // limit or minimum: payments, or minor units of money; above 0
	Minimum bool                 // a minimum commitment, else a hard limit
	// Period returns the period a second lies in: from inclusive, to exclusive, Unix seconds.
	Period func(second int64) (from, to int64)
}

// Quotas count what is used of each quota in its running period, from the sums of sealed seconds: every replica has the same.
// They are not safe for concurrent use.
type Quotas struct {
	rules []QuotaRule
	used  map[string]*quotaUse
	now   int64 // newest second
}

// quotaUse is what was used in the period that began at from.
type quotaUse struct{ from, units int64 }

// NewQuotas returns a count without quotas.
func NewQuotas() *Quotas { return &Quotas{used: map[string]*quotaUse{}} }

// SetRules puts the quotas of a catalogue in force. What is used of a quota stays as long as its period does, also of one that
// is left out for a while.
func (q *Quotas) SetRules(rules []QuotaRule) { q.rules = rules }

// Observe takes the sum of one sealed second, in order of time. A second that is not newer than the last is ignored.
func (q *Quotas) Observe(sum *SecondCounts) {
	if sum.Second <= q.now {
		return
	}
	q.now = sum.Second
	for i := range q.rules {
		r := &q.rules[i]
		u, from := q.used[r.ID], q.from(r)
		if u == nil || u.from != from {
			u = &quotaUse{from: from}
			q.used[r.ID] = u
		}
		at, found := slices.BinarySearchFunc(sum.Quotas, r.ID, func(c statemachine.QuotaCount, id string) int { return cmp.Compare(c.ID, id) })
		if found {
			u.units += sum.Quotas[at].Units
		}
	}
}

func (q *Quotas) from(r *QuotaRule) int64 {
	from, _ := r.Period(q.now)
	return from
}

// Used returns what is used of each quota in its running period, by id, at the end of the newest second.
func (q *Quotas) Used() map[string]int64 {
	out := make(map[string]int64, len(q.rules))
	for i := range q.rules {
		out[q.rules[i].ID] = q.usedOf(&q.rules[i])
	}
	return out
}

func (q *Quotas) usedOf(r *QuotaRule) int64 {
	if u := q.used[r.ID]; u != nil && u.from == q.from(r) {
		return max(0, u.units)
	}
	return 0
}

// QuotaState is one quota and how much of it is used.
type QuotaState struct {
	QuotaRule

	Used     int64
	From, To int64 // the running period, Unix seconds
}

// States returns all quotas in the catalogue's order.
func (q *Quotas) States() []QuotaState {
	out := make([]QuotaState, len(q.rules))
	for i := range q.rules {
		r := &q.rules[i]
		from, to := r.Period(q.now)
		out[i] = QuotaState{QuotaRule: *r, Used: q.usedOf(r), From: from, To: to}
	}
	return out
}

// QuotaScore is what quotas say about an item, in parts per million.
type QuotaScore struct {
	Item          statemachine.Scope
	LeftPPM       uint32 // of the hard limit with least left; 1,000,000 = nothing is used, or there is none
	CommitmentPPM uint32 // of its minimum: how far behind a steady use over the period; 0 = not behind
}

// Scores returns what quotas say about channels and accounts, sorted by item.
func (q *Quotas) Scores() []QuotaScore {
	scores := map[statemachine.Scope]*QuotaScore{}
	for i := range q.rules {
		r := &q.rules[i]
		used := q.usedOf(r)
		for _, item := range r.Items {
			s := scores[item]
			if s == nil {
				s = &QuotaScore{Item: item, LeftPPM: ppm}
				scores[item] = s
			}
			if r.Minimum {
				s.CommitmentPPM = max(s.CommitmentPPM, q.behind(r, used))
			} else {
				s.LeftPPM = min(s.LeftPPM, ppmOf(r.Units-used, r.Units))
			}
		}
	}
	out := make([]QuotaScore, 0, len(scores))
	for _, item := range slices.SortedFunc(maps.Keys(scores), statemachine.Scope.Compare) {
		out = append(out, *scores[item])
	}
	return out
}

// behind is how much less than by steady use was used, as a part of the minimum.
func (q *Quotas) behind(r *QuotaRule, used int64) uint32 {
	from, to := r.Period(q.now)
	if to <= from {
		return 0
	}
	due := ppmOf(q.now+1-from, to-from)
	done := ppmOf(used, r.Units)
	return due - min(due, done)
}

// ppmOf is n/of in parts per million, between 0 and all.
func ppmOf(n, of int64) uint32 {
	if n <= 0 || of <= 0 {
		return 0
	}
	if n >= of {
		return ppm
	}
	return uint32(float64(n) / float64(of) * ppm)
}

// Checkpoint returns what a restart needs to go on counting.
func (q *Quotas) Checkpoint() []byte {
	p := packer{[]byte{packVersion}}
	p.int(q.now)
	p.uint(uint64(len(q.used)))
	for _, id := range slices.Sorted(maps.Keys(q.used)) {
		p.string(id)
		p.int(q.used[id].from)
		p.int(q.used[id].units)
	}
	return p.b
}

// Restore takes back what Checkpoint returned. On an error, which wraps ErrPacked, nothing changes.
func (q *Quotas) Restore(b []byte) error {
	u := unpacker{b: b}
	u.version()
	now, used := u.int(), map[string]*quotaUse{}
	unpackList(&u, 3, func() struct{} {
		used[u.string()] = &quotaUse{from: u.int(), units: u.int()}
		return struct{}{}
	})
	if err := u.done(); err != nil {
		return fmt.Errorf("restore the quotas: %w", err)
	}
	q.now, q.used = now, used
	return nil
}
