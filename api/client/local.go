package client

import (
	"errors"
	"time"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/api/sluice/v1/routepb"
	"github.com/sluice-pay/sluice/routing"
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
	routepb.ReadRequest(m, &w.request)
	if err := w.request.Validate(); err != nil {
		if f, ok := errors.AsType[*routing.FieldError](err); ok {
			return invalid(f.Field, f.Want)
		}
		return err //nolint:wrapcheck // Validate returns nothing else
	}
	return nil
}

// reply renders a decision as a replica does.
func (w *scratch) reply(source Source, age time.Duration) *sluicev1.RouteResponse {
	var b *routepb.Reply
	b, w.text = routepb.FromDecision(&w.decision, w.text)
	m := &b.Response
	if source == SourceStatic {
		for rank, c := range m.GetChannels() {
			if w.decision.Candidates[rank].Why != routing.WhyOriginal {
				c.Reason = sluicev1.RankReason_RANK_REASON_STATIC
			}
		}
	}
	b.Age.Seconds, b.Age.Nanos = int64(age/time.Second), int32(age%time.Second)
	m.TableAge, m.Source = &b.Age, source
	return m
}
