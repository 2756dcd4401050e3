package arch

import (
	"bytes"
	"fmt"
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
// moves the bubble's clock, which is how such a test passes time; so it does in
// a function that nothing but bubbles call.
func TestTestsDoNotSleep(t *testing.T) {
	packages := map[string]sources{}
	for _, f := range files(t, ".go") {
		if strings.HasSuffix(f.path, "_test.go") {
			dir := filepath.Dir(f.path)
			if packages[dir] == nil {
				packages[dir] = sources{}
			}
			packages[dir][f.path] = string(f.text)
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		for _, at := range sleeps(t, packages[dir]) {
			t.Errorf("%s: time.Sleep outside a synctest bubble: wait for the event, or use simulated time", at)
		}
	}
}

func TestTestsDoNotSleep_SleepsAreSeen(t *testing.T) {
	source := `package p
func a() { time.Sleep(1) }
func b() { synctest.Test(t, func(t *testing.T) { time.Sleep(1); inner(); both() }) }
func c() { go func() { time.Sleep(1) }() }
func inner() { time.Sleep(1); innermost() }
func innermost() { time.Sleep(1) }
func both() { time.Sleep(1) }
func d() { both() }
`
	want := []string{"x_test.go:2", "x_test.go:4", "x_test.go:7"}
	if got := sleeps(t, sources{"x_test.go": source}); !slices.Equal(got, want) {
		t.Errorf("sleeps in %q, want %q", got, want)
	}
}

// sources are the test files of a package, by name.
type sources map[string]string

// sleeper is a function of the tests: where it sleeps, and who names it.
type sleeper struct {
	at      []string
	callers []string // "" is a bubble
}

// sleeps lists where the tests of a package sleep outside a bubble.
func sleeps(t *testing.T, texts sources) []string {
	t.Helper()
	all := map[string]*sleeper{}
	of := func(name string) *sleeper {
		if all[name] == nil {
			all[name] = &sleeper{}
		}
		return all[name]
	}
	set := token.NewFileSet()
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		parsed, err := parser.ParseFile(set, name, texts[name], parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Body != nil {
				walkSleeper(set, f.Body, f.Name.Name, of)
			}
		}
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !inBubbles(name, all, map[string]bool{}) {
			lines = append(lines, all[name].at...)
		}
	}
	slices.Sort(lines)
	return lines
}

// walkSleeper notes the sleeps and the names in a function's body. caller is "" inside a bubble.
func walkSleeper(set *token.FileSet, body ast.Node, caller string, of func(string) *sleeper) {
	ast.Inspect(body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if ok && caller != "" && selects(call.Fun, "synctest", "Test") {
			for _, arg := range call.Args {
				walkSleeper(set, arg, "", of)
			}
			return false
		}
		if expr, ok := n.(ast.Expr); ok && selects(expr, "time", "Sleep") && caller != "" {
			at := set.Position(n.Pos())
			of(caller).at = append(of(caller).at, fmt.Sprintf("%s:%d", at.Filename, at.Line))
		}
		if id, ok := n.(*ast.Ident); ok && id.Name != caller {
			of(id.Name).callers = append(of(id.Name).callers, caller)
		}
		return true
	})
}

// inBubbles reports whether bubbles alone call a function, by itself or through others.
func inBubbles(name string, all map[string]*sleeper, above map[string]bool) bool {
	f := all[name]
	if f == nil || len(f.callers) == 0 || above[name] {
		return false
	}
	above[name] = true
	defer delete(above, name)
	return !slices.ContainsFunc(f.callers, func(caller string) bool { return caller != "" && !inBubbles(caller, all, above) })
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
