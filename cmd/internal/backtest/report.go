package backtest

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// Summary is what was read.
type Summary struct {
	Environment string    `json:"environment"`
	Replicas    []string  `json:"replicas"`
	Files       int       `json:"files"`
	From        time.Time `json:"from"`
	To          time.Time `json:"to"`
	Seconds     int64     `json:"seconds"`
	Missing     int64     `json:"seconds_missing"` // between the first and the last
	Catalogs    []uint64  `json:"catalogs"`        // numbers, as they came in force
	Problems    []string  `json:"problems,omitempty"`

	first int64
}

// Report compares what several policies would have done with what was done.
type Report struct {
	Recording  Summary   `json:"recording"`
	Automation Outcome   `json:"recorded_automation"`
	People     Outcome   `json:"recorded_people"`
	Policies   []Outcome `json:"policies"`
}

// Outcome is what one policy, or what was really done, comes to. Amounts are payments. Where the recording was really closed
// nothing is known of what would have been, so that only policies have amounts.
type Outcome struct {
	Name      string   `json:"name"`
	Cuts      int      `json:"cuts"`
	Degraded  int      `json:"degraded"` // share lowered instead of cut
	Refused   int      `json:"refused"`  // turned down by a guard
	ClosedFor int64    `json:"closed_seconds"`
	Failed    *float64 `json:"failed_while_closed,omitempty"`
	Avoided   *float64 `json:"failures_avoided,omitempty"`
	MovedWell *float64 `json:"moved_while_well,omitempty"`
	Net       *float64 `json:"net,omitempty"`
	False     int      `json:"look_false"`
	Unclear   int      `json:"unclear"`
	Closures  []Cut    `json:"closures"`
}

// Cut is one closure of a scope.
type Cut struct {
	Scope     string     `json:"scope"`
	Kind      string     `json:"kind"` // CUT, DEGRADED; OFF for people's
	At        time.Time  `json:"at"`
	Until     *time.Time `json:"until,omitempty"` // absent = to the end
	Seconds   int64      `json:"seconds"`
	Relapses  int        `json:"relapses,omitempty"`
	Author    string     `json:"author,omitempty"`
	Why       string     `json:"why"`
	Failed    *float64   `json:"failed_while_closed,omitempty"`
	Avoided   *float64   `json:"failures_avoided,omitempty"`
	MovedWell *float64   `json:"moved_while_well,omitempty"`
	Net       *float64   `json:"net,omitempty"`
	Rate      *float64   `json:"failure_rate_while_closed,omitempty"`
	Baseline  *float64   `json:"baseline,omitempty"`
	Judgement string     `json:"judgement,omitempty"`
	Recorded  string     `json:"recorded,omitempty"` // what was really done about it
}

// summarise completes the summary once everything was read.
func (r *run) summarise() {
	s := &r.summary
	for i, h := range r.o.Recording.Headers() {
		if i == 0 {
			s.Environment = h.Environment
		}
		if !slices.Contains(s.Replicas, h.Replica) {
			s.Replicas = append(s.Replicas, h.Replica)
		}
		s.Files++
	}
	s.From, s.To = time.Unix(s.first, 0).UTC(), r.end().Time()
	for _, t := range r.o.Recording.Tails() {
		switch {
		case t.Lost > 0:
			s.Problems = append(s.Problems, fmt.Sprintf("%s: offset %d: the last %d bytes are torn off: %s", t.File, t.Offset, t.Lost, t.Reason))
		case !t.Closed:
			s.Problems = append(s.Problems, fmt.Sprintf("%s: offset %d: %s", t.File, t.Offset, t.Reason))
		}
	}
}

func (r *run) report() *Report {
	out := &Report{
		Recording:  r.summary,
		Automation: r.recorded("recorded: automation", r.acted.all, ""),
		People:     r.recorded("recorded: people", r.people.all, "OFF"),
	}
	for _, p := range r.replays {
		out.Policies = append(out.Policies, r.outcome(p))
	}
	return out
}

// within leaves out what was over before the first second judged, or began after the last.
func (r *run) within(all []*closure) []*closure {
	from := statemachine.At(r.summary.From)
	return slices.DeleteFunc(slices.Clone(all), func(c *closure) bool {
		return c.to != 0 && c.to < from || c.from > r.end().Add(2*time.Second)
	})
}

func (r *run) recorded(name string, all []*closure, kind string) Outcome {
	out := Outcome{Name: name, Closures: []Cut{}}
	for _, c := range r.within(all) {
		cut := r.cut(c)
		if kind != "" {
			cut.Kind, cut.Author = kind, c.author
		}
		out.add(cut)
	}
	return out
}

func (r *run) outcome(p *replay) Outcome {
	out := Outcome{Name: p.policy.Name, Refused: p.refused, Closures: []Cut{}}
	var failed, avoided, moved, net float64
	for _, a := range p.settled(r.end()) {
		cut := r.cut(&a.closure)
		cut.Failed, cut.Avoided, cut.MovedWell, cut.Net = rounded(a.failed), rounded(a.avoided), rounded(a.movedWell), rounded(a.net())
		cut.Judgement = a.judgement
		if a.baseline >= 0 {
			cut.Baseline = part(a.baseline)
		}
		if len(a.moments) > 0 {
			cut.Rate = part(a.rate)
		}
		cut.Recorded = r.really(&a.closure)
		failed, avoided, moved, net = failed+a.failed, avoided+a.avoided, moved+a.movedWell, net+a.net()
		switch a.judgement {
		case JudgedFalse:
			out.False++
		case JudgedUnclear:
			out.Unclear++
		}
		out.add(cut)
	}
	out.Failed, out.Avoided, out.MovedWell, out.Net = rounded(failed), rounded(avoided), rounded(moved), rounded(net)
	return out
}

func (o *Outcome) add(c Cut) {
	o.Closures = append(o.Closures, c)
	o.ClosedFor += c.Seconds
	if c.Kind == statemachine.Degraded.String() {
		o.Degraded++
		return
	}
	o.Cuts++
}

func (r *run) cut(c *closure) Cut {
	cut := Cut{
		Scope: c.scope.String(), Kind: c.kind.String(), At: c.from.Time(), Relapses: c.relapses, Why: c.reason,
		Seconds: int64(c.end(r.end()).Sub(max(c.from, statemachine.At(r.summary.From))) / time.Second),
	}
	if c.to != 0 {
		until := c.to.Time()
		cut.Until = &until
	}
	return cut
}

// rounded is an amount of payments with one decimal.
func rounded(f float64) *float64 {
	f = math.Round(f*10) / 10
	if f == 0 {
		f = 0 // no negative zero
	}
	return &f
}

// part is a rate with four decimals.
func part(f float64) *float64 {
	f = math.Round(f*10_000) / 10_000
	return &f
}

// really says in a few words what was done about a replayed closure.
func (r *run) really(c *closure) string {
	text := ""
	if done := about(r.acted.all, c.scope, c.from, c.end(r.end()), r.fleet, r.end()); len(done) > 0 {
		text = "automation " + r.lag(c, done[0])
	}
	if done := about(r.people.all, c.scope, c.from, c.end(r.end()), r.fleet, r.end()); len(done) > 0 {
		if text != "" {
			text += "; "
		}
		text += cmp.Or(done[0].author, "people") + " " + r.lag(c, done[0])
	}
	return cmp.Or(text, "nobody closed it")
}

// lag says when something was done, seen from a replayed closure.
func (r *run) lag(c, done *closure) string {
	text := when(time.Duration(done.from-c.from) * time.Millisecond)
	if done.scope != c.scope {
		text += " (" + done.scope.String() + ")"
	}
	return text
}

// when renders a time before or after.
func when(d time.Duration) string {
	switch {
	case d < 0:
		return span(-d) + " earlier"
	case d > 0:
		return span(d) + " later"
	}
	return "in the same second"
}
