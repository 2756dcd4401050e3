package config_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-pay/sluice/cmd/internal/config"
)

func TestDecisionLog(t *testing.T) {
	l, err := load(t, "environment: staging\ndecision_log: {sample_ppm: 1000, file: decisions.jsonl}\n", []string{"SLUICE_DECISION_LOG_MAX_MIB=100"})
	if err != nil {
		t.Fatal(err)
	}
	want := config.DecisionLog{SamplePPM: 1000, Salt: "staging", File: filepath.Join(filepath.Dir(l.File), "decisions.jsonl"), MaxMiB: 100}
	if l.DecisionLog != want {
		t.Errorf("got %+v, want %+v", l.DecisionLog, want)
	}
	if l, err = load(t, "decision_log: {sample_ppm: 1000000, salt: spring}\n", nil); err != nil || l.DecisionLog.Salt != "spring" {
		t.Errorf("got %+v, %v", l, err)
	}
	if l, err = load(t, "", nil); err != nil || l.DecisionLog.SamplePPM != 0 {
		t.Errorf("logged without being asked: %+v, %v", l.DecisionLog, err)
	}
	for text, want := range map[string]string{
		"decision_log: {sample_ppm: 1000001}":                "want parts per million, a whole number from 0 to 1000000",
		"decision_log: {sample_ppm: 1, salt: 'a b'}":         "letters, digits",
		"decision_log: {sample_ppm: 1, file: f, max_mib: 0}": "want a whole number of MiB from 1 to 1048576",
		"decision_log: {sample_ppm: 1, max_mib: 10}":         "is of use with decision_log.file only",
		"decision_log: {file: f}":                            "is of use with decision_log.sample_ppm above 0 only",
		"decision_log: {sample: 1}":                          "decision_log.sample",
	} {
		if _, err := load(t, text, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
