package main

import (
	"bytes"
	"encoding/csv"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-pay/sluice/cmd/internal/campaign"
	"github.com/sluice-pay/sluice/cmd/internal/simulate"
	"github.com/sluice-pay/sluice/statemachine"

	"github.com/sluice-pay/sluice/cmd/compare/internal/virtual"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--busy 0 --medium 0 --quiet 0": "no days",
		"--quiet -1":                    "want 0 or more",
		"--workers 0":                   "want 1 or more",
		"--hours 25":                    "want 1 to 24",
		"--hours 4 --results .":         "whole days",
		"--price -0.1":                  "want 0 or more",
		"--seeds 1,x":                   "numbers and ranges",
		"--unknown":                     "not defined",
		"busy":                          "flags alone",
	} {
		var said bytes.Buffer
		if _, err := parse(strings.Fields(args), &said); err == nil || !strings.Contains(said.String(), want) {
			t.Errorf("%s: %v, said %q, want %q", args, err, said.String(), want)
		}
	}
	s, err := parse(strings.Fields("--busy 2 --seeds 7-8 --policies envoy"), io.Discard)
	if err != nil || s.days["busy"] != 2 || len(s.seeds) != 2 || s.policies != "envoy" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestPick(t *testing.T) {
	t.Parallel()
	all, err := pick("")
	if err != nil || len(all) != len(roster()) {
		t.Errorf("%d of %d, %v", len(all), len(roster()), err)
	}
	seen := map[string]bool{}
	for _, c := range all {
		if seen[c.id()] {
			t.Errorf("%s twice", c.id())
		}
		seen[c.id()] = true
	}
	if some, err := pick("gobreaker.*bank"); err != nil || len(some) != 2 {
		t.Errorf("%v, %v", some, err)
	}
	for _, bad := range []string{"nobody", "("} {
		if _, err := pick(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// compared runs four hours of a day and returns the table and the lines of the CSV file by policy and keys.
func compared(t *testing.T, policies string) (string, map[string][]map[string]string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "out.csv")
	s := &settings{days: map[string]int{"medium": 1}, seeds: []uint64{5}, hours: 4, policies: policies, workers: 2, price: 0.05, csv: file}
	var out bytes.Buffer
	if err := s.run(t.Context(), virtual.NewLab(t), &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	by := map[string][]map[string]string{}
	for _, l := range lines[1:] {
		cells := map[string]string{}
		for i, name := range lines[0] {
			cells[name] = l[i]
		}
		id := cells["policy"] + ", " + cells["keys"]
		by[id] = append(by[id], cells)
	}
	return out.String(), by
}

func TestComparison(t *testing.T) {
	t.Parallel()
	table, lines := compared(t, "gobreaker.*default|oracle|aegis.*channel$")
	if len(lines) != 4 {
		t.Fatalf("%d policies in the file, want 4", len(lines))
	}
	oracle := lines["oracle, scopes"][0]
	idle, breaker := lines["aegis v0.2.0 SRE, default, channel"][0], lines["gobreaker v2.4.0, default, channel"][0]
	for _, name := range []string{"payments", "events", "detectable"} {
		if idle[name] != breaker[name] || idle[name] != oracle[name] {
			t.Errorf("%s differ: %s, %s, %s", name, idle[name], breaker[name], oracle[name])
		}
	}
	expect(t, "oracle", oracle, map[string]string{
		"excess_failed": "0", "healthy_moved": "0", "recall_of_all": "1", "precision": "1", "over_cuts": "0",
	})
	expect(t, "aegis, below its least traffic", idle, map[string]string{"cuts": "0", "precision": "", "healthy_moved": "0"})
	for _, name := range []string{"cuts", "ttd_p50_s", "recovery_p50_s", "probes_failed", "excess_failed"} {
		if breaker[name] == "" || breaker[name] == "0" {
			t.Errorf("gobreaker: %s is %q", name, breaker[name])
		}
	}
	if !strings.Contains(table, "| gobreaker v2.4.0, default | channel × bank |") || strings.Contains(table, "NaN") {
		t.Errorf("table:\n%s", table)
	}
}

func expect(t *testing.T, who string, line, want map[string]string) {
	t.Helper()
	for name, x := range want {
		if line[name] != x {
			t.Errorf("%s: %s = %q, want %q", who, name, line[name], x)
		}
	}
}

func TestSameDaySameFigures(t *testing.T) {
	t.Parallel()
	first, _ := compared(t, "sentinel|go-zero")
	if second, _ := compared(t, "sentinel|go-zero"); first != second {
		t.Errorf("two runs differ:\n%s\n%s", first, second)
	}
}

// What is kept is not run again, and an unfinished comparison goes on.
func TestArchive(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	all := roster()[:2]
	a, err := openArchive(dir, all)
	if err != nil {
		t.Fatal(err)
	}
	j := job{unit: campaign.Unit{Class: "quiet", Seed: 3, Day: 1}, contestant: all[1]}
	if r := a.get(&j); r != nil {
		t.Errorf("an empty archive holds %v", r)
	}
	if err := a.put(&j, &campaign.Result{Unit: j.unit, Policy: all[1].id(), Seconds: 86400, Excess: 7}); err != nil {
		t.Fatal(err)
	}
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	if a, err = openArchive(dir, all); err != nil {
		t.Fatal(err)
	}
	results, err := runAll(t.Context(), virtual.NewLab(t), []job{j}, 1, a, io.Discard)
	if err != nil || results[0].Excess != 7 {
		t.Errorf("%v, %v: it was run again", results, err)
	}
	other := job{unit: j.unit, contestant: all[0]}
	if r := a.get(&other); r != nil {
		t.Errorf("%s is given the result of %s", all[0].id(), r.Policy)
	}
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
}

func TestFooterComparesWithTheBestLibraryAndTheWindow(t *testing.T) {
	t.Parallel()
	at := func(k kind, name string, excess int64) row {
		return row{contestant{kind: k, name: name, keys: perChannel}, &campaign.Figures{Class: "quiet", Units: 1, ChannelDays: 6, Excess: excess, MovedHealthy: 40}}
	}
	r := &report{price: 0.5, rows: []row{
		at(kindDefault, "own", 50), at(kindLibrary, "good", 200), at(kindLibrary, "bad", 400), at(kindWindow, "window", 40), at(kindOracle, "oracle", 0),
	}}
	var out strings.Builder
	if err := r.markdown(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Excess failed: 50, 25 % of good", "Excess failed: 50, 125 % of window", "| 50 | 70 |\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestPartIsNeverRoundedUpToOne(t *testing.T) {
	t.Parallel()
	for x, want := range map[float64]string{1: "1.000", 0.9999: "0.999", 0.29: "0.290", math.NaN(): "–"} {
		if got := part(x); got != want {
			t.Errorf("%v is %s, want %s", x, got, want)
		}
	}
}

func TestKeysAndScopes(t *testing.T) {
	t.Parallel()
	trace, err := campaign.Scenario(campaign.Unit{Class: "quiet", Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	one, many := newKeyring(trace.Scenario, false), newKeyring(trace.Scenario, true)
	if len(one.keys) != 6 || len(many.keys) != 48 {
		t.Errorf("%d and %d keys, want 6 channels and 48 channels × banks", len(one.keys), len(many.keys))
	}
	for k, s := range many.scopes {
		if s.Kind != statemachine.ScopeInstrument || s.Channel != k.Channel || !strings.Contains(s.Of, k.Bank) {
			t.Errorf("%v stands for %v", k, s)
		}
	}
	sel := simulate.Selector{Channel: "alpha", Account: "alpha-m-1"}
	if s := scopeOf(trace.Scenario, &sel); s != statemachine.AccountScope("alpha", "alpha-m-1") {
		t.Errorf("account fault: %v", s)
	}
}

func TestPayersAreNoFailures(t *testing.T) {
	t.Parallel()
	for _, o := range []statemachine.Outcome{
		statemachine.Succeeded, statemachine.UserDeclined, statemachine.Rejected, statemachine.Throttled, statemachine.Pending,
	} {
		if failed(o) {
			t.Errorf("%v is told as a failure", o)
		}
	}
	for _, o := range []statemachine.Outcome{
		statemachine.ChannelFailed, statemachine.NetworkFailed, statemachine.TimedOut, statemachine.AccountFailed, statemachine.OutcomeUnmapped,
	} {
		if !failed(o) {
			t.Errorf("%v is told as a success", o)
		}
	}
}
