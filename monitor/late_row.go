package monitor

// AddLate adds to the totals of a second that is open what this replica counted in a second whose sum was made without it:
// people see it, no detector does. Decisions, gates, ages and reasons stay out, they are evidence.
// Items that are not known are left out.
func (c *Counters) AddLate(second int64, late *SecondCounts) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.at(second)
	for k := range late.Items {
		from := &late.Items[k]
		i, ok := c.index[from.Item]
		if !ok {
			continue
		}
		to := &s.cell(i, len(c.items)).counts
		for o, n := range from.Totals {
			to.Totals[o] += n
		}
		for b, n := range from.Latency {
			to.Latency[b] += n
		}
		to.LatencyMillis += from.LatencyMillis
	}
}
