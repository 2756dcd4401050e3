package config_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-pay/sluice/cmd/internal/config"
)

func command(t *testing.T, args ...string) (out, errs string, err error) {
	t.Helper()
	cmd := config.NewCommand()
	var o, e bytes.Buffer
	cmd.SetOut(&o)
	cmd.SetErr(&e)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	return o.String(), e.String(), err
}

// validate prints every problem with its place, or what would run; the environment does not count.
func TestValidate(t *testing.T) {
	t.Setenv("SLUICE_LOG_LEVEL", "loud")
	file := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(file, []byte("listen: x\nlog_level: loud\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, err := command(t, "validate", file)
	if err == nil || !strings.HasSuffix(err.Error(), "2 found") || out != "" {
		t.Errorf("got %v, %s", err, out)
	}
	want := file + ":1:9: listen: \"x\": want HOST:PORT, e.g. 127.0.0.1:7600\n" + file + ":2:12: log_level: \"loud\": want debug, info, warn or error\n"
	if errs != want {
		t.Errorf("got\n%s\nwant\n%s", errs, want)
	}
	if err := os.WriteFile(file, []byte("environment: prod\nredis: {address: '127.0.0.1:6379'}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, err = command(t, "validate", file)
	if want := file + ": good: environment prod; etcd in the process at sluice-data; Redis at redis://127.0.0.1:6379\n"; err != nil || out != want {
		t.Errorf("got %v, %s\nwant %s", err, out, want)
	}
}

// show tells each value and its source, and never a secret.
func TestShow(t *testing.T) {
	dir := t.TempDir()
	file, secret := filepath.Join(dir, "sluice.yaml"), filepath.Join(dir, "password")
	for name, text := range map[string]string{file: "replica: r1\nredis: {address: 'redis.internal:6379', password_file: password}\n", secret: "hunter2"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SLUICE_CONFIG", file)
	t.Setenv("SLUICE_LOG_LEVEL", "warn")
	for _, format := range []string{"table", "json", "yaml"} {
		out, warnings, err := command(t, "show", "-o", format, "--http", "none")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"replica", "r1", file + ":1", "$SLUICE_LOG_LEVEL", "--http", secret} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", format, want, out)
			}
		}
		if strings.Contains(out, "hunter2") {
			t.Errorf("%s shows the secret", format)
		}
		if !strings.Contains(warnings, "redis redis.internal:6379 is reached over plain text") {
			t.Errorf("warnings: %s", warnings)
		}
	}
	out, _, _ := command(t, "show", "-o", "json")
	var shown struct{ Settings []config.Value }
	if err := json.Unmarshal([]byte(out), &shown); err != nil || len(shown.Settings) < 25 {
		t.Errorf("%v: %d settings", err, len(shown.Settings))
	}
	if _, _, err := command(t, "show", "-o", "xml"); err == nil {
		t.Error("an unknown format was accepted")
	}
}
