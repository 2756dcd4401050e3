package server

import (
	"context"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// staleAfter is how old a table's confirmation may be before its answers are called stale: three full reads missed.
const staleAfter = 30

// routingService answers cashiers and gateways.
type routingService struct {
	sluicev1.UnimplementedRoutingServiceServer

	s         *Server
	scratches sync.Pool // *scratch
	batches   sync.Pool // *Batch
}

func newRoutingService(s *Server) *routingService {
	r := &routingService{s: s}
	r.scratches.New = func() any { return &scratch{} }
	r.batches.New = func() any { return &Batch{} }
	return r
}

// scratch is the memory of one decision.
type scratch struct {
	request  routing.Request
	decision routing.Decision
	text     []byte
}

// Route decides which channel a payment takes.
func (r *routingService) Route(_ context.Context, m *sluicev1.RouteRequest) (*sluicev1.RouteResponse, error) {
	if err := checkRoute(m); err != nil {
		return nil, err
	}
	if field := cardInRoute(m); field != "" {
		return nil, cardRefused(field)
	}
	w, _ := r.scratches.Get().(*scratch)
	defer r.scratches.Put(w)
	w.read(m)
	second := r.s.cfg.Clock.Second()
	err := r.s.cfg.Memory.Route(r.s.cfg.Router, &w.request, second, &w.decision)
	r.s.recorder.Keep(&w.request, &w.decision)
	r.s.cfg.Decisions.Offer(&w.request, &w.decision)
	if err != nil {
		return nil, r.refusal(w, second, err)
	}
	return r.reply(w, second), nil
}

// read turns the message into the request of package routing. Its strings are the message's.
func (w *scratch) read(m *sluicev1.RouteRequest) {
	p := m.GetPayment()
	attempts := w.request.Attempts[:0]
	for _, a := range m.GetAttempts() {
		attempts = append(attempts, routing.Attempt{
			Channel: a.GetChannel(), Account: a.GetAccount(), Attempt: a.GetAttemptId(),
			Outcome: outcomeOf(a.GetOutcome()), Code: a.GetRawCode(),
		})
	}
	w.request = routing.Request{
		PaymentID: p.GetPaymentId(), Merchant: p.GetMerchant(), Entity: p.GetSettlementEntity(),
		Business: businessOf(p.GetBusinessType()), Instrument: instrument(p.GetMethod(), p.GetBank(), p.GetCardType()),
		Amount: p.GetAmount(), Currency: p.GetCurrency(), UserTier: p.GetUserTier(), Enrolled: p.GetEnrolledChannels(),
		PayerKey: p.GetPayerKey(), Attempts: attempts, Exclude: m.GetExclude(), MaxChannels: int(m.GetMaxChannels()),
		Original: routing.Original{
			Channel: p.GetOriginal().GetChannel(), Account: p.GetOriginal().GetAccount(), Attempt: p.GetOriginal().GetAttemptId(),
		},
	}
	if p.GetDeadline() != nil {
		w.request.Deadline = max(1, p.GetDeadline().AsTime().UnixMilli()) // a deadline before 1970 has passed as well
	}
}

// bundled is how many channels an answer holds without a second allocation: the number given without max_channels.
const bundled = 3

// bundle is a reply in one allocation.
type bundle struct {
	reply    sluicev1.RouteResponse
	until    timestamppb.Timestamp
	age      durationpb.Duration
	channels [bundled]sluicev1.RankedChannel
	pointers [bundled]*sluicev1.RankedChannel
}

// reply renders a decision and adds what the replica knows: age, source, pressure, and the banks that are down.
func (r *routingService) reply(w *scratch, second int64) *sluicev1.RouteResponse {
	b := w.render()
	m := &b.reply
	if m.BankDownSince = r.s.bankDownSince(w.request.Instrument.Bank); m.GetBankDownSince() != nil {
		m.InstrumentHealth = sluicev1.Availability_AVAILABILITY_BANK_DOWN
	}
	b.age.Seconds, m.Source = r.age(second)
	m.TableAge = &b.age
	m.PressurePpm = r.s.pressure()
	return m
}

// render renders a decision alone. All its ids lie in one string.
func (w *scratch) render() *bundle {
	d := &w.decision
	b := &bundle{}
	m := &b.reply
	w.text = d.ID.Append(w.text[:0])
	size := len(w.text)
	for rank := range d.Candidates {
		w.text = append(w.text, w.text[:size]...)
		w.text = append(w.text, '/')
		w.text = appendRank(w.text, rank)
	}
	ids := string(w.text)
	m.DecisionId, ids = ids[:size], ids[size:]
	m.Channels = b.pointers[:0]
	for rank := range d.Candidates {
		c := &d.Candidates[rank]
		var out *sluicev1.RankedChannel
		if rank < bundled {
			out = &b.channels[rank]
		} else {
			out = &sluicev1.RankedChannel{}
		}
		n := size + 2
		if rank >= 10 {
			n++
		}
		out.Channel, out.Account, out.AttemptId = c.Channel, c.Account, ids[:n]
		out.Reason, out.Kind = sluicev1.RankReason(c.Why), kindOf(c.Kind)
		ids = ids[n:]
		m.Channels = append(m.Channels, out)
	}
	b.until.Seconds, b.until.Nanos = d.ValidUntil/1000, int32(d.ValidUntil%1000)*int32(time.Millisecond)
	m.ValidUntil = &b.until
	m.InstrumentHealth = healthOf(d)
	m.TableRevision = d.Revision.Revision
	return b
}

// appendRank appends a rank below 100.
func appendRank(b []byte, rank int) []byte {
	if rank >= 10 {
		b = append(b, '0'+byte(rank/10)) //nolint:gosec // a digit
	}
	return append(b, '0'+byte(rank%10)) //nolint:gosec // a digit
}

func kindOf(k statemachine.LaneKind) sluicev1.TrafficKind { return sluicev1.TrafficKind(k) + 1 }

// healthOf says how well the payment's instrument is doing, as far as the decision looked: degraded when a state took a channel
// away or lowered its part.
func healthOf(d *routing.Decision) sluicev1.Availability {
	if anyClosed(d) {
		return sluicev1.Availability_AVAILABILITY_DEGRADED
	}
	for i := range d.Candidates {
		if d.Candidates[i].Kind != statemachine.KindNormal {
			return sluicev1.Availability_AVAILABILITY_DEGRADED
		}
	}
	return sluicev1.Availability_AVAILABILITY_AVAILABLE
}

// anyClosed reports whether a state took a channel away, or lowered its part so that this payment did not get it.
func anyClosed(d *routing.Decision) bool {
	for i := range d.Dropped {
		if d.Dropped[i].Drop >= routing.DropDisabled {
			return true
		}
	}
	return false
}

// age returns the age of the table in seconds by the coarse clock, and what that makes of it.
func (r *routingService) age(second int64) (int64, sluicev1.TableSource) {
	sight := r.s.cfg.World.Sight()
	if sight == nil {
		return 0, sluicev1.TableSource_TABLE_SOURCE_UNSPECIFIED
	}
	age := max(0, second-sight.Confirmed.Unix())
	if age > staleAfter {
		return age, sluicev1.TableSource_TABLE_SOURCE_STALE
	}
	return age, sluicev1.TableSource_TABLE_SOURCE_FRESH
}

// pressure is how full the replica is, in ppm.
func (s *Server) pressure() uint32 {
	return uint32(min(s.metrics.inFlight.Load()*1_000_000/int64(s.cfg.MaxInFlight), 1_000_000)) //nolint:gosec // clamped
}
