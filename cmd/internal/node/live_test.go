package node

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/cmd/internal/embedded"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/monitor/etcdstore"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// thousand is a catalogue of 1,000 channels and 40,000 lanes of ten candidates.
func thousand() *configv1.Catalog {
	const collect = configv1.BusinessType_BUSINESS_TYPE_COLLECT
	c := &configv1.Catalog{Name: "thousand"}
	var banks []string
	for i := range 50 {
		banks = append(banks, fmt.Sprintf("BANK%03d", i))
	}
	for e := range 4 {
		c.Entities = append(c.Entities, &configv1.Entity{Id: fmt.Sprintf("e-%d", e)})
	}
	for i := range 1000 {
		method := fmt.Sprintf("METHOD%03d", i/10)
		ch := &configv1.Channel{
			Id: fmt.Sprintf("channel-%04d", i), Provider: "p", BusinessTypes: []configv1.BusinessType{collect}, Currencies: []string{"CNY"},
			Instruments: []*configv1.Instrument{{Method: method, Banks: banks, CardTypes: []configv1.CardType{1, 2}}},
		}
		for e := range 4 {
			ch.Accounts = append(ch.Accounts, &configv1.Account{Id: fmt.Sprintf("acc-%d", e), Entity: fmt.Sprintf("e-%d", e)})
		}
		c.Channels = append(c.Channels, ch)
		if i%10 == 0 {
			c.Routes = append(c.Routes, &configv1.Route{Id: "route-" + method, BusinessType: collect, Method: method})
		}
		r := c.GetRoutes()[i/10]
		r.Members = append(r.Members, &configv1.RouteMember{Channel: ch.GetId(), Priority: uint32(i % 10)})
	}
	return c
}

// dialEtcd starts an etcd that brings every write to disk, and returns a client over a socket.
func dialEtcd(b *testing.B) *clientv3.Client {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	server, err := embedded.Start(b.Context(), embedded.Options{Dir: b.TempDir(), Listen: address})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { server.Close() })
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{address}, Logger: embedded.NewLogger(nil)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { client.Close() })
	return client
}

// BenchmarkPutToLive measures the time from the begin of a transaction in etcd, by one replica, to the new table in force at
// another that follows its watch: 1,000 channels, 40,000 lanes.
func BenchmarkPutToLive(b *testing.B) {
	client := dialEtcd(b)
	open := func(name string) *etcdstore.Ledger {
		l, err := etcdstore.Open(b.Context(), client, etcdstore.Options{Environment: "bench", Replica: name, Boot: 1, Timeout: 10 * time.Second})
		if err != nil {
			b.Fatal(err)
		}
		return l
	}
	writer, reader := open("writer"), open("reader")
	live := make(chan int64, 16)
	n := New(Config{
		Replica: "reader", Boot: 1, Ledger: reader, Exchange: monitor.NewMemoryExchange(), Logger: slog.New(slog.DiscardHandler),
		OnTable: func(t *routing.Table, _ time.Time, _ int64) { live <- t.Revision().Revision },
	})
	if err := n.Start(b.Context(), thousand(), time.Now()); err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	var loops sync.WaitGroup
	loops.Go(func() { reader.Watch(ctx) })
	loops.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-reader.Changed():
				if err := n.Refresh(ctx, time.Now()); err != nil && ctx.Err() == nil {
					b.Errorf("refresh: %v", err)
				}
			}
		}
	})
	defer loops.Wait()
	defer stop()
	view, err := writer.Read(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	poll := time.NewTicker(100 * time.Microsecond)
	defer poll.Stop()
	var took []time.Duration
	base := view.Revision
	for b.Loop() {
		s := statemachine.NewState(statemachine.ChannelScope(fmt.Sprintf("channel-%04d", len(took)%1000)))
		s.Phase, s.Share, s.Generation, s.After = statemachine.Disabled, 0, uint64(len(took)+1), base
		begin := time.Now()
		revision, err := writer.Commit(b.Context(), monitor.Change{
			Base: base, States: []statemachine.State{s}, Entry: monitor.JournalEntry{At: statemachine.At(begin), Author: "bench", Reason: "bench"},
		})
		if err != nil {
			b.Fatal(err)
		}
		for n.Router().Table().Revision().Revision < revision {
			<-poll.C
		}
		took = append(took, time.Since(begin))
		for <-live < revision { // what the node does after is not left over for the next
		}
		base = revision
		if _, err := writer.Read(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(len(took)), "samples")
}
