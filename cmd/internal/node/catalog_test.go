package node

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// applied is a request to put a catalogue in force.
func applied(t *testing.T, c *configv1.Catalog) monitor.CatalogRequest {
	t.Helper()
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return monitor.CatalogRequest{Catalog: raw, Version: c.GetVersion(), Author: "li", Reason: "cheaper"}
}

// secondFirst is the shop with its channels the other way round.
func secondFirst(t *testing.T) *configv1.Catalog {
	t.Helper()
	c := catalogOf(t, strings.NewReplacer("first, priority: 0", "first, priority: 1", "second, priority: 1", "second, priority: 0").Replace(shop))
	c.Version = "v2"
	return c
}

// A catalogue applied on one replica routes there when the call returns, and on the others as soon as they have looked.
func TestApplyCatalog_EveryReplicaFollows(t *testing.T) {
	b := newBench(t)
	b.start(catalogOf(t, shop))
	peer := New(Config{Replica: "r2", Boot: 2, Ledger: b.ledger.Peer("r2"), Exchange: b.exchange, Logger: slog.New(slog.DiscardHandler)})
	if err := peer.Start(t.Context(), nil, b.now); err != nil {
		t.Fatal(err)
	}
	r, err := b.node.ApplyCatalog(t.Context(), applied(t, secondFirst(t)), b.now)
	if err != nil || r.Catalog != 2 {
		t.Fatalf("got %+v, %v", r, err)
	}
	if got := b.pay("ICBC", "00"); got != "second" {
		t.Errorf("here: %s, want second at once", got)
	}
	if err := peer.Refresh(t.Context(), b.now); err != nil {
		t.Fatal(err)
	}
	mine, theirs := b.node.Sight(), peer.Sight()
	if theirs.View.Head.Catalog != 2 || theirs.Table.Revision() != mine.Table.Revision() || !proto.Equal(theirs.Catalog, mine.Catalog) {
		t.Errorf("there: catalogue %d of table %+v, want 2 of %+v", theirs.View.Head.Catalog, theirs.Table.Revision(), mine.Table.Revision())
	}
	if e := b.entries[len(b.entries)-1]; e.Catalog != 2 || e.Author != "li" {
		t.Errorf("told %+v", e)
	}
}

// Detection goes on over a new catalogue: what failed before and after it is one, new channels are counted, and what was cut stays cut.
func TestApplyCatalog_DetectionGoesOn(t *testing.T) {
	b := newBench(t)
	b.start(catalogOf(t, shop))
	for range 2 {
		b.pay("ICBC", "91")
		b.pay("CMB", "00")
	}
	b.seconds(1)
	if st := b.state(icbcOnFirst); st.Phase != statemachine.Healthy {
		t.Fatalf("2 failures are not enough, yet it is %s", st.Phase)
	}
	more := catalogOf(t, shop)
	third := proto.CloneOf(more.GetChannels()[1])
	third.Id = "a-third" // before the others in every order
	more.Channels = append([]*configv1.Channel{third}, more.GetChannels()...)
	more.Routes[0].Members = append(more.GetRoutes()[0].GetMembers(), &configv1.RouteMember{Channel: "a-third", Priority: 2})
	if _, err := b.node.ApplyCatalog(t.Context(), applied(t, more), b.now); err != nil {
		t.Fatal(err)
	}
	for range 8 {
		b.pay("ICBC", "91")
		b.pay("CMB", "00")
	}
	b.seconds(1)
	if st := b.state(icbcOnFirst); st.Phase != statemachine.Disabled {
		t.Fatalf("failures before and after the new catalogue: %s, want it cut", st.Phase)
	}
	if _, err := b.node.ApplyCatalog(t.Context(), applied(t, secondFirst(t)), b.now); err != nil {
		t.Fatal(err)
	}
	if st := b.state(icbcOnFirst); st.Phase != statemachine.Disabled {
		t.Errorf("a new catalogue opened what was cut: %s", st.Phase)
	}
	if books := b.node.Counters().Books(); !books.Balanced() || books.Applied != 20 {
		t.Errorf("books %+v, want 20 applied", books)
	}
}

// A restart with an old file takes back nothing that was applied since, and says so; a file after a file is put in force.
func TestStart_LeavesAsideWhatWasReplacedThroughTheAPI(t *testing.T) {
	b := newBench(t)
	b.start(catalogOf(t, shop))
	b.boot()
	other := catalogOf(t, shop)
	other.Version = "v1.1"
	b.start(other)
	if got := b.node.Sight().Catalog.GetVersion(); got != "v1.1" {
		t.Fatalf("a file after a file: %q in force", got)
	}
	if _, err := b.node.ApplyCatalog(t.Context(), applied(t, secondFirst(t)), b.now); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	b.boot()
	b.node.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	b.start(other)
	if got := b.node.Sight(); got.Catalog.GetVersion() != "v2" || got.View.Head.Catalog != 3 {
		t.Errorf("after a restart with the old file %q is in force", got.Catalog.GetVersion())
	}
	if !strings.Contains(log.String(), "left aside") || !strings.Contains(log.String(), "author=li") {
		t.Errorf("it says %q", log.String())
	}
	b.boot()
	b.start(secondFirst(t))
	if got := b.node.Sight().View.Head.Catalog; got != 3 {
		t.Errorf("the same catalogue as a file made catalogue %d", got)
	}
}

// Nothing is changed by a request that only asks, nor by one that the ledger cannot take.
func TestApplyCatalog_ChangesNothingWhenItFails(t *testing.T) {
	b := newBench(t)
	b.start(catalogOf(t, shop))
	q := applied(t, secondFirst(t))
	q.ValidateOnly = true
	if r, err := b.node.ApplyCatalog(t.Context(), q, b.now); err != nil || r.Revision != 0 {
		t.Errorf("only asked: %+v, %v", r, err)
	}
	q.ValidateOnly = false
	stranded := &routing.StrandedError{}
	q.Check = func(*monitor.View) error { return stranded }
	if _, err := b.node.ApplyCatalog(t.Context(), q, b.now); !errors.Is(err, routing.ErrStranded) {
		t.Errorf("checked: %v", err)
	}
	q.Check = nil
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.node.ApplyCatalog(gone, q, b.now); err == nil {
		t.Error("a caller who has gone away was answered")
	}
	b.faulty.FailReads(errDown)
	if _, err := b.node.ApplyCatalog(t.Context(), q, b.now); !errors.Is(err, errDown) {
		t.Errorf("without the store: %v", err)
	}
	if got := b.pay("ICBC", "00"); got != "first" {
		t.Errorf("payments go to %s, want first as before", got)
	}
}
