package deploytest

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// top is the repository as seen from the tests.
var top, _ = filepath.Abs("../../..")

// binary is the product, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run exists so that deferred calls run before the process ends.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sluice-deploy-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "sluice")
	build := exec.Command("go", "build", "-o", binary, "./cmd/sluice")
	build.Dir = top
	if out, err := build.CombinedOutput(); err != nil {
		os.Stderr.WriteString("building the binary: " + err.Error() + "\n" + string(out))
		return 1
	}
	return m.Run()
}

// tool finds a program, or skips the test unless SLUICE_REQUIRE names what it belongs to.
func tool(t *testing.T, requirement, name string) string {
	t.Helper()
	if path := os.Getenv("SLUICE_" + strings.ToUpper(name)); path != "" {
		return path
	}
	path, err := exec.LookPath(name)
	if err != nil {
		lacking(t, requirement, name+" is not found; cmd/tools/setup.sh looks for it")
	}
	return path
}

// lacking skips the test with the reason; what SLUICE_REQUIRE names may not be skipped.
func lacking(t *testing.T, requirement, why string) {
	t.Helper()
	if slices.Contains(strings.Fields(os.Getenv("SLUICE_REQUIRE")), requirement) {
		t.Fatalf("%s, and %s is required", why, requirement)
	}
	t.Skip(why)
}

// ran runs a command that must succeed and returns what it printed.
func ran(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out)
}

// read returns a file of the repository.
func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(top, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
