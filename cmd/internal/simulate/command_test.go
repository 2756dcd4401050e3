package simulate

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// call runs `sluice simulate` as a user would.
func call(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := NewCommand()
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

func TestSameSeedSameFilesSameBytesThroughTheNode(t *testing.T) {
	t.Parallel()
	const scenario = "scenarios/one-bank-down-on-a-cross-card-channel.yaml"
	file := filepath.Join(t.TempDir(), "events.jsonl")
	_, notes, err := call(t, "--scenario", scenario, "--out", file, "--payments")
	if err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := call(t, "--scenario", scenario, "--out", "-", "--payments")
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := call(t, "--scenario", scenario, "--out", "-", "--payments", "--seed", "8")
	if err != nil {
		t.Fatal(err)
	}
	if string(first) != again {
		t.Error("the same seed and files gave other bytes")
	}
	if again == other {
		t.Error("another seed gave the same bytes")
	}
	if !strings.Contains(notes, "simulated in") {
		t.Errorf("wall time belongs to stderr: %q", notes)
	}
	if strings.Contains(again, "simulated in") {
		t.Error("wall time in the event log")
	}
}

func TestPolicyReplacesTheDefault(t *testing.T) {
	t.Parallel()
	policy := filepath.Join(t.TempDir(), "observe.yaml")
	if err := os.WriteFile(policy, []byte("automation: OBSERVE\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	log, _, err := call(t, "--scenario", "scenarios/channel-hard-down.yaml", "--out", "-", "--policy", policy)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(log, `"to":"DISABLED"`) || !strings.Contains(log, `"kind":"OBSERVED"`) {
		t.Error("under OBSERVE nothing is cut and the incident is recorded")
	}
}

func TestBadFilesAreRefusedBeforeAnythingIsWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bad, out := filepath.Join(dir, "bad.yaml"), filepath.Join(dir, "events.jsonl")
	if err := os.WriteFile(bad, []byte("name: x\nspeed: 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := call(t, "--scenario", bad, "--out", out)
	if err == nil || !strings.Contains(err.Error(), "bad.yaml:2:1: speed: unknown key") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(out); !os.IsNotExist(err) {
		t.Error("an event log was begun")
	}
	if _, _, err := call(t, "--scenario", "scenarios/healthy-hour.yaml"); err == nil {
		t.Error("--out is required")
	}
}
