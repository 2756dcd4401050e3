package backtest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-pay/sluice/cmd/internal/backtest"
	"github.com/sluice-pay/sluice/cmd/internal/simulate"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const scenario = "../simulate/scenarios/one-bank-down-on-a-cross-card-channel.yaml"

// execute runs a command and returns what it printed.
func execute(t *testing.T, cmd *cobra.Command, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&bytes.Buffer{})
	cmd.SilenceErrors = true
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// simulated records a run of a scenario and returns the recording and the event log.
func simulated(t *testing.T, file, policy string) (recording string, events []event) {
	t.Helper()
	recording = filepath.Join(t.TempDir(), "run.sluicerec")
	args := []string{"--scenario", file, "--out", "-", "--record", recording}
	if policy != "" {
		args = append(args, "--policy", write(t, "policy.yaml", policy))
	}
	log, err := execute(t, simulate.NewCommand(), args...)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(log) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Event == "transition" {
			events = append(events, e)
		}
	}
	return recording, events
}

// event is a transition of an event log.
type event struct {
	Event, To string
	T         float64
	Scope     struct{ Channel, Bank string }
}

func replayed(t *testing.T, args ...string) backtest.Report {
	t.Helper()
	out, err := execute(t, backtest.NewCommand(), append(args, "-o", "json")...)
	if err != nil {
		t.Fatal(err)
	}
	var r backtest.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

const (
	windows = "detector: WINDOWS\n"
	lax     = "detector: WINDOWS\nwindows: {window: 60s, failure_rate: 0.9, min_samples: 80, mild_rate: 0, count_ratio: {count: 60, ratio: 0.9}}\n"
)

// A run that was recorded and is replayed under its own policy is cut where it was, in the same second, and saves something
// only where payments really went: here the recording was closed itself.
func TestReplayCutsWhereTheRunDid(t *testing.T) {
	for name, policy := range map[string]string{"as the catalogue says": "", "windows": windows, "sequential": "detector: SEQUENTIAL\n"} {
		t.Run(name, func(t *testing.T) {
			recording, events := simulated(t, scenario, policy)
			r := replayed(t, "--recording", recording)
			if len(events) == 0 || len(r.Policies[0].Closures) == 0 || len(r.Automation.Closures) == 0 {
				t.Fatalf("%d transitions, %+v", len(events), r)
			}
			first, run := r.Policies[0].Closures[0], events[0]
			at := r.Recording.From.Add(time.Duration(run.T * float64(time.Second)))
			if !first.At.Equal(at) || !strings.HasPrefix(first.Scope, run.Scope.Channel+"/instrument=QUICKPAY:"+run.Scope.Bank) {
				t.Errorf("replayed: %s at %s; run: %+v at %s", first.Scope, first.At, run.Scope, at)
			}
			if rec := r.Automation.Closures[0]; rec.Scope != first.Scope || !rec.At.Equal(first.At) || rec.Why != first.Why {
				t.Errorf("recorded %+v\nreplayed %+v", rec, first)
			}
			if first.Recorded != "automation in the same second" {
				t.Errorf("recorded: %s", first.Recorded)
			}
		})
	}
}

// Of two policies on the same recorded traffic the laxer cuts later and saves less, and both are right.
func TestPoliciesSideBySide(t *testing.T) {
	recording, _ := simulated(t, scenario, "automation: OBSERVE\n")
	r := replayed(t, "--recording", recording, "--policy", write(t, "quick.yaml", windows), "--policy", "lax="+write(t, "p.yaml", lax))
	if len(r.Policies) != 3 || r.Policies[1].Name != "quick" || r.Policies[2].Name != "lax" {
		t.Fatalf("got %+v", r.Policies)
	}
	if r.Automation.Cuts != 0 {
		t.Errorf("at level observe nothing was cut, got %+v", r.Automation)
	}
	quick, slow := r.Policies[1], r.Policies[2]
	if quick.Cuts != 1 || slow.Cuts != 1 || !quick.Closures[0].At.Before(slow.Closures[0].At) {
		t.Fatalf("quick %+v\nlax %+v", quick, slow)
	}
	// 4 ICBC payments a second, 40 % of them on the channel, fail for five minutes: about 480.
	if *quick.Avoided < 350 || *quick.Avoided > 550 || *slow.Avoided >= *quick.Avoided {
		t.Errorf("avoided: quick %v, lax %v", *quick.Avoided, *slow.Avoided)
	}
	for _, c := range []backtest.Cut{quick.Closures[0], slow.Closures[0]} {
		if c.Judgement != backtest.JudgedRight || c.Recorded != "nobody closed it" {
			t.Errorf("%s: judged %s, recorded %s", c.Scope, c.Judgement, c.Recorded)
		}
	}
	if again := replayed(t, "--recording", recording, "--policy", write(t, "quick.yaml", windows)); *again.Policies[1].Net != *quick.Net {
		t.Errorf("the same recording gives %v and %v", *again.Policies[1].Net, *quick.Net)
	}
}

// Only the seconds asked for are judged.
func TestFromTo(t *testing.T) {
	recording, _ := simulated(t, scenario, windows)
	if r := replayed(t, "--recording", recording, "--to", "08:03:30"); r.Policies[0].Cuts != 0 || r.Recording.Seconds != 210 {
		t.Errorf("before the fault: %d cuts in %d seconds", r.Policies[0].Cuts, r.Recording.Seconds)
	}
	if r := replayed(t, "--recording", recording, "--from", "08:12", "--to", "2026-03-02T08:14:00Z"); r.Recording.Seconds != 120 {
		t.Errorf("two minutes have %d seconds", r.Recording.Seconds)
	}
}

// What is wrong is refused with its place and what would be right.
func TestBadInput(t *testing.T) {
	recording, _ := simulated(t, scenario, windows)
	data, err := os.ReadFile(recording)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(data)
	damaged[len(data)/2] ^= 1
	shop := `
name: shop
entities: [{id: e-1}]
channels:
  - {id: other, provider: p, business_types: [COLLECT], instruments: [{method: WALLET}], accounts: [{id: a, entity: e-1}], currencies: [CNY]}
routes:
  - {id: r, business_type: COLLECT, method: WALLET, members: [{channel: other, split: 100}]}
`
	for name, c := range map[string]struct {
		args []string
		want string
		code int
	}{
		"no recording":    {[]string{}, "--recording is missing", 2},
		"no file":         {[]string{"--recording", "/nowhere"}, "/nowhere", 1},
		"reversed":        {[]string{"--recording", recording, "--from", "09:00", "--to", "08:00"}, "--from 09:00 is not before --to 08:00", 2},
		"no time":         {[]string{"--recording", recording, "--from", "noon"}, `--from "noon"`, 2},
		"nothing there":   {[]string{"--recording", recording, "--from", "11:00"}, "no second of that time", 1},
		"unknown key":     {[]string{"--recording", recording, "--policy", write(t, "p.yaml", "windows:\n  windwo: 10s\n")}, "p.yaml:2:3", 1},
		"same name":       {[]string{"--recording", recording, "--policy", "catalogue=x"}, "two of the name", 2},
		"format":          {[]string{"--recording", recording, "-o", "xml"}, "want text or json", 2},
		"both":            {[]string{"--recording", recording, "--observed", "--policy", "x"}, "replays nothing", 2},
		"damaged":         {[]string{"--recording", write(t, "d.sluicerec", string(damaged))}, "d.sluicerec: offset ", 1},
		"other version":   {[]string{"--recording", write(t, "v.sluicerec", "SLUICEREC\x09\x00\x00\x00 and more")}, "version 9, this program reads 1", 1},
		"no recordings":   {[]string{"--recording", t.TempDir()}, "no file *.sluicerec", 1},
		"unknown channel": {[]string{"--recording", recording, "--catalog", write(t, "shop.yaml", shop)}, "does not know a channel of the recording", 1},
	} {
		_, err := execute(t, backtest.NewCommand(), c.args...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
			continue
		}
		code := 1
		if own, ok := errors.AsType[interface {
			error
			ExitCode() int
		}](err); ok {
			code = own.ExitCode()
		}
		if code != c.code {
			t.Errorf("%s: exit code %d, want %d", name, code, c.code)
		}
	}
}

// A recording without its end is replayed as far as it goes, and the report says so.
func TestTornRecordingIsReported(t *testing.T) {
	recording, _ := simulated(t, scenario, windows)
	data, err := os.ReadFile(recording)
	if err != nil {
		t.Fatal(err)
	}
	torn := write(t, "torn.sluicerec", string(data[:len(data)*3/4]))
	r := replayed(t, "--recording", torn)
	if r.Policies[0].Cuts != 1 || len(r.Recording.Problems) != 1 || !strings.Contains(r.Recording.Problems[0], "torn off") {
		t.Errorf("%d cuts, problems %q", r.Policies[0].Cuts, r.Recording.Problems)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n%s\nwant\n%s", file, got, want)
	}
}
