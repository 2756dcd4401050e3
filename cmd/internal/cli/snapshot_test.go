package cli

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/cmd/internal/embedded"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/routing/etcdstore"
	"github.com/sluice-pay/sluice/statemachine"
)

// nightSnapshot is the snapshot of that night, of one revision.
func nightSnapshot(t *testing.T, revision int64) *configv1.Snapshot {
	t.Helper()
	s, err := buildSnapshot(revision)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func buildSnapshot(revision int64) (*configv1.Snapshot, error) {
	const collect = configv1.BusinessType_BUSINESS_TYPE_COLLECT
	c := &configv1.Catalog{Name: "night shift", Version: "v7", Entities: []*configv1.Entity{{Id: "e-1"}}}
	r := &configv1.Route{Id: "collect", BusinessType: collect, Method: "QUICKPAY"}
	for _, id := range []string{"quickpay-c", "unionpay-b"} {
		c.Channels = append(c.Channels, &configv1.Channel{
			Id: id, Provider: "p", BusinessTypes: []configv1.BusinessType{collect}, Currencies: []string{"CNY"},
			Instruments: []*configv1.Instrument{{Method: "QUICKPAY", Banks: []string{"CMB", "ICBC"}, CardTypes: []configv1.CardType{configv1.CardType_CARD_TYPE_DEBIT}}},
			Accounts:    []*configv1.Account{{Id: "main", Entity: "e-1"}},
		})
		r.Members = append(r.Members, &configv1.RouteMember{Channel: id})
	}
	c.Routes = []*configv1.Route{r}
	plan, err := routing.CompilePlan(c, nil)
	if err != nil {
		return nil, err
	}
	since := statemachine.At(at(3, 2, 11).AsTime())
	cut := statemachine.NewState(statemachine.Scope{Kind: statemachine.ScopeInstrument, Channel: "unionpay-b", Of: "QUICKPAY:ICBC:DEBIT"})
	cut.Phase, cut.Share, cut.Generation, cut.Since, cut.CutBy = statemachine.Disabled, 0, 7, since, statemachine.Automation
	ramp := statemachine.NewState(statemachine.ChannelScope("quickpay-c"))
	ramp.Phase, ramp.Share, ramp.Generation, ramp.Step, ramp.Since, ramp.CutBy = statemachine.Ramping, 80_000, 3, 2, since, statemachine.Operator
	held := statemachine.NewState(statemachine.AccountScope("unionpay-b", "main"))
	held.Hold = statemachine.Override{Author: "li.wei", Reason: "drill", Since: since}
	t := plan.Table(routing.Revision{Epoch: 1, Revision: revision}, []statemachine.State{ramp, held, cut}, nil)
	return routing.NewSnapshot(t, "prod", at(3, 6, 12).AsTime()), nil
}

func (*fake) GetSnapshot(context.Context, *sluicev1.GetSnapshotRequest) (*sluicev1.GetSnapshotResponse, error) {
	s, err := buildSnapshot(88214)
	return &sluicev1.GetSnapshotResponse{Snapshot: s}, err
}

func TestSnapshotShow(t *testing.T) {
	a := start(t, newFake())
	got := a.do(t, "snapshot", "show")
	if got.code != ExitOK {
		t.Fatalf("exit code %d: %s", got.code, got.err)
	}
	golden(t, "snapshot_show", got.out)
	got = a.do(t, "snapshot", "show", "-o", "json")
	var s configv1.Snapshot
	if err := protojson.Unmarshal([]byte(got.out), &s); err != nil || s.GetRevision() != 88214 {
		t.Errorf("exit code %d, %v:\n%s", got.code, err, got.out)
	}
}

func TestSnapshotVerify(t *testing.T) {
	a := start(t, newFake())
	golden(t, "snapshot_verify", a.do(t, "snapshot", "verify").out)
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	if got := a.do(t, "snapshot", "pull", good); got.code != ExitOK {
		t.Fatal(got.err)
	}
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	bad := filepath.Join(dir, "bad")
	if err := os.WriteFile(bad, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args string
		code int
		want string
	}{
		{"--from " + good, ExitOK, "revision 88214"},
		{"--from " + good + " --environment prod", ExitOK, "good"},
		{"--from " + good + " --environment staging", ExitFailed, "another environment"},
		{"--environment staging", ExitFailed, "another environment"},
		{"--from " + bad, ExitFailed, "SHA-256"},
		{"--from " + filepath.Join(dir, "none"), ExitFailed, "no such file"},
		{"--from etcd", ExitUsage, "--etcd-endpoints"},
		{"--from etcd --etcd-endpoints x:y", ExitUsage, "etcd"},
	} {
		got := a.do(t, append([]string{"snapshot", "verify"}, strings.Fields(tc.args)...)...)
		if got.code != tc.code || !strings.Contains(got.out+got.err, tc.want) {
			t.Errorf("%s: exit code %d, want %d and %q:\n%s%s", tc.args, got.code, tc.code, tc.want, got.out, got.err)
		}
	}
}

func TestSnapshotPull_ReplacesOnlyWhatIsOlder(t *testing.T) {
	a := start(t, newFake())
	dir := t.TempDir()
	file := filepath.Join(dir, "snapshot")
	write := func(s *configv1.Snapshot) {
		data, err := routing.EncodeSnapshot(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	foreign := nightSnapshot(t, 3)
	foreign.Environment = "staging"
	for name, tc := range map[string]struct {
		before func()
		args   string
		code   int
		want   string
	}{
		"new":       {func() { os.Remove(file) }, "", ExitOK, "wrote"},
		"older":     {func() { write(nightSnapshot(t, 88213)) }, "", ExitOK, "wrote"},
		"damaged":   {func() { os.WriteFile(file, []byte("rubbish"), 0o600) }, "", ExitOK, "wrote"},
		"newer":     {func() { write(nightSnapshot(t, 88215)) }, "", ExitRefused, "newer snapshot"},
		"go back":   {func() { write(nightSnapshot(t, 88215)) }, " --back", ExitOK, "wrote"},
		"foreign":   {func() { write(foreign) }, "", ExitRefused, `environment "staging"`},
		"elsewhere": {func() { os.Remove(file) }, "/not/there", ExitFailed, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.before()
			before, _ := os.ReadFile(file)
			got := a.do(t, strings.Fields("snapshot pull "+file+tc.args)...)
			if got.code != tc.code || !strings.Contains(got.out+got.err, tc.want) {
				t.Errorf("exit code %d, want %d and %q:\n%s%s", got.code, tc.code, tc.want, got.out, got.err)
			}
			s, err := readSnapshot(file)
			switch after, _ := os.ReadFile(file); {
			case tc.code == ExitOK && (err != nil || s.GetRevision() != 88214):
				t.Errorf("the file holds %d: %v", s.GetRevision(), err)
			case tc.code != ExitOK && string(after) != string(before):
				t.Error("the file was changed")
			}
			if left, _ := os.ReadDir(dir); len(left) > 1 {
				t.Errorf("left beside it: %v", left)
			}
		})
	}
}

// startEtcd starts an etcd with a socket.
func startEtcd(t *testing.T) (server *embedded.Server, address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if server, err = embedded.Start(ctx, embedded.Options{Dir: t.TempDir(), Listen: address, NoSync: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server, address
}

func TestSnapshot_FromEtcd(t *testing.T) {
	server, address := startEtcd(t)
	a := start(t, newFake())
	a.Env = env(map[string]string{"SLUICE_ETCD_ENDPOINTS": "127.0.0.1:1," + address, "SLUICE_ENVIRONMENT": "prod"})
	file := filepath.Join(t.TempDir(), "snapshot")
	check := func(args string, code int, wants ...string) {
		t.Helper()
		got := a.do(t, strings.Fields("snapshot "+args+" --from etcd --timeout 1s")...)
		if got.code != code {
			t.Errorf("%s: exit code %d, want %d:\n%s%s", args, got.code, code, got.out, got.err)
		}
		for _, want := range wants {
			if !strings.Contains(got.out+got.err, want) {
				t.Errorf("%s: %q is missing:\n%s%s", args, want, got.out, got.err)
			}
		}
	}
	check("show --etcd-endpoints "+address, ExitFailed, "no snapshot is stored", "--environment")
	check("show --etcd-endpoints 127.0.0.1:1", ExitUnreachable)
	w, err := etcdstore.NewWriter(server.Client(), "prod", 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Push(t.Context(), nightSnapshot(t, 90001), 0); err != nil {
		t.Fatal(err)
	}
	check("show", ExitOK, "revision 90001", "passed over", "slot a")
	check("verify", ExitFailed, "good  etcd http://"+address, "revision 90001", "bad   etcd http://127.0.0.1:1")
	check("verify --etcd-endpoints "+address, ExitOK, "good")
	check("pull --etcd-endpoints "+address+" "+file, ExitOK, "wrote")
	if s, err := readSnapshot(file); err != nil || s.GetRevision() != 90001 {
		t.Errorf("pulled %v: %v", s.GetRevision(), err)
	}
}
