package monitor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-pay/sluice/statemachine"
)

// Findings is what one sealed second amounts to.
type Findings struct {
	Second     int64
	Verdicts   []statemachine.Verdict // localised, sorted by scope, with the ruling of the common-mode check
	Steps      []ScopeEvidence        // of every PROBING and RAMPING scope, judged, sorted by scope
	Alerts     []statemachine.Alert
	BanksDown  []string // banks that fail wherever they are carried, sorted
	CommonMode bool     // the fault is ours: nothing is cut
}

// Inputs are the verdicts and the evidence of steps, for Control.Submit.
func (f *Findings) Inputs() []Input {
	inputs := make([]Input, 0, len(f.Verdicts)+len(f.Steps))
	for _, v := range f.Verdicts {
		inputs = append(inputs, Input{Scope: v.Scope, Event: v})
	}
	for _, s := range f.Steps {
		inputs = append(inputs, Input{Scope: s.Scope, Event: s.StepEvidence})
	}
	return inputs
}

// Pipeline turns the sum of a sealed second into findings: detector, localisation, common mode, evidence of steps, demand
// and probe grants. It is deterministic, knows no clock and is not safe for concurrent use.
type Pipeline struct {
	detector  *Detectors
	common    CommonMode
	steps     *Steps
	demand    *Demand
	grants    *Grants
	watch     *Watchers
	merchants *Merchants
	withheld  withheldAccounts
	down      []string // banks that fail everywhere
	downAt    int64
	outages   outages
	tests     bankTests
}

// NewPipeline returns a pipeline that has seen nothing.
func NewPipeline() *Pipeline {
	return &Pipeline{detector: NewDetectors(), watch: NewWatchers(), merchants: NewMerchants(), withheld: withheldAccounts{}, steps: NewSteps(), demand: NewDemand(), grants: NewGrants()}
}

// Leave leaves guards out, before the first Observe. For simulations only.
func (p *Pipeline) Leave(w Without) { p.common.without = w }

// Observe takes the sum of one sealed second, in order of time. A second that is not newer than the last is ignored.
func (p *Pipeline) Observe(sum *SecondCounts, f *statemachine.Fleet) Findings {
	out := Findings{Second: sum.Second}
	history := p.detector.History()
	if sum.Second <= history.Now() {
		return out
	}
	p.demand.Observe(sum)
	p.steps.Observe(sum, f)
	told := p.watch.Observe(sum, f)
	p.detector.Observe(sum, f)
	views := p.detector.views()
	p.forget(p.tests.observe(history, f), f)
	suspects := p.tests.suspects(p.down, history)
	down := []BankDown{}
	for _, v := range views {
		localised := Localise(v.verdicts, v.history, f, suspects)
		v.verdicts, down = localised.Verdicts, append(down, p.lasting(localised.BanksDown, v.history, f)...)
	}
	views[0].verdicts = withRelapses(views[0].verdicts, p.relapses(suspects, f), f)
	alerts, ended := p.common.Observe(views, f, sum.Second)
	out.Alerts = slices.Concat(alerts, told)
	if ended != 0 { // what was seen meanwhile was our own fault and must cut nothing afterwards
		for _, v := range views {
			v.history.Drop(ended)
			v.verdicts = nil
		}
		p.steps.Forgive()
		down = nil
	}
	out.Verdicts, out.CommonMode = merged(views, f), p.common.Active()
	var failing []MerchantFailing
	out.Verdicts, failing = merchantsFailing(out.Verdicts, history, f)
	out.Verdicts = p.withheld.filter(out.Verdicts, failing, out.Second)
	p.common.Withhold(out.Verdicts, history)
	for i := range out.Verdicts {
		out.Verdicts[i].PerSecond, _ = p.steps.PerSecond(out.Verdicts[i].Scope)
	}
	if out.CommonMode || len(p.down) > 0 {
		for _, v := range views {
			v.history.unlearn()
		}
	}
	if !out.CommonMode {
		out.Alerts = append(out.Alerts, p.merchants.Observe(failing, out.Second)...)
	}
	out.Steps = p.judged(suspects, f)
	p.banks(&out, down, sum, f)
	return out
}

// merged joins the verdicts of results and of silence: what failures explain, silence need not.
func merged(views []*view, f *statemachine.Fleet) []statemachine.Verdict {
	var all []statemachine.Verdict
	for _, v := range views {
		before := len(all)
		for _, verdict := range v.verdicts {
			if !slices.ContainsFunc(all[:before], func(o statemachine.Verdict) bool { return overlap(o.Scope, verdict.Scope, f) }) {
				all = append(all, verdict)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b statemachine.Verdict) int { return a.Scope.Compare(b.Scope) })
	return all
}

// relapses are the scopes that came back from their probes and fail again, beyond what banks explain that fail elsewhere.
func (p *Pipeline) relapses(suspects []suspectBank, f *statemachine.Fleet) []statemachine.Verdict {
	history := p.detector.History()
	all := p.steps.Relapses(f, func(s statemachine.Scope) float64 { return history.baseline(s, f) })
	return slices.DeleteFunc(all, func(v statemachine.Verdict) bool { return history.banksExplain(&v, suspects) })
}

// judged judges the evidence of every step. While our own side fails, failures without a coded reply are no relapse, nor are
// those of a share that banks explain which fail elsewhere.
func (p *Pipeline) judged(suspects []suspectBank, f *statemachine.Fleet) []ScopeEvidence {
	history := p.detector.History()
	all := p.steps.Evidence(f, func(s statemachine.Scope) float64 { return history.baseline(s, f) })
	for i := range all {
		e := &all[i]
		st, policy := f.State(e.Scope), f.Policy(e.Scope.Channel)
		e.Judgement, e.Evidence = p.detector.Judge(st, e.StepEvidence, policy, f)
		if e.Judgement != statemachine.Failed {
			continue
		}
		v := statemachine.Verdict{Kind: statemachine.Failing, Scope: e.Scope, Evidence: e.Evidence}
		if p.common.doubts(e, history, f) || st.Phase == statemachine.Ramping && history.banksExplain(&v, suspects) {
			e.Judgement = statemachine.Gathering
		}
	}
	return all
}

// lasting are the banks to be told: those that were, and those whose failures are coded or have lasted for commonConfirm seconds.
// A fault of our own network may look like a bank's for a second.
func (p *Pipeline) lasting(down []BankDown, seen *History, f *statemachine.Fleet) []BankDown {
	return slices.DeleteFunc(down, func(d BankDown) bool {
		return !slices.Contains(p.down, d.Bank) && !codedAlone(d.Evidence) && seen.now-seen.alarmed(d.Evidence.Scope, f) < commonConfirm
	})
}

// banksQuiet is how many seconds a bank must not fail everywhere before it is reported again.
const banksQuiet = 15

// banks reports banks that are down everywhere; people are told when cashiers begin to be told. In common mode nothing is said
// about banks.
func (p *Pipeline) banks(out *Findings, down []BankDown, sum *SecondCounts, f *statemachine.Fleet) {
	if p.common.Active() {
		return
	}
	out.Verdicts = slices.DeleteFunc(out.Verdicts, func(v statemachine.Verdict) bool {
		return v.Kind != statemachine.Recovered && v.Evidence.From <= p.downAt && slices.Contains(p.down, bankOf(v.Scope))
	})
	if len(down) == 0 && len(p.down) > 0 && out.Second-p.downAt >= banksQuiet {
		p.forget(p.down, f) // what was seen while a bank was down everywhere cuts nothing afterwards
		p.down = nil
	}
	for _, d := range down {
		p.downAt = out.Second
		if p.outages.see(d, sum) {
			out.Alerts = append(out.Alerts, d.Alert(out.Second))
		}
		out.BanksDown = append(out.BanksDown, d.Bank)
		if !slices.Contains(p.down, d.Bank) {
			p.down = append(p.down, d.Bank)
		}
	}
	slices.SortFunc(out.BanksDown, strings.Compare)
}

// forget forgets what banks that were down showed, on every channel that carries them.
func (p *Pipeline) forget(banks []string, f *statemachine.Fleet) {
	if len(banks) == 0 {
		return
	}
	for channel, facts := range f.Channels {
		for _, in := range facts.Instruments {
			if slices.Contains(banks, in.Bank) {
				for _, v := range p.detector.views() {
					v.history.forgetAround(statemachine.InstrumentScope(channel, in), f)
				}
			}
		}
	}
}

// Grant takes the rows of the sealed second, after Observe, and returns the probe tokens that are valid now: the leader
// publishes them, every other replica calls it as well, so that it knows if it comes to lead. self is this replica, steps are
// what Observe found of the second.
func (p *Pipeline) Grant(rows []*Row, self string, f *statemachine.Fleet, second int64, steps []ScopeEvidence) []Grant {
	p.grants.Observe(rows, self, f, second, steps)
	return p.grants.Current()
}

// Demand is the demand and load of the last minute, for the fleet.
func (p *Pipeline) Demand() *Demand { return p.demand }

// WouldBe is a scope's would-be payments a second over the last minute and the routers that saw them, for an operator's
// ON. It is known only for scopes that are not healthy.
func (p *Pipeline) WouldBe(s statemachine.Scope) (perSecond float64, routers int) {
	return p.steps.PerSecond(s)
}

// ResultDelay is the learned 99th percentile of a channel's result delay, in seconds.
func (p *Pipeline) ResultDelay(channel string) int64 { return p.steps.delays.p99(channel) }

// Checkpoint returns what a restart needs to go on: what was learned and is suspected. Demand and evidence of steps are
// gathered anew.
func (p *Pipeline) Checkpoint() []byte {
	pk := newCheckpoint()
	pk.string(string(p.detector.Checkpoint()))
	pk.string(string(p.watch.Checkpoint()))
	return pk.b
}

// Restore takes back what Checkpoint returned. On an error, which wraps ErrPacked, nothing changes.
func (p *Pipeline) Restore(b []byte) error {
	u := &unpacker{b: b}
	u.checkpoint()
	detector, watch := u.string(), u.string()
	if err := u.done(); err != nil {
		return fmt.Errorf("restore the pipeline: %w", err)
	}
	fresh := NewWatchers()
	if err := fresh.Restore([]byte(watch)); err != nil {
		return fmt.Errorf("restore the pipeline: %w", err)
	}
	if err := p.detector.Restore([]byte(detector)); err != nil {
		return err
	}
	p.watch = fresh
	return nil
}
