package redisstore

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/monitor/exchangetest"
	"github.com/sluice-pay/sluice/monitor/seriestest"
	"github.com/sluice-pay/sluice/statemachine"
)

// world is two replicas that are told of the same attempts and share a Redis; the first reaches it through a proxy.
type world struct {
	t        *testing.T
	proxy    *proxy
	replicas [2]*replica
	second   int64
	attempts uint64
}

type replica struct {
	*Store
	*monitor.Counters
	*monitor.Publisher
}

const faultStart = int64(1_700_000_000)

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, proxy: startProxy(t, redisServer(t).address), second: faultStart}
	env := environment()
	for i, name := range []string{"a", "b"} {
		o := Options{Environment: env, Replica: name, Budget: defaultBudget}
		if i == 0 {
			o.Address = w.proxy.address
		}
		r := &replica{Store: openStore(t, o), Counters: monitor.NewCounters(monitor.CountersOptions{Claims: true})}
		if err := r.SetItems([]statemachine.Scope{statemachine.ChannelScope("c")}); err != nil {
			t.Fatal(err)
		}
		r.Publisher = monitor.NewPublisher(r.Store, r.Store, r.Counters)
		w.replicas[i] = r
	}
	w.await()
	// Claims are kept from now on: without this, the first second is in doubt.
	if _, err := w.replicas[1].Claim(t.Context(), faultStart-9, faultStart-8, []monitor.Claim{{Attempt: 1 << 41}}); err != nil {
		t.Fatal(err)
	}
	return w
}

// await returns when Redis answers everyone.
func (w *world) await() {
	w.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for _, r := range w.replicas {
		for {
			_, err := r.Offset(w.t.Context())
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				w.t.Fatalf("redis does not come back: %v", err)
			}
			<-time.After(10 * time.Millisecond)
		}
	}
}

// report tells replicas of a new attempt.
func (w *world) report(age int32, replicas ...int) {
	w.attempts++
	for _, i := range replicas {
		w.replicas[i].Count(w.result(w.attempts, age), w.second)
	}
}

func (w *world) result(attempt uint64, age int32) *monitor.Report {
	none := monitor.NoItem
	return &monitor.Report{
		Attempt: attempt, Items: [5]int32{0, none, none, none, none}, Evidence: [5]bool{true}, Outcome: statemachine.Succeeded, Age: age,
	}
}

// tick closes a second everywhere. It returns the first error of each replica.
func (w *world) tick() (errs [2]error) {
	for i, r := range w.replicas {
		var rows []*monitor.Row
		for _, s := range r.Counters.Close(w.second) {
			rows = append(rows, &monitor.Row{Replica: r.o.Replica, Boot: 1, Counts: s})
		}
		errs[i] = r.Publisher.Publish(w.t.Context(), rows, w.second+1)
	}
	w.second++
	return errs
}

// settle ticks until everything is published and claimed.
func (w *world) settle() {
	w.t.Helper()
	w.await()
	for range 50 {
		errs := w.tick()
		if err := errors.Join(errs[:]...); err != nil { // a busy machine may overrun
			w.t.Log(err)
			w.await()
		}
	}
	for i, r := range w.replicas {
		if r.Waiting() != 0 || r.Dropped() != 0 {
			w.t.Errorf("replica %d: %d seconds wait, %d were dropped", i, r.Waiting(), r.Dropped())
		}
	}
}

// once fails unless every attempt is in the sums once, and the books say the same.
func (w *world) once(unverified uint64) {
	w.t.Helper()
	counted := int64(0)
	for s := faultStart; s < w.second; s++ {
		rows, err := w.replicas[1].Read(w.t.Context(), s)
		if err != nil {
			w.t.Fatal(err)
		}
		sum := monitor.Sum(rows)
		for _, item := range sum.Items {
			counted += int64(item.Totals[statemachine.Succeeded])
		}
	}
	if counted != int64(w.attempts) {
		w.t.Errorf("%d attempts count as %d", w.attempts, counted)
	}
	applied, doubt := uint64(0), uint64(0)
	for i, r := range w.replicas {
		b := r.Books()
		if !b.Balanced() {
			w.t.Errorf("replica %d: books %+v", i, b)
		}
		applied, doubt = applied+b.Applied, doubt+b.Unverified
	}
	if applied != w.attempts || doubt != unverified {
		w.t.Errorf("the books say %d applied, %d unverified; want %d and %d", applied, doubt, w.attempts, unverified)
	}
}

// everything tries each operation and returns the longest time one took and the errors.
func (w *world) everything(r *replica) (longest time.Duration, errs []error) {
	ctx := w.t.Context()
	series := r.Series(monitor.SeriesRetention{})
	at := w.second + 1000 // what is written here may still arrive
	sum := &monitor.SecondCounts{Second: at, Items: []monitor.ItemCounts{seriestest.Counts(seriestest.Item(), 1, 1)}}
	for _, operation := range []func() error{
		func() error { return r.Store.Publish(ctx, exchangetest.Row("other", at, 1)) },
		func() error { _, err := r.Read(ctx, at); return err },
		func() error {
			_, err := r.Claim(ctx, at, at+1, []monitor.Claim{{Attempt: 1 << 40}})
			return err
		},
		func() error { _, err := r.Offset(ctx); return err },
		func() error { return series.Write(ctx, sum) },
		func() error {
			_, err := series.Query(ctx, seriestest.Item(), at, at+1, 1)
			return err
		},
	} {
		began := time.Now()
		err := operation()
		longest = max(longest, time.Since(began))
		errs = append(errs, err)
	}
	return longest, errs
}

// unanswered goes on with reports and ticks while Redis does not answer replica 0, and holds every operation to its budget.
func (w *world) unanswered(during time.Duration) {
	w.t.Helper()
	const slack = 100 * time.Millisecond // of a busy machine
	r := w.replicas[0]
	skipped, opened := time.Duration(0), false
	for deadline := time.Now().Add(during); time.Now().Before(deadline); {
		was := r.Health()
		longest, errs := w.everything(r)
		for i, err := range errs {
			if !errors.Is(err, ErrUnavailable) {
				w.t.Errorf("operation %d: %v, want ErrUnavailable", i, err)
			}
		}
		if longest > defaultBudget+slack {
			w.t.Errorf("an operation took %s, the budget is %s", longest, defaultBudget)
		}
		now := r.Health()
		if was.State == BreakerOpen && now.Overruns == was.Overruns {
			skipped = max(skipped, longest)
			opened = true
		}
		if w.attempts < 60 {
			w.report(0, 0, 1)
			w.tick()
		}
		<-time.After(20 * time.Millisecond)
	}
	if !opened || r.Health().Opened == 0 {
		w.t.Errorf("the breaker did not open: %+v", r.Health())
	}
	if skipped > slack/2 {
		w.t.Errorf("with an open breaker an operation took %s", skipped)
	}
	w.t.Logf("longest with an open breaker: %s; %+v", skipped, r.Health())
}

func TestInvariant07_RedisFrozen(t *testing.T) {
	w := newWorld(t)
	w.report(0, 0, 1)
	w.tick()
	if err := shared.process.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shared.process.Process.Signal(syscall.SIGCONT) })
	w.unanswered(3 * time.Second)
	shared.process.Process.Signal(syscall.SIGCONT)
	w.settle()
	w.once(0)
}

func TestInvariant07_RedisAnswersLate(t *testing.T) {
	w := newWorld(t)
	w.proxy.delay.Store(int64(200 * time.Millisecond)) // what is asked happens
	w.unanswered(2500 * time.Millisecond)
	w.proxy.delay.Store(0)
	w.proxy.hangUp(false)
	w.settle()
	w.once(0)
}

func TestInvariant07_AnswersAreLost(t *testing.T) {
	w := newWorld(t)
	w.proxy.drop.Store(true)
	w.unanswered(2500 * time.Millisecond)
	w.proxy.drop.Store(false)
	w.proxy.hangUp(false)
	w.settle()
	w.once(0)
}

func TestInvariant08_ConnectionsBreak(t *testing.T) {
	w := newWorld(t)
	for i := range 40 {
		w.report(0, 0, 1)
		if i%4 == 3 {
			w.proxy.hangUp(false)
		}
		w.tick()
	}
	w.settle()
	w.once(0)
}

func TestInvariant07_WrongAnswersAreNotTakenForNumbers(t *testing.T) {
	w := newWorld(t)
	w.report(0, 0, 1)
	w.tick()
	w.proxy.corrupt.Store(true)
	for range 5 {
		w.report(0, 0, 1)
		if errs := w.tick(); errs[0] == nil || errs[1] != nil {
			t.Errorf("errors %v, want one of the replica whose answers are wrong", errs)
		}
	}
	w.proxy.corrupt.Store(false)
	w.proxy.hangUp(false)
	w.settle()
	w.once(0)
}

func TestRedisSlowWithinTheBudget(t *testing.T) {
	w := newWorld(t)
	w.proxy.delay.Store(int64(10 * time.Millisecond))
	w.report(0, 0, 1)
	w.settle()
	w.once(0)
}

func TestInvariant08_RedisRefusesWrites(t *testing.T) {
	set := func(name, value string) func(*testing.T) {
		return func(t *testing.T) { t.Helper(); admin(t, "CONFIG", "SET", name, value) }
	}
	for _, fault := range []struct {
		name       string
		word       string
		begin, end func(*testing.T)
	}{
		{
			"a replica after a failover", "READONLY",
			func(t *testing.T) { t.Helper(); admin(t, "REPLICAOF", "127.0.0.1", "1") },
			func(t *testing.T) { t.Helper(); admin(t, "REPLICAOF", "NO", "ONE") },
		},
		{"too few replicas", "NOREPLICAS", set("min-replicas-to-write", "1"), set("min-replicas-to-write", "0")},
		{"out of memory", "OOM", set("maxmemory", "1mb"), set("maxmemory", "0")},
	} {
		t.Run(fault.name, func(t *testing.T) {
			w := newWorld(t)
			w.report(0, 0, 1)
			w.tick()
			fault.begin(t)
			t.Cleanup(func() { fault.end(t) })
			for range 5 {
				w.report(0, 0, 1)
				for i, err := range w.tick() {
					if err == nil || !strings.Contains(err.Error(), fault.word) {
						t.Errorf("replica %d: %v, want the reason %s", i, err, fault.word)
					}
				}
			}
			if b := w.replicas[0].Books(); b.Unverified != 5 {
				t.Errorf("books %+v, want what could not be claimed booked as unverified", b)
			}
			if h := w.replicas[0].Health(); h.State != BreakerClosed {
				t.Errorf("a Redis that answers is not asked any more: %+v", h)
			}
			if _, err := w.replicas[0].Read(t.Context(), faultStart); err != nil {
				t.Errorf("reading: %v", err)
			}
			fault.end(t)
			w.settle()
			w.once(0)
		})
	}
}

// What was claimed is forgotten: an attempt from before may be counted twice, and the books say how many may be.
func TestInvariant07_RedisEmptied(t *testing.T) {
	w := newWorld(t)
	w.report(1, 0)
	w.tick()
	admin(t, "FLUSHALL")
	if rows, err := w.replicas[0].Read(t.Context(), w.second-1); err != nil || len(rows) != 0 {
		t.Errorf("an emptied Redis says %v, %v: want no rows, not even ours", rows, err)
	}
	w.report(0, 0) // decided before claims were kept again
	w.tick()
	w.second += 5
	for _, r := range w.replicas {
		r.Count(w.result(1, 6), w.second) // told again
	}
	w.report(0, 0, 1)
	w.settle()
	a, b := w.replicas[0].Books(), w.replicas[1].Books()
	if a.Applied != 3 || a.Duplicate != 1 || a.Unverified != 1 {
		t.Errorf("the first's books %+v: want its own repeat caught, and one attempt in doubt", a)
	}
	if b.Applied != 1 || b.Duplicate != 1 || b.Unverified != 1 {
		t.Errorf("the other's books %+v: want the repeat of a forgotten attempt counted as unverified", b)
	}
}

func TestCallersDeadlineIsNoOverrun(t *testing.T) {
	w := newWorld(t)
	w.proxy.delay.Store(int64(30 * time.Millisecond))
	for range 2 * breakAfter {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if _, err := w.replicas[0].Read(ctx, w.second); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnavailable) {
			t.Errorf("Read past the caller's deadline: %v", err)
		}
		cancel()
	}
	if h := w.replicas[0].Health(); h.State != BreakerClosed || h.Overruns != 0 {
		t.Errorf("the caller's impatience is held against Redis: %+v", h)
	}
}
