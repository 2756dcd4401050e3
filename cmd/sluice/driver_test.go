package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

const (
	pace        = 5 * time.Millisecond // between payments: 200 a second over three banks
	brokenBank  = "ICBC"
	brokenOn    = "alpha"
	brokenScope = "alpha/instrument=QUICKPAY:ICBC:DEBIT"
)

// stepKey is one step of a scope's life as the table revisions tell it.
type stepKey struct {
	generation uint64
	step       uint32
}

// stepCount is what was decided for the bank while a step was in force.
type stepCount struct{ all, sent uint64 }

// life is what is known of the broken scope: the state of each table revision, and what was decided under each step.
type life struct {
	states map[int64]*configv1.ScopeState // by the revision that brought it
	counts map[stepKey]*stepCount
	seen   []*sluicev1.Transition
	log    func(format string, args ...any)
}

func newLife(logf func(string, ...any)) *life {
	return &life{states: map[int64]*configv1.ScopeState{}, counts: map[stepKey]*stepCount{}, log: logf}
}

// learn takes a transition.
func (l *life) learn(tr *sluicev1.Transition) {
	if tr.GetScope().GetBank() == brokenBank && tr.GetScope().GetChannel() == brokenOn {
		l.states[tr.GetTableRevision()] = tr.GetStatus().GetState()
		l.seen = append(l.seen, tr)
		l.log("%s %v → %v share %d ppm: %s", time.Now().Format("15:04:05"), tr.GetFrom(), tr.GetTo(), tr.GetToSharePpm(), tr.GetReason())
	}
}

// at returns the state in force under a table revision, nil before the first transition.
func (l *life) at(revision int64) *configv1.ScopeState {
	var best *configv1.ScopeState
	newest := int64(-1)
	for r, s := range l.states {
		if r <= revision && r > newest {
			newest, best = r, s
		}
	}
	return best
}

// driver is one cashier and one gateway: payment after payment, each reported at once.
type driver struct {
	t       *testing.T
	r       *replica
	ctx     context.Context
	events  <-chan *sluicev1.Transition
	life    *life
	n       int
	broken  bool            // ICBC fails on alpha
	bank    map[string]int  // decisions by bank
	onAlpha map[string]int  // of them on alpha
	pending []deferredCheck // decisions whose revision's transition has not arrived yet
}

// deferredCheck is one decision for the broken bank.
type deferredCheck struct {
	revision int64
	alpha    bool
}

func (d *driver) reset() { d.bank, d.onAlpha = map[string]int{}, map[string]int{} }

// one routes one payment, has it attempted and reports it.
func (d *driver) one() {
	d.t.Helper()
	d.n++
	bank := [...]string{"ICBC", "CMB", "ICBC", "ABC"}[d.n%4]
	payment := &sluicev1.Payment{
		PaymentId: fmt.Sprintf("p-%d", d.n), Merchant: "m-1", SettlementEntity: "e-1", BusinessType: configv1.BusinessType_BUSINESS_TYPE_COLLECT,
		Method: "QUICKPAY", Bank: bank, CardType: configv1.CardType_CARD_TYPE_DEBIT, Amount: 100, Currency: "CNY", PayerKey: uint64(d.n),
	}
	reply, err := d.r.routing().Route(d.ctx, &sluicev1.RouteRequest{Payment: payment})
	if err != nil {
		d.t.Fatalf("route payment %d of %s: %v", d.n, bank, err)
	}
	to := reply.GetChannels()[0]
	d.bank[bank]++
	if to.GetChannel() == brokenOn {
		d.onAlpha[bank]++
	}
	if bank == brokenBank {
		d.pending = append(d.pending, deferredCheck{reply.GetTableRevision(), to.GetChannel() == brokenOn})
	}
	code := "00"
	if d.broken && bank == brokenBank && to.GetChannel() == brokenOn {
		code = "91"
	}
	done, err := d.r.routing().ReportResult(d.ctx, &sluicev1.ReportResultRequest{Report: &sluicev1.Report{
		AttemptId: to.GetAttemptId(), PaymentId: payment.GetPaymentId(), DecisionId: reply.GetDecisionId(), Channel: to.GetChannel(),
		Account: to.GetAccount(), Method: "QUICKPAY", Bank: bank, CardType: payment.GetCardType(), BusinessType: payment.GetBusinessType(),
		RawCode: code, RequestWritten: true, LatencyMs: 20, PayerKey: payment.GetPayerKey(),
	}})
	if err != nil {
		d.t.Fatalf("report payment %d: %v", d.n, err)
	}
	if done.GetDisposition() != sluicev1.ReportDisposition_REPORT_DISPOSITION_APPLIED {
		d.t.Fatalf("report of payment %d: %v, want it applied", d.n, done.GetDisposition())
	}
}

// until keeps paying until a transition of the broken scope satisfies ok, checking every decision against the share.
func (d *driver) until(what string, deadline time.Duration, ok func(*sluicev1.Transition) bool) *sluicev1.Transition {
	d.t.Helper()
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	over := time.After(deadline)
	for {
		select {
		case <-over:
			d.t.Fatalf("%s: nothing after %v; transitions so far:\n%s", what, deadline, d.story())
		case tr, open := <-d.events:
			if !open {
				d.t.Fatalf("%s: the watch ended", what)
			}
			d.life.learn(tr)
			d.foreign(tr)
			d.checkShares()
			if ok(tr) {
				return tr
			}
		case <-ticker.C:
			d.one()
		}
	}
}

// run keeps paying for a number of payments.
func (d *driver) run(payments int) {
	d.t.Helper()
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for range payments {
		<-ticker.C
		d.one()
		for drained := false; !drained; {
			select {
			case tr, open := <-d.events:
				if open {
					d.life.learn(tr)
					d.foreign(tr)
				}
				drained = !open
			default:
				drained = true
			}
		}
	}
}

// foreign fails the test when anything but the broken scope moves.
func (d *driver) foreign(tr *sluicev1.Transition) {
	d.t.Helper()
	if s := tr.GetScope(); s.GetChannel() != brokenOn || s.GetBank() != brokenBank {
		d.t.Fatalf("%v moved from %v to %v: %s; only %s may", s, tr.GetFrom(), tr.GetTo(), tr.GetReason(), brokenScope)
	}
}

// checkShares counts each decision under the step in force in its table and holds the sum against the share, decision by
// decision: the first choice of every payment is alpha, so its would-be traffic is all payments of the bank.
func (d *driver) checkShares() {
	d.t.Helper()
	for _, p := range d.pending {
		s := d.life.at(p.revision)
		if s == nil {
			continue
		}
		key := stepKey{s.GetGeneration(), s.GetStep()}
		c := d.life.counts[key]
		if c == nil {
			c = &stepCount{}
			d.life.counts[key] = c
		}
		c.all++
		if p.alpha {
			c.sent++
		}
		switch s.GetPhase() {
		case configv1.Phase_PHASE_DISABLED:
			if p.alpha {
				d.t.Fatalf("a payment of %s was sent to %s while disabled (revision %d)", brokenBank, brokenOn, p.revision)
			}
		case configv1.Phase_PHASE_RAMPING:
			if float64(c.sent) > float64(s.GetSharePpm())/1e6*float64(c.all) {
				d.t.Fatalf("ramp step %d: %d of %d payments sent, more than the share of %d ppm", s.GetStep(), c.sent, c.all, s.GetSharePpm())
			}
		case configv1.Phase_PHASE_PROBING, configv1.Phase_PHASE_HEALTHY, configv1.Phase_PHASE_UNSPECIFIED:
		}
	}
	d.pending = d.pending[:0]
}

func (d *driver) story() string {
	var b strings.Builder
	for _, tr := range d.life.seen {
		fmt.Fprintf(&b, "  revision %d: %v → %v share %d ppm: %s\n", tr.GetTableRevision(), tr.GetFrom(), tr.GetTo(), tr.GetToSharePpm(), tr.GetReason())
	}
	return b.String()
}
