package deploytest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// buildDeb builds the package as `make deb` does, around the binary of these tests.
func buildDeb(t *testing.T) string {
	t.Helper()
	tool(t, "dpkg", "dpkg")
	tool(t, "dpkg", "dpkg-deb")
	nfpm := exec.Command("make", ".bin/nfpm")
	nfpm.Dir = top
	if out, err := nfpm.CombinedOutput(); err != nil {
		lacking(t, "dpkg", "nfpm cannot be built: "+string(out))
	}
	dir := t.TempDir()
	cmd := exec.Command("make", "deb", "DEB_DIR="+dir, "DEB_BINARY="+binary, "VERSION=v1.2.3-4-gabc")
	cmd.Dir = top
	ran(t, cmd)
	debs, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(debs) != 1 {
		t.Fatalf("make deb left %q (%v), want one package", debs, err)
	}
	return debs[0]
}

func TestDeb(t *testing.T) {
	deb := buildDeb(t)
	t.Run("contents", func(t *testing.T) { checkContents(t, deb) })
	t.Run("installs, upgrades and goes", func(t *testing.T) { checkLife(t, deb) })
}

func checkContents(t *testing.T, deb string) {
	t.Helper()
	if got := strings.TrimSpace(ran(t, exec.Command("dpkg-deb", "-f", deb, "Version"))); got != "1.2.3+4.gabc" {
		t.Errorf("version %q, want that of git describe", got)
	}
	modes := map[string]string{}
	for line := range strings.Lines(ran(t, exec.Command("dpkg-deb", "-c", deb))) {
		f := strings.Fields(line)
		modes[strings.TrimPrefix(f[len(f)-1], ".")] = f[0] + " " + f[1]
	}
	for path, want := range map[string]string{
		"/usr/bin/sluice":                             "-rwxr-xr-x root/root",
		"/usr/lib/systemd/system/sluice.service":      "-rw-r--r-- root/root",
		"/usr/lib/sysusers.d/sluice.conf":             "-rw-r--r-- root/root",
		"/etc/sluice/sluice.yaml":                     "-rw-r--r-- root/root",
		"/etc/sluice/catalog.yaml":                    "-rw-r--r-- root/root",
		"/etc/sluice/identities.yaml":                 "-rw-r----- root/root",
		"/usr/share/doc/sluice/copyright":             "-rw-r--r-- root/root",
		"/usr/share/doc/sluice/prometheus/rules.yaml": "-rw-r--r-- root/root",
	} {
		if modes[path] != want {
			t.Errorf("%s is %q, want %q", path, modes[path], want)
		}
	}
	want := []string{"/etc/sluice/catalog.yaml", "/etc/sluice/identities.yaml", "/etc/sluice/sluice.yaml"}
	conffiles := strings.Fields(ran(t, exec.Command("dpkg-deb", "-I", deb, "conffiles")))
	for _, w := range want {
		if !strings.Contains(strings.Join(conffiles, " "), w) {
			t.Errorf("conffiles %q lack %s: an upgrade would overwrite it", conffiles, w)
		}
	}
	if len(conffiles) != len(want) {
		t.Errorf("conffiles %q, want %q", conffiles, want)
	}
}

// checkLife installs into a root of its own, runs what is there, upgrades over an administrator's change, and removes.
func checkLife(t *testing.T, deb string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("dpkg installs as root only")
	}
	root := t.TempDir()
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "etc"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"var/lib/dpkg/status": "", "etc/passwd": "root:x:0:0::/root:/bin/sh\n", "etc/group": "root:x:0:\n",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dpkg := func(args ...string) string {
		return ran(t, exec.Command("dpkg", append([]string{"--root=" + root, "--force-script-chrootless", "--force-confold"}, args...)...))
	}
	if said := dpkg("--install", deb); !strings.Contains(said, "systemctl enable --now sluice") {
		t.Errorf("the install does not say how to go on:\n%s", said)
	}
	checkUser(t, root)
	etc := filepath.Join(root, "etc/sluice")
	installed := filepath.Join(root, "usr/bin/sluice")
	ran(t, exec.Command(installed, "config", "validate", filepath.Join(etc, "sluice.yaml")))
	ran(t, exec.Command(installed, "catalog", "validate", filepath.Join(etc, "catalog.yaml")))

	changed := []byte("environment: mine\n")
	if err := os.WriteFile(filepath.Join(etc, "sluice.yaml"), changed, 0o600); err != nil {
		t.Fatal(err)
	}
	dpkg("--install", deb)
	if now, err := os.ReadFile(filepath.Join(etc, "sluice.yaml")); err != nil || !bytes.Equal(now, changed) {
		t.Errorf("after an upgrade sluice.yaml is %q (%v), want the administrator's", now, err)
	}
	dpkg("--remove", "sluice")
	if _, err := os.Stat(installed); !os.IsNotExist(err) {
		t.Errorf("after removal %s: %v, want it gone", installed, err)
	}
	if _, err := os.Stat(filepath.Join(etc, "identities.yaml")); err != nil {
		t.Errorf("after removal the configuration: %v, want it kept", err)
	}
	dpkg("--purge", "sluice")
	if _, err := os.Stat(etc); !os.IsNotExist(err) {
		t.Errorf("after purge %s: %v, want it gone", etc, err)
	}
}

// checkUser looks for the service's user, and that its group may read who may call.
func checkUser(t *testing.T, root string) {
	t.Helper()
	passwd, err := os.ReadFile(filepath.Join(root, "etc/passwd"))
	if err != nil {
		t.Fatal(err)
	}
	user := regexp.MustCompile(`(?m)^sluice:[^:]*:\d+:(\d+):[^:]*:/var/lib/sluice:.*nologin$`).FindSubmatch(passwd)
	if user == nil {
		t.Fatalf("no user sluice without a login in\n%s", passwd)
	}
	got := strings.TrimSpace(ran(t, exec.Command("stat", "-c", "%a %u %g", filepath.Join(root, "etc/sluice/identities.yaml"))))
	if want := "640 0 " + string(user[1]); got != want {
		t.Errorf("identities.yaml has mode, user and group %q, want %q", got, want)
	}
}

func TestDebIsBuiltStatic(t *testing.T) {
	cmd := exec.Command("make", "--dry-run", "deb")
	cmd.Dir = top
	if plan := ran(t, cmd); !strings.Contains(plan, "CGO_ENABLED=0") || !strings.Contains(plan, "-trimpath") {
		t.Errorf("make deb builds a binary that needs a C library, or shows paths of the machine:\n%s", plan)
	}
}

func TestDebVersion(t *testing.T) {
	tool(t, "dpkg", "dpkg")
	// In the order in which they must sort.
	described := []string{"0abc-dirty", "v1.2.3-rc1", "v1.2.3", "v1.2.3-4-gabc-dirty", "v1.10.0"}
	last := "0.0.0"
	for _, d := range described {
		got := strings.TrimSpace(ran(t, exec.Command(filepath.Join(top, "cmd/tools/debversion.sh"), d, "1700000000")))
		ran(t, exec.Command("dpkg", "--validate-version", got))
		ran(t, exec.Command("dpkg", "--compare-versions", last, "lt", got))
		last = got
	}
	if out, err := exec.Command(filepath.Join(top, "cmd/tools/debversion.sh"), "a/b").CombinedOutput(); err == nil {
		t.Errorf("a version of a/b: %q, want an error", out)
	}
}
