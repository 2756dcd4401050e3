package monitor

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

const (
	askSeconds = 60      // how long open claims are asked about
	maxAsked   = 1 << 16 // results that may wait for an answer at a time
)

// Publisher brings closed seconds to the other replicas: it claims what a second counted, takes out what is not this
// replica's, publishes the row, and keeps what could not be published for as long as the exchange would keep it. It
// belongs to one goroutine at a time.
type Publisher struct {
	exchange Exchange
	claims   Claims
	counters *Counters
	queue    []*outgoing // not published, oldest first
	asked    []asking    // published, some answers open; oldest first
	dropped  uint64
}

// outgoing is a row on its way.
type outgoing struct {
	row    *Row
	claims *SecondClaims
	held   *SecondClaims // taken out of the row, not settled
}

// asking is what is still open of a published second.
type asking struct {
	*SecondClaims
	since int64 // second in which it was published
}

// NewPublisher returns a publisher of what the counters count. Without claims (one replica) rows are published as they are.
func NewPublisher(x Exchange, claims Claims, counters *Counters) *Publisher {
	return &Publisher{exchange: x, claims: claims, counters: counters}
}

// Waiting is the number of seconds that could not be published yet.
func (p *Publisher) Waiting() int { return len(p.queue) }

// Published is the newest second up to which every row was published, or dropped, where rows up to last were given.
func (p *Publisher) Published(last int64) int64 {
	if len(p.queue) > 0 {
		return p.queue[0].row.Counts.Second - 1
	}
	return last
}

// Dropped is the number of seconds that grew too old to be published: their reports were counted by this replica alone.
func (p *Publisher) Dropped() uint64 { return p.dropped }

// Publish takes rows of seconds that were closed since the last call, in order, and publishes them and what is left of
// earlier calls; now is the current second. The newest goes first: it is the one that decides. What fails is tried again
// by the next call, so that an error means "not yet".
func (p *Publisher) Publish(ctx context.Context, rows []*Row, now int64) error {
	p.enqueue(rows, now)
	var errs []error
	for i := len(p.queue) - 1; i >= 0; i-- {
		if err := p.send(ctx, p.queue[i], now); err != nil {
			errs = append(errs, err)
			break // the others would fail likewise, and cost the time that Tick has
		}
		p.done(p.queue[i], now)
		p.queue[i] = nil
	}
	p.queue = slices.DeleteFunc(p.queue, func(o *outgoing) bool { return o == nil })
	errs = append(errs, p.ask(ctx, now))
	return errors.Join(errs...)
}

// enqueue joins rows with their claims and drops what is too old.
func (p *Publisher) enqueue(rows []*Row, now int64) {
	claims := p.counters.TakeClaims()
	for _, r := range rows {
		o := &outgoing{row: r}
		if i := slices.IndexFunc(claims, func(s *SecondClaims) bool { return s.Second == r.Counts.Second }); i >= 0 {
			o.claims = claims[i]
		}
		p.queue = append(p.queue, o)
	}
	for len(p.queue) > 0 && p.queue[0].row.Counts.Second <= now-keptSeconds {
		p.counters.GiveUp(p.queue[0].claims)
		p.counters.GiveUp(p.queue[0].held)
		p.queue = p.queue[1:]
		p.dropped++
	}
}

// send claims and publishes one row. A row whose claims were taken over meanwhile is claimed anew once.
func (p *Publisher) send(ctx context.Context, o *outgoing, now int64) error {
	err := p.claim(ctx, o, now)
	published := p.exchange.Publish(ctx, o.row)
	if errors.Is(published, ErrFenced) {
		err = p.claim(ctx, o, now)
		published = p.exchange.Publish(ctx, o.row)
	}
	if published != nil {
		return fmt.Errorf("publish second %d: %w", o.row.Counts.Second, errors.Join(err, published))
	}
	return nil
}

// claim claims what is in a row and takes out what is not this replica's. An error leaves some unverified.
func (p *Publisher) claim(ctx context.Context, o *outgoing, now int64) error {
	if p.claims == nil {
		return nil
	}
	second := o.row.Counts.Second
	answers, err := p.claims.Claim(ctx, second, now, o.claims.Claims())
	if held := p.counters.Disown(o.claims, answers, &o.row.Counts); held != nil {
		if o.held == nil {
			o.held = &SecondClaims{Second: second}
		}
		o.held.records = append(o.held.records, held.records...)
	}
	if err != nil {
		return fmt.Errorf("claim second %d: %w", second, err)
	}
	return nil
}

// done notes what of a published row is still open.
func (p *Publisher) done(o *outgoing, now int64) {
	for _, s := range []*SecondClaims{o.held, o.claims.Unverified()} {
		if s.Len() > 0 {
			p.asked = append(p.asked, asking{s, now})
		}
	}
}

// ask asks again about what is still open, oldest first. What stays open for a minute, or is too much, is given up.
func (p *Publisher) ask(ctx context.Context, now int64) error {
	waiting := 0
	for _, s := range slices.Backward(p.asked) {
		if waiting += s.Len(); waiting > maxAsked || s.since <= now-askSeconds {
			p.counters.GiveUp(s.SecondClaims)
		}
	}
	var failed error
	for _, s := range p.asked {
		if s.Len() == 0 || failed != nil {
			continue
		}
		answers, err := p.claims.Claim(ctx, s.Second, now, s.Claims())
		p.counters.Disown(s.SecondClaims, answers, nil)
		if err != nil {
			failed = fmt.Errorf("claim second %d again: %w", s.Second, err)
		}
	}
	p.asked = slices.DeleteFunc(p.asked, func(s asking) bool { return s.Len() == 0 })
	return failed
}
