package serve_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/cmd/internal/config"
	"github.com/sluice-pay/sluice/cmd/internal/serve"
)

// startRedis starts a real redis-server with a password.
func startRedis(t *testing.T) (config.Redis, *os.Process) {
	t.Helper()
	path := os.Getenv("SLUICE_REDIS_SERVER")
	if path == "" {
		var err error
		if path, err = exec.LookPath("redis-server"); err != nil {
			if strings.Contains(os.Getenv("SLUICE_REQUIRE"), "redis-server") {
				t.Fatal("redis-server is neither named by SLUICE_REDIS_SERVER nor in PATH")
			}
			t.Skip("redis-server is neither named by SLUICE_REDIS_SERVER nor in PATH")
		}
	}
	address, dir := freeAddress(t), t.TempDir()
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.Command(path, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", dir, "--requirepass", "right")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGCONT)
		cmd.Process.Kill()
		cmd.Wait()
	})
	until(t, "redis-server to listen", func(ctx context.Context) error {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", address)
		if err == nil {
			conn.Close()
		}
		return err
	})
	password := filepath.Join(dir, "password")
	write(t, password, []byte("right\n"))
	return config.Redis{Address: "redis://" + address, PasswordFile: password}, cmd.Process
}

// fail routes a payment of ICBC at one replica and reports to others that it failed on the way it was given.
func (r *replica) fail(ctx context.Context, to ...*replica) error {
	id := fmt.Sprintf("f-%d-%s", r.payments.Add(1), r.at.GRPC) // payment ids are unique, whoever is asked
	reply, err := r.routing.Route(ctx, &sluicev1.RouteRequest{Payment: &sluicev1.Payment{
		PaymentId: id, Merchant: "m-1", SettlementEntity: "e-1", BusinessType: configv1.BusinessType_BUSINESS_TYPE_COLLECT,
		Method: "QUICKPAY", Bank: "ICBC", CardType: configv1.CardType_CARD_TYPE_DEBIT, Amount: 100, Currency: "CNY", PayerKey: uint64(r.payments.Load()),
	}})
	if err != nil {
		return err
	}
	way := reply.GetChannels()[0]
	code := "00"
	if way.GetChannel() == "alpha" {
		code = "91"
	}
	for _, one := range to {
		_, err := one.routing.ReportResult(ctx, &sluicev1.ReportResultRequest{Report: &sluicev1.Report{
			AttemptId: way.GetAttemptId(), PaymentId: id, DecisionId: reply.GetDecisionId(), Channel: way.GetChannel(), Account: way.GetAccount(),
			Method: "QUICKPAY", Bank: "ICBC", CardType: configv1.CardType_CARD_TYPE_DEBIT, BusinessType: configv1.BusinessType_BUSINESS_TYPE_COLLECT,
			RawCode: code, RequestWritten: true, LatencyMs: 20, PayerKey: uint64(r.payments.Load()),
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

// duplicates is how many reports a replica counts as duplicates.
func (r *replica) duplicates(ctx context.Context) (int, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.at.HTTP+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	reply, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(body)) {
		if value, ok := strings.CutPrefix(line, `sluice_reports_total{disposition="duplicate"} `); ok {
			return strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return 0, errors.New("no metric of duplicates")
}

// Results that one replica is told of are evidence at the other, which leads; those that both are told of count once; and a
// Redis that hangs keeps nobody from routing and reporting.
func TestReplicasShareEvidence(t *testing.T) {
	address := freeAddress(t)
	startEtcd(t, t.TempDir(), address)
	redis, process := startRedis(t)
	leader := run(t, serve.Options{Replica: "a", HTTP: "127.0.0.1:0", Etcd: external(address), Redis: redis, Catalog: catalog(t)})
	other := run(t, serve.Options{Replica: "b", HTTP: "127.0.0.1:0", Etcd: external(address), Redis: redis})

	took := until(t, "the leader to cut by what the other was told", func(ctx context.Context) error {
		if err := other.fail(ctx, other); err != nil {
			return err
		}
		return leader.routesTo(false)(ctx)
	})
	t.Logf("cut after %v", took)
	until(t, "the cut to be in force at the other", other.routesTo(false))

	if err := process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	worst := time.Duration(0)
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
		start := time.Now()
		if err := leader.fail(t.Context(), other); err != nil {
			t.Fatalf("Redis hangs: %v", err)
		}
		worst = max(worst, time.Since(start))
	}
	t.Logf("Redis hangs: the slowest route and report took %v", worst)
	if worst > time.Second { // far above what a loaded machine makes of milliseconds, far below waiting for Redis
		t.Errorf("Redis hangs, and so did a payment: %v", worst)
	}
	if err := process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}

	const both = 50
	for range both {
		if err := other.fail(t.Context(), other, leader); err != nil {
			t.Fatal(err)
		}
	}
	took = until(t, "what both were told to count once", func(ctx context.Context) error {
		a, errA := leader.duplicates(ctx)
		b, errB := other.duplicates(ctx)
		if a+b != both {
			return errors.Join(errA, errB, fmt.Errorf("%d and %d duplicates, want %d together", a, b, both))
		}
		return nil
	})
	t.Logf("counted once after %v", took)
	for _, one := range []*replica{other, leader} {
		if err := one.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
}
