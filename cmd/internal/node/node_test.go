package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/monitor/ledgertest"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/routing/catalogfile"
	"github.com/sluice-pay/sluice/statemachine"
)

const shop = `
entities: [{id: e-1}]
code_tables: [{id: plain, codes: [{code: "00", outcome: SUCCEEDED}, {code: "91", outcome: CHANNEL_FAILED}]}]
channels:
  - &cards
    id: first
    provider: p
    business_types: [COLLECT]
    instruments: [{method: QUICKPAY, banks: [ICBC, CMB], card_types: [DEBIT]}]
    accounts: [{id: a-1, entity: e-1}]
    currencies: [CNY]
    code_table: plain
  - {<<: *cards, id: second}
routes: [{id: r, business_type: COLLECT, method: QUICKPAY, members: [{channel: first, priority: 0}, {channel: second, priority: 1}]}]
default_policy:
  windows: {window: 5s, min_samples: 10, mild_rate: 0}
  guards: {min_weight_share: 0.1}
`

var errDown = errors.New("the store is down")

// brokenExchange answers with errors while it is down.
type brokenExchange struct {
	monitor.Exchange
	down, empty bool
}

func (b *brokenExchange) Publish(ctx context.Context, r *monitor.Row) error {
	if b.down {
		return errDown
	}
	return b.Exchange.Publish(ctx, r)
}

func (b *brokenExchange) Read(ctx context.Context, second int64) ([]*monitor.Row, error) {
	switch {
	case b.down:
		return nil, errDown
	case b.empty:
		return nil, nil
	}
	return b.Exchange.Read(ctx, second)
}

// bench is one node over a memory ledger that leads, with everything it told.
type bench struct {
	t        *testing.T
	node     *Node
	ledger   *monitor.MemoryLedger
	faulty   *ledgertest.Faulty
	exchange *brokenExchange
	entries  []monitor.JournalEntry
	alerts   []string
	n        int
	now      time.Time // virtual: the node has no clock of its own
}

func catalogOf(t *testing.T, text string) *configv1.Catalog {
	t.Helper()
	c, err := catalogfile.Parse("shop.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, now: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC), ledger: monitor.NewMemoryLedger("r1"), exchange: &brokenExchange{Exchange: monitor.NewMemoryExchange()}}
	b.ledger.Lead()
	b.faulty = ledgertest.NewFaulty(b.ledger)
	b.boot()
	return b
}

// boot starts a new life of the replica on what its ledger holds.
func (b *bench) boot() {
	b.node = New(Config{
		Replica: "r1", Boot: uint64(b.now.UnixNano()), Ledger: b.faulty, Exchange: b.exchange, Logger: slog.New(slog.DiscardHandler),
		OnEntry: func(e monitor.JournalEntry) { b.entries = append(b.entries, e) },
		OnAlert: func(a statemachine.Alert) { b.alerts = append(b.alerts, a.Kind) },
	})
}

func (b *bench) start(catalog *configv1.Catalog) {
	b.t.Helper()
	if err := b.node.Start(b.t.Context(), catalog, b.now); err != nil {
		b.t.Fatal(err)
	}
}

// pay routes one payment of a bank and reports it with a code; it returns the channel.
func (b *bench) pay(bank, code string) string {
	b.t.Helper()
	b.n++
	q := routing.Request{
		PaymentID: fmt.Sprintf("p-%d", b.n), Merchant: "m-1", Entity: "e-1", Business: statemachine.Collect, Amount: 100, Currency: "CNY",
		Instrument: statemachine.Instrument{Method: "QUICKPAY", Bank: bank, CardType: "DEBIT"},
	}
	var d routing.Decision
	if err := b.node.Router().Route(&q, b.now.Unix(), &d); err != nil {
		b.t.Fatalf("route: %v", err)
	}
	to := d.Candidates[0]
	if _, err := b.node.Ingest().Report(&sluicev1.Report{
		AttemptId: string(d.AppendAttemptID(nil, 0)), PaymentId: q.PaymentID, Channel: to.Channel, Account: to.Account, Method: "QUICKPAY", Bank: bank,
		CardType: configv1.CardType_CARD_TYPE_DEBIT, BusinessType: configv1.BusinessType_BUSINESS_TYPE_COLLECT, RawCode: code, RequestWritten: true,
	}, 1, b.now.Unix()); err != nil {
		b.t.Fatalf("report: %v", err)
	}
	return to.Channel
}

func (b *bench) state(scope string) statemachine.State {
	b.t.Helper()
	s, err := statemachine.ParseScope(scope)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.node.Sight().Table.State(s)
}

// seconds lets n seconds pass, with a Tick at each, and returns the errors.
func (b *bench) seconds(n int) (errs []error) {
	for range n {
		b.now = b.now.Add(time.Second)
		errs = append(errs, b.node.Tick(b.t.Context(), b.now))
	}
	return errs
}

const icbcOnFirst = "first/instrument=QUICKPAY:ICBC:DEBIT"

func TestStartNeedsACatalogue(t *testing.T) {
	b := newBench(t)
	if err := b.node.Start(t.Context(), nil, b.now); !errors.Is(err, ErrNoCatalog) {
		t.Errorf("without a catalogue: %v, want ErrNoCatalog", err)
	}
	bad := catalogOf(t, shop)
	bad.Routes[0].Members[0].Channel = "nowhere"
	if err := b.node.Start(t.Context(), bad, b.now); err == nil || b.node.Router().Table() != nil {
		t.Errorf("with a bad catalogue: %v, want an error and no table", err)
	}
	if v, err := b.ledger.Read(t.Context()); err != nil || v.Head.Catalog != 0 {
		t.Errorf("a bad catalogue left %v in the ledger (%v)", v.Head, err)
	}
}

// A catalogue that would strand a scope under an order is refused, by name, and the old one stays.
func TestStartRefusesToStrandAnOrder(t *testing.T) {
	b := newBench(t)
	b.start(catalogOf(t, shop))
	scope, _ := statemachine.ParseScope("second/method=QUICKPAY")
	if _, err := b.node.Order(t.Context(), monitor.OrderRequest{
		Scopes: []statemachine.Scope{scope},
		Order:  statemachine.Order{Action: statemachine.ActionHold, Author: "li", Reason: "migration"},
	}, b.now); err != nil {
		t.Fatal(err)
	}
	smaller := catalogOf(t, shop)
	smaller.Channels = smaller.GetChannels()[:1]
	smaller.Routes[0].Members = smaller.GetRoutes()[0].GetMembers()[:1]
	b.boot()
	err := b.node.Start(t.Context(), smaller, b.now)
	stranded, ok := errors.AsType[*routing.StrandedError](err)
	if !ok || len(stranded.Scopes) != 1 || stranded.Scopes[0] != scope {
		t.Errorf("got %v, want the stranded scope %s by name", err, scope)
	}
}

func TestTickCutsTellsAndRoutesElsewhere(t *testing.T) {
	b := newBench(t)
	b.start(catalogOf(t, shop))
	for range 20 {
		b.pay("ICBC", "91")
		b.pay("CMB", "00")
	}
	for _, err := range b.seconds(1) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := b.pay("ICBC", "00"); got != "second" {
		t.Errorf("ICBC goes to %s after the cut, want second", got)
	}
	if got := b.pay("CMB", "00"); got != "first" {
		t.Errorf("CMB goes to %s, want first: its scope is well", got)
	}
	last := b.entries[len(b.entries)-1]
	if len(last.Moves) != 1 || last.Moves[0].After.Scope.String() != icbcOnFirst || len(last.Incidents) != 1 {
		t.Errorf("told %+v, want the cut of %s with its incident", last, icbcOnFirst)
	}
}

// A Tick that comes late closes every second by the time its reports were received.
func TestLateTickClosesBySecondOfReceipt(t *testing.T) {
	b := newBench(t)
	b.start(catalogOf(t, shop))
	for range 4 {
		for range 4 {
			b.pay("ICBC", "91")
			b.pay("CMB", "00")
		}
		b.now = b.now.Add(time.Second)
	}
	if err := b.node.Tick(t.Context(), b.now); err != nil {
		t.Fatal(err)
	}
	st := b.state(icbcOnFirst)
	if st.Phase != statemachine.Disabled {
		t.Fatalf("after a late Tick the scope is %v, want it cut", st.Phase)
	}
	e := b.entries[len(b.entries)-1].Incidents[0].Evidence
	if e.Answered < 10 || e.To-e.From < 2 {
		t.Errorf("evidence of %g results over seconds %d to %d, want several seconds", e.Answered, e.From, e.To)
	}
}

// TestInvariant09_RoutesWhileEveryStoreIsDown: with ledger and exchange down nothing is cut, nothing is lost, and Route
// answers as before.
func TestInvariant09_RoutesWhileEveryStoreIsDown(t *testing.T) {
	b := newBench(t)
	b.start(catalogOf(t, shop))
	b.exchange.down = true
	b.faulty.FailReads(errDown)
	for range 15 {
		for range 5 {
			if got := b.pay("ICBC", "91"); got != "first" {
				t.Fatalf("payment to %s while the stores are down, want first as before", got)
			}
		}
		for _, err := range b.seconds(1) {
			if !errors.Is(err, errDown) {
				t.Fatalf("Tick hid the failure: %v", err)
			}
		}
	}
	if books := b.node.Counters().Books(); !books.Balanced() || books.Applied != 75 {
		t.Errorf("books %+v, want 75 applied", books)
	}
	b.exchange.down = false
	b.faulty.FailReads(nil)
	for range 10 {
		b.pay("ICBC", "91")
		b.pay("CMB", "00")
	}
	b.seconds(2)
	if st := b.state(icbcOnFirst); st.Phase != statemachine.Disabled {
		t.Errorf("the stores are back and the bank still fails: %v, want it cut", st.Phase)
	}
}

// An exchange that comes back empty has lost rows: what is left is no evidence that all is well, nor that anything fails.
func TestLostRowsAreNoSignal(t *testing.T) {
	b := newBench(t)
	b.start(catalogOf(t, shop))
	b.exchange.empty = true
	for range blindSeconds {
		for range 5 {
			b.pay("ICBC", "91")
		}
		if errs := b.seconds(1); !errors.Is(errs[0], errNoSignal) {
			t.Fatalf("Tick: %v, want %v", errs[0], errNoSignal)
		}
	}
	if st := b.state(icbcOnFirst); st.Phase != statemachine.Healthy {
		t.Errorf("without a signal the scope is %v, want it left alone", st.Phase)
	}
	b.exchange.empty = false
	b.seconds(1)
	if got := fmt.Sprint(b.alerts); got != "[NO_SIGNAL SIGNAL_BACK]" {
		t.Errorf("alerts %s, want NO_SIGNAL and SIGNAL_BACK, once each", got)
	}
}

// A restart goes on where the ledger stands: the same phase, share and generation.
func TestRestartKeepsTheState(t *testing.T) {
	b := newBench(t)
	b.start(catalogOf(t, shop))
	for range 20 {
		b.pay("ICBC", "91")
		b.pay("CMB", "00")
	}
	b.seconds(1)
	before := b.state(icbcOnFirst)
	b.boot()
	b.start(nil)
	if after := b.state(icbcOnFirst); after != before || before.Phase != statemachine.Disabled {
		t.Errorf("after a restart %+v, want %+v", after, before)
	}
}
