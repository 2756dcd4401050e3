package cli

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// atHome is an app whose user has a home of their own.
func atHome(t *testing.T, f *fake, values map[string]string) (*app, string) {
	t.Helper()
	home := t.TempDir()
	a := start(t, f)
	all := map[string]string{"HOME": home}
	maps.Copy(all, values)
	a.Env = env(all)
	return a, home
}

func TestContext_SetUseListShow(t *testing.T) {
	a, home := atHome(t, newFake(), nil)
	// The name of the file is absolute, and the home is another in every run: only its end is compared.
	must := func(args ...string) string {
		t.Helper()
		a.context = ""
		got := a.do(t, args...)
		if got.code != ExitOK {
			t.Fatalf("%v: exit code %d: %s", args, got.code, got.err)
		}
		return strings.ReplaceAll(got.out, home, "~")
	}
	out := must("context", "list")
	out += must("context", "set", "staging", "--address", "127.0.0.1:7601")
	out += must("context", "set", "prod", "--address", "sluice.example:7600", "--token-file", filepath.Join(home, "prod.token"))
	out += must("context", "list")
	out += must("context", "use", "prod")
	out += must("context", "show")
	out += must("context", "show", "staging", "-o", "yaml")
	out += must("context", "list", "-o", "json")
	out += must("context", "set", "prod", "--token-file", "")
	out += must("context", "delete", "staging")
	out += must("context", "list")
	golden(t, "context", out)
	info, err := os.Stat(filepath.Join(home, ".config", "sluice", "contexts.yaml"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("contexts.yaml: %v, %v, want mode 0600", info, err)
	}
}

// Flags win over the environment, the environment over the context; an address of its own leaves the context's token alone.
func TestContext_FlagsAndEnvironmentWin(t *testing.T) {
	for _, tc := range []struct {
		name  string
		env   map[string]string
		args  string
		at    string
		token string
	}{
		{"in use", nil, "now", "127.0.0.1:1111", "Bearer of-one"},
		{"by environment", map[string]string{"SLUICE_CONTEXT": "two"}, "now", "127.0.0.1:2222", ""},
		{"by flag", map[string]string{"SLUICE_CONTEXT": "two"}, "now --context one", "127.0.0.1:1111", "Bearer of-one"},
		{"an address of the environment", map[string]string{"SLUICE_ADDRESS": "127.0.0.1:3333"}, "now", "127.0.0.1:3333", ""},
		{"an address of a flag", map[string]string{"SLUICE_ADDRESS": "127.0.0.1:3333"}, "now --address 127.0.0.1:4444", "127.0.0.1:4444", ""},
		{"a token of the environment", map[string]string{"SLUICE_TOKEN": "own"}, "now", "127.0.0.1:1111", "Bearer own"},
		{"an address beside a named context", nil, "now --context one --address 127.0.0.1:4444", "127.0.0.1:4444", "Bearer of-one"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake()
			a, home := atHome(t, f, tc.env)
			token := filepath.Join(home, "one.token")
			if err := os.WriteFile(token, []byte("of-one\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, line := range []string{"context set one --address 127.0.0.1:1111 --token-file " + token, "context set two --address 127.0.0.1:2222"} {
				if got := a.do(t, strings.Fields(line)...); got.code != ExitOK {
					t.Fatal(got.err)
				}
			}
			got := a.do(t, strings.Fields(tc.args)...)
			if got.code != ExitOK || !strings.Contains(got.out, tc.at) {
				t.Errorf("exit code %d, want the server %s: %s%s", got.code, tc.at, got.out, got.err)
			}
			if len(f.tokens) == 0 || f.tokens[0] != tc.token {
				t.Errorf("sent %q, want %q", f.tokens, tc.token)
			}
		})
	}
}

func TestContext_WrongUsage(t *testing.T) {
	for _, tc := range []struct{ line, want string }{
		{"now --context nowhere", "there are one"},
		{"context use nowhere", "there are one"},
		{"context delete nowhere", "there are one"},
		{"context set two", "needs --address"},
		{"context set two --address nowhere", "want HOST:PORT"},
		{"context set two --address host:1 --cert c.pem", "--cert and --key go together"},
		{"context set two --address host:1 --ca missing.pem", "missing.pem"},
		{"context set ../two --address host:1", "want 1 to 64"},
	} {
		a, _ := atHome(t, newFake(), nil)
		if got := a.do(t, "context", "set", "one", "--address", "127.0.0.1:1"); got.code != ExitOK {
			t.Fatal(got.err)
		}
		if got := a.do(t, strings.Fields(tc.line)...); got.code != ExitUsage || !strings.Contains(got.err, tc.want) {
			t.Errorf("%s: exit code %d, want %q: %s", tc.line, got.code, tc.want, got.err)
		}
	}
}

// A token has no place in the file: one that somebody wrote there is refused, and so is any other unknown field.
func TestContext_NoTokensInTheFile(t *testing.T) {
	a, home := atHome(t, newFake(), nil)
	file := filepath.Join(home, ".config", "sluice", "contexts.yaml")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("current: a\ncontexts:\n- name: a\n  address: 127.0.0.1:1\n  token: hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := a.do(t, "now"); got.code != ExitUsage || !strings.Contains(got.err, "token") {
		t.Errorf("exit code %d: %s", got.code, got.err)
	}
}
