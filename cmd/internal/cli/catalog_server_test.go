package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/cmd/internal/node"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing/catalogfile"
	"github.com/sluice-pay/sluice/server"
)

const shopFile = `name: shop
version: v1
entities: [{id: e-1}]
channels:
  - &cards
    id: alipay
    provider: p
    business_types: [COLLECT, REFUND]
    instruments: [{method: QUICKPAY, banks: [ICBC, CMB], card_types: [DEBIT]}]
    accounts: [{id: a-1, entity: e-1}]
    currencies: [CNY]
  - {<<: *cards, id: wechat}
routes:
  - id: quick
    business_type: COLLECT
    method: QUICKPAY
    members: [{channel: alipay, split: 90}, {channel: wechat, split: 10}]
`

// shop is a real replica over a ledger in memory, reached by the command line through gRPC.
type shop struct {
	*app

	t    *testing.T
	node *node.Node
	conn *grpc.ClientConn
	dir  string
	n    int
}

func openShop(t *testing.T) *shop {
	t.Helper()
	ledger := monitor.NewMemoryLedger("r1")
	ledger.Lead()
	s := &shop{t: t, dir: t.TempDir()}
	s.node = node.New(node.Config{
		Replica: "r1", Boot: 1, Ledger: ledger, Exchange: monitor.NewMemoryExchange(), Logger: slog.New(slog.DiscardHandler), Budget: -1,
	})
	catalog, err := catalogfile.Parse("shop.yaml", []byte(shopFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.node.Start(t.Context(), catalog, night); err != nil {
		t.Fatal(err)
	}
	edge, err := server.New(server.Config{
		Replica: "r1", Router: s.node.Router(), World: s.node, Orders: s.node, Journal: ledger, Counters: s.node.Counters(), Clock: s.node,
		Logger: slog.New(slog.DiscardHandler), AllowAnonymous: true, Now: func() time.Time { return night }, PerSecond: -1,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	listener := bufconn.Listen(1 << 20)
	done := make(chan error, 1)
	go func() { done <- edge.Serve(listener) }()
	dial := grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) })
	s.conn, err = grpc.NewClient("passthrough:///shop", grpc.WithTransportCredentials(insecure.NewCredentials()), dial)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = edge.Stop(ctx)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	s.app = &app{
		Options: Options{In: strings.NewReader(""), Env: env(nil), Version: "test"},
		clock:   func() time.Time { return night }, zone: zone, backoff: time.Millisecond,
		interactive: func(any) bool { return false }, dialing: []grpc.DialOption{dial},
	}
	return s
}

// pay routes that many payments and returns how many went to each channel.
func (s *shop) pay(n int) map[string]int {
	s.t.Helper()
	got := map[string]int{}
	for range n {
		s.n++
		bank := "ICBC"
		if s.n%4 == 0 {
			bank = "CMB"
		}
		r, err := sluicev1.NewRoutingServiceClient(s.conn).Route(s.t.Context(), &sluicev1.RouteRequest{Payment: &sluicev1.Payment{
			PaymentId: fmt.Sprintf("pay-%d", s.n), Merchant: "m-1", SettlementEntity: "e-1", BusinessType: configv1.BusinessType_BUSINESS_TYPE_COLLECT,
			Method: "QUICKPAY", Bank: bank, CardType: configv1.CardType_CARD_TYPE_DEBIT, Amount: 100, Currency: "CNY",
		}})
		if err != nil {
			s.t.Fatal(err)
		}
		got[r.GetChannels()[0].GetChannel()]++
	}
	return got
}

// file writes the shop's catalogue with some words replaced.
func (s *shop) file(replace ...string) string {
	s.t.Helper()
	name := filepath.Join(s.dir, "shop.yaml")
	if err := os.WriteFile(name, []byte(strings.NewReplacer(replace...).Replace(shopFile)), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return name
}

// want runs one command line and expects its exit code.
func (s *shop) want(code int, args ...string) result {
	s.t.Helper()
	got := s.do(s.t, args...)
	if got.code != code {
		s.t.Fatalf("sluice %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got.code, code, got.out, got.err)
	}
	return got
}

// wantText expects parts of a text.
func wantText(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
}

// The whole life of a change, on a running replica: show, edit, compare, apply, watch Route follow, go back, read who did what.
func TestCatalog_ApplyAndRollBackOnARunningReplica(t *testing.T) {
	s := openShop(t)
	if got := s.pay(2000); got["alipay"] < 1700 {
		t.Fatalf("before: %v, want 90 %% on alipay", got)
	}
	changed := s.file("version: v1", "version: v2", "split: 90", "split: 50", "split: 10", "split: 50")
	diff := s.want(ExitDiffers, "catalog", "diff", changed)
	golden(t, "catalog_diff", diff.out)
	if diff.err != "" {
		t.Errorf("a difference is no failure: %s", diff.err)
	}
	applied := s.want(ExitOK, "catalog", "apply", changed, "--reason", "wechat is cheaper", "--yes", "--request-id", "r-1")
	golden(t, "catalog_apply", applied.out)
	if got := s.pay(2000); got["alipay"] < 800 || got["alipay"] > 1200 {
		t.Errorf("after: %v, want half and half", got)
	}
	s.want(ExitOK, "catalog", "diff", changed)
	back := s.want(ExitOK, "catalog", "rollback", "1", "--reason", "undo: wechat is cheaper", "--yes")
	wantText(t, back.out, "Revision 3 is in force")
	if got := s.pay(2000); got["alipay"] < 1700 {
		t.Errorf("rolled back: %v, want 90 %% on alipay", got)
	}
	golden(t, "catalog_history", s.want(ExitOK, "catalog", "history").out)
	golden(t, "catalog_audit", s.want(ExitOK, "audit").out)
	again := s.want(ExitOK, "catalog", "apply", changed, "--reason", "wechat is cheaper", "--yes", "--request-id", "r-1")
	wantText(t, again.out, "carried out before", "Revision 2 was put in force")
	if got := s.pay(200); got["alipay"] < 150 {
		t.Errorf("a request that is sent twice happened twice: %v", got)
	}
}

// What show prints is what apply takes: nothing changes. An earlier revision is shown by its number.
func TestCatalog_ShowIsWhatApplyTakes(t *testing.T) {
	s := openShop(t)
	shown := s.want(ExitOK, "catalog", "show")
	name := filepath.Join(s.dir, "shown.yaml")
	if err := os.WriteFile(name, []byte(shown.out), 0o600); err != nil {
		t.Fatal(err)
	}
	s.want(ExitOK, "catalog", "validate", name)
	wantText(t, s.want(ExitOK, "catalog", "diff", name).out, "Nothing changes.")
	wantText(t, s.want(ExitOK, "catalog", "apply", name, "--reason", "the same", "--yes").out, "Nothing changes.", "in force already, as revision 1")
	s.want(ExitOK, "catalog", "apply", s.file("version: v1", "version: v2"), "--reason", "a label", "--yes")
	wantText(t, s.want(ExitOK, "catalog", "show", "1").out, "# Revision 1, by serve/r1", "version: v1")
	wantText(t, s.want(ExitOK, "catalog", "show", "-o", "json").out, `"version": "v2"`, `"inForce": true`)
}

// Two files are compared without a server.
func TestCatalogDiff_Offline(t *testing.T) {
	s := openShop(t)
	a := &app{Options: Options{Env: env(map[string]string{"SLUICE_ADDRESS": "127.0.0.1:1"}), Version: "test"}, clock: s.clock, zone: zone}
	before, after := filepath.Join(s.dir, "before.yaml"), s.file("  - {<<: *cards, id: wechat}\n", "", ", {channel: wechat, split: 10}", "", "split: 90", "split: 90, account: a-1")
	if err := os.WriteFile(before, []byte(shopFile), 0o600); err != nil {
		t.Fatal(err)
	}
	got := a.do(t, "catalog", "diff", before, after)
	if got.code != ExitDiffers || got.err != "" {
		t.Fatalf("exit code %d: %s", got.code, got.err)
	}
	golden(t, "catalog_diff_offline", got.out)
	if same := a.do(t, "catalog", "diff", before, before); same.code != ExitOK || same.out != "Nothing changes.\n" {
		t.Errorf("exit code %d: %s", same.code, same.out)
	}
	if bad := a.do(t, "catalog", "diff", before, s.file("channel: alipay", "channel: nowhere")); bad.code != ExitFailed || !strings.Contains(bad.err, "shop.yaml:17:25: routes[0].members[0].channel: there is no channel \"nowhere\"") {
		t.Errorf("exit code %d: %s", bad.code, bad.err)
	}
}

// A person is shown what would happen, asked, and told when somebody was faster.
func TestCatalogApply_Asks(t *testing.T) {
	s := openShop(t)
	changed := s.file("split: 90", "split: 50", "split: 10", "split: 50")
	s.interactive = func(stream any) bool { return stream == s.In }
	s.In = strings.NewReader("n\n")
	no := s.want(ExitFailed, "catalog", "apply", changed, "--reason", "wechat is cheaper")
	wantText(t, no.err, "~ routes[quick].members[alipay].split", "90 → 50", "Put this catalogue in force? [y/N]", "nothing was done")
	s.In = strings.NewReader("y\n")
	yes := s.want(ExitOK, "catalog", "apply", changed, "--reason", "wechat is cheaper")
	wantText(t, yes.out, "Revision 2 is in force", "sluice catalog rollback 1 --reason 'undo: wechat is cheaper'")
}

func TestMistakes_CatalogCommands(t *testing.T) {
	s := openShop(t)
	changed := s.file("split: 90", "split: 50")
	s.want(ExitOK, "catalog", "apply", changed, "--reason", "first", "--yes", "--etag", "1", "--request-id", "once")
	without := filepath.Join(s.dir, "without.yaml")
	if err := os.WriteFile(without, []byte(strings.NewReplacer("  - {<<: *cards, id: wechat}\n", "", ", {channel: wechat, split: 10}", "").Replace(shopFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.want(ExitOK, "hold", "wechat", "--reason", "migration", "--yes")
	for name, test := range map[string]struct {
		code int
		args []string
		want []string
	}{
		"a stale etag":             {ExitRefused, []string{"apply", s.file(), "--reason", "late", "--yes", "--etag", "1"}, []string{"somebody was faster", "current_etag=2", "sluice catalog history"}},
		"the request id of before": {ExitUsage, []string{"apply", s.file(), "--reason", "late", "--yes", "--request-id", "once"}, []string{"REQUEST_ID_REUSED"}},
		"an order is stranded":     {ExitRefused, []string{"apply", without, "--reason", "smaller", "--yes"}, []string{"ORDER_STRANDED", "sluice release wechat --reason"}},
		"the one in force":         {ExitRefused, []string{"rollback", "2", "--reason", "again", "--yes"}, []string{"REVISION_IN_FORCE", "sluice catalog history"}},
		"an unknown revision":      {ExitFailed, []string{"rollback", "9", "--reason", "far back", "--yes"}, []string{"revision 9 is not kept: those from 1 to 2 are"}},
		"no number":                {ExitUsage, []string{"rollback", "v1", "--reason", "far back", "--yes"}, []string{"sluice catalog history"}},
		"no reason":                {ExitUsage, []string{"apply", s.file(), "--yes"}, []string{"--reason"}},
		"nobody can be asked":      {ExitUsage, []string{"apply", s.file(), "--reason", "late"}, []string{"--yes", "--dry-run"}},
		"standard input":           {ExitUsage, []string{"apply", "-", "--reason", "late"}, []string{"--yes"}},
		"no file":                  {ExitFailed, []string{"apply", "nowhere.yaml", "--reason", "late", "--yes"}, []string{"nowhere.yaml"}},
		"three files":              {ExitUsage, []string{"diff", "a", "b", "c"}, []string{"accepts between 1 and 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.do(t, append([]string{"catalog"}, test.args...)...)
			if got.code != test.code {
				t.Errorf("exit code %d, want %d: %s", got.code, test.code, got.err)
			}
			wantText(t, got.err, test.want...)
		})
	}
	if v := s.node.Sight().View.Head.Catalog; v != 2 {
		t.Errorf("after mistakes catalogue %d is in force", v)
	}
}

// Revisions are completed newest first, with what they are; a retired channel keeps its refunds on the running replica.
func TestCatalog_CompletionAndRetiring(t *testing.T) {
	s := openShop(t)
	s.want(ExitOK, "catalog", "apply", s.file("id: wechat}", "id: wechat, retired: true}"), "--reason", "contract ends", "--yes")
	done := s.want(ExitOK, "__complete", "catalog", "rollback", "")
	wantText(t, done.out, "2\tv1 contract ends\n1\tv1 catalogue given at start: v1\n")
	if got := s.pay(200); got["wechat"] != 0 {
		t.Errorf("%v, want nothing on the retired channel", got)
	}
	r, err := sluicev1.NewRoutingServiceClient(s.conn).Route(t.Context(), &sluicev1.RouteRequest{Payment: &sluicev1.Payment{
		PaymentId: "pay-0", Merchant: "m-1", SettlementEntity: "e-1", BusinessType: configv1.BusinessType_BUSINESS_TYPE_REFUND, Amount: 100, Currency: "CNY",
		Original: &sluicev1.OriginalPayment{Channel: "wechat", Account: "a-1"},
	}})
	if err != nil || r.GetChannels()[0].GetChannel() != "wechat" {
		t.Errorf("its refund: %v, %v", r, err)
	}
}

// A watch says in a line that another catalogue is in force, and the list of channels marks what is retired.
func TestStory_Catalogue(t *testing.T) {
	m := &sluicev1.WatchChannelsResponse{Event: &sluicev1.WatchChannelsResponse_Catalog{Catalog: &sluicev1.CatalogChanged{
		Revision: &sluicev1.CatalogRevision{Revision: 3, Version: "v1", Author: "li", Reason: "too many declines", CreateTime: at(3, 6, 23), RollbackOf: 1},
	}}}
	if got := story(m, zone); got != `03:06:23  CATALOGUE     revision 3 (v1), back to 1  by li: "too many declines"` {
		t.Errorf("told %s", got)
	}
	s := openShop(t)
	s.want(ExitOK, "catalog", "apply", s.file("id: wechat}", "id: wechat, retired: true}"), "--reason", "contract ends", "--yes")
	wantText(t, s.want(ExitOK, "channels").out, "· RETIRED  wechat", "✔ HEALTHY  alipay")
}
