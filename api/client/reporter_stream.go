package client

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

const (
	// silence is how long a replica may leave a batch unacknowledged before another stream is tried.
	silence = 15 * time.Second
	// longestWait bounds what a replica may ask to wait.
	longestWait = time.Minute
)

var errSilent = errors.New("the replica acknowledged nothing for 15 s")

type resultStream = grpc.BidiStreamingClient[sluicev1.StreamResultsRequest, sluicev1.StreamResultsResponse]

// run keeps a stream open until ctx ends.
func (r *Reporter) run(ctx context.Context) {
	failures := 0
	for ctx.Err() == nil {
		progress, err := r.session(ctx)
		r.queue.lost()
		if ctx.Err() != nil {
			return
		}
		if progress {
			failures = 0
		}
		wait := r.backoff(failures, err)
		failures++
		r.queue.note(func(s *ReporterStats) { s.LastError = text(err) })
		r.logger.LogAttrs(ctx, slog.LevelInfo, "the stream of reports broke", slog.Any("error", err), slog.Duration("again_in", wait))
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

func text(err error) string {
	if err == nil {
		return "the replica ended the stream"
	}
	return err.Error()
}

// backoff doubles with every failure in a row; half of it is chance, so that clients do not come back together. A replica that
// says when to come back is heard.
func (r *Reporter) backoff(failures int, err error) time.Duration {
	d := r.cfg.MinBackoff
	for range failures {
		if d *= 2; d >= r.cfg.MaxBackoff {
			d = r.cfg.MaxBackoff
			break
		}
	}
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			d = max(d, min(info.GetRetryDelay().AsDuration(), longestWait))
		}
	}
	return d/2 + rand.N(d/2+1) //nolint:gosec // jitter
}

// session delivers over one stream until it breaks. It reports whether a replica acknowledged anything.
func (r *Reporter) session(ctx context.Context) (progress bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := r.stub.StreamResults(ctx)
	if err != nil {
		return false, err //nolint:wrapcheck // a status
	}
	s := &session{r: r, stream: stream, broken: make(chan error, 1)}
	r.queue.note(func(n *ReporterStats) { n.Streams++ })
	go s.receive()
	err = s.pump(ctx)
	cancel()
	if came := <-s.broken; err == nil || errors.Is(err, errBroken) { // the receiver knows why
		err = came
	}
	s.strand()
	return s.progress, err
}

// errBroken is of a stream whose receiver knows why it broke.
var errBroken = errors.New("the stream is broken")

// session is one stream.
type session struct {
	r        *Reporter
	stream   resultStream
	broken   chan error // why nothing more is received
	sequence uint64     // of the newest message sent
	progress bool       // of the receiver

	seconds seconds
}

// receive takes acknowledgements until the stream breaks.
func (s *session) receive() {
	for {
		m, err := s.stream.Recv()
		if err != nil {
			s.broken <- err
			nudge(s.r.wake)
			return
		}
		s.progress = true
		s.acknowledged(m)
	}
}

// acknowledged takes one acknowledgement.
func (s *session) acknowledged(m *sluicev1.StreamResultsResponse) {
	r := s.r
	published, ofDecisions := r.queue.acknowledge(m, r.now())
	s.seconds.acknowledged(r, m, ofDecisions)
	for _, b := range published {
		for _, j := range b.refused() {
			logRejection(r.logger, &j)
			if r.cfg.OnRejected != nil {
				r.cfg.OnRejected(j)
			}
		}
		r.queue.settle(b) // after the callback, so that a Flush has seen it return
	}
	r.queue.note(func(n *ReporterStats) { n.LastError = "" })
	if len(m.GetGrants()) > 0 && r.grant != nil {
		r.grant(m.GetGrants())
	}
	nudge(r.wake)
	nudge(r.tidy)
}

// pump sends until the stream breaks or ctx ends.
func (s *session) pump(ctx context.Context) error {
	r := s.r
	ripe, armed := time.NewTimer(time.Hour), false
	defer ripe.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	due := r.cfg.MaxDelay == 0
	for {
		b, waiting := r.queue.next(due, s.sequence+1)
		if b != nil {
			s.sequence++
			err := s.stream.Send(b.message(r.cfg.Name))
			r.queue.sent(b)
			if err != nil {
				return errBroken
			}
			due, armed = r.cfg.MaxDelay == 0, false
			continue
		}
		if waiting && !armed {
			ripe.Reset(r.cfg.MaxDelay)
			armed = true
		}
		select {
		case <-ctx.Done():
			return ctx.Err() //nolint:wrapcheck // nobody reads it
		case err := <-s.broken:
			s.broken <- err
			return errBroken
		case <-r.wake:
		case <-ripe.C:
			due, armed = true, false
		case <-tick.C:
			if err := s.second(); err != nil {
				return err
			}
		}
	}
}

// second does what is due once a second: it looks whether the replica is still there, and carries local decisions.
func (s *session) second() error {
	if s.r.queue.silent(s.r.now()) {
		return errSilent
	}
	return s.seconds.carry(s)
}

// silent reports whether a replica has left batches unacknowledged for too long.
func (q *queue) silent(now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.unacked == 0 {
		q.quiet = time.Time{}
		return false
	}
	if q.quiet.IsZero() || q.quiet.Before(q.alive) {
		q.quiet = now
	}
	return now.Sub(q.quiet) >= silence
}

// nudge wakes a goroutine that may be awake.
func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
