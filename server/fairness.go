package server

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// fairCells is the size of each row in which requests under way are counted by merchant.
const fairCells = 1 << 12

// fairness keeps a flood of one merchant, one business type or of reports from the Routes of the others. Nothing is asked while
// there is enough for all. Where there is not:
//
//   - of what a caller may ask a second, and of what the replica can answer while its processors are late, each merchant gets
//     its fair share (see pace);
//   - a merchant has no more requests under way than places are left, a business type no more than four times as many, all
//     reports together no more than places are left: the more of them flood, the more is left to the others (dynamic thresholds
//     of switches, Choudhury and Hahne 1998). There is no list of merchants to keep;
//   - batches of reports are counted on half the processors at most, so that a Route finds one.
type fairness struct {
	most, easy int64 // places; under how many under way nobody is asked
	late       func(now time.Time) bool
	pace       *pace
	merchants  [2][fairCells]atomic.Int64
	businesses [statemachine.NumBusinessTypes]atomic.Int64
	reports    atomic.Int64
	counting   chan struct{} // batches being counted

	refused  [numShares]prometheus.Counter
	messages [numShares]*fault
}

// What is shared, for metrics and refusals.
const (
	shareCaller   = iota // a merchant took more than its share of its caller's rate
	shareReplica         // of what the replica can answer
	shareMerchant        // of the requests under way
	shareBusiness        // a business type did
	shareReports         // reports did
	numShares
)

// easyPart is the part of the places under which nobody is asked: a quarter.
const easyPart = 4

// businessPart is how many times the places left a business type may have: merchants are many, business types few.
const businessPart = 4

func newFairness(most int) *fairness {
	l := &lateness{}
	f := &fairness{
		most: int64(most), easy: int64(most) / easyPart, late: l.now, pace: newPace(0),
		counting: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}
	for i, name := range shareNames() {
		m := &fault{
			code: codes.ResourceExhausted, reason: sluicev1.ErrorReason_ERROR_REASON_OVERLOADED, retry: lateEvery,
			message:  "there is not enough for all, and this " + name[1] + " takes more than its share: ask again later, or another replica",
			metadata: map[string]string{"share": name[0]},
		}
		m.rendered = m.GRPCStatus()
		f.messages[i] = m
	}
	return f
}

// shareNames are the labels of shares, and who takes more than its own.
func shareNames() [numShares][2]string {
	return [numShares][2]string{
		shareCaller: {"caller_rate", "merchant"}, shareReplica: {"replica_rate", "merchant"}, shareMerchant: {"in_flight", "merchant"},
		shareBusiness: {"in_flight_business_type", "business type"}, shareReports: {"in_flight_reports", "stream of reports"},
	}
}

// register makes the counters.
func (f *fairness) register(r prometheus.Registerer) error {
	all := counters("sluice_share_refusals_total", "Requests refused because their merchant, business type or reports took more than a fair share of what was left.", "share")
	for i, name := range shareNames() {
		f.refused[i] = all.WithLabelValues(name[0])
	}
	return r.Register(all) //nolint:wrapcheck // by the caller
}

func (f *fairness) refuse(share int) error {
	f.refused[share].Inc()
	return f.messages[share]
}

// rate asks for a Route's share of its caller's rate and of what the replica can answer.
func (f *fairness) rate(m *sluicev1.RouteRequest, l *limits, now time.Time) error {
	merchant := func() uint64 { return xxhash.Sum64String(m.GetPayment().GetMerchant()) }
	if !l.pace.take(merchant, now, l.rate.low(now)) {
		return f.refuse(shareCaller)
	}
	if !f.pace.take(merchant, now, f.late(now)) {
		return f.refuse(shareReplica)
	}
	return nil
}

// places are what a request holds while it is under way.
type places [3]*atomic.Int64

func (p *places) leave() {
	for _, n := range p {
		if n != nil {
			n.Add(-1)
		}
	}
}

// enter takes places for a request, given how many are under way. What was taken has to be left.
func (f *fairness) enter(req any, under int64) (places, error) {
	if under <= f.easy {
		return places{}, nil
	}
	left := f.most - under + 1
	m, ok := req.(*sluicev1.RouteRequest)
	if !ok {
		p := places{&f.reports}
		if f.reports.Add(1) > left {
			p.leave()
			return places{}, f.refuse(shareReports)
		}
		return p, nil
	}
	b := min(businessOf(m.GetPayment().GetBusinessType()), statemachine.NumBusinessTypes-1)
	key := xxhash.Sum64String(m.GetPayment().GetMerchant())
	p := places{&f.merchants[0][key%fairCells], &f.merchants[1][key>>32%fairCells], &f.businesses[b]}
	merchant := min(p[0].Add(1), p[1].Add(1))
	business := p[2].Add(1)
	switch {
	case merchant > left:
		p.leave()
		return places{}, f.refuse(shareMerchant)
	case business > businessPart*left:
		p.leave()
		return places{}, f.refuse(shareBusiness)
	}
	return p, nil
}

// count waits until a batch of reports may be counted; what was begun has to be counted off.
func (f *fairness) count(ctx context.Context) error {
	select {
	case f.counting <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // becomes a status
	}
}

func (f *fairness) counted() { <-f.counting }
