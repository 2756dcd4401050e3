package doctor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-pay/sluice/cmd/internal/config"
	"github.com/sluice-pay/sluice/cmd/internal/doctor"
	"github.com/sluice-pay/sluice/cmd/internal/embedded"
	"github.com/sluice-pay/sluice/cmd/internal/serve"
	"github.com/sluice-pay/sluice/routing/catalogfile"
)

// sample is a catalogue that compiles.
func sample() string { return filepath.Join("..", "..", "sluice", "testdata", "e2e.yaml") }

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func startEtcd(t *testing.T) (address string) {
	t.Helper()
	address = freeAddress(t)
	s, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir(), Listen: address, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return address
}

// examine runs the checks under a file of this text; NAME=value lines that start with SLUICE_ are its environment.
func examine(t *testing.T, text string, env ...string) *doctor.Report {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := doctor.Examine(t.Context(), config.Sources{File: file, Environ: env}, time.Now())
	for _, c := range r.Checks {
		t.Logf("%s  %s  %s → %s", c.Status, c.Name, c.Detail, c.Next)
	}
	return r
}

// want holds that a check of this name has this status and that its text holds part.
func want(t *testing.T, r *doctor.Report, status doctor.Status, name, part string) {
	t.Helper()
	for _, c := range r.Checks {
		if strings.HasPrefix(c.Name, name) && c.Status == status && strings.Contains(c.Detail+" "+c.Next, part) {
			if status == doctor.Fail && c.Next == "" {
				t.Errorf("%s fails and does not say what to do", c.Name)
			}
			return
		}
	}
	t.Errorf("no check %q is %s with %q", name, status, part)
}

func TestHealthyReplica(t *testing.T) {
	at, dir := freeAddress(t), t.TempDir()
	abs, err := filepath.Abs(sample())
	if err != nil {
		t.Fatal(err)
	}
	r := examine(t, "listen: "+at+"\nhttp: none\ncatalog: "+abs+"\ndata_dir: "+dir+"/not/yet/there\n")
	if r.Failed != 0 {
		t.Errorf("%d failed", r.Failed)
	}
	want(t, r, doctor.OK, "catalogue", "3 channels")
	want(t, r, doctor.OK, "identities", "none")
	want(t, r, doctor.OK, "listen", "free")
	if _, err := os.Stat(dir + "/not"); err == nil {
		t.Error("the doctor made a directory")
	}
}

func TestSickFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"catalog.yaml": "name: x\nchanels: []\n", "ids.yaml": "identities: [{name: a, roles: [king], token_sha256: 12}]\n",
		"rubbish.pem": "rubbish", "password": "two\nlines\n", "file": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	r := examine(t, "listen: "+taken.Addr().String()+"\nhttp: none\ncatalog: "+dir+"/catalog.yaml\nidentities: "+dir+"/ids.yaml\n"+
		"tls: {cert: "+dir+"/rubbish.pem, key: "+dir+"/none.key, client_ca: "+dir+"/rubbish.pem}\n"+
		"data_dir: "+dir+"/file/below\n")
	want(t, r, doctor.Fail, "catalogue", "sluice catalog validate")
	want(t, r, doctor.Fail, "identities", "roles")
	want(t, r, doctor.Fail, "TLS of gRPC", "rubbish.pem")
	want(t, r, doctor.Fail, "clients' authorities", "no certificate")
	want(t, r, doctor.Fail, "listen", "in use")
	want(t, r, doctor.Fail, "data_dir", "")
	if r.Failed != 6 {
		t.Errorf("%d failed, want 6", r.Failed)
	}
	r = examine(t, "etcd: {endpoints: ['127.0.0.1:1'], username: u, password_file: "+dir+"/password}\n")
	want(t, r, doctor.Fail, "etcd password", "one line")
	want(t, r, doctor.Fail, "etcd 127.0.0.1:1", "refused")
	r = examine(t, "listen: x\nreplica: a b\n", "SLUICE_LOG_LEVEL=loud")
	want(t, r, doctor.Fail, "configuration", "listen")
	want(t, r, doctor.Fail, "configuration", "$SLUICE_LOG_LEVEL")
	if r.Failed != 3 {
		t.Errorf("%d failed, want 3", r.Failed)
	}
}

func TestEtcd(t *testing.T) {
	address := startEtcd(t)
	abs, err := filepath.Abs(sample())
	if err != nil {
		t.Fatal(err)
	}
	base := "listen: " + freeAddress(t) + "\nhttp: none\netcd: {endpoints: ['" + address + "']}\n"
	r := examine(t, base)
	want(t, r, doctor.Fail, "etcd access", "no catalogue is given")
	r = examine(t, base+"catalog: "+abs+"\n")
	if r.Failed != 0 {
		t.Errorf("%d failed", r.Failed)
	}
	want(t, r, doctor.OK, "etcd "+address, "version 3.7")
	want(t, r, doctor.OK, "etcd "+address+" space", "of 512.0 MiB")
	want(t, r, doctor.OK, "etcd "+address+" clock", "as ours")
	want(t, r, doctor.OK, "etcd access", "is new; it may be written")
	want(t, r, doctor.Warn, "etcd cluster", "three members")
	r = examine(t, "listen: "+freeAddress(t)+"\nhttp: none\ncatalog: "+abs+"\netcd: {endpoints: ['"+address+"', '127.0.0.1:1']}\n")
	want(t, r, doctor.Fail, "etcd 127.0.0.1:1", "refused")
	want(t, r, doctor.OK, "etcd access", "")
}

// A running replica is no reason to fail: its addresses and its directory are its own.
func TestRunningReplica(t *testing.T) {
	listen, web, dir := freeAddress(t), freeAddress(t), t.TempDir()
	data, err := os.ReadFile(sample())
	if err != nil {
		t.Fatal(err)
	}
	catalog, _, err := catalogfile.Check("e2e.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- serve.Run(ctx, serve.Options{
			Replica: "a", Listen: listen, HTTP: web, DataDir: dir, NoSync: true, Catalog: catalog, Ready: func(serve.Addresses) { close(ready) },
		})
	}()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	r := examine(t, "listen: "+listen+"\nhttp: "+web+"\ndata_dir: "+dir+"\n")
	want(t, r, doctor.OK, "listen", "running")
	want(t, r, doctor.OK, "http", "running")
	want(t, r, doctor.OK, "data_dir", "running")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// The command prints one line a check and fails when one does.
func TestCommand(t *testing.T) {
	t.Setenv("SLUICE_LISTEN", freeAddress(t))
	t.Setenv("SLUICE_HTTP", "none")
	t.Setenv("SLUICE_DATA_DIR", t.TempDir())
	run := func(args ...string) (string, error) {
		cmd := doctor.NewCommand()
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs(args)
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	out, err := run()
	if err != nil || !strings.HasPrefix(out, "ok    configuration  ") {
		t.Errorf("got %v\n%s", err, out)
	}
	out, err = run("--catalog", "none.yaml", "-o", "json")
	var r doctor.Report
	if jsonErr := json.Unmarshal([]byte(out), &r); jsonErr != nil {
		t.Fatalf("%v in\n%s", jsonErr, out)
	}
	if err == nil || r.Failed != 1 {
		t.Errorf("got %v with %d failed", err, r.Failed)
	}
	if _, err := run("-o", "xml"); err == nil {
		t.Error("an unknown format was accepted")
	}
}

func TestRedis(t *testing.T) {
	path := os.Getenv("SLUICE_REDIS_SERVER")
	if path == "" {
		var err error
		if path, err = exec.LookPath("redis-server"); err != nil {
			t.Skip("redis-server is neither named by SLUICE_REDIS_SERVER nor in PATH")
		}
	}
	address, dir := freeAddress(t), t.TempDir()
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.Command(path, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", dir, "--requirepass", "right",
		"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for deadline := time.Now().Add(20 * time.Second); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	base := "listen: " + freeAddress(t) + "\nhttp: none\ndata_dir: " + dir + "/data\nredis:\n  address: " + address + "\n"
	for name, text := range map[string]string{"right": "right\n", "wrong": "wrong\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := examine(t, base+"  password_file: "+dir+"/right\n")
	if r.Failed != 0 {
		t.Errorf("%d failed", r.Failed)
	}
	want(t, r, doctor.OK, "Redis "+address, "version")
	want(t, r, doctor.OK, "Redis "+address+" clock", "as ours")
	want(t, r, doctor.Warn, "Redis "+address+" memory", "noeviction")
	r = examine(t, base+"  password_file: "+dir+"/wrong\n")
	want(t, r, doctor.Fail, "Redis "+address, "WRONGPASS")
	r = examine(t, base)
	want(t, r, doctor.Fail, "Redis "+address, "NOAUTH")
}
