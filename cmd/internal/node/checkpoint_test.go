package node

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// windowsShop is the shop judged by the windows detector alone.
var windowsShop = strings.Replace(shop, "  windows: {", "  detector: WINDOWS\n  windows: {", 1)

// keeper is a ledger that keeps checkpoints, and can fail or hang at it.
type keeper struct {
	*monitor.MemoryLedger

	fail  error
	hang  atomic.Bool
	calls int
}

func (k *keeper) SaveCheckpoint(ctx context.Context, name string, at statemachine.Instant, data []byte) error {
	k.calls++
	if k.hang.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	if k.fail != nil {
		return k.fail
	}
	return k.MemoryLedger.SaveCheckpoint(ctx, name, at, data)
}

// kept are the figures of checkpoints.
type kept struct {
	noFigures

	at     time.Time
	bytes  int
	failed int
	late   int
}

func (k *kept) Checkpoint(at time.Time, n int) { k.at, k.bytes = at, n }
func (k *kept) CheckpointFailed()              { k.failed++ }
func (k *kept) LateRow()                       { k.late++ }

// restart boots the bench's replica anew on its ledger, with an exchange that lost everything, as an embedded one does.
func (b *bench) restart(ledger monitor.Ledger, log *bytes.Buffer) *kept {
	figures := &kept{}
	b.exchange = &brokenExchange{Exchange: monitor.NewMemoryExchange()}
	b.node = New(Config{
		Replica: "r1", Boot: uint64(b.now.UnixNano()), Ledger: ledger, Exchange: b.exchange, Logger: slog.New(slog.NewTextHandler(log, nil)),
		OnAlert: func(a statemachine.Alert) { b.alerts = append(b.alerts, a.Kind) }, Figures: figures, Budget: -1,
	})
	b.start(nil)
	return figures
}

// half brings a bank half of the failures that a cut takes, within the window.
func (b *bench) half() {
	for range 6 {
		b.pay("ICBC", "91")
	}
	b.pay("CMB", "00")
	b.seconds(1)
}

// cut reports whether anything is cut.
func (b *bench) cut() bool {
	return slices.ContainsFunc(b.node.Sight().View.States, func(s monitor.VersionedState) bool { return s.Phase == statemachine.Disabled })
}

func newKeptBench(t *testing.T) (*bench, *keeper) {
	t.Helper()
	b := newBench(t)
	k := &keeper{MemoryLedger: b.ledger}
	b.node = New(Config{Replica: "r1", Boot: 1, Ledger: k, Exchange: b.exchange, Logger: slog.New(slog.DiscardHandler), Budget: -1})
	b.start(catalogOf(t, windowsShop))
	return b, k
}

// What was seen before a restart counts after it: neither half of the failures is enough for a cut, both are.
func TestRestartKeepsWhatWasSeen(t *testing.T) {
	for _, closes := range []bool{true, false} {
		b, k := newKeptBench(t)
		b.half()
		if closes {
			if err := b.node.Close(t.Context(), b.now); err != nil {
				t.Fatal(err)
			}
		}
		b.now = b.now.Add(time.Second)
		var log bytes.Buffer
		figures := b.restart(k, &log)
		b.half()
		if b.cut() != closes {
			t.Errorf("checkpoint at the end %v: after the restart cut %v\n%s", closes, b.cut(), &log)
		}
		if closes && (figures.bytes == 0 || !figures.at.Equal(b.now.Add(-2*time.Second))) {
			t.Errorf("told a checkpoint of %d bytes at %v, want the one of the end", figures.bytes, figures.at)
		}
	}
}

// Seconds after the checkpoint come from the exchange, if it kept them; none is observed twice.
func TestRestartRebuildsFromTheExchange(t *testing.T) {
	b, k := newKeptBench(t)
	if err := b.node.Close(t.Context(), b.now); err != nil {
		t.Fatal(err)
	}
	b.half()
	exchange := b.exchange
	want := b.node.pipeline.Checkpoint()
	b.node = New(Config{Replica: "r1", Boot: 2, Ledger: k, Exchange: exchange, Logger: slog.New(slog.DiscardHandler), Budget: -1})
	b.start(nil)
	if got := b.node.pipeline.Checkpoint(); !bytes.Equal(got, want) {
		t.Error("rebuilt from the exchange the detector knows something else than before the restart")
	}
	if b.half(); !b.cut() {
		t.Error("the failures before the restart were forgotten")
	}
}

// After minutes without anything seen, what was suspected before is no evidence any more.
func TestRestartAfterLongIsNoContinuation(t *testing.T) {
	b, k := newKeptBench(t)
	b.half()
	if len(b.node.pipeline.Checkpoint()) == 0 || b.node.Close(t.Context(), b.now) != nil {
		t.Fatal("no checkpoint")
	}
	b.now = b.now.Add(5 * time.Minute)
	var log bytes.Buffer
	b.restart(k, &log)
	if items := b.node.pipeline.Observed(); items >= b.now.Unix() {
		t.Fatalf("observed up to %d, which is to come", items)
	}
	b.half()
	if b.cut() {
		t.Error("failures of five minutes ago and of now made one cut")
	}
}

// A checkpoint that cannot be used is told and ignored; the replica starts and works.
func TestUselessCheckpointIsIgnored(t *testing.T) {
	b, k := newKeptBench(t)
	b.half()
	if err := b.node.Close(t.Context(), b.now); err != nil {
		t.Fatal(err)
	}
	good, err := k.LoadCheckpoint(t.Context(), checkpointName)
	if err != nil || len(good) == 0 {
		t.Fatal("no checkpoint", err)
	}
	put := func(s monitor.Saved) []byte {
		if _, err := s.SaveIn(t.Context(), k.MemoryLedger, checkpointName); err != nil {
			t.Fatal(err)
		}
		data, _ := k.LoadCheckpoint(t.Context(), checkpointName)
		return data
	}
	second, data := b.node.pipeline.Observed(), b.node.pipeline.Checkpoint()
	data[1]++ // the layout
	bad := map[string][]byte{
		"altered": append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]^1), "cut short": good[:len(good)/2], "foreign": []byte("hello"),
		"of another layout": put(monitor.Saved{Second: second, Data: data}), "from the future": put(monitor.Saved{Second: second + 1000, Data: b.node.pipeline.Checkpoint()}),
	}
	for name, stored := range bad {
		if err := k.MemoryLedger.SaveCheckpoint(t.Context(), checkpointName, statemachine.At(b.now), stored); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		b.restart(k, &log)
		if !strings.Contains(log.String(), "checkpoint is not used") {
			t.Errorf("%s: not told: %s", name, &log)
		}
		if b.half(); b.cut() {
			t.Errorf("%s: it was used all the same", name)
		}
	}
	for range 2 {
		b.half()
	}
	if !b.cut() {
		t.Error("the replica does not work")
	}
}

// Where checkpoints cannot be stored, each Tick goes on as ever, and people are told a number.
func TestTickDoesNotMindLostCheckpoints(t *testing.T) {
	b, k := newKeptBench(t)
	figures := &kept{}
	b.node.cfg.Figures = figures
	k.fail = errDown
	for _, err := range b.seconds(3 * checkpointEvery) {
		if err != nil {
			t.Fatalf("Tick: %v", err)
		}
	}
	if k.calls != 3 || figures.failed != 3 || figures.bytes != 0 {
		t.Errorf("%d tried, %d failed; want one a minute, and each told", k.calls, figures.failed)
	}
	k.fail = nil
	b.seconds(checkpointEvery)
	if figures.bytes == 0 || figures.at.After(b.now) || b.now.Sub(figures.at) >= checkpointEvery*time.Second {
		t.Errorf("stored again: %d bytes at %v", figures.bytes, figures.at)
	}
	b.ledger.Resign()
	calls := k.calls
	b.seconds(2 * checkpointEvery)
	if k.calls != calls {
		t.Errorf("a replica that does not lead stored %d checkpoints", k.calls-calls)
	}
}

// A store that hangs delays no Tick; what was offered meanwhile is stored when it is back, the newest alone.
func TestCheckpointWriterKeepsTheTickFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, k := newKeptBench(t)
		k.hang.Store(true)
		figures := &kept{}
		w := NewCheckpointWriter(k, figures, slog.New(slog.DiscardHandler))
		b.node.cfg.OnCheckpoint = w.Offer
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { w.Run(ctx); close(done) }()
		begin := time.Now()
		for range 10 {
			for _, err := range b.seconds(checkpointEvery) {
				if err != nil {
					t.Fatalf("Tick: %v", err)
				}
			}
			synctest.Wait() // the first one hangs in the store before the next is offered
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("ten minutes of Ticks waited %v for the store", took)
		}
		synctest.Wait()
		k.hang.Store(false)
		time.Sleep(2 * checkpointBudget)
		stop()
		<-done
		saved, _, err := monitor.LoadSaved(t.Context(), b.ledger, checkpointName)
		if err != nil || saved == nil || saved.Second != b.now.Unix()-1 {
			t.Errorf("stored %+v (%v), want the newest", saved, err)
		}
		if figures.failed != 1 || figures.bytes == 0 {
			t.Errorf("%d failed, %d bytes stored", figures.failed, figures.bytes)
		}
	})
}
