package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/sluice-pay/sluice/api/sluice/v1/routepb"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// lines gathers what a decision log writes.
type lines struct {
	mu  sync.Mutex
	all []DecisionRecord
}

func (l *lines) write(line []byte) error {
	var r DecisionRecord
	if err := json.Unmarshal(line, &r); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, r)
	return nil
}

// logged runs a log over what a function offers, and returns the records.
func logged(t *testing.T, ppm uint32, offer func(*stand)) []DecisionRecord {
	t.Helper()
	var out lines
	log := NewDecisionLog(DecisionLogOptions{SamplePPM: ppm, Salt: "test", Environment: "prod", Replica: "r1", Write: out.write})
	s := newStand(t, func(c *Config) { c.Decisions = log })
	offer(s)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	log.Run(ended)
	if c := log.Counters(); c.Written != uint64(len(out.all)) || c.Dropped+c.Failed > 0 {
		t.Errorf("counters %+v, %d records", c, len(out.all))
	}
	return out.all
}

func TestADecisionIsLoggedWithItsChances(t *testing.T) {
	var id, attempt string
	records := logged(t, 1_000_000, func(s *stand) {
		s.cut(statemachine.ChannelScope("beta"))
		m := s.decided(payment("p1"))
		id, attempt = m.GetDecisionId(), m.GetChannels()[0].GetAttemptId()
		refused := payment("p2")
		refused.Exclude = []string{"alpha", "beta", "gamma", "delta"}
		_, _ = s.routing().Route(as(t, Cashier), refused)
	})
	if len(records) != 2 {
		t.Fatalf("%d records, want 2", len(records))
	}
	r := records[0]
	same(t, "decision", r.DecisionID, id)
	same(t, "attempt", r.AttemptID, attempt)
	same(t, "payment", r.Payment.ID, "p1")
	same(t, "channel", r.Channel, "alpha")
	same(t, "route", r.Route, "quick")
	same(t, "kind", r.Kind, "NORMAL")
	same(t, "environment", r.Environment, "prod")
	same(t, "time", r.Time, "2026-11-20T08:00:00Z")
	sum := 0.0
	for _, c := range r.Candidates {
		sum += c.Propensity
		if c.Channel == "beta" && (c.Drop != "DISABLED" || c.Propensity != 0 || c.Scope != "beta" || c.Rank != nil) {
			t.Errorf("a channel that is cut is logged as %+v", c)
		}
	}
	if math.Abs(sum-1) > 1e-6 || r.Propensity != r.Candidates[0].Propensity || r.Propensity == 0 {
		t.Errorf("propensity %v, all %v", r.Propensity, sum)
	}
	if r = records[1]; r.Refusal != "NO_USABLE_CHANNEL" || r.Channel != "" || r.AttemptID != "" || r.Propensity != 1 {
		t.Errorf("a refusal is logged as %+v", r)
	}
}

// TestTheSampleIsThatOfEveryReplica: which payments are sampled hangs on id and salt, and a greater sample holds the smaller.
func TestTheSampleIsThatOfEveryReplica(t *testing.T) {
	const payments = 20_000
	sample := func(ppm uint32, salt string) map[string]bool {
		one, other := NewDecisionLog(DecisionLogOptions{SamplePPM: ppm, Salt: salt}), NewDecisionLog(DecisionLogOptions{SamplePPM: ppm, Salt: salt, Replica: "r2"})
		out := map[string]bool{}
		for i := range payments {
			id := fmt.Sprint("p", i)
			if one.Sampled(id) != other.Sampled(id) {
				t.Fatalf("%s is sampled by one replica alone", id)
			}
			if one.Sampled(id) {
				out[id] = true
			}
		}
		return out
	}
	small, large, salted := sample(50_000, "a"), sample(200_000, "a"), sample(50_000, "b")
	if n := len(small); n < payments/25 || n > payments/16 {
		t.Errorf("%d of %d are sampled, want about 5 %%", n, payments)
	}
	for id := range small {
		if !large[id] {
			t.Fatalf("%s is in the smaller sample alone", id)
		}
	}
	if maps.Equal(small, salted) {
		t.Error("the salt does not matter")
	}
	if n := len(sample(1_000_000, "a")); n != payments {
		t.Errorf("%d of %d are in the whole", n, payments)
	}
	if len(sample(0, "a")) > 0 || (*DecisionLog)(nil).Sampled("p1") {
		t.Error("something is sampled of nothing")
	}
}

func TestAFullLogDropsAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		log := NewDecisionLog(DecisionLogOptions{SamplePPM: 1_000_000, Write: func([]byte) error { <-hold; return errors.New("the disk is full") }})
		w := newWorld(t, testCatalog())
		var d routing.Decision
		var q routing.Request
		routepb.ReadRequest(payment("p1"), &q)
		if err := w.router.Route(&q, w.Second(), &d); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { log.Run(ctx); close(done) }()
		for range decisionQueue + 100 {
			log.Offer(&q, &d)
		}
		synctest.Wait() // one is being written
		dropped := log.Counters().Dropped
		if dropped < 99 || dropped > 100 {
			t.Errorf("%d were dropped, want 99 or 100", dropped)
		}
		close(hold)
		cancel()
		<-done
		if c := log.Counters(); c.Failed+c.Dropped != decisionQueue+100 || c.Written > 0 {
			t.Errorf("of %d, %+v", decisionQueue+100, c)
		}
	})
}

// TestInvariant18_NoCardNumberInTheDecisionLog logs what nobody checked at the edge.
func TestInvariant18_NoCardNumberInTheDecisionLog(t *testing.T) {
	const number = "4111111111111111"
	var text []byte
	log := NewDecisionLog(DecisionLogOptions{SamplePPM: 1_000_000, Write: func(line []byte) error { text = slices.Clone(line); return nil }})
	w := newWorld(t, testCatalog())
	var d routing.Decision
	var q routing.Request
	routepb.ReadRequest(payment("order-"+number), &q)
	q.Attempts = []routing.Attempt{{Channel: "beta", Outcome: statemachine.NetworkFailed, Code: number}}
	_ = w.router.Route(&q, w.Second(), &d)
	log.Offer(&q, &d)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	log.Run(ended)
	if len(text) == 0 || strings.Contains(string(text), number) {
		t.Errorf("logged %s", text)
	}
}

func TestWhatIsNotSampledCostsNothing(t *testing.T) {
	log := NewDecisionLog(DecisionLogOptions{SamplePPM: 1})
	var q routing.Request
	q.PaymentID = "p1"
	var d routing.Decision
	if n := testing.AllocsPerRun(1000, func() { log.Offer(&q, &d) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkOfferNotSampled(b *testing.B) {
	log := NewDecisionLog(DecisionLogOptions{SamplePPM: 1})
	q := routing.Request{PaymentID: "order-20261122-08154711"}
	var d routing.Decision
	b.ReportAllocs()
	for b.Loop() {
		log.Offer(&q, &d)
	}
}
