package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-pay/sluice/api/client"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// redisServer starts a real redis-server, which the test kills. Without one on this machine there is none to kill.
func redisServer(t *testing.T) (address string, kill func()) {
	t.Helper()
	path := os.Getenv("SLUICE_REDIS_SERVER")
	if path == "" {
		var err error
		if path, err = exec.LookPath("redis-server"); err != nil {
			if strings.Contains(os.Getenv("SLUICE_REQUIRE"), "redis-server") {
				t.Fatal("redis-server is neither named by SLUICE_REDIS_SERVER nor in PATH")
			}
			return "", func() {}
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.Command(path, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait()
	})
	t.Cleanup(kill)
	return address, kill
}

// outage is how long nothing is there; SLUICE_OUTAGE makes it longer.
func outage(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("SLUICE_OUTAGE")
	if text == "" {
		return 4 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// till asks for routes at a steady rate and keeps what came of it.
type till struct {
	c       *client.Client
	took    []time.Duration
	sources [client.SourceStatic + 1]int
	errs    []error
}

const routesPerSecond = 1000

// run asks routesPerSecond times a second until ctx ends; a tick that comes late is made up for.
func (k *till) run(ctx context.Context, name string) {
	start, n := time.Now(), 0
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		<-tick.C
		for due := int(time.Since(start) * routesPerSecond / time.Second); n < due; n++ {
			begin := time.Now()
			asked, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			reply, err := k.c.Route(asked, shopPayment(fmt.Sprintf("%s-%d", name, n)))
			cancel()
			k.took = append(k.took, time.Since(begin))
			if err != nil {
				k.errs = append(k.errs, err)
				continue
			}
			k.sources[reply.GetSource()]++
		}
	}
}

func shopPayment(id string) *sluicev1.RouteRequest {
	return &sluicev1.RouteRequest{Payment: &sluicev1.Payment{
		PaymentId: id, Merchant: "m-1", SettlementEntity: "e-1", BusinessType: configv1.BusinessType_BUSINESS_TYPE_COLLECT,
		Method: "QUICKPAY", Bank: "ICBC", CardType: configv1.CardType_CARD_TYPE_DEBIT, Amount: 12000, Currency: "CNY",
	}}
}

// TestClientOutlivesTheControlPlane kills the real server with the etcd in it, and Redis, while clients of both modes ask for a
// thousand routes a second: not one is refused, then or when the server is back. A client that starts while nothing is there
// answers from its file within 50 ms.
func TestClientOutlivesTheControlPlane(t *testing.T) {
	before := goleak.IgnoreCurrent()
	for _, mode := range []client.Mode{client.RPCFirst, client.LocalFirst} {
		t.Run(mode.String(), func(t *testing.T) {
			defer func() {
				if err := goleak.Find(before, goleak.IgnoreTopFunction("os/exec.(*Cmd).watchCtx")); err != nil {
					t.Error(err)
				}
			}()
			r := newReplica(t, "testdata/e2e.yaml")
			redis, killRedis := redisServer(t)
			if redis != "" {
				r.args = []string{"--redis-address", "redis://" + redis}
			}
			r.start()
			cfg := client.Config{
				Target: r.grpc, Environment: "default", Mode: mode, Timeout: 100 * time.Millisecond,
				File: filepath.Join(t.TempDir(), "sluice.snapshot"), StaleAfter: 12 * time.Second,
			}
			c, err := client.New(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			k := &till{c: c}
			ctx, stop := context.WithCancel(t.Context())
			asking := make(chan struct{})
			go func() {
				defer close(asking)
				k.run(ctx, mode.String())
			}()
			settle := time.NewTimer(2 * time.Second)
			<-settle.C
			listen := r.grpc
			r.kill()
			killRedis()
			dead := time.NewTimer(outage(t))
			defer dead.Stop()
			took := restart(t, cfg)
			<-dead.C
			down := c.State()
			r.args = []string{"--listen", listen}
			r.start()
			back := time.NewTimer(2 * time.Second)
			<-back.C
			stop()
			<-asking
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			r.kill()
			slices.Sort(k.took)
			t.Logf("%d routes, %d errors, p50 %v, p99 %v, p99.9 %v, most %v; sources %v; restarted in %v; while nothing was there %+v, stats %+v",
				len(k.took), len(k.errs), k.took[len(k.took)/2], k.took[len(k.took)*99/100], k.took[len(k.took)*999/1000], k.took[len(k.took)-1],
				k.sources, took, down, c.Stats())
			if len(k.errs) > 0 {
				t.Errorf("%d of %d were not answered: %v", len(k.errs), len(k.took), errors.Join(k.errs[:min(3, len(k.errs))]...))
			}
			if len(k.took) < int(outage(t).Seconds()*routesPerSecond) {
				t.Errorf("only %d were asked: too slow to mean anything", len(k.took))
			}
			if s := c.Stats(); s.Failed > 0 || s.Refused > 0 || s.Local == 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// restart starts another client on a copy of the first one's file, as a crash would leave it, and returns how long its first
// answer took from the start.
func restart(t *testing.T, cfg client.Config) time.Duration {
	t.Helper()
	cfg.File = copyOf(t, cfg.File)
	begin := time.Now()
	c, err := client.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := c.Route(t.Context(), shopPayment("restarted"))
	took := time.Since(begin)
	if err != nil || reply.GetSource() != client.SourceFile || took > 50*time.Millisecond {
		t.Errorf("restarted: %v, %v after %v; want FILE within 50 ms", reply, err, took)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	return took
}

// copyOf copies a client's snapshot file, waiting for the first.
func copyOf(t *testing.T, file string) string {
	t.Helper()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	deadline := time.After(10 * time.Second)
	for {
		data, err := os.ReadFile(file)
		if err == nil {
			to := filepath.Join(t.TempDir(), "copy")
			if err := os.WriteFile(to, data, 0o600); err != nil {
				t.Fatal(err)
			}
			return to
		}
		select {
		case <-deadline:
			t.Fatal(err)
		case <-poll.C:
		}
	}
}
