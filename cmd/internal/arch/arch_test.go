package arch

import (
	"cmp"
	"fmt"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sluice-pay/sluice"

// A rule is one row of the import table. An entry of may that ends in "/..."
// stands for that directory and everything below it.
type rule struct {
	room   string   // directory, "/..." for all below it too
	may    []string // directories of ours that it may import
	reason string
}

// rules holds the arrows; the first rule that fits a directory counts.
var rules = []rule{
	{
		room:   "statemachine",
		reason: "the state machine is the one thing both sides share, so it depends on neither",
	},
	{
		room:   "routing",
		may:    []string{"statemachine", "api/sluice/config/..."},
		reason: "a decision is computed from the catalogue and the states alone; who measured them does not matter",
	},
	{
		room:   "routing/catalogfile",
		may:    []string{"routing", "statemachine", "api/sluice/config/..."},
		reason: "YAML is parsed beside routing, so that the SDK does not inherit a parser",
	},
	{
		room:   "routing/etcdstore",
		may:    []string{"routing", "statemachine", "api/sluice/config/..."},
		reason: "an adapter knows its room and its store, never the other side's",
	},
	{
		room:   "monitor",
		may:    []string{"statemachine"},
		reason: "evidence is judged without knowing how payments are ranked, or judging would feed on itself",
	},
	{
		room:   "monitor/redisstore",
		may:    []string{"monitor", "statemachine", "api/sluice/config/..."},
		reason: "an adapter knows its room and its store, never the other side's",
	},
	{
		room:   "monitor/etcdstore",
		may:    []string{"monitor", "statemachine", "api/sluice/config/..."},
		reason: "an adapter knows its room and its store, never the other side's",
	},
	{
		room:   "server/...",
		may:    []string{"routing", "routing/catalogfile", "monitor", "statemachine", "api/sluice/...", "server/..."},
		reason: "the edge translates; stores reach it through interfaces, so it is tested without them",
	},
	{
		room:   "api/sluice/config/v1",
		reason: "any language reads these messages, so nothing of ours stands behind them",
	},
	{
		room:   "api/sluice/config/statepb",
		may:    []string{"statemachine", "api/sluice/config/v1"},
		reason: "a leaf that turns states into messages; adapters of both sides share it",
	},
	{
		room:   "api/sluice/v1/routepb",
		may:    []string{"routing", "statemachine", "api/sluice/v1", "api/sluice/config/v1"},
		reason: "a leaf that turns payments and decisions into messages; replicas and clients share it",
	},
	{
		room:   "api/sluice/v1",
		may:    []string{"api/sluice/config/v1"},
		reason: "the services are generated and carry no logic",
	},
	{
		room:   "api/client/etcdfallback",
		may:    []string{"api/...", "routing", "routing/etcdstore", "statemachine"},
		reason: "the etcd step of the ladder is a choice, so it stands apart",
	},
	{
		room:   "api/client/clientotel",
		may:    []string{"api/sluice/...", "api/client"},
		reason: "OpenTelemetry is a choice, so it stands apart",
	},
	{
		room:   "api/client",
		may:    []string{"api/sluice/...", "routing", "statemachine"},
		reason: "users of the SDK inherit neither stores nor the server",
	},
	{
		room:   "api/clienttest",
		may:    []string{"api/sluice/...", "api/client", "routing", "statemachine"},
		reason: "a fake for users' tests must be as light as the SDK",
	},
	{
		room:   "cmd/...",
		may:    []string{"..."},
		reason: "the binary is where the rooms are joined",
	},
}

// covers reports whether the directory pattern fits dir.
func covers(pattern, dir string) bool {
	if tree, ok := strings.CutSuffix(pattern, "..."); ok {
		return strings.HasPrefix(dir+"/", tree)
	}
	return pattern == dir
}

// ruleOf finds the rule of a directory. A package named <something>test, the
// contract suite of the room above it, follows that room and may import it.
func ruleOf(dir string) (rule, bool) {
	for _, r := range rules {
		if covers(r.room, dir) {
			return r, true
		}
	}
	if parent := path.Dir(dir); strings.HasSuffix(dir, "test") && parent != "." {
		if r, ok := ruleOf(parent); ok {
			r.may = append(slices.Clone(r.may), parent)
			return r, true
		}
	}
	return rule{}, false
}

// violations checks what the non-test files of one directory import.
func violations(dir string, imports []string) []string {
	r, ok := ruleOf(dir)
	if !ok {
		return []string{fmt.Sprintf("%s: no rule names this directory; a new room needs one, with its reason", dir)}
	}
	var found []string
	for _, imp := range imports {
		target, ours := strings.CutPrefix(imp, module+"/")
		if !ours || target == dir {
			continue
		}
		if !slices.ContainsFunc(r.may, func(p string) bool { return covers(p, target) }) {
			found = append(found, fmt.Sprintf("%s imports %s: %s", dir, target, r.reason))
		}
	}
	return found
}

func TestImportArrows(t *testing.T) {
	for _, pkg := range packages(t, false) {
		for _, v := range violations(pkg.dir, pkg.imports) {
			t.Error(v)
		}
	}
}

func TestImportArrows_BreachesAreSeen(t *testing.T) {
	for _, tc := range []struct {
		from, to string
		legal    bool
	}{
		{"statemachine", "routing", false},
		{"routing", "monitor", false},
		{"monitor", "routing", false},
		{"monitor", "api/sluice/config/v1", false},
		{"monitor/etcdstore", "monitor/redisstore", false},
		{"routing/catalogfile", "routing/etcdstore", false},
		{"server", "monitor/etcdstore", false},
		{"server/console", "cmd/internal/node", false},
		{"api/client", "server", false},
		{"api/client", "api/client/etcdfallback", false},
		{"api/client", "api/client/clientotel", false},
		{"api/sluice/config/v1", "statemachine", false},
		{"api/sluice/v1", "api/sluice/v1/routepb", false},
		{"api/sluice/v1/routepb", "api/client", false},
		{"api/sluice/v1/routepb", "server", false},
		{"routing", "api/sluice/v1/routepb", false},
		{"util", "statemachine", false},
		{"monitor/ledgertest", "routing", false},

		{"routing", "api/sluice/config/statepb", true},
		{"api/client", "api/sluice/v1/routepb", true},
		{"server", "api/sluice/v1/routepb", true},
		{"monitor/ledgertest", "monitor", true},
		{"monitor/etcdstore", "monitor", true},
		{"server", "routing/catalogfile", true},
		{"cmd/sluice", "cmd/internal/node", true},
	} {
		got := violations(tc.from, []string{module + "/" + tc.to})
		if (len(got) == 0) != tc.legal {
			t.Errorf("%s imports %s: legal should be %v, got %q", tc.from, tc.to, tc.legal, got)
		}
	}
}

// Tests may import more than the code beside them, but not across the gap.
func TestTestsKeepTheSidesApart(t *testing.T) {
	apart := []struct{ side, other string }{
		{"routing/...", "monitor/..."},
		{"monitor/...", "routing/..."},
		{"statemachine/...", "routing/..."},
		{"statemachine/...", "monitor/..."},
		{"routing/...", "server/..."},
		{"monitor/...", "server/..."},
	}
	for _, pkg := range packages(t, true) {
		for _, a := range apart {
			if !covers(a.side, pkg.dir) {
				continue
			}
			for _, imp := range pkg.imports {
				if target, ours := strings.CutPrefix(imp, module+"/"); ours && covers(a.other, target) {
					t.Errorf("a test in %s imports %s: each side is proved alone", pkg.dir, target)
				}
			}
		}
	}
}

// The state machine is a function: no clock, no lock, no goroutine, no I/O.
func TestStatemachineIsPure(t *testing.T) {
	allowed := []string{
		"cmp", "encoding/...", "errors", "fmt", "hash/...", "iter", "maps", "math", "math/bits",
		"slices", "sort", "strconv", "strings", "time",
	}
	for _, pkg := range packages(t, false) {
		if pkg.dir != "statemachine" {
			continue
		}
		for _, imp := range pkg.imports {
			if !slices.ContainsFunc(allowed, func(p string) bool { return covers(p, imp) }) {
				t.Errorf("statemachine imports %s: what decides takes everything as an argument", imp)
			}
		}
	}
}

func TestInheritedDependencies(t *testing.T) {
	stores := []string{"go.etcd.io/", "github.com/redis/", "github.com/prometheus/"}
	edges := []string{"google.golang.org/grpc", "github.com/goccy/go-yaml", "github.com/spf13/cobra"}
	for _, tc := range []struct {
		dir    string
		not    []string
		reason string
	}{
		{"statemachine", slices.Concat(stores, edges, []string{"google.golang.org/", "net", "sync/errgroup"}), "it is pure"},
		{"routing", slices.Concat(stores, edges, []string{module + "/monitor", module + "/server"}), "Route does no I/O and the SDK inherits it"},
		{"monitor", slices.Concat(stores, edges, []string{module + "/routing", module + "/server"}), "its stores are adapters"},
		{"server", []string{"go.etcd.io/", "github.com/redis/"}, "the edge reaches stores through interfaces"},
		{"api/client", slices.Concat(stores, []string{"go.opentelemetry.io/otel", module + "/server", module + "/monitor", module + "/cmd", "github.com/goccy/go-yaml"}), "users inherit what the SDK imports"},
		{"api/clienttest", slices.Concat(stores, []string{module + "/server", module + "/monitor", module + "/cmd", "github.com/goccy/go-yaml"}), "users' tests inherit it"},
	} {
		t.Run(tc.dir, func(t *testing.T) {
			for _, dep := range deps(t, tc.dir) {
				for _, not := range tc.not {
					if dep == strings.TrimSuffix(not, "/") || strings.HasPrefix(dep, strings.TrimSuffix(not, "/")+"/") {
						t.Errorf("%s depends on %s, but %s", tc.dir, dep, tc.reason)
					}
				}
			}
		})
	}
}

// deps lists everything the package in dir is built from.
func deps(t *testing.T, dir string) []string {
	t.Helper()
	pkgs := packages(t, false)
	if !slices.ContainsFunc(pkgs, func(p pkg) bool { return p.dir == dir }) {
		t.Skipf("there is no package %s", dir)
	}
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "./"+dir)
	cmd.Dir = root(t)
	out, err := cmd.Output()
	if err != nil {
		var stderr []byte
		if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // Output returns it unwrapped.
			stderr = exit.Stderr
		}
		t.Fatalf("go list -deps ./%s: %v\n%s", dir, err, stderr)
	}
	list := strings.Fields(string(out))
	slices.SortFunc(list, cmp.Compare)
	return list
}
