package simulate

import (
	"time"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// Verdict is how the judge found one cut decision.
type Verdict string

// The verdicts of the judge.
const (
	Right Verdict = "right" // inside a labelled fault that lasts
	Over  Verdict = "over"  // touches a labelled fault that lasts, and more
	False Verdict = "false" // touches none
)

// Detail is what the judge saw beyond the summary: every cut decision and what became of every label.
type Detail struct {
	Rulings  []Ruling
	Findings []Finding
	// ExcessFailed is the failures of first tries less those of an oracle on the same random numbers: it takes the
	// channel a payment prefers, while that one is unwell the next that is well.
	ExcessFailed int64
	// Entries is the greatest number of automatic entries into DISABLED from HEALTHY or RAMPING that one scope had in
	// any ten minutes.
	Entries int
}

// Ruling is one automatic decision to cut a scope or to lower its share. Times count from the start of the run.
type Ruling struct {
	At          time.Duration
	Scope       statemachine.Scope
	From, To    statemachine.Phase
	Share       float64 // afterwards
	Verdict     Verdict
	Label       string        // right: the fault it found; over: one it touches
	SinceFault  time.Duration // false: since the end of the last labelled fault that touches the scope, -1 = none
	Reason      string
	Explanation string
}

// Finding is what became of one label. Times count from the start of the run; -1 = did not happen.
type Finding struct {
	Label      string
	From, To   time.Duration
	Never      bool // it must not be cut
	Detectable bool
	Affected   int // payments that would have met the fault
	// Crossing is after how many of them the clairvoyant is sure, 0 = never.
	Crossing int
	// Samples is after how many of them the first right cut came.
	Samples     int
	Detected    time.Duration
	HeldAtEnd   bool          // traffic was still kept off when the fault ended, or right cuts came after it
	Recovered   time.Duration // HeldAtEnd: when the last scope was healthy or at full share again
	Moved       int           // affected payments that were moved after the first right cut
	Saved       int           // of these, how many would have failed
	EarlyFailed int           // attempts that failed in the fault because a disabled scope was returned too early
}

// window is the time in which entries into DISABLED are counted.
const window = 10 * time.Minute

// entered counts an automatic entry into DISABLED.
func (j *judge) entered(s statemachine.Scope, at time.Duration) {
	if j.entries == nil {
		j.entries = map[statemachine.Scope][]time.Duration{}
	}
	kept := j.entries[s][:0]
	for _, t := range j.entries[s] {
		if t > at-window {
			kept = append(kept, t)
		}
	}
	kept = append(kept, at)
	j.entries[s] = kept
	j.detail.Entries = max(j.detail.Entries, len(kept))
}

// note keeps a ruling.
func (j *judge) note(e *monitor.JournalEntry, m *monitor.Move, at time.Duration, v Verdict, l *label) {
	from, _ := m.Before.Effective()
	to, share := m.After.Effective()
	if to == statemachine.Disabled {
		j.entered(m.After.Scope, at)
	}
	r := Ruling{
		At: at, Scope: m.After.Scope, From: from, To: to, Share: share.Fraction(), Verdict: v, SinceFault: -1, Reason: m.Reason,
	}
	if r.Reason == "" {
		r.Reason = e.Reason
	}
	if l != nil {
		r.Label = l.name
	}
	if v == False {
		r.SinceFault = j.sinceFault(m.After.Scope, at)
	}
	if m.Evidence != nil {
		r.Explanation = m.Evidence.Explanation
	}
	for i := range e.Incidents {
		if e.Incidents[i].ID == m.After.Incident {
			r.Explanation = e.Incidents[i].Evidence.Explanation
		}
	}
	j.detail.Rulings = append(j.detail.Rulings, r)
}

func (j *judge) sinceFault(s statemachine.Scope, at time.Duration) time.Duration {
	since := time.Duration(-1)
	for _, l := range j.labels {
		if l.to > at {
			continue
		}
		if _, touches := l.covers(j.p.cells, s); touches && (since < 0 || at-l.to < since) {
			since = at - l.to
		}
	}
	return since
}

// finding renders a label.
func (l *label) finding(run time.Duration) Finding {
	f := Finding{
		Label: l.name, From: l.from, To: min(l.to, run), Never: l.never, Affected: len(l.evidence), Crossing: l.crossing(),
		Samples: l.samples, Detected: l.detected, HeldAtEnd: l.held, Recovered: l.recovered, Moved: l.moved, Saved: l.saved,
		EarlyFailed: l.early,
	}
	f.Detectable = !l.never && f.Crossing > 0 && f.Affected-f.Crossing >= toCome
	if !f.HeldAtEnd {
		f.Recovered = -1
	}
	return f
}
