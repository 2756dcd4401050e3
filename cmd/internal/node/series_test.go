package node

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// troubledSeries hangs, or answers with errors, while a test says so.
type troubledSeries struct {
	monitor.Series

	mu    sync.Mutex
	down  bool
	hangs bool
	saw   []int64
}

func (s *troubledSeries) set(down, hangs bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down, s.hangs = down, hangs
}

func (s *troubledSeries) Write(ctx context.Context, sum *monitor.SecondCounts) error {
	s.mu.Lock()
	down, hangs := s.down, s.hangs
	s.saw = append(s.saw, sum.Second)
	s.mu.Unlock()
	switch {
	case hangs:
		<-ctx.Done()
		return ctx.Err()
	case down:
		return errDown
	}
	return s.Series.Write(ctx, sum)
}

// What a leader seals can be queried; what a follower seals, it leaves to the leader.
func TestSeries_TheLeaderWritesEverySealedSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		series := monitor.NewMemorySeries(monitor.SeriesRetention{})
		w := NewSeriesWriter(series, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go w.Run(ctx)
		b := newBench(t)
		b.node.cfg.OnSealed = w.Offer
		b.start(catalogOf(t, shop))
		begin := b.now.Unix()
		for range 5 {
			b.pay("ICBC", "00")
			b.pay("ICBC", "91")
			b.seconds(1)
		}
		b.ledger.Resign()
		b.seconds(1)
		b.pay("ICBC", "00")
		b.seconds(1)
		synctest.Wait()
		points, err := series.Query(t.Context(), statemachine.ChannelScope("first"), begin, begin+100, 1)
		if err != nil || len(points) != 5 {
			t.Fatalf("%d points, %v: want one for each of the 5 seconds led", len(points), err)
		}
		for i, p := range points {
			if p.At != begin+int64(i) || p.Success+p.Fail != 2 || p.Sent[statemachine.KindNormal] == 0 {
				t.Errorf("point %d: %+v", i, p)
			}
		}
	})
}

// A store that hangs holds nobody up: Offer returns at once, the newest seconds win, losses are counted and logged once.
func TestSeries_AHangingStoreDelaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		series := &troubledSeries{Series: monitor.NewMemorySeries(monitor.SeriesRetention{}), hangs: true}
		w := NewSeriesWriter(series, slog.New(slog.NewTextHandler(&log, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { w.Run(ctx); close(done) }()
		const seconds = 60
		before := time.Now()
		for s := range int64(seconds) {
			w.Offer(&monitor.SecondCounts{Second: s + 1})
		}
		if waited := time.Since(before); waited != 0 {
			t.Errorf("offering took %v, want no waiting", waited)
		}
		time.Sleep(30 * seriesBudget)
		series.set(true, false)
		w.Offer(&monitor.SecondCounts{Second: 99})
		synctest.Wait()
		series.set(false, false)
		w.Offer(&monitor.SecondCounts{Second: 100})
		w.Offer(&monitor.SecondCounts{Second: 101})
		synctest.Wait()
		cancel()
		<-done
		n := w.Counters()
		if n.Written != 2 || n.Failed+n.Dropped != seconds+1 || n.Dropped < seconds-seriesQueue-1 {
			t.Errorf("%+v: want 2 written, %d failed or dropped", n, seconds+1)
		}
		if last := series.saw[len(series.saw)-4]; last != seconds {
			t.Errorf("the last second kept of the outage is %d, want the newest, %d", last, seconds)
		}
		if got := strings.Count(log.String(), "is not written"); got != 1 {
			t.Errorf("the outage is logged %d times, want once:\n%s", got, &log)
		}
		if !strings.Contains(log.String(), "written again") {
			t.Errorf("the end of the outage is not logged:\n%s", &log)
		}
	})
}
