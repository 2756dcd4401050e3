package campaign

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFlagsRefuse(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "x.jsonl")
	tests := map[string][]string{
		"--out":           {"--class", "quiet"},
		"unknown":         {"--class", "noisy", "--out", out},
		"--days 0":        {"--class", "quiet", "--out", out, "--days", "0"},
		"--seeds \"a\"":   {"--class", "quiet", "--out", out, "--seeds", "a"},
		"--seeds \"4-2\"": {"--class", "quiet", "--out", out, "--seeds", "4-2"},
		"--detector":      {"--class", "quiet", "--out", out, "--detector", "psychic"},
		"--report":        {"--class", "quiet", "--report", out},
	}
	for want, args := range tests {
		cmd := NewCommand()
		cmd.SetArgs(args)
		cmd.SetOut(&bytes.Buffer{})
		cmd.SetErr(&bytes.Buffer{})
		if err := cmd.ExecuteContext(t.Context()); !errors.Is(err, ErrFlag) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", args, err)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a refused command left a file")
	}
}

func TestParseSeeds(t *testing.T) {
	t.Parallel()
	got, err := ParseSeeds("21-24,5,22")
	if err != nil || !slices.Equal(got, []uint64{21, 22, 23, 24, 5}) {
		t.Errorf("%v %v", got, err)
	}
}

func TestReportPrintsWhatIsThere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.jsonl")
	s, err := Open(path, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range example() {
		if err := s.Put(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := NewCommand()
	cmd.SetArgs([]string{"--report", path, "--misses", "--false"})
	cmd.SetOut(&out)
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "quiet: 2 units, 12.0 channel-days") || !strings.Contains(out.String(), "hard/1") {
		t.Errorf("got\n%s", out.String())
	}
}
