package client

import (
	"errors"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// scratch is the memory of one decision.
type scratch struct {
	request  routing.Request
	decision routing.Decision
	text     []byte
}

// Decide decides a payment from the table held, without a replica, into a buffer of the caller: no message, no allocation.
// It counts the payment as Route does, so that ramps and limits keep to their shares. Errors are those of routing.Decide. The
// request is not validated: see routing.Request.Validate.
func (c *Client) Decide(q *routing.Request, out *routing.Decision) (Source, error) {
	now := c.now()
	source, _, err := c.decide(q, now, out)
	return source, err
}

// decide decides, and remembers that the decision is the client's own.
func (c *Client) decide(q *routing.Request, now time.Time, out *routing.Decision) (Source, time.Duration, error) {
	source, age, err := c.descend(q, now, out)
	if err == nil {
		c.own.add(&out.ID)
	}
	return source, age, err
}

// descend goes down the ladder from memory on. It returns where the table came from, and its age.
func (c *Client) descend(q *routing.Request, now time.Time, out *routing.Decision) (Source, time.Duration, error) {
	s, second := c.mem.sight(), now.Unix()
	if s.table == nil {
		if c.static == nil {
			return SourceNone, 0, c.mem.router.Route(q, second, out)
		}
		return SourceStatic, max(0, now.Sub(c.cfg.Static.GetWriteTime().AsTime())), c.memory.Route(c.static, q, second, out)
	}
	source, age := s.is(now, c.cfg.StaleAfter), s.age(now)
	if s.alone != nil {
		named := q.Attempts
		err := c.memory.Route(s.alone, q, second, out)
		if !unusable(err) {
			return source, age, err
		}
		q.Attempts = named
	}
	return source, age, c.memory.Route(c.mem.router, q, second, out)
}

// table is what the catalogue is read from: the table held, else that of last resort, nil without either.
func (c *Client) table() *routing.Table {
	if t := c.mem.sight().table; t != nil || c.static == nil {
		return t
	}
	return c.static.Table()
}

// unusable reports whether a decision found no channel that is usable now: what the client demoted by itself must not lose a
// payment.
func unusable(err error) bool {
	if err == nil {
		return false
	}
	r, ok := err.(*routing.Refusal) //nolint:errorlint // Route returns it bare, and errors.As would allocate
	return ok && (r.Reason == routing.NoUsableChannel || r.Reason == routing.BankDownEverywhere)
}

// local answers a request by itself.
func (c *Client) local(m *sluicev1.RouteRequest, now time.Time) (*sluicev1.RouteResponse, Source, error) {
	w, _ := c.scratches.Get().(*scratch)
	defer c.scratches.Put(w)
	if err := w.read(m); err != nil {
		return nil, SourceNone, err
	}
	source, age, err := c.decide(&w.request, now, &w.decision)
	if err != nil {
		return nil, source, c.refusal(w, now.Unix(), source, err)
	}
	return w.reply(source, age), source, nil
}

// read turns the message into the request of package routing and checks it. Its strings are the message's.
func (w *scratch) read(m *sluicev1.RouteRequest) error {
	p := m.GetPayment()
	if p == nil {
		return invalid("payment", "the payment")
	}
	if err := check(m); err != nil {
		return err
	}
	attempts := w.request.Attempts[:0]
	for _, a := range m.GetAttempts() {
		attempts = append(attempts, attemptOf(a))
	}
	w.request = routing.Request{
		PaymentID: p.GetPaymentId(), Merchant: p.GetMerchant(), Entity: p.GetSettlementEntity(),
		Business: businessOf(p.GetBusinessType()), Instrument: instrument(p.GetMethod(), p.GetBank(), p.GetCardType()),
		Amount: p.GetAmount(), Currency: p.GetCurrency(), UserTier: p.GetUserTier(), Enrolled: p.GetEnrolledChannels(),
		PayerKey: p.GetPayerKey(), Attempts: attempts, Exclude: m.GetExclude(),
		MaxChannels: int(min(m.GetMaxChannels(), routing.MaxCandidates+1)),
		Original: routing.Original{
			Channel: p.GetOriginal().GetChannel(), Account: p.GetOriginal().GetAccount(), Attempt: p.GetOriginal().GetAttemptId(),
		},
	}
	if p.GetDeadline() != nil {
		w.request.Deadline = max(1, p.GetDeadline().AsTime().UnixMilli()) // a deadline before 1970 has passed as well
	}
	if err := w.request.Validate(); err != nil {
		if f, ok := errors.AsType[*routing.FieldError](err); ok {
			return invalid(f.Field, f.Want)
		}
		return err //nolint:wrapcheck // Validate returns nothing else
	}
	return nil
}

func attemptOf(a *sluicev1.PreviousAttempt) routing.Attempt {
	return routing.Attempt{
		Channel: a.GetChannel(), Account: a.GetAccount(), Attempt: a.GetAttemptId(), Outcome: outcomeOf(a.GetOutcome()), Code: a.GetRawCode(),
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

// reply renders a decision as a replica does. All its ids lie in one string.
func (w *scratch) reply(source Source, age time.Duration) *sluicev1.RouteResponse {
	d := &w.decision
	b := &bundle{}
	m := &b.reply
	w.text = d.ID.Append(w.text[:0])
	size := len(w.text)
	for rank := range d.Candidates {
		w.text = append(w.text, w.text[:size]...)
		w.text = append(w.text, '/')
		if rank >= 10 {
			w.text = append(w.text, '0'+byte(rank/10))
		}
		w.text = append(w.text, '0'+byte(rank%10))
	}
	ids := string(w.text)
	m.DecisionId, ids = ids[:size], ids[size:]
	m.Channels = b.pointers[:0]
	for rank := range d.Candidates {
		c := &d.Candidates[rank]
		out := &sluicev1.RankedChannel{}
		if rank < bundled {
			out = &b.channels[rank]
		}
		n := size + 2
		if rank >= 10 {
			n++
		}
		out.Channel, out.Account, out.AttemptId = c.Channel, c.Account, ids[:n]
		out.Reason, out.Kind = sluicev1.RankReason(c.Why), kindOf(c.Kind)
		if source == SourceStatic && c.Why != routing.WhyOriginal {
			out.Reason = sluicev1.RankReason_RANK_REASON_STATIC
		}
		ids = ids[n:]
		m.Channels = append(m.Channels, out)
	}
	b.until.Seconds, b.until.Nanos = d.ValidUntil/1000, int32(d.ValidUntil%1000)*int32(time.Millisecond)
	m.ValidUntil = &b.until
	m.InstrumentHealth = healthOf(d)
	m.TableRevision = d.Revision.Revision
	b.age.Seconds, b.age.Nanos = int64(age/time.Second), int32(age%time.Second)
	m.TableAge, m.Source = &b.age, source
	return m
}

func kindOf(k statemachine.LaneKind) sluicev1.TrafficKind { return sluicev1.TrafficKind(k) + 1 }

// healthOf says how well the payment's instrument is doing, as far as the decision looked: degraded when a state took a channel
// away or lowered its part.
func healthOf(d *routing.Decision) sluicev1.Availability {
	for i := range d.Dropped {
		if d.Dropped[i].Drop >= routing.DropDisabled {
			return sluicev1.Availability_AVAILABILITY_DEGRADED
		}
	}
	for i := range d.Candidates {
		if d.Candidates[i].Kind != statemachine.KindNormal {
			return sluicev1.Availability_AVAILABILITY_DEGRADED
		}
	}
	return sluicev1.Availability_AVAILABILITY_AVAILABLE
}
