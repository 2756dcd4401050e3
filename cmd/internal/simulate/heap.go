package simulate

// eventKind says what an event does.
type eventKind uint8

const (
	evArrive eventKind = iota // the next payment of a stream
	evPay                     // a payment asks for its next channel
	evReport                  // a report arrives
	evDone                    // a payment's last attempt ends
	evBurst                   // an angry payer tries again
	evOrder                   // an operator orders
	evFault                   // a fault of the control plane begins or ends
)

// event is something that happens at an instant; of equal instants the one scheduled first goes first.
type event struct {
	at      int64 // virtual nanoseconds since the start
	seq     uint64
	payment *payment
	report  *report
	index   int32 // stream, truth entry, order or fault
	kind    eventKind
}

func (e *event) before(f *event) bool {
	return e.at < f.at || e.at == f.at && e.seq < f.seq
}

// agenda is a binary heap of events.
type agenda struct {
	heap []event
	seq  uint64
}

func (a *agenda) push(e event) {
	a.seq++
	e.seq = a.seq
	a.heap = append(a.heap, e)
	i := len(a.heap) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !e.before(&a.heap[parent]) {
			break
		}
		a.heap[i] = a.heap[parent]
		i = parent
	}
	a.heap[i] = e
}

// pop takes the first event that happens before limit.
func (a *agenda) pop(limit int64) (event, bool) {
	if len(a.heap) == 0 || a.heap[0].at >= limit {
		return event{}, false
	}
	first := a.heap[0]
	last := len(a.heap) - 1
	e := a.heap[last]
	a.heap[last] = event{}
	a.heap = a.heap[:last]
	if last > 0 {
		a.sink(e)
	}
	return first, true
}

// sink puts e at the root and lets it down to its place.
func (a *agenda) sink(e event) {
	i, n := 0, len(a.heap)
	for {
		child := 2*i + 1
		if child >= n {
			break
		}
		if child+1 < n && a.heap[child+1].before(&a.heap[child]) {
			child++
		}
		if !a.heap[child].before(&e) {
			break
		}
		a.heap[i] = a.heap[child]
		i = child
	}
	a.heap[i] = e
}
