package cli

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func runValidate(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := newCatalogCommand()
	var out, errs bytes.Buffer
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(append([]string{"validate"}, args...))
	err = cmd.Execute()
	return out.String(), errs.String(), err
}

func TestCatalogValidateGood(t *testing.T) {
	const file = "../demo/catalog.yaml"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, run := range map[string]func() (string, string, error){
		"file":  func() (string, string, error) { return runValidate(t, "", file) },
		"stdin": func() (string, string, error) { return runValidate(t, string(text), "-") },
	} {
		out, errs, err := run()
		if err != nil || errs != "" || !strings.Contains(out, ": good: 20 channels, ") || strings.Contains(out, " 0 ") {
			t.Errorf("%s: out %q, errors %q, %v", name, out, errs, err)
		}
	}
}

func TestCatalogValidateBad(t *testing.T) {
	out, errs, err := runValidate(t, "entities: [{id: e}]\nchanels: []\nroutes:\n  - {id: 5}\n", "-")
	if !errors.Is(err, errBadCatalog) || out != "" {
		t.Errorf("out %q, %v", out, err)
	}
	for _, want := range []string{
		"stdin:2:1: chanels: unknown key \"chanels\"; did you mean channels?\n",
		"stdin:4:10: routes[0].id: want a text, have the number 5; put it in quotes: \"5\"\n",
	} {
		if !strings.Contains(errs, want) {
			t.Errorf("stderr lacks %q:\n%s", want, errs)
		}
	}
	if strings.Contains(errs, "Usage:") {
		t.Errorf("usage is printed for a bad file:\n%s", errs)
	}
	if _, _, err := runValidate(t, "", filepath.Join(t.TempDir(), "none.yaml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file gives %v", err)
	}
}
