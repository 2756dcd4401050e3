package server

import (
	"sync"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// watchBuffer is how many journal entries a watch may lag behind before it is ended.
const watchBuffer = 256

// Hub passes the journal on to those who watch. It is safe for concurrent use and never waits for a reader.
type Hub struct {
	metrics *Metrics

	mu       sync.Mutex
	sequence uint64 // newest entry passed on
	watchers map[*watcher]struct{}
}

// watcher is one reader of the journal.
type watcher struct {
	entries chan monitor.JournalEntry
	slow    chan struct{} // closed when it was too slow and is no longer served
}

func newHub(m *Metrics) *Hub { return &Hub{metrics: m, watchers: map[*watcher]struct{}{}} }

// Publish passes entries on, oldest first; what was passed on before is left out. A watch that cannot keep up is ended.
func (h *Hub) Publish(entries []monitor.JournalEntry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range entries {
		e := &entries[i]
		if e.Sequence <= h.sequence {
			continue
		}
		h.sequence = e.Sequence
		h.metrics.entry(e)
		h.pass(e)
	}
}

// Raise passes on an alert that belongs to no change and has no journal entry.
func (h *Hub) Raise(a statemachine.Alert) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pass(&monitor.JournalEntry{Alerts: []statemachine.Alert{a}})
}

// pass hands an entry to all watchers; one whose buffer is full is ended.
func (h *Hub) pass(e *monitor.JournalEntry) {
	for w := range h.watchers {
		select {
		case w.entries <- *e:
		default:
			delete(h.watchers, w)
			close(w.slow)
			h.metrics.dropped.Inc()
		}
	}
}

func (h *Hub) watch() *watcher {
	w := &watcher{entries: make(chan monitor.JournalEntry, watchBuffer), slow: make(chan struct{})}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watchers[w] = struct{}{}
	return w
}

func (h *Hub) leave(w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.watchers, w)
}
