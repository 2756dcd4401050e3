package statemachine

import (
	"fmt"
	"strconv"
	"strings"
)

// scenarioArgs are the words of one command; the unnamed one is under "".
type scenarioArgs struct {
	s      *scenario
	values map[string]string
}

func (a scenarioArgs) number(key string, otherwise float64) float64 {
	text, ok := a.values[key]
	if !ok {
		return otherwise
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		a.s.err = err
	}
	return x
}

func (a scenarioArgs) ruling() Ruling {
	answer, rest, _ := strings.Cut(a.values["ruling"], ":")
	switch answer {
	case "", "allow":
		return Ruling{}
	case "lower":
		x, err := strconv.ParseFloat(rest, 64)
		if err != nil {
			a.s.err = err
		}
		return Ruling{Answer: Lower, Guard: GuardCapacity, Share: ShareOf(x), Reason: "the others cannot carry more"}
	case "refuse":
		return Ruling{Answer: Refuse, Guard: rest, Reason: "said the guard"}
	}
	a.s.err = fmt.Errorf("unknown ruling %q", answer)
	return Ruling{}
}

func (a scenarioArgs) found() Evidence {
	ev := Evidence{Detector: "windows", Rule: "rate", Answered: a.number("answered", 20), Baseline: a.number("baseline", 0)}
	ev.Rate = a.number("rate", 0.9)
	ev.Bad = ev.Rate * ev.Answered
	ev.Lower = WilsonLower(ev.Bad, ev.Answered)
	ev.To = a.s.now.Unix() - int64(a.number("old", 0))
	return ev
}

func (a scenarioArgs) verdict() Verdict {
	for _, kind := range []VerdictKind{Failing, MildlyFailing, Recovered} {
		if kind.String() == a.values[""] {
			return Verdict{Kind: kind, Scope: a.s.state.Scope, Evidence: a.found(), Ruling: a.ruling(), PerSecond: a.number("per_second", 0)}
		}
	}
	a.s.err = fmt.Errorf("unknown verdict %q", a.values[""])
	return Verdict{}
}

func (a scenarioArgs) evidence() StepEvidence {
	e := StepEvidence{
		Generation: uint64(a.number("gen", float64(a.s.state.Generation))), Step: uint32(a.number("step", float64(a.s.state.Step))),
		Answered: a.number("answered", 20), Bad: a.number("bad", 0), Sent: uint64(a.number("sent", 20)), Settled: uint64(a.number("settled", 20)),
		PerSecond: a.number("per_second", 30), Routers: int(a.number("routers", 1)), Ruling: a.ruling(),
		Raised: a.number("raised", 0) == 1,
	}
	e.Evidence.Baseline = a.number("baseline", 0)
	for _, j := range []Judgement{Gathering, Passed, Failed} {
		if j.String() == a.values[""] {
			e.Judgement = j
			return e
		}
	}
	a.s.err = fmt.Errorf("unknown judgement %q", a.values[""])
	return e
}

// order checks and gives an operator's order.
func (a scenarioArgs) order(verb string) string {
	o := Order{Author: a.values["by"], Reason: a.values["reason"], PerSecond: a.number("per_second", 30), Routers: int(a.number("routers", 1))}
	for x := ActionOff; x <= ActionLift; x++ {
		if strings.EqualFold(x.String(), verb) {
			o.Action = x
		}
	}
	if text, ok := a.values["for"]; ok {
		o.For = a.s.duration(text)
	}
	if a.s.err != nil {
		return ""
	}
	if err := a.s.state.Check(o, a.s.policy, a.s.now); err != nil {
		return "! " + strings.ReplaceAll(err.Error(), "\n", "\n! ") + "\n"
	}
	return a.s.step(o)
}

func (a scenarioArgs) policy() {
	p := &a.s.policy
	for key, value := range a.values {
		switch key {
		case "level":
			level, ok := map[string]Level{"full": LevelFull, "observe": LevelObserve, "off-only": LevelOffOnly}[value]
			if !ok {
				a.s.err = fmt.Errorf("unknown level %q", value)
			}
			p.Level = level
		case "quiet":
			p.QuietRate = a.number(key, 0)
		case "cool":
			p.CoolDown = a.s.duration(value)
		case "cool_max":
			p.CoolDownMax = a.s.duration(value)
		default:
			a.s.err = fmt.Errorf("unknown policy field %q", key)
		}
	}
}
