package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/reflect/protoreflect"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/cmd/internal/config"
	"github.com/sluice-pay/sluice/cmd/internal/doctor"
	"github.com/sluice-pay/sluice/routing/catalogfile"
)

func TestHelp_ExitCodes(t *testing.T) {
	got := start(t, newFake()).do(t, "help", "exit-codes")
	if got.code != ExitOK {
		t.Fatalf("exit code %d: %s", got.code, got.err)
	}
	golden(t, "exit_codes", got.out)
}

// The policy that the help shows is one that the catalogue takes, and names every key there is.
func TestHelp_Policy(t *testing.T) {
	got := start(t, newFake()).do(t, "help", "policy")
	if got.code != ExitOK {
		t.Fatalf("exit code %d: %s", got.code, got.err)
	}
	_, text, found := strings.Cut(got.out, "values:\n")
	text, _, ended := strings.Cut(text, "\n`sluice catalog validate")
	if !found || !ended {
		t.Fatalf("no policy in %s", got.out)
	}
	p := &configv1.Policy{}
	if err := catalogfile.Decode("policy.yaml", []byte(text), p); err != nil {
		t.Fatal(err)
	}
	wantEveryKey(t, p.ProtoReflect())
}

func wantEveryKey(t *testing.T, m protoreflect.Message) {
	t.Helper()
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		switch {
		case !m.Has(f):
			t.Errorf("%s is not told", f.FullName())
		case f.Message() != nil && f.Message().FullName() != "google.protobuf.Duration":
			wantEveryKey(t, m.Get(f).Message())
		}
	}
}

func TestCheat(t *testing.T) {
	got := start(t, newFake()).do(t, "cheat")
	if got.code != ExitOK {
		t.Fatalf("exit code %d: %s", got.code, got.err)
	}
	golden(t, "cheat", got.out)
	one := start(t, newFake()).do(t, "cheat", "incident")
	if one.code != ExitOK || !strings.Contains(got.out, one.out) || strings.Contains(one.out, "sluice off") {
		t.Errorf("exit code %d, not a part of the whole: %s", one.code, one.out)
	}
	if wrong := start(t, newFake()).do(t, "cheat", "nonsense"); wrong.code != ExitUsage || !strings.Contains(wrong.err, "incident") {
		t.Errorf("exit code %d: %s", wrong.code, wrong.err)
	}
}

// Every command line of the cheat sheet is one that the program understands.
func TestCheat_EveryLineParses(t *testing.T) {
	n := 0
	for line := range strings.Lines(cheatSheet) {
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		n++
		if problem := understood(cheatWords(line)); problem != "" {
			t.Errorf("%s: %s", strings.TrimSpace(line), problem)
		}
	}
	if n < 20 {
		t.Errorf("only %d command lines were found", n)
	}
	for _, wrong := range []string{"sluice nonsense", "sluice now --nonsense", "sluice off alipay", "sluice why", "sluice why a b", "ls"} {
		if understood(cheatWords(wrong)) == "" {
			t.Errorf("%s is taken for a good command line", wrong)
		}
	}
}

// cheatWords splits one command line as a shell would, up to a comment, a pipe or a redirection.
func cheatWords(line string) []string {
	line = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(line), "source <("), ")")
	var words []string
	var word strings.Builder
	quoted, begun := false, false
	for _, r := range line + " " {
		switch {
		case r == '\'':
			quoted, begun = !quoted, true
		case quoted || r != ' ':
			word.WriteRune(r)
			begun = true
		case begun:
			if w := word.String(); w == "#" || w == "|" || w == ">" {
				return words
			}
			words = append(words, word.String())
			word.Reset()
			begun = false
		}
	}
	return words
}

// understood tells what is wrong with a command line, empty for nothing.
func understood(words []string) string {
	a := &app{Options: Options{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}, Env: env(nil), Commands: []*cobra.Command{config.NewCommand(), doctor.NewCommand()}}}
	root := a.newRoot()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	if words[0] != "sluice" {
		return "not a command of sluice"
	}
	cmd, rest, err := root.Find(words[1:])
	if err != nil {
		return err.Error()
	}
	if cmd == root || !cmd.Runnable() {
		return "no such command"
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err.Error()
	}
	return meant(root, cmd, cmd.Flags().Args())
}

// meant tells what is wrong with the arguments of a command, empty for nothing.
func meant(root, cmd *cobra.Command, args []string) string {
	if err := cmd.ValidateArgs(args); err != nil {
		return err.Error()
	}
	if f := cmd.Flags().Lookup("reason"); f != nil && !f.Changed {
		return "no --reason"
	}
	if strings.Contains(cmd.Use, "SCOPE") && (!strings.Contains(cmd.Use, "|") || strings.Contains(args[0], "=")) {
		if _, err := parseScope(args[0]); err != nil {
			return err.Error()
		}
	}
	if cmd.Name() == "help" {
		if topic, _, err := root.Find(args); err != nil || topic == root {
			return "no such topic"
		}
	}
	return ""
}

func TestOutputYAML_HasTheFieldsOfJSON(t *testing.T) {
	for _, line := range []string{"now", "channels", "incidents", "why 5f0c3a9d2b41", "why unionpay-b", "why AQAB", "why domain=unionpay-network", "series show alipay"} {
		var fromYAML, fromJSON map[string]any
		a := start(t, newSeriesFake())
		asYAML, asJSON := a.do(t, strings.Fields(line+" -o yaml")...), a.do(t, strings.Fields(line+" -o json")...)
		if err := yaml.Unmarshal([]byte(asYAML.out), &fromYAML); err != nil || asYAML.code != ExitOK || len(fromYAML) == 0 {
			t.Fatalf("%s: exit code %d, %v:\n%s", line, asYAML.code, err, asYAML.out)
		}
		if err := yaml.Unmarshal([]byte(asJSON.out), &fromJSON); err != nil {
			t.Fatal(err)
		}
		x, _ := yaml.MarshalWithOptions(fromYAML, yaml.JSON())
		y, _ := yaml.MarshalWithOptions(fromJSON, yaml.JSON())
		if !bytes.Equal(x, y) {
			t.Errorf("%s: YAML says\n%s\nJSON says\n%s", line, x, y)
		}
	}
	golden(t, "incidents_yaml", start(t, newFake()).do(t, "incidents", "-o", "yaml").out)
}

// Nothing is coloured under NO_COLOR or on a dumb terminal, whatever is shown.
func TestColours_NoColor(t *testing.T) {
	for _, tc := range []struct {
		env  map[string]string
		want bool
	}{{nil, true}, {map[string]string{"NO_COLOR": "1"}, false}, {map[string]string{"NO_COLOR": "0"}, false}, {map[string]string{"TERM": "dumb"}, false}} {
		a := start(t, newFake())
		a.Env = env(tc.env)
		if got := a.colours(); got != tc.want {
			t.Errorf("%v: colours %v, want %v", tc.env, got, tc.want)
		}
	}
}
