package client

import (
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
)

// Metrics is told what a client does, in a form that any system of metrics takes. Its methods are called by Route and by the
// client's goroutines: they must be quick and safe for concurrent use.
type Metrics interface {
	// Answered is told every answer and refusal of Route and Next.
	Answered(c Call)
	// Moved is told when the source of the table changes.
	Moved(from, to State)
}

// Call is one Route or Next as Metrics sees it.
type Call struct {
	Source Source        // of the table that decided; SourceNone where none did
	Local  bool          // the client decided by itself
	Fallen bool          // because no replica answered
	Code   codes.Code    // OK, or that of the refusal
	Took   time.Duration // by the client's clock
}

// State is what a client decides by at a moment.
type State struct {
	Source   Source
	Age      time.Duration // since a replica last confirmed it; of a file, etcd or static order since it was written
	Epoch    uint64
	Revision int64 // of the table
	Alone    bool  // the snapshot is older than StaleLimit: the client helps itself
}

// Stats are counters since the client began. They only grow. `expvar.Publish("sluice", expvar.Func(func() any { return c.Stats() }))`
// exports them.
type Stats struct {
	Remote    uint64 `json:"remote"`    // answers of replicas
	Local     uint64 `json:"local"`     // decided by the client itself
	Fallen    uint64 `json:"fallen"`    // of those, because no replica answered
	Refused   uint64 `json:"refused"`   // refusals among all of them
	Failed    uint64 `json:"failed"`    // neither: no replica and no table
	Outdated  uint64 `json:"outdated"`  // answers of replicas not used: the client holds a newer table
	Snapshots uint64 `json:"snapshots"` // tables taken
	Rejected  uint64 `json:"rejected"`  // snapshots refused: damaged, foreign or of unknown features
	Connects  uint64 `json:"connects"`  // watches of the snapshot opened
	Saved     uint64 `json:"saved"`     // files written
	Unsaved   uint64 `json:"unsaved"`   // files that could not be written
}

// counters are what Stats shows.
type counters struct {
	remote, local, fallen, refused, failed, outdated atomic.Uint64
	snapshots, rejected, connects, saved, unsaved    atomic.Uint64
}

func (c *counters) stats() Stats {
	return Stats{
		Remote: c.remote.Load(), Local: c.local.Load(), Fallen: c.fallen.Load(), Refused: c.refused.Load(), Failed: c.failed.Load(),
		Outdated: c.outdated.Load(), Snapshots: c.snapshots.Load(), Rejected: c.rejected.Load(), Connects: c.connects.Load(),
		Saved: c.saved.Load(), Unsaved: c.unsaved.Load(),
	}
}
