package deploytest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// directives reads a unit: values by key, in order.
func directives(text string) map[string][]string {
	all := map[string][]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if key, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			all[key] = append(all[key], value)
		}
	}
	return all
}

func TestUnitRunsThePackagedBinary(t *testing.T) {
	unit := directives(read(t, "deploy/systemd/sluice.service"))
	for key, want := range map[string]string{
		"ExecStart": "/usr/bin/sluice serve --config /etc/sluice/sluice.yaml",
		"User":      "sluice", "Restart": "on-failure", "StateDirectory": "sluice", "ProtectSystem": "strict",
		"NoNewPrivileges": "yes", "CapabilityBoundingSet": "", "LimitNOFILE": "65536",
	} {
		if got := unit[key]; len(got) != 1 || got[0] != want {
			t.Errorf("%s=%q, want %q", key, got, want)
		}
	}
	if config := read(t, "deploy/examples/sluice.yaml"); !strings.Contains(config, "\ndata_dir: /var/lib/"+unit["StateDirectory"][0]+"\n") {
		t.Error("sluice.yaml keeps its data elsewhere than the unit may write")
	}
}

func TestUnitIsSoundAndHardened(t *testing.T) {
	analyze := tool(t, "systemd", "systemd-analyze")
	// verify looks for the programs of the unit, so it gets those of this build.
	text := strings.ReplaceAll(read(t, "deploy/systemd/sluice.service"), "/usr/bin/sluice", binary)
	path := filepath.Join(t.TempDir(), "sluice.service")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(ran(t, exec.Command(analyze, "verify", "--man=no", path))) {
		if strings.Contains(line, "sluice.service") {
			t.Errorf("systemd-analyze verify: %s", line)
		}
	}
	// In tenths of systemd's exposure level; 100 is no protection at all.
	ran(t, exec.Command(analyze, "security", "--offline=yes", "--threshold=20", "--no-pager", path))
}
