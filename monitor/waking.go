package monitor

// waking knows which items there is something to judge of: most are calm, their state is nothing special, and
// they cost nothing.
type waking struct {
	everyone bool      // items came, or any item's threshold, evidence or state may have changed since the last judgement
	stirred  []*series // were not calm after the results of the newest second, in order
	restless []*series // were not calm when they were last judged, or their state is special, in order
	both     []*series // buffer
}

// items returns the items to judge, in order.
func (w *waking) items(order []*series) []*series {
	if w.everyone {
		w.everyone = false
		for i, s := range order {
			s.at = int32(i)
		}
		return order
	}
	if len(w.stirred) == 0 {
		return w.restless
	}
	all, i := w.both[:0], 0
	for _, s := range w.stirred {
		for i < len(w.restless) && w.restless[i].at < s.at {
			all = append(all, w.restless[i])
			i++
		}
		if i < len(w.restless) && w.restless[i] == s {
			i++
		}
		all = append(all, s)
	}
	all = append(all, w.restless[i:]...)
	w.both = all
	return all
}

// judged takes the items that were judged: those that are not calm, or in a special state, are judged again.
func (w *waking) judged(items []*series) {
	again := w.restless[:0] // items is another list, or this one, which is read before it is written
	for _, s := range items {
		if s.special || !s.track.calm() {
			again = append(again, s)
		}
	}
	w.restless, w.stirred = again, w.stirred[:0]
}
