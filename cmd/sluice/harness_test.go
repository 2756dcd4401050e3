package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// startDeadline bounds how long a replica may take to answer, also after a crash.
const startDeadline = 30 * time.Second

// binary is the program under test, built once by TestMain.
var binary string

func TestMain(m *testing.M) {
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sluice-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "sluice")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build sluice: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// replica is a real `sluice serve` process with its store in a directory that outlives it.
type replica struct {
	t       *testing.T
	dir     string
	catalog string
	args    []string // further ones
	cmd     *exec.Cmd
	exited  chan error
	logs    *lockedBuffer
	conn    *grpc.ClientConn
	grpc    string
	http    string
}

// lockedBuffer collects a process's output while it runs.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newReplica(t *testing.T, catalog string) *replica {
	t.Helper()
	r := &replica{t: t, dir: t.TempDir(), catalog: catalog, logs: &lockedBuffer{}}
	t.Cleanup(func() {
		r.kill()
		if t.Failed() {
			t.Logf("log of the replica:\n%s", r.logs)
		}
	})
	return r
}

// start starts the process and waits until it takes requests.
func (r *replica) start() {
	r.t.Helper()
	addresses := filepath.Join(r.dir, "addresses.json")
	_ = os.Remove(addresses)
	args := append([]string{
		"serve", "--catalog", r.catalog, "--data-dir", filepath.Join(r.dir, "data"), "--replica", "e2e-1",
		"--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--address-file", addresses, "--log-level", "debug",
	}, r.args...)
	r.cmd = exec.Command(binary, args...)
	r.cmd.Stdout, r.cmd.Stderr = r.logs, r.logs
	if err := r.cmd.Start(); err != nil {
		r.t.Fatalf("start: %v", err)
	}
	r.exited = make(chan error, 1)
	go func(cmd *exec.Cmd, exited chan<- error) { exited <- cmd.Wait() }(r.cmd, r.exited)
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	deadline := time.After(startDeadline)
	for {
		select {
		case err := <-r.exited:
			r.t.Fatalf("sluice serve ended: %v\n%s", err, r.logs)
		case <-deadline:
			r.t.Fatalf("no addresses after %v\n%s", startDeadline, r.logs)
		case <-poll.C:
		}
		data, err := os.ReadFile(addresses)
		if err != nil {
			continue
		}
		var at struct{ GRPC, HTTP string }
		if err := json.Unmarshal(data, &at); err != nil {
			r.t.Fatalf("addresses: %v", err)
		}
		r.grpc, r.http = at.GRPC, at.HTTP
		break
	}
	conn, err := grpc.NewClient(r.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		r.t.Fatalf("connect: %v", err)
	}
	r.conn = conn
}

// kill ends the process as a crash does.
func (r *replica) kill() {
	if r.conn != nil {
		_ = r.conn.Close()
	}
	if r.cmd == nil || r.cmd.ProcessState != nil {
		return
	}
	_ = r.cmd.Process.Signal(syscall.SIGKILL)
	<-r.exited
	r.cmd = nil
}

// stop asks the process to end and waits for it.
func (r *replica) stop() error {
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-r.exited:
		r.cmd = nil
		return err
	case <-time.After(startDeadline):
		return fmt.Errorf("still running %v after SIGTERM", startDeadline)
	}
}

func (r *replica) routing() sluicev1.RoutingServiceClient {
	return sluicev1.NewRoutingServiceClient(r.conn)
}

func (r *replica) channels() sluicev1.ChannelServiceClient {
	return sluicev1.NewChannelServiceClient(r.conn)
}

// watch collects the transitions of one channel until the test ends or the connection breaks.
func (r *replica) watch(ctx context.Context) <-chan *sluicev1.Transition {
	r.t.Helper()
	stream, err := r.channels().WatchChannels(ctx, &sluicev1.WatchChannelsRequest{})
	if err != nil {
		r.t.Fatalf("watch: %v", err)
	}
	out := make(chan *sluicev1.Transition, 1000)
	first := make(chan struct{})
	go func() {
		defer close(out)
		for n := 0; ; n++ {
			event, err := stream.Recv()
			if n == 0 {
				close(first)
			}
			if err != nil {
				return
			}
			if tr := event.GetTransition(); tr != nil {
				out <- tr
			}
		}
	}()
	<-first
	return out
}

// state returns the state of one bank of a channel, a healthy one if nothing is stored.
func (r *replica) state(ctx context.Context, channel, bank string) *sluicev1.ScopeStatus {
	r.t.Helper()
	reply, err := r.channels().GetChannel(ctx, &sluicev1.GetChannelRequest{Channel: channel})
	if err != nil {
		r.t.Fatalf("get channel: %v", err)
	}
	for _, s := range reply.GetChannel().GetScopes() {
		if s.GetScope().GetBank() == bank {
			return s
		}
	}
	return &sluicev1.ScopeStatus{Phase: configv1.Phase_PHASE_HEALTHY, SharePpm: 1_000_000}
}
