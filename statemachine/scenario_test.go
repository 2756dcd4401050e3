package statemachine

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the expected output of testdata/*.txt; commit only what you understand")

// scenarioStart is when every scenario begins.
var scenarioStart = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)

// TestScenarios runs the scripts under testdata. A line that begins with a letter is a command, what it did stands below it,
// indented. Every file is named by what it tells.
func TestScenarios(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := runScenario(want)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if *update {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if line, w, g := firstDifference(want, got); line > 0 {
				t.Errorf("%s:%d\nwant %s\ngot  %s", file, line, w, g)
			}
		})
	}
}

func firstDifference(want, got []byte) (line int, w, g string) {
	a, b := strings.Split(string(want), "\n"), strings.Split(string(got), "\n")
	for i := range max(len(a), len(b)) {
		w, g = "(end)", "(end)"
		if i < len(a) {
			w = a[i]
		}
		if i < len(b) {
			g = b[i]
		}
		if w != g {
			return i + 1, w, g
		}
	}
	return 0, "", ""
}

// scenario is one running script.
type scenario struct {
	state  State
	policy Policy
	now    time.Time
	life   *watcher // invariants hold in every scenario too
	err    error
}

func runScenario(text []byte) ([]byte, error) {
	s := &scenario{state: NewState(InstrumentScope("union", Instrument{"QUICKPAY", "ICBC", "DEBIT"})), policy: DefaultPolicy(), now: scenarioStart}
	s.life = &watcher{}
	var out bytes.Buffer
	scan := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; scan.Scan(); n++ {
		line := scan.Text()
		if strings.HasPrefix(line, "  ") {
			continue
		}
		fmt.Fprintln(&out, line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		answer := s.command(line)
		if s.err != nil {
			return nil, fmt.Errorf("line %d: %q: %w", n, line, s.err)
		}
		for l := range strings.Lines(answer) {
			fmt.Fprint(&out, "    ", l)
		}
	}
	return out.Bytes(), scan.Err()
}

var scenarioWord = regexp.MustCompile(`(\w+=)?("[^"]*"|\S+)`)

// command runs one line: [at DURATION] VERB [WORD] [KEY=VALUE]….
func (s *scenario) command(line string) string {
	words := scenarioWord.FindAllString(line, -1)
	if words[0] == "at" && len(words) > 1 {
		s.now = scenarioStart.Add(s.duration(words[1]))
		words = words[2:]
	}
	if len(words) == 0 {
		return ""
	}
	a := scenarioArgs{s: s, values: map[string]string{}}
	for _, w := range words[1:] {
		key, value, named := strings.Cut(w, "=")
		if !named {
			key, value = "", w
		}
		a.values[key] = strings.Trim(value, `"`)
	}
	switch verb := words[0]; verb {
	case "policy":
		a.policy()
		s.err = s.policy.Validate()
		return ""
	case "tick":
		return s.step(Tick{})
	case "verdict":
		return s.step(a.verdict())
	case "evidence":
		return s.step(a.evidence())
	default:
		return a.order(verb)
	}
}

func (s *scenario) step(e Event) string {
	if s.err != nil {
		return ""
	}
	next, effects := Step(s.state, e, s.policy, s.now)
	s.err = s.life.see(s.state, e, next, effects, s.policy, s.now)
	s.state = next
	if len(effects) == 0 {
		return "-\n"
	}
	out := describe(next, s.now) + "\n"
	for _, e := range effects {
		out += describeEffect(e) + "\n"
	}
	return out
}

func (s *scenario) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.err = err
	}
	return d
}

// describe renders a state in one line; times count from now.
func describe(s State, now time.Time) string {
	out := fmt.Sprintf("= %s %s gen=%d step=%d", s.Phase, s.Share, s.Generation, s.Step)
	if phase, share := s.Effective(); phase != s.Phase || share != s.Share {
		out += fmt.Sprintf(" (routers see %s %s)", phase, share)
	}
	add := func(name string, set bool, value any) {
		if set {
			out += fmt.Sprintf(" %s=%v", name, value)
		}
	}
	after := func(i Instant) string { return i.Time().Sub(now).String() }
	add("incident", s.Incident != "", s.Kind)
	add("answer", s.Answer != "", s.Answer)
	add("cut-by", s.CutBy != CauseNone, s.CutBy)
	add("base", s.Base != 0, s.Base)
	add("relapses", s.Relapses != 0, s.Relapses)
	add("cool", s.CoolUntil != 0, after(s.CoolUntil))
	add("probation", s.Phase == Healthy && s.Probation != 0, after(s.Probation))
	for _, o := range [...]struct {
		name string
		Override
	}{{"suspend", s.Suspend}, {"off", s.Off}, {"on-now", s.OnNow}, {"hold", s.Hold}} {
		add(o.name, o.Set() && o.Until == 0, o.Author)
		add(o.name, o.Set() && o.Until != 0, o.Author+"/"+after(o.Until))
	}
	return out
}

func describeEffect(e Effect) string {
	switch e := e.(type) {
	case Moved:
		who := e.Cause.String()
		if e.Author != "" {
			who += " " + e.Author
		}
		return fmt.Sprintf("moved by %s: %s", who, e.Reason)
	case IncidentOpened:
		return "incident opened: " + e.Incident.Kind.String() + " " + e.Incident.ID
	case IncidentChanged:
		return strings.TrimSpace("incident changed: " + e.Kind.String() + " " + e.Answer)
	case IncidentClosed:
		return "incident closed: " + e.ID
	case Raised:
		return fmt.Sprintf("alert %s %s", e.Alert.Severity, e.Alert.Kind)
	}
	return fmt.Sprintf("? %T", e)
}

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
			return Verdict{Kind: kind, Scope: a.s.state.Scope, Evidence: a.found(), Ruling: a.ruling()}
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
