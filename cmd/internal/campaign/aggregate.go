package campaign

import (
	"cmp"
	"math"
	"slices"

	"github.com/sluice-pay/sluice/cmd/internal/simulate"
)

// Figures are the results of a class added up.
type Figures struct {
	Class, Policy string
	Units         int
	ChannelDays   float64
	Payments      uint64
	MovedHealthy  uint64
	ProbesFailed  uint64
	Excess        int64
	Entries       int // greatest
	Violations    int

	Right, Over, False int // cut decisions
	Aftermath          int // of the false: within a minute after a fault of the same traffic
	All                KindFigures
	Kinds              []KindFigures // faults, in the order of the rotation
	Traps              []TrapFigures
	Alerts             []Count
}

// KindFigures are the incidents of one kind.
type KindFigures struct {
	Kind                         string
	Incidents, Detected          int
	Detectable, DetectedOfThem   int
	Seconds                      []float64 // to detect a detectable incident, sorted
	Lateness                     []float64 // samples at the cut over the clairvoyant's, sorted
	Samples                      []float64 // samples at the cut, sorted
	Recovery                     []float64 // seconds after the end, of those still held then, sorted
	Affected, Moved, Saved       int
	EarlyFailed, Held, Unhealthy int // Unhealthy: held, and not well at the end of the unit
}

// TrapFigures are the traps of one kind.
type TrapFigures struct {
	Kind              string
	Events, Cut, Cuts int // Cut: events with at least one cut
}

// Recall is over detectable incidents; 1 if there are none.
func (k *KindFigures) Recall() float64 { return ratio(k.DetectedOfThem, k.Detectable) }

// RecallOfAll is over all incidents; 1 if there are none.
func (k *KindFigures) RecallOfAll() float64 { return ratio(k.Detected, k.Incidents) }

// Early is the part of the saved payments that failed by returning too early.
func (k *KindFigures) Early() float64 {
	if k.Saved == 0 {
		return 0
	}
	return float64(k.EarlyFailed) / float64(k.Saved)
}

// Precision is right decisions over right and false ones; 1 if there are none.
func (f *Figures) Precision() float64 { return ratio(f.Right, f.Right+f.False) }

// FalsePerDay is false cuts a channel-day.
func (f *Figures) FalsePerDay() float64 { return float64(f.False) / f.ChannelDays }

// FalseBound is the 95 % upper bound of FalsePerDay.
func (f *Figures) FalseBound() float64 { return PoissonUpper(f.False, 0.95) / f.ChannelDays }

func ratio(part, of int) float64 {
	if of == 0 {
		return 1
	}
	return float64(part) / float64(of)
}

// Aggregate adds results up by class and policy, in the order of the classes.
func Aggregate(results []*Result) []*Figures {
	var out []*Figures
	for _, r := range results {
		i := slices.IndexFunc(out, func(f *Figures) bool { return f.Class == r.Class && f.Policy == r.Policy })
		if i < 0 {
			i = len(out)
			out = append(out, newFigures(r))
		}
		out[i].add(r)
	}
	for _, f := range out {
		f.sort()
	}
	order := map[string]int{}
	for i, c := range Classes() {
		order[c.Name] = i
	}
	slices.SortStableFunc(out, func(a, b *Figures) int { return cmp.Compare(order[a.Class], order[b.Class]) })
	return out
}

func newFigures(r *Result) *Figures {
	f := &Figures{Class: r.Class, Policy: r.Policy, All: KindFigures{Kind: "all"}}
	names, traps := Kinds()
	for _, k := range names {
		if traps[k] {
			f.Traps = append(f.Traps, TrapFigures{Kind: k})
		} else {
			f.Kinds = append(f.Kinds, KindFigures{Kind: k})
		}
	}
	return f
}

func (f *Figures) add(r *Result) {
	f.Units++
	f.ChannelDays += r.channelDays()
	f.Payments += r.Payments
	f.MovedHealthy += r.MovedHealthy
	f.ProbesFailed += r.ProbesFailed
	f.Excess += r.Excess
	f.Entries = max(f.Entries, r.Entries)
	f.Violations += len(r.Violations)
	for i := range r.Incidents {
		in := &r.Incidents[i]
		f.All.add(in)
		if k := slices.IndexFunc(f.Kinds, func(k KindFigures) bool { return k.Kind == in.Kind }); k >= 0 {
			f.Kinds[k].add(in)
		}
	}
	for i := range r.Cuts {
		f.cut(&r.Cuts[i])
	}
	for _, t := range r.Traps {
		if k := slices.IndexFunc(f.Traps, func(k TrapFigures) bool { return k.Kind == t.Kind }); k >= 0 {
			f.Traps[k].Events++
			f.Traps[k].Cut += min(1, t.Cuts)
			f.Traps[k].Cuts += t.Cuts
		}
	}
	for _, a := range r.Alerts {
		k := slices.IndexFunc(f.Alerts, func(c Count) bool { return c.Kind == a.Kind })
		if k < 0 {
			k = len(f.Alerts)
			f.Alerts = append(f.Alerts, Count{Kind: a.Kind})
		}
		f.Alerts[k].N += a.N
	}
}

func (f *Figures) cut(c *Cut) {
	switch c.Verdict {
	case simulate.Right:
		f.Right++
	case simulate.Over:
		f.Over++
	case simulate.False:
		f.False++
		if c.SinceFault != nil && *c.SinceFault < aftermath.Seconds() {
			f.Aftermath++
		}
	}
}

func (k *KindFigures) add(in *Incident) {
	k.Incidents++
	k.Affected += in.Affected
	k.Moved += in.Moved
	k.Saved += in.Saved
	k.EarlyFailed += in.EarlyFailed
	if in.Detectable {
		k.Detectable++
	}
	if in.DetectedIn == nil {
		return
	}
	k.Detected++
	if in.Detectable {
		k.DetectedOfThem++
		k.Seconds = append(k.Seconds, *in.DetectedIn)
		k.Samples = append(k.Samples, float64(in.Samples))
		k.Lateness = append(k.Lateness, float64(in.Samples)/float64(in.Crossing))
	}
	if in.Held {
		k.Held++
		if in.RecoveredIn != nil {
			k.Recovery = append(k.Recovery, *in.RecoveredIn)
		} else {
			k.Unhealthy++
		}
	}
}

func (f *Figures) sort() {
	f.All.sort()
	for i := range f.Kinds {
		f.Kinds[i].sort()
	}
	slices.SortFunc(f.Alerts, func(a, b Count) int { return cmp.Compare(a.Kind, b.Kind) })
}

func (k *KindFigures) sort() {
	slices.Sort(k.Seconds)
	slices.Sort(k.Samples)
	slices.Sort(k.Lateness)
	slices.Sort(k.Recovery)
}

// Quantile is the nearest rank of a sorted list, NaN if it is empty: the least value with at least that part of the list
// not above it.
func Quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// PoissonUpper is the upper bound of a Poisson mean of which n events were seen: the mean at which n or fewer are seen
// with probability 1 - confidence. With no event and 95 % it is 3.00.
func PoissonUpper(n int, confidence float64) float64 {
	low, high := 0.0, float64(n)+10*math.Sqrt(float64(n)+1)+20
	for range 200 {
		mid := (low + high) / 2
		if poissonAtMost(n, mid) > 1-confidence {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}

// poissonAtMost is the probability of n or fewer events at a mean.
func poissonAtMost(n int, mean float64) float64 {
	sum := 0.0
	for k := range n + 1 {
		lg, _ := math.Lgamma(float64(k) + 1)
		sum += math.Exp(float64(k)*math.Log(mean) - mean - lg)
	}
	return sum
}
