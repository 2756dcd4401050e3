package simulate

import (
	"context"
	"errors"
	"fmt"
	"time"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/server"
	"github.com/sluice-pay/sluice/statemachine"
)

// loop is what the world drives of the production node.
type loop interface {
	Tick(ctx context.Context, now time.Time) error
	Router() *routing.Router
	Ingest() *server.Ingest
	Order(ctx context.Context, q monitor.OrderRequest, now time.Time) (monitor.Result, error)
}

// nodeReplica turns the world's words into those of the production node. It is used by one goroutine.
type nodeReplica struct {
	node     loop
	enrolled []string // channels that ask for enrolment; simulated payers are enrolled with all of them
	decision routing.Decision
	request  routing.Request
	report   sluicev1.Report
	reporter map[string]uint64
	id       []byte
}

func newNodeReplica(n loop, c *configv1.Catalog) *nodeReplica {
	return &nodeReplica{node: n, enrolled: enrolment(c), reporter: map[string]uint64{}}
}

// enrolment lists the channels that ask for a payer's agreement.
func enrolment(c *configv1.Catalog) []string {
	var out []string
	for _, ch := range c.GetChannels() {
		if len(ch.GetRequiresEnrolment()) > 0 && len(out) < routing.MaxEnrolled {
			out = append(out, ch.GetId())
		}
	}
	return out
}

func (r *nodeReplica) Tick(ctx context.Context, now time.Time) error { return r.node.Tick(ctx, now) }

func (r *nodeReplica) Route(q *question, now time.Time, out *answer) error {
	fillRequest(&r.request, q, r.enrolled)
	if err := r.request.Validate(); err != nil {
		return err
	}
	out.offers = out.offers[:0]
	if err := r.node.Router().Route(&r.request, now.Unix(), &r.decision); err != nil {
		return refused(err)
	}
	r.id = r.decision.AppendID(r.id[:0])
	out.decision = string(r.id)
	out.offers = appendOffers(out.offers, r.decision.Candidates)
	r.id = r.decision.AppendAttemptID(r.id[:0], 0)
	out.offers[0].attempt = string(r.id)
	return nil
}

func (r *nodeReplica) Report(m *report, now time.Time) error {
	in := m.stream.Instrument
	p := &r.report
	p.Reset()
	p.AttemptId, p.PaymentId, p.DecisionId = m.attempt, m.payment, m.decision
	p.Channel, p.Account, p.Method = m.channel, m.account, in.Method
	if in.Bank != statemachine.NoBank {
		p.Bank = in.Bank
	}
	p.CardType = cardType(in.CardType)
	p.BusinessType = configv1.BusinessType(m.stream.Business)
	p.Outcome, p.RawCode, p.Reason = configv1.Outcome(m.outcome), m.code, m.reason
	p.RequestWritten = m.outcome != statemachine.NetworkFailed && m.outcome != statemachine.OutcomeUnspecified
	p.LatencyMs = uint32(m.latency.Milliseconds()) //nolint:gosec // an hour at most
	p.StartUnixMs, p.Amount, p.Currency, p.PayerKey = m.started.UnixMilli(), m.stream.Amount, m.stream.Currency, m.payer
	if m.outcome != statemachine.Pending {
		p.Finality = sluicev1.Finality_FINALITY_FINAL
	}
	_, err := r.node.Ingest().Report(p, r.reporterID(m.gateway), now.Unix())
	return err
}

func (r *nodeReplica) reporterID(gateway string) uint64 {
	id, ok := r.reporter[gateway]
	if !ok {
		id = server.ReporterID(gateway)
		r.reporter[gateway] = id
	}
	return id
}

func (r *nodeReplica) Order(ctx context.Context, o *command, now time.Time) error {
	_, err := r.node.Order(ctx, monitor.OrderRequest{
		Scopes:    o.scopes,
		Order:     statemachine.Order{Action: o.action, Author: o.author, Reason: o.reason, For: o.lasts},
		RequestID: o.requestID,
	}, now)
	return err
}

func cardType(s string) configv1.CardType {
	return configv1.CardType(configv1.CardType_value["CARD_TYPE_"+s]) // "-" is in no table: UNSPECIFIED
}

func fillRequest(r *routing.Request, q *question, enrolled []string) {
	attempts := r.Attempts[:0]
	for i := range q.attempts {
		t := &q.attempts[i]
		a := routing.Attempt{Channel: t.channel, Account: t.account, Attempt: t.attempt, Outcome: t.outcome, Code: t.code}
		if t.code != "" {
			a.Outcome = statemachine.OutcomeUnspecified
		}
		attempts = append(attempts, a)
	}
	*r = routing.Request{
		PaymentID: q.payment, Merchant: q.stream.Merchant, Entity: q.stream.Entity, Business: q.stream.Business,
		Instrument: q.stream.Instrument, Amount: q.stream.Amount, Currency: q.stream.Currency, UserTier: q.stream.Tier,
		Enrolled: enrolled, PayerKey: q.payer, Attempts: attempts,
	}
}

func appendOffers(out []offer, candidates []routing.Candidate) []offer {
	for i := range candidates {
		c := &candidates[i]
		out = append(out, offer{channel: c.Channel, account: c.Account, kind: c.Kind})
	}
	return out
}

// refused tells a refusal, which is an answer, from an error, which ends the run.
func refused(err error) error {
	if errors.Is(err, routing.ErrRefused) {
		return errRefused
	}
	return err
}

// shadow ranks payments on the catalogue alone, every scope healthy.
type shadow struct {
	table    *routing.Table
	enrolled []string
	request  routing.Request
	decision routing.Decision
}

func newShadow(c *configv1.Catalog) (*shadow, error) {
	plan, err := routing.CompilePlan(c, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrScenario, err)
	}
	return &shadow{table: plan.Table(routing.Revision{Epoch: 1, Revision: 1}, nil, nil), enrolled: enrolment(c)}, nil
}

// Prefer implements preferrer.
func (s *shadow) Prefer(q *question, now time.Time, out *answer) error {
	fillRequest(&s.request, q, s.enrolled)
	s.request.MaxChannels = routing.MaxCandidates
	out.offers = out.offers[:0]
	if err := routing.Decide(s.table, &s.request, now.Unix(), routing.Admission{Lifted: -1}, &s.decision); err != nil {
		return refused(err)
	}
	out.offers = appendOffers(out.offers, s.decision.Candidates)
	return nil
}
