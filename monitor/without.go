package monitor

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-pay/sluice/statemachine"
)

// ErrGuard is wrapped by the error of ParseWithout.
var ErrGuard = errors.New("unknown guard")

// Without names the guards that a simulation leaves out, to show what each is for. The zero value leaves out none, and the
// configuration of a server has no way to anything else.
type Without struct {
	CommonMode     bool // what fails everywhere at once is taken for the channels' own fault
	FailureDomain  bool // no channel names a failure domain
	Capacity       bool // whatever the others can carry
	CutBudget      bool // any number of cuts a minute
	SingleReporter bool // one gateway instance is believed without a coded reply
	PayerDedup     bool // each failure of a payer who tries again and again counts
}

// guards are the names of the fields of w, in their order.
func guards(w *Without) (names []string, flags []*bool) {
	return []string{"common-mode", "failure-domain", "capacity", "cut-budget", "single-reporter", "payer-dedup"},
		[]*bool{&w.CommonMode, &w.FailureDomain, &w.Capacity, &w.CutBudget, &w.SingleReporter, &w.PayerDedup}
}

// GuardNames are the names that ParseWithout reads.
func GuardNames() []string {
	names, _ := guards(&Without{})
	return names
}

// ParseWithout reads names of guards with commas between them; an empty text names none. The error wraps ErrGuard.
func ParseWithout(text string) (Without, error) {
	var w Without
	if text == "" {
		return w, nil
	}
	names, flags := guards(&w)
	for name := range strings.SplitSeq(text, ",") {
		i := slices.Index(names, strings.TrimSpace(name))
		if i < 0 {
			return Without{}, fmt.Errorf("%w %q: want some of %s", ErrGuard, name, strings.Join(names, ", "))
		}
		*flags[i] = true
	}
	return w, nil
}

// String is what ParseWithout reads.
func (w Without) String() string {
	var out []string
	names, flags := guards(&w)
	for i, on := range flags {
		if *on {
			out = append(out, names[i])
		}
	}
	return strings.Join(out, ",")
}

// Fleet takes out of a fleet what the guards left out go by. Maps are copied before they are changed.
func (w Without) Fleet(f *statemachine.Fleet) {
	if w.FailureDomain {
		f.Channels = maps.Clone(f.Channels)
		for name, facts := range f.Channels {
			facts.Domains = nil
			f.Channels[name] = facts
		}
	}
	if !w.Capacity && !w.CutBudget {
		return
	}
	w.policy(&f.Default)
	f.Policies = maps.Clone(f.Policies)
	for name, p := range f.Policies {
		w.policy(&p)
		f.Policies[name] = p
	}
}

func (w Without) policy(p *statemachine.Policy) {
	if w.Capacity {
		p.CapacityHeadroom, p.MinWeightLeft = 0, 0
	}
	if w.CutBudget {
		p.CertainFailure = 0
	}
}
