package monitor

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// Detectors are the detectors of a replica over one history. Each channel's policy says which of them speaks; the baselines of
// the sequential one are learned everywhere, so that a change of policy finds them ready.
type Detectors struct {
	results view // what came back
	silence view // what did not
	sent    *Silence
	windows *Windows
}

// view is a stream of results with the tests on it.
type view struct {
	sequential
	verdicts []statemachine.Verdict
}

// NewDetectors returns detectors that have seen nothing.
func NewDetectors() *Detectors {
	d := &Detectors{sent: NewSilence()}
	d.results.history, d.silence.history = NewHistory(), newHistory(&silenceExpected)
	d.results.onItsWay, d.results.history.usual = d.sent.onItsWay, d.sent.usual
	d.windows = &Windows{history: d.results.history}
	return d
}

// Observe takes the sum of one sealed second and returns the verdicts of all detectors, before localisation.
func (d *Detectors) Observe(sum *SecondCounts, f *statemachine.Fleet) []statemachine.Verdict {
	if sum.Second <= d.results.history.Now() {
		return nil
	}
	silent := d.sent.Observe(sum, f)
	d.results.history.Add(sum, f)
	d.results.learn(f)
	d.results.verdicts = append(d.windows.verdicts(f), d.results.judge(f)...)
	d.silence.history.Add(silent, f)
	d.silence.learn(f)
	d.silence.verdicts = d.silence.judge(f)
	for i := range d.silence.verdicts {
		hanging(&d.silence.verdicts[i].Evidence)
	}
	return append(d.results.verdicts, d.silence.verdicts...)
}

// hanging turns evidence about silence into that of the rule hanging.
func hanging(e *statemachine.Evidence) {
	if e.Rule == RuleFailing || e.Rule == RuleMild {
		e.Rule = RuleHanging
	}
	e.Outcomes = [statemachine.NumOutcomes]uint64{} // silence has none
}

// views are the streams with the verdicts of the newest second.
func (d *Detectors) views() []*view { return []*view{&d.results, &d.silence} }

// History is what the detectors saw of results.
func (d *Detectors) History() *History { return d.results.history }

// Judge says what the evidence of a probing phase or ramp step amounts to, by the detector of the scope's channel, and
// completes it.
func (d *Detectors) Judge(st statemachine.State, ev statemachine.StepEvidence, p statemachine.Policy, f *statemachine.Fleet) (statemachine.Judgement, statemachine.Evidence) {
	if p.Detector == statemachine.DetectorSequential {
		return judgeStep(st, ev, p, d.results.history.baseline(st.Scope, f))
	}
	ev.Evidence = stepEvidence(st, ev, p)
	return d.windows.Judge(st, ev, p), ev.Evidence
}

// Checkpoint returns the learned baselines and what is suspected, of results and of silence, packed.
func (d *Detectors) Checkpoint() []byte {
	p := newCheckpoint()
	for _, v := range d.views() {
		p.string(string(v.history.pack()))
	}
	p.uint(uint64(len(d.sent.delays)))
	for _, c := range slices.Sorted(maps.Keys(d.sent.delays)) {
		l := d.sent.delays[c]
		p.string(c)
		for _, n := range l.ages {
			p.word(math.Float64bits(n))
		}
	}
	return p.b
}

// Restore takes back what Checkpoint returned, replacing everything seen so far; attempts on their way are forgotten. On an
// error, which wraps ErrPacked, nothing changes.
func (d *Detectors) Restore(b []byte) error {
	u, sent := &unpacker{b: b}, NewSilence()
	u.checkpoint()
	var histories [2]*History
	for i, v := range d.views() {
		h, err := parseHistory([]byte(u.string()), v.history.expects)
		if err != nil {
			return fmt.Errorf("restore the detectors: %w", err)
		}
		histories[i] = h
	}
	type late struct {
		channel string
		lateness
	}
	for _, l := range unpackList(u, 1+8*NumAgeBuckets, func() late { return late{u.string(), parseLateness(u)} }) {
		sent.delays[l.channel] = &l.lateness
	}
	if err := u.done(); err != nil {
		return fmt.Errorf("restore the detectors: %w", err)
	}
	*d.results.history, *d.silence.history, *d.sent = *histories[0], *histories[1], *sent
	d.results.history.usual = d.sent.usual
	return nil
}

func parseLateness(u *unpacker) lateness {
	var l lateness
	for b := range l.ages {
		n := math.Float64frombits(u.word())
		if !(n >= 0 && n < 1e9) {
			u.fail("a number out of range")
			n = 0
		}
		l.ages[b] = n
		l.total += n
	}
	return l
}
