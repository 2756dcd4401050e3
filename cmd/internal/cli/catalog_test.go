package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func runValidate(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	a := start(t, newFake())
	a.In = strings.NewReader(stdin)
	return a.do(t, append([]string{"catalog", "validate"}, args...)...)
}

func TestCatalogValidateGood(t *testing.T) {
	const file = "../demo/catalog.yaml"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]result{"file": runValidate(t, "", file), "stdin": runValidate(t, string(text), "-")} {
		if got.code != ExitOK || got.err != "" || !strings.Contains(got.out, ": good: 20 channels, ") || strings.Contains(got.out, " 0 ") {
			t.Errorf("%s: exit code %d, out %q, errors %q", name, got.code, got.out, got.err)
		}
	}
}

const badCatalog = "entities: [{id: e}]\nchanels: []\nroutes:\n  - {id: 5}\n"

func TestCatalogValidateBad(t *testing.T) {
	got := runValidate(t, badCatalog, "-")
	if got.code != ExitFailed || got.out != "" {
		t.Errorf("exit code %d, out %q", got.code, got.out)
	}
	for _, want := range []string{
		"stdin:2:1: chanels: unknown key \"chanels\"; did you mean channels?\n",
		"stdin:4:10: routes[0].id: want a text, have the number 5; put it in quotes: \"5\"\n",
	} {
		if !strings.Contains(got.err, want) {
			t.Errorf("stderr lacks %q:\n%s", want, got.err)
		}
	}
	if strings.Contains(got.err, "Usage:") {
		t.Errorf("usage is printed for a bad file:\n%s", got.err)
	}
	if none := runValidate(t, "", filepath.Join(t.TempDir(), "none.yaml")); none.code != ExitFailed || !strings.Contains(none.err, "no such file") {
		t.Errorf("a missing file: exit code %d, %s", none.code, none.err)
	}
}

// Programs get the problems with their places, and the same exit code.
func TestCatalogValidate_JSON(t *testing.T) {
	got := runValidate(t, badCatalog, "-", "-o", "json")
	var v catalogVerdict
	if err := json.Unmarshal([]byte(got.out), &v); err != nil || got.code != ExitFailed {
		t.Fatalf("exit code %d, %v: %s", got.code, err, got.out)
	}
	if v.Good || v.File != "stdin" || len(v.Problems) < 2 || v.Problems[1].Line != 2 || v.Problems[1].Column != 1 || v.Problems[1].Path != "chanels" {
		t.Errorf("got %+v", v)
	}
	good := runValidate(t, "", "../demo/catalog.yaml", "-o", "json")
	if err := json.Unmarshal([]byte(good.out), &v); err != nil || good.code != ExitOK || !v.Good || v.Channels != 20 || len(v.Problems) != 0 {
		t.Errorf("exit code %d, %v: %+v", good.code, err, v)
	}
}
