package node

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/server"
	"github.com/sluice-pay/sluice/statemachine"
)

// cashier serves the node's edge and returns a client of it. The edge has the node's clock.
func (b *bench) cashier() sluicev1.RoutingServiceClient {
	b.t.Helper()
	s, err := server.New(server.Config{
		Replica: "r1", Router: b.node.Router(), World: b.node, Orders: b.node, Journal: b.ledger, Counters: b.node.Counters(), Clock: b.node,
		Logger: b.node.cfg.Logger, AllowAnonymous: true, Now: func() time.Time { return b.now }, PerSecond: -1,
	}, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	lis := bufconn.Listen(1 << 20)
	done := make(chan error, 1)
	go func() { done <- s.Serve(lis) }()
	conn, err := grpc.NewClient("passthrough:///sluice", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		_ = conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Stop(ctx)
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	})
	return sluicev1.NewRoutingServiceClient(conn)
}

func ask(bank string, n int) *sluicev1.RouteRequest {
	return &sluicev1.RouteRequest{Payment: &sluicev1.Payment{
		PaymentId: fmt.Sprintf("asked-%d", n), Merchant: "m-1", SettlementEntity: "e-1", BusinessType: configv1.BusinessType_BUSINESS_TYPE_COLLECT,
		Method: "QUICKPAY", Bank: bank, CardType: configv1.CardType_CARD_TYPE_DEBIT, Amount: 100, Currency: "CNY",
	}}
}

// split sends the payments to both channels, so that both show how a bank is doing.
func split(t *testing.T) *configv1.Catalog {
	t.Helper()
	c := catalogOf(t, shop)
	for _, m := range c.GetRoutes()[0].GetMembers() {
		m.Priority, m.Split = 0, 50
	}
	return c
}

// told asks like a cashier how a bank is doing: in Route and in ListPaymentOptions, which must agree.
func (b *bench) told(c sluicev1.RoutingServiceClient, bank string) (sluicev1.Availability, int64) {
	b.t.Helper()
	b.n++
	reply, err := c.Route(b.t.Context(), ask(bank, b.n))
	if err != nil {
		b.t.Fatalf("route: %v", err)
	}
	if len(reply.GetChannels()) != 2 {
		b.t.Errorf("channels %v, want both: nothing is cut", reply.GetChannels())
	}
	options, err := c.ListPaymentOptions(b.t.Context(), &sluicev1.ListPaymentOptionsRequest{
		Merchant: "m-1", SettlementEntity: "e-1", BusinessType: configv1.BusinessType_BUSINESS_TYPE_COLLECT, Currency: "CNY", Banks: []string{bank},
	})
	if err != nil || len(options.GetOptions()) != 1 {
		b.t.Fatalf("options %v, %v", options, err)
	}
	o := options.GetOptions()[0]
	if o.GetAvailability() != reply.GetInstrumentHealth() || o.GetBankDownSince().GetSeconds() != reply.GetBankDownSince().GetSeconds() || o.GetChannelsUsable() != 2 {
		b.t.Errorf("options tell %v, Route %v", o, reply)
	}
	return reply.GetInstrumentHealth(), reply.GetBankDownSince().GetSeconds()
}

// payments lets payments of both banks pass by for so many seconds, those of ICBC with a code, until stop says so.
func (b *bench) payments(seconds int, icbc string, stop func() bool) {
	b.t.Helper()
	for range seconds {
		for range 6 {
			b.pay("ICBC", icbc)
			b.pay("CMB", "00")
		}
		for _, err := range b.seconds(1) {
			if err != nil {
				b.t.Fatal(err)
			}
		}
		if stop != nil && stop() {
			return
		}
	}
}

// hold is an operator's order that brings a new table.
func (b *bench) hold(channel string) {
	b.t.Helper()
	if _, err := b.node.Order(b.t.Context(), monitor.OrderRequest{
		Scopes: []statemachine.Scope{statemachine.ChannelScope(channel)},
		Order:  statemachine.Order{Action: statemachine.ActionHold, Author: "li", Reason: "migration"},
	}, b.now); err != nil {
		b.t.Fatal(err)
	}
}

// A bank that fails on every channel is told to cashiers while it does, from when it began, and nothing is cut; well again, it
// is not told any more.
func TestCashiersAreToldOfABankThatIsDown(t *testing.T) {
	const (
		well = sluicev1.Availability_AVAILABILITY_AVAILABLE
		down = sluicev1.Availability_AVAILABILITY_BANK_DOWN
	)
	b := newBench(t)
	b.start(split(t))
	c := b.cashier()
	b.payments(60, "00", nil)
	if health, since := b.told(c, "ICBC"); health != well || since != 0 {
		t.Errorf("a bank that is well is told as %v since %d", health, since)
	}
	broke, first := b.now.Unix(), int64(0)
	b.payments(30, "91", func() bool {
		health, since := b.told(c, "ICBC")
		first = since
		return health == down
	})
	if first < broke-5 || first > b.now.Unix() || b.now.Unix()-broke > 20 {
		t.Fatalf("after %d s of failures it is told as down since %d s after they began", b.now.Unix()-broke, first-broke)
	}
	b.payments(150, "91", func() bool {
		health, since := b.told(c, "ICBC")
		return health != down || since != first
	})
	if b.now.Unix()-broke < 150 {
		t.Fatalf("%d s after it broke it is not told, or with another beginning", b.now.Unix()-broke)
	}
	if health, _ := b.told(c, "CMB"); health != well {
		t.Errorf("the other bank is told as %v", health)
	}
	b.hold("second")
	if health, since := b.told(c, "ICBC"); health != down || since != first {
		t.Errorf("with a new table it is told as %v since %d, want as before, since %d", health, since, first)
	}
	healed := b.now.Unix()
	b.payments(300, "00", func() bool { health, _ := b.told(c, "ICBC"); return health == well })
	if took := b.now.Unix() - healed; took >= 180 {
		t.Errorf("it is told %d s after it was well", took)
	}
	if !slices.Equal(b.alerts, []string{"BANK_DOWN"}) {
		t.Errorf("alerts %v", b.alerts)
	}
	if i := slices.IndexFunc(b.entries, func(e monitor.JournalEntry) bool { return len(e.Moves) > 0 && e.Author != "li" }); i >= 0 {
		t.Errorf("a change of state: %+v", b.entries[i].Moves)
	}
}

// What is told does not wait for the ledger.
func TestABankThatIsDownIsToldWithoutTheLedger(t *testing.T) {
	b := newBench(t)
	b.start(split(t))
	c := b.cashier()
	b.payments(60, "00", nil)
	b.faulty.FailReads(errDown)
	for range 30 {
		for range 6 {
			b.pay("ICBC", "91")
			b.pay("CMB", "00")
		}
		b.seconds(1)
	}
	if health, _ := b.told(c, "ICBC"); health != sluicev1.Availability_AVAILABILITY_BANK_DOWN {
		t.Errorf("told as %v", health)
	}
}
