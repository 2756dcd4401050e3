package arch

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// maxLines bounds a hand-written file; most should have less than a third.
const maxLines = 600

// A file is one source file of ours; path is relative to the top, with slashes.
type file struct {
	path      string
	text      []byte
	generated bool
}

// A pkg is what the Go files of one directory import together.
type pkg struct {
	dir     string
	imports []string
}

// root finds the top of the repository.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if text, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil && bytes.HasPrefix(text, []byte("module "+module+"\n")) {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod of " + module + " above the test")
		}
		dir = parent
	}
}

// files reads all files of ours with one of the extensions: not hidden, not
// built, not copied from others, not in a module of their own.
func files(t *testing.T, extensions ...string) []file {
	t.Helper()
	top := root(t)
	var all []file
	err := filepath.WalkDir(top, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, name)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return enter(name, filepath.ToSlash(rel))
		}
		if !slices.Contains(extensions, filepath.Ext(name)) {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		head := text[:min(len(text), 512)]
		all = append(all, file{
			path:      filepath.ToSlash(rel),
			text:      text,
			generated: bytes.Contains(head, []byte("// Code generated ")),
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatalf("no files %v found: the walk is broken", extensions)
	}
	return all
}

// enter says which directories belong to the main module's own sources.
func enter(name, rel string) error {
	if rel == "." {
		return nil
	}
	if strings.HasPrefix(filepath.Base(rel), ".") || rel == "bin" || rel == "data" || rel == "api/third_party" {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

// packages collects the imports of all directories: of their tests, or of the rest.
func packages(t *testing.T, tests bool) []pkg {
	t.Helper()
	byDir := map[string][]string{}
	for _, f := range files(t, ".go") {
		if strings.HasSuffix(f.path, "_test.go") != tests || strings.Contains(f.path, "testdata/") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.path, f.text, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.ToSlash(filepath.Dir(f.path))
		byDir[dir] = append(byDir[dir], importsOf(t, parsed)...)
	}
	var all []pkg
	for _, dir := range slices.Sorted(maps.Keys(byDir)) {
		slices.Sort(byDir[dir])
		all = append(all, pkg{dir: dir, imports: slices.Compact(byDir[dir])})
	}
	return all
}

func importsOf(t *testing.T, parsed *ast.File) []string {
	t.Helper()
	var paths []string
	for _, spec := range parsed.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	return paths
}

func TestFilesAreShort(t *testing.T) {
	for _, f := range files(t, ".go", ".proto", ".sh") {
		if lines := bytes.Count(f.text, []byte("\n")); lines > maxLines && !f.generated {
			t.Errorf("%s has %d lines, more than %d: split it by noun", f.path, lines, maxLines)
		}
	}
}

func TestNothingIsLeftUndone(t *testing.T) {
	words := []string{"TO" + "DO", "FIX" + "ME", "X" + "XX"}
	for _, f := range files(t, ".go", ".proto", ".sh", ".yaml", ".yml", ".md") {
		if f.generated {
			continue
		}
		for i, line := range strings.Split(string(f.text), "\n") {
			for _, field := range strings.FieldsFunc(line, notLetter) {
				if slices.Contains(words, field) {
					t.Errorf("%s:%d: %s: finish it or file it", f.path, i+1, field)
				}
			}
		}
	}
}

func notLetter(r rune) bool {
	return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}

// A sleep in a test is a guess about a machine. Inside synctest.Test it only
// moves the bubble's clock, which is how such a test passes time.
func TestTestsDoNotSleep(t *testing.T) {
	for _, f := range files(t, ".go") {
		if !strings.HasSuffix(f.path, "_test.go") {
			continue
		}
		for _, line := range sleeps(t, f.path, f.text) {
			t.Errorf("%s:%d: time.Sleep outside a synctest bubble: wait for the event, or use simulated time", f.path, line)
		}
	}
}

func TestTestsDoNotSleep_SleepsAreSeen(t *testing.T) {
	source := `package p
func a() { time.Sleep(1) }
func b() { synctest.Test(t, func(t *testing.T) { time.Sleep(1) }) }
func c() { go func() { time.Sleep(1) }() }
`
	if got := sleeps(t, "p_test.go", []byte(source)); !slices.Equal(got, []int{2, 4}) {
		t.Errorf("sleeps seen in lines %v, want 2 and 4", got)
	}
}

// sleeps returns the lines that call time.Sleep outside synctest.Test.
func sleeps(t *testing.T, name string, text []byte) []int {
	t.Helper()
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, name, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var lines []int
	ast.Inspect(parsed, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && selects(call.Fun, "synctest", "Test") {
			return false
		}
		if expr, ok := n.(ast.Expr); ok && selects(expr, "time", "Sleep") {
			lines = append(lines, set.Position(n.Pos()).Line)
		}
		return true
	})
	return lines
}

// selects reports whether the expression is pkg.name.
func selects(e ast.Expr, pkg, name string) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	id, ok := sel.X.(*ast.Ident)
	return ok && id.Name == pkg
}

func TestTopLevel(t *testing.T) {
	allowed := []string{
		"api", "cmd", "server", "routing", "monitor", "statemachine", "deploy",
		"go.mod", "go.sum", "buf.yaml", "Makefile", "README.md", "LICENSE",
		"bin", // built here, ignored by git
	}
	entries, err := os.ReadDir(root(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasPrefix(name, ".") && !slices.Contains(allowed, name) {
			t.Errorf("%s stands at the top level; only rooms and what a Go project needs do", name)
		}
	}
}
