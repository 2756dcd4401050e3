package serve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-pay/sluice/cmd/internal/config"
)

func TestALineFileIsBounded(t *testing.T) {
	name := filepath.Join(t.TempDir(), "decisions.jsonl")
	if err := os.WriteFile(name, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := openLines(name, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		if err := f.write(fmt.Appendf(nil, `{"n":%d}`, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, n := range []string{name + ".1", name} {
		data, err := os.ReadFile(n)
		if err != nil || len(data) > 1000 {
			t.Fatalf("%s: %d bytes, %v", n, len(data), err)
		}
		all = append(all, data...)
	}
	lines := strings.Split(strings.TrimSuffix(string(all), "\n"), "\n")
	for i, line := range lines {
		if want := fmt.Sprintf(`{"n":%d}`, 500-len(lines)+i); line != want {
			t.Fatalf("line %d is %s, want %s", i, line, want)
		}
	}
	if len(lines) < 100 {
		t.Errorf("%d lines are left", len(lines))
	}
}

func TestALineFileComesBackAfterAnError(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := openLines(filepath.Join(dir, "decisions.jsonl"), 20)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.write([]byte("a line of length 20!")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := f.write([]byte("another")); err == nil {
		t.Error("a line went nowhere unseen")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := f.write([]byte("another")); err != nil {
		t.Error(err)
	}
}

func TestWithoutAFileDecisionsGoToTheLog(t *testing.T) {
	var out bytes.Buffer
	r := &replica{o: Options{Logger: NewLogger(&out, slog.LevelInfo)}}
	write, closeFile, err := r.decisionSink(config.DecisionLog{SamplePPM: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := write([]byte(`{"channel":"alpha","propensity":0.25}`)); err != nil {
		t.Fatal(err)
	}
	var line struct {
		Msg    string
		Record struct {
			Channel    string
			Propensity float64
		}
	}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Msg != "decision" || line.Record.Channel != "alpha" || line.Record.Propensity != 0.25 {
		t.Errorf("logged %s: %v", out.String(), err)
	}
	if err := closeFile(); err != nil {
		t.Error(err)
	}
}
