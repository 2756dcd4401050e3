package server

import (
	"context"
	"sync"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/api/sluice/v1/routepb"
	"github.com/sluice-pay/sluice/routing"
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
	routepb.ReadRequest(m, &w.request)
	second := r.s.cfg.Clock.Second()
	err := r.s.cfg.Memory.Route(r.s.cfg.Router, &w.request, second, &w.decision)
	r.s.recorder.Keep(&w.request, &w.decision)
	r.s.cfg.Decisions.Offer(&w.request, &w.decision)
	if err != nil {
		return nil, r.refusal(w, second, err)
	}
	return r.reply(w, second), nil
}

// reply renders a decision and adds what the replica knows: age, source, pressure, and the banks that are down.
func (r *routingService) reply(w *scratch, second int64) *sluicev1.RouteResponse {
	var b *routepb.Reply
	b, w.text = routepb.FromDecision(&w.decision, w.text)
	m := &b.Response
	if m.BankDownSince = r.s.bankDownSince(w.request.Instrument.Bank); m.GetBankDownSince() != nil {
		m.InstrumentHealth = sluicev1.Availability_AVAILABILITY_BANK_DOWN
	}
	b.Age.Seconds, m.Source = r.age(second)
	m.TableAge = &b.Age
	m.PressurePpm = r.s.pressure()
	return m
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
