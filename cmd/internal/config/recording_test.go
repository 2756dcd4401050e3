package config_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-pay/sluice/cmd/internal/config"
)

func TestRecording(t *testing.T) {
	l, err := load(t, "recording: {directory: recordings, keep: 48h}\n", []string{"SLUICE_RECORDING_MAX_MIB=100"})
	if err != nil {
		t.Fatal(err)
	}
	want := config.Recording{Directory: filepath.Join(filepath.Dir(l.File), "recordings"), Keep: 48 * time.Hour, MaxMiB: 100}
	if l.Recording != want {
		t.Errorf("got %+v, want %+v", l.Recording, want)
	}
	if l, err = load(t, "", nil); err != nil || l.Recording.Directory != "" {
		t.Errorf("recorded without being asked: %+v, %v", l.Recording, err)
	}
	for text, want := range map[string]string{
		"recording: {directory: r, keep: 5m}":    "want a duration from 1h to 8760h",
		"recording: {directory: r, max_mib: 10}": "want a whole number of MiB from 64 to 1048576",
		"recording: {keep: 48h}":                 "is of use with recording.directory only",
		"recording: {dir: r}":                    "recording.dir",
	} {
		if _, err := load(t, text, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
