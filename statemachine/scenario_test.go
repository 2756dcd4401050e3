package statemachine

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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
	lines := []string{describe(next, s.now)}
	for _, e := range effects {
		lines = append(lines, describeEffect(e))
	}
	return strings.Join(lines, "\n") + "\n"
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
	add("hangs", s.Hangs, s.Hangs)
	add("relapses", s.Relapses != 0, s.Relapses)
	add("failed-probings", s.FailedProbings != 0, s.FailedProbings)
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
