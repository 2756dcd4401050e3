package monitor

import "github.com/sluice-pay/sluice/statemachine"

// AddRouter adds what the router of this replica counted in a second: demand by lane, gates of scopes that are not
// healthy, and decisions given out by item. Items that are not known are left out.
func (c *Counters) AddRouter(second int64, lanes []statemachine.LaneCount, gates []statemachine.GateCount, sent []statemachine.SentCount) {
	if len(lanes) == 0 && len(gates) == 0 && len(sent) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.at(second)
	s.lanes = append(s.lanes, lanes...)
	s.gates = append(s.gates, gates...)
	for _, n := range sent {
		if i, ok := c.index[n.Item]; ok && n.Kind < statemachine.NumLaneKinds {
			s.cell(i, len(c.items)).counts.Sent[n.Kind] += n.N
		}
	}
}

// Close closes every second up to and including second and returns them in order, those without any report too, each
// with the receipts of its own second, however late the call is. Of a gap longer than 15 minutes the empty seconds are
// left out. What is returned is no longer touched.
func (c *Counters) Close(second int64) []SecondCounts {
	c.mu.Lock()
	defer c.mu.Unlock()
	if second <= c.closed {
		return nil
	}
	from := second // nothing closed before: earlier seconds are returned only if something was counted in them
	if c.closed >= 0 {
		from = max(c.closed+1, second-keptSeconds+1)
	}
	var out []SecondCounts
	n := 0
	for _, s := range c.open {
		if s.second > second {
			break
		}
		for ; from < s.second; from++ {
			out = append(out, SecondCounts{Second: from})
		}
		out = append(out, s.close(c.items, c.ranks, c.reasons.names))
		from = max(from, s.second+1)
		c.keep(s)
		s.reset()
		c.spare = append(c.spare, s)
		n++
	}
	for ; from <= second; from++ {
		out = append(out, SecondCounts{Second: from})
	}
	c.open = append(c.open[:0], c.open[n:]...)
	c.closed = second
	return out
}
