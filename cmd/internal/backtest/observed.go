package backtest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// observations are the incidents that automation was not allowed to act on, with the failures around them.
type observations struct {
	incidents map[string]*statemachine.Incident
	failed    map[statemachine.Scope][]moment // bad results of every scope, by second
}

func newObservations() observations {
	return observations{incidents: map[string]*statemachine.Incident{}, failed: map[statemachine.Scope][]moment{}}
}

// incident takes an incident as it was opened, changed or closed.
func (o *observations) incident(i *statemachine.Incident) {
	if i.Kind != statemachine.Observed {
		if o.incidents[i.ID] == nil {
			return
		}
	}
	next := *i
	if old := o.incidents[i.ID]; old != nil && next.Kind != statemachine.Observed {
		next.Kind = old.Kind
	}
	o.incidents[i.ID] = &next
}

// second remembers where payments failed.
func (o *observations) second(s *second, _ *statemachine.Fleet) {
	for i := range s.items {
		t := &s.items[i].Evidence[statemachine.KindNormal]
		if answered, bad := weighed(t); bad > 0 {
			item := s.items[i].Item
			o.failed[item] = append(o.failed[item], moment{second: s.at, count: count{answered, bad}})
		}
	}
}

// between is how many payments failed on a scope in the seconds from and to.
func (o *observations) between(s statemachine.Scope, from, to statemachine.Instant, f *statemachine.Fleet) (failed float64) {
	for _, item := range itemsOf(s, f) {
		list := o.failed[item]
		at, _ := slices.BinarySearchFunc(list, int64(from)/1000, func(m moment, s int64) int { return cmp.Compare(m.second, s) })
		for ; at < len(list) && list[at].second < int64(to)/1000; at++ {
			failed += list[at].bad
		}
	}
	return failed
}

// ObservedReport compares what automation would have done at level observe with what people did.
type ObservedReport struct {
	Recording      Summary    `json:"recording"`
	Both           []Observed `json:"both"`
	OnlyAutomation []Observed `json:"only_automation"` // people closed nothing
	OnlyPeople     []Observed `json:"only_people"`     // automation saw no reason
}

// Observed is one incident, or one order of people.
type Observed struct {
	Scope       string     `json:"scope"`                  // as automation would have closed it, else as people did
	Automation  *time.Time `json:"automation,omitempty"`   // when it would have closed it
	Over        *time.Time `json:"over,omitempty"`         // when it saw the fault end
	People      *time.Time `json:"people,omitempty"`       // when they closed it
	PeopleUntil *time.Time `json:"people_until,omitempty"` // when they opened it again
	PeopleScope string     `json:"people_scope,omitempty"` // where they closed another scope
	Author      string     `json:"author,omitempty"`
	First       string     `json:"first"`        // automation, people
	Lead        int64      `json:"lead_seconds"` // by how much
	Failed      float64    `json:"failed"`       // payments on the scope between the two; until the fault was over where people did nothing
	Why         string     `json:"why"`          // evidence of automation
	Said        string     `json:"said"`         // reason that people gave
	Answer      string     `json:"answer"`       // why automation did not act
	Back        *int64     `json:"back_seconds"` // how much later people opened than automation saw the fault end
}

// RunObserved compares the OBSERVED incidents of a recording with the orders of people in it. Nothing is replayed.
func RunObserved(ctx context.Context, o Options) (*ObservedReport, error) {
	o.Policies = nil
	r, err := pass(ctx, o)
	if err != nil {
		return nil, err
	}
	return r.compare(), nil
}

func (r *run) compare() *ObservedReport {
	out := &ObservedReport{Recording: r.summary, Both: []Observed{}, OnlyAutomation: []Observed{}, OnlyPeople: []Observed{}}
	people := r.within(r.people.all)
	used := map[*closure]bool{}
	for _, i := range r.incidents() {
		end := cmp.Or(i.Closed, r.end())
		seen := Observed{Scope: i.Scope.String(), Automation: stamp(i.Opened), Over: stamp(i.Closed), Why: sentence(&i.Evidence), Answer: i.Answer, First: "automation"}
		done := about(people, i.Scope, i.Opened, end, r.fleet, r.end())
		if len(done) == 0 {
			seen.Failed = r.observed.between(i.Scope, i.Opened, end, r.fleet)
			out.OnlyAutomation = append(out.OnlyAutomation, seen)
			continue
		}
		for _, d := range done {
			used[d] = true
		}
		r.pair(&seen, i, done[0])
		out.Both = append(out.Both, seen)
	}
	for _, c := range people {
		if used[c] {
			continue
		}
		out.OnlyPeople = append(out.OnlyPeople, Observed{
			Scope: c.scope.String(), People: stamp(c.from), PeopleUntil: stamp(c.to), Author: c.author, Said: c.reason, First: "people",
		})
	}
	return out
}

// pair compares an incident with what people did about it.
func (r *run) pair(seen *Observed, i *statemachine.Incident, done *closure) {
	seen.People, seen.PeopleUntil, seen.Author, seen.Said = stamp(done.from), stamp(done.to), done.author, done.reason
	if done.scope != i.Scope {
		seen.PeopleScope = done.scope.String()
	}
	first, second := i.Opened, done.from
	if done.from < i.Opened {
		first, second, seen.First = done.from, i.Opened, "people"
	}
	seen.Lead = int64(second.Sub(first) / time.Second)
	seen.Failed = r.observed.between(i.Scope, first, second, r.fleet)
	if done.to != 0 && i.Closed != 0 {
		back := int64(done.to-i.Closed) / 1000
		seen.Back = &back
	}
}

// incidents are the observed ones of the time judged, oldest first.
func (r *run) incidents() []*statemachine.Incident {
	list := slices.SortedFunc(maps.Values(r.observed.incidents), func(a, b *statemachine.Incident) int {
		return cmp.Or(cmp.Compare(a.Opened, b.Opened), a.Scope.Compare(b.Scope), cmp.Compare(a.ID, b.ID))
	})
	from := statemachine.At(r.summary.From)
	return slices.DeleteFunc(list, func(i *statemachine.Incident) bool { return i.Closed != 0 && i.Closed < from })
}

// stamp is an instant for JSON, nil for never.
func stamp(i statemachine.Instant) *time.Time {
	if i == 0 {
		return nil
	}
	t := i.Time()
	return &t
}
