package deploytest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

const (
	token    = "deploytest-secret"
	patience = 60 * time.Second // for a machine under load
)

// replica is the product running with the shipped configuration.
type replica struct{ grpc, http string }

// startReplica runs the binary as the unit does; addresses, data and tokens are the test's.
func startReplica(t *testing.T) replica {
	t.Helper()
	dir := t.TempDir()
	identities := filepath.Join(dir, "identities.yaml")
	text := fmt.Sprintf("identities:\n  - {name: test, roles: [cashier, gateway, operator], token_sha256: %q}\n", fmt.Sprintf("%x", sha256.Sum256([]byte(token))))
	if err := os.WriteFile(identities, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	addresses := filepath.Join(dir, "addresses.json")
	cmd := exec.Command(binary, "serve", "--config", filepath.Join(top, "deploy/examples/sluice.yaml"), "--identities", identities,
		"--data-dir", filepath.Join(dir, "data"), "--recording-directory", filepath.Join(dir, "recordings"), "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--address-file", addresses)
	var logs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &logs, &logs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { defer close(exited); _ = cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-exited
		if code := cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("the replica ended with %d, want 0", code)
		}
		if t.Failed() {
			t.Logf("log of the replica:\n%s", logs.String())
		}
	})
	var at struct{ GRPC, HTTP string }
	await(t, exited, "addresses", func() bool {
		data, err := os.ReadFile(addresses)
		return err == nil && json.Unmarshal(data, &at) == nil
	})
	r := replica{grpc: at.GRPC, http: "http://" + at.HTTP}
	await(t, exited, "readiness", func() bool { _, code := r.get(t, "/readyz"); return code == http.StatusOK })
	return r
}

// await asks until something is so; gone ends the wait in vain.
func await(t *testing.T, gone <-chan struct{}, what string, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for !so() {
		select {
		case <-poll.C:
		case <-gone:
			t.Fatalf("%s: the replica ended", what)
		case <-ctx.Done():
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

func (r replica) get(t *testing.T, path string) (body string, code int) {
	t.Helper()
	reply, err := http.Get(r.http + path)
	if err != nil {
		return "", 0
	}
	defer reply.Body.Close()
	data, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data), reply.StatusCode
}

// use does what makes the metrics that a fresh replica does not have yet: a payment, and a scope that is off.
func (r replica) use(t *testing.T) {
	t.Helper()
	conn, err := grpc.NewClient(r.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
	if _, err := sluicev1.NewRoutingServiceClient(conn).Route(ctx, &sluicev1.RouteRequest{Payment: &sluicev1.Payment{
		PaymentId: "p-1", Merchant: "m-1", SettlementEntity: "shop-cn", BusinessType: configv1.BusinessType_BUSINESS_TYPE_COLLECT,
		Method: "QUICKPAY", Bank: "CMB", CardType: configv1.CardType_CARD_TYPE_DEBIT, Amount: 12000, Currency: "CNY",
	}}); err != nil {
		t.Fatal(err)
	}
	off := exec.Command(binary, "off", "unionpay-api/bank=ICBC", "--reason", "a test", "--for", "30m", "--yes")
	off.Env = append(os.Environ(), "SLUICE_ADDRESS="+r.grpc, "SLUICE_TOKEN="+token)
	ran(t, off)
}

// exposed is what a replica exports: by metric and label the values.
type exposed map[string]map[string]map[string]bool

var (
	sample = regexp.MustCompile(`(?m)^([a-z_]+)(?:\{(.*)\})? \S+$`)
	label  = regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)
)

// scrape is done once for all tests that compare with it.
var scraped struct {
	once  sync.Once
	found exposed
}

func scrape(t *testing.T) exposed {
	t.Helper()
	scraped.once.Do(func() {
		r := startReplica(t)
		r.use(t)
		var text string
		await(t, nil, "metrics of use", func() bool {
			text, _ = r.get(t, "/metrics")
			return strings.Contains(text, "\nsluice_scope_phase{") && strings.Contains(text, "\nsluice_decisions_total{")
		})
		scraped.found = exposed{}
		for _, m := range sample.FindAllStringSubmatch(text, -1) {
			labels := scraped.found[m[1]]
			if labels == nil {
				labels = map[string]map[string]bool{}
				scraped.found[m[1]] = labels
			}
			for _, l := range label.FindAllStringSubmatch(m[2], -1) {
				if labels[l[1]] == nil {
					labels[l[1]] = map[string]bool{}
				}
				labels[l[1]][l[2]] = true
			}
		}
	})
	if len(scraped.found) == 0 {
		t.Fatal("no metrics: an earlier test says why")
	}
	return scraped.found
}
