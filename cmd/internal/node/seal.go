package node

import (
	"context"
	"errors"
	"slices"

	"github.com/sluice-pay/sluice/monitor"
)

const (
	// adoptWait is how many seconds a replica that does not lead waits for the leader to name the rows of a second. A lead that
	// was lost is taken over sooner; past it every row that comes has come.
	adoptWait = 15
	// namedFor is how many seconds the leader goes on naming the rows of a second, so that whoever waits finds them in its
	// newest row.
	namedFor = adoptWait + 5
)

var (
	// errNoSignal says that a second's rows are there, but not our own, or not one that was named: the exchange has lost some,
	// and who knows which.
	errNoSignal = errors.New("a row is missing: the exchange has lost rows")
	// errWaiting says that the leader has yet to name the rows of a second.
	errWaiting = errors.New("the leader has not named the rows yet")
)

// sealing is what a replica knows of the rows that make up the seconds: the leader's next rows name them, the others adopt
// that, so that every replica sums the same.
type sealing struct {
	lists []monitor.Sealed // the newest seconds, by whomever sealed, oldest first; a second that was left out names nobody
	own   []*monitor.Row   // own rows of seconds that are not sealed yet, oldest first
	late  []*monitor.Row   // own rows that nobody waited for, not yet in any total
	begun int64            // first second of this life
	last  []string         // replicas that make up the newest second observed
	at    int64            // that second
}

// keep remembers an own row until its second is sealed.
func (s *sealing) keep(r *monitor.Row) { s.own = append(s.own, r) }

// seal notes which rows make up a second, none if it was left out. The lists grow by copy: published rows hold the old ones.
func (s *sealing) seal(second int64, self string, replicas []string) {
	oldest := 0
	for oldest < len(s.lists) && s.lists[oldest].Second <= second-namedFor {
		oldest++
	}
	lists := make([]monitor.Sealed, 0, len(s.lists)-oldest+1)
	s.lists = append(append(lists, s.lists[oldest:]...), monitor.Sealed{Second: second, Replicas: replicas})
	s.settle(second, slices.Contains(replicas, self))
}

// settle drops the own rows up to a second. One that was not waited for is late.
func (s *sealing) settle(second int64, counted bool) {
	for len(s.own) > 0 && s.own[0].Counts.Second <= second {
		if r := s.own[0]; r.Counts.Second == second && !counted {
			s.late = append(s.late, r)
		}
		s.own = s.own[1:]
	}
}

// missing is how many seconds before the end of this one were not counted in whole: seconds left out, or a replica whose row
// is no longer there.
func (s *sealing) missing(second int64, rows []*monitor.Row) int64 {
	gap := int64(0)
	if s.at != 0 {
		gap = second - s.at - 1
	}
	now := names(rows)
	if gap == 0 && slices.ContainsFunc(s.last, func(name string) bool { return !slices.Contains(now, name) }) {
		gap = 1
	}
	s.at, s.last = second, now
	return gap
}

func names(rows []*monitor.Row) []string {
	list := make([]string, len(rows))
	for i, r := range rows {
		list[i] = r.Replica
	}
	return list
}

// late brings own rows that came too late into the totals of the running second, once they are published: what their claims
// took out is out by then. Those that were given up stay out.
func (n *Node) late(now int64) {
	n.sealing.late = slices.DeleteFunc(n.sealing.late, func(r *monitor.Row) bool {
		if r.Counts.Second > n.published.Load() {
			return r.Counts.Second <= now-catchUp
		}
		n.counters.AddLate(now, &r.Counts)
		n.cfg.Figures.LateRow()
		return true
	})
}

// rows returns the rows that make up a second: those the leader named, or, if this replica leads, those that are there.
func (n *Node) rows(ctx context.Context, look *lookout, second, newest int64) ([]*monitor.Row, error) {
	if n.cfg.Grace <= 0 {
		rows, err := n.cfg.Exchange.Read(ctx, second)
		err = n.complete(second, rows, err)
		n.sealing.settle(second, err == nil)
		return rows, err
	}
	named, known, err := look.named(ctx, second, newest)
	waits := n.control.View().Leader == 0 && newest-second < adoptWait
	switch {
	case known && len(named) == 0 && second < n.sealing.begun: // from before this life: there is nothing to miss
		n.sealing.seal(second, n.cfg.Replica, named)
		return nil, nil
	case known:
		rows, err := look.only(ctx, second, named)
		if err != nil && len(named) > 0 && waits { // what the leader has seen we shall see
			return nil, errWaiting
		}
		n.sealing.seal(second, n.cfg.Replica, named)
		return rows, err
	case waits:
		return nil, errWaiting
	case err == nil:
		var rows []*monitor.Row
		rows, err = n.cfg.Exchange.Read(ctx, second)
		if err = n.complete(second, rows, err); err == nil {
			n.sealing.seal(second, n.cfg.Replica, names(rows))
			return rows, nil
		}
	}
	n.sealing.seal(second, n.cfg.Replica, nil)
	return nil, err
}

// complete adds to err whether the rows of a second can be all: our own must be among them.
func (n *Node) complete(second int64, rows []*monitor.Row, err error) error {
	if err == nil && second >= n.sealing.begun && !slices.ContainsFunc(rows, func(r *monitor.Row) bool { return r.Replica == n.cfg.Replica }) {
		return errNoSignal
	}
	return err //nolint:wrapcheck // by the caller
}

// lookout reads ahead for the lists of rows, each second once.
type lookout struct {
	exchange monitor.Exchange
	seen     map[int64][]*monitor.Row
}

func (l *lookout) read(ctx context.Context, second int64) ([]*monitor.Row, error) {
	if rows, ok := l.seen[second]; ok {
		return rows, nil
	}
	rows, err := l.exchange.Read(ctx, second)
	if err == nil {
		if l.seen == nil {
			l.seen = map[int64][]*monitor.Row{}
		}
		l.seen[second] = rows
	}
	return rows, err //nolint:wrapcheck // by the caller
}

// named looks in the rows that follow a second, up to the newest, for the list of the rows that make it up. The earliest
// counts, of one second that of the newest leader: who adopted it first keeps it.
func (l *lookout) named(ctx context.Context, second, newest int64) (list []string, known bool, err error) {
	delete(l.seen, second-1)
	for at := second + 1; at <= min(newest, second+namedFor); at++ {
		rows, err := l.read(ctx, at)
		if err != nil {
			return nil, false, err
		}
		leader := int64(0)
		for _, r := range rows {
			i := slices.IndexFunc(r.Sealed, func(s monitor.Sealed) bool { return s.Second == second })
			if i >= 0 && r.Leader > leader {
				leader, list, known = r.Leader, r.Sealed[i].Replicas, true
			}
		}
		if known {
			return list, true, nil
		}
	}
	return nil, false, nil
}

// only returns the rows of a second that were named; all of them must be there.
func (l *lookout) only(ctx context.Context, second int64, named []string) ([]*monitor.Row, error) {
	if len(named) == 0 {
		return nil, errNoSignal
	}
	all, err := l.exchange.Read(ctx, second)
	if err != nil {
		return nil, err //nolint:wrapcheck // by the caller
	}
	rows := slices.DeleteFunc(all, func(r *monitor.Row) bool { return !slices.Contains(named, r.Replica) })
	if len(rows) != len(named) {
		return nil, errNoSignal
	}
	return rows, nil
}
