package backtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/cmd/internal/record"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// Errors of Run.
var (
	ErrNothing        = errors.New("the recording holds no second of that time")
	ErrNoCatalog      = errors.New("the recording holds no catalogue: name one with --catalog")
	ErrUnknownChannel = errors.New("the catalogue does not know a channel of the recording")
)

// Options say what is replayed.
type Options struct {
	Recording *record.Recording
	Catalog   *configv1.Catalog // instead of the recorded ones; nil = those
	Policies  []Policy
	From, To  time.Time // of the seconds judged; zero = all
}

// run is one pass over a recording.
type run struct {
	o        Options
	catalog  *configv1.Catalog
	number   uint64
	fleet    *statemachine.Fleet
	states   map[statemachine.Scope]statemachine.State // as recorded
	channels map[string]bool                           // on which the recording has something closed
	history  *history
	replays  []*replay
	acted    *closures // automation, as recorded
	people   *closures
	observed observations
	summary  Summary
	last     int64 // second judged
	unknown  map[string]bool
}

// Run replays a recording under every policy and compares what they would have done with what was done.
func Run(ctx context.Context, o Options) (*Report, error) {
	r, err := pass(ctx, o)
	if err != nil {
		return nil, err
	}
	return r.report(), nil
}

// pass goes over the recording once.
func pass(ctx context.Context, o Options) (*run, error) {
	r := &run{
		o: o, states: map[statemachine.Scope]statemachine.State{}, history: newHistory(), acted: newClosures(), people: newClosures(),
		observed: newObservations(), unknown: map[string]bool{},
	}
	for _, p := range o.Policies {
		r.replays = append(r.replays, newReplay(p, r.history, r.recordedClosed))
	}
	if o.Catalog != nil {
		if err := r.compile(o.Catalog); err != nil {
			return nil, err
		}
	}
	for {
		rec, err := o.Recording.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = r.record(ctx, &rec)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
	}
	if r.last == 0 {
		return nil, ErrNothing
	}
	r.summarise()
	return r, nil
}

func (r *run) compile(c *configv1.Catalog) error {
	plan, err := routing.CompilePlan(c, nil)
	if err != nil {
		return fmt.Errorf("catalogue: %w", err)
	}
	fleet := plan.Fleet()
	r.catalog, r.fleet = c, &fleet
	return nil
}

// record takes the next record.
func (r *run) record(ctx context.Context, rec *record.Record) error {
	switch {
	case rec.Catalog != nil:
		return r.nextCatalog(ctx, rec)
	case rec.State != nil:
		r.standing(rec.State, rec.At)
	case rec.Incident != nil:
		r.observed.incident(rec.Incident)
	case rec.Entry != nil:
		r.entry(rec.Entry)
	case rec.Second != nil:
		return r.second(ctx, rec)
	}
	return nil
}

func (r *run) nextCatalog(ctx context.Context, rec *record.Record) error {
	r.number = rec.Catalog.Number
	r.summary.Catalogs = append(r.summary.Catalogs, rec.Catalog.Number)
	if r.o.Catalog != nil {
		return nil
	}
	c := &configv1.Catalog{}
	err := proto.Unmarshal(rec.Catalog.Data, c)
	if err == nil {
		err = r.compile(c)
	}
	if err != nil {
		return fmt.Errorf("%s: offset %d: catalogue %d: %w", rec.File, rec.Offset, rec.Catalog.Number, err)
	}
	for _, p := range r.replays {
		if p.node == nil {
			continue
		}
		if err := p.change(ctx, c, r.number, time.Unix(r.last+1, 0).UTC()); err != nil {
			return err
		}
	}
	return nil
}

// standing takes a state that stood when a file began.
func (r *run) standing(s *statemachine.State, at int64) {
	if _, ok := r.states[s.Scope]; !ok {
		now := statemachine.At(time.Unix(at, 0))
		r.acted.began(s, now, lowered(s), statemachine.Override{}, s.Kind)
		by := s.Off
		if !by.Set() {
			by = s.Suspend
		}
		r.people.began(s, now, by.Set(), by, statemachine.KindNone)
	}
	r.states[s.Scope] = *s
	r.channels = nil
}

// entry takes what was done.
func (r *run) entry(e *monitor.JournalEntry) {
	if !r.o.To.IsZero() && !e.At.Time().Before(r.o.To) {
		return
	}
	for i := range e.Moves {
		m := &e.Moves[i]
		r.states[m.After.Scope] = m.After
		r.acted.automatic(m, e)
		r.people.manual(m, e)
	}
	for i := range e.Incidents {
		r.observed.incident(&e.Incidents[i])
	}
	r.channels = nil
}

// recordedClosed reports whether the recording itself has the scope closed or lowered now.
func (r *run) recordedClosed(s statemachine.Scope) bool {
	st, ok := r.states[s]
	if !ok {
		return false
	}
	phase, _ := st.Effective()
	return phase != statemachine.Healthy
}

// closedOn reports whether the recording has some scope of a channel closed now.
func (r *run) closedOn(channel string) bool {
	if r.channels == nil {
		r.channels = map[string]bool{}
		for scope := range r.states {
			if !r.recordedClosed(scope) {
				continue
			}
			for _, item := range itemsOf(scope, r.fleet) {
				r.channels[item.Channel] = true
			}
		}
	}
	return r.channels[channel]
}

// second replays one recorded second.
func (r *run) second(ctx context.Context, rec *record.Record) error {
	at := rec.Second.Second
	if !r.o.From.IsZero() && at < r.o.From.Unix() || !r.o.To.IsZero() && at >= r.o.To.Unix() {
		return nil
	}
	if r.fleet == nil {
		return fmt.Errorf("%s: offset %d: %w", rec.File, rec.Offset, ErrNoCatalog)
	}
	if err := r.check(rec); err != nil {
		return err
	}
	s := newSecond(rec.Second, r.closedOn)
	r.history.add(s)
	r.observed.second(s, r.fleet)
	if r.last == 0 {
		r.summary.first = at
	} else {
		r.summary.Missing += at - r.last - 1
	}
	for _, p := range r.replays {
		if p.node == nil {
			if err := p.start(ctx, r.catalog, r.number, at); err != nil {
				return err
			}
		}
		if err := p.tick(ctx, s); err != nil {
			return err
		}
	}
	r.last = at
	r.summary.Seconds++
	return nil
}

// check leaves out what belongs to channels that the catalogue does not know, or refuses it where a catalogue was named.
func (r *run) check(rec *record.Record) error {
	for i := range rec.Second.Items {
		channel := rec.Second.Items[i].Item.Channel
		if _, ok := r.fleet.Channels[channel]; ok || r.unknown[channel] {
			continue
		}
		if r.o.Catalog != nil {
			return fmt.Errorf("%s: offset %d: second %d: %w: %q", rec.File, rec.Offset, rec.Second.Second, ErrUnknownChannel, channel)
		}
		r.unknown[channel] = true
		r.summary.Problems = append(r.summary.Problems, fmt.Sprintf("%s: offset %d: second %d: channel %q is not in catalogue %d: left out",
			rec.File, rec.Offset, rec.Second.Second, channel, r.number))
	}
	if len(r.unknown) > 0 {
		rec.Second.Items = slices.DeleteFunc(rec.Second.Items, func(i monitor.ItemCounts) bool {
			_, ok := r.fleet.Channels[i.Item.Channel]
			return !ok
		})
	}
	return nil
}

// end is the instant just after the last second.
func (r *run) end() statemachine.Instant { return statemachine.At(time.Unix(r.last+1, 0)) }
