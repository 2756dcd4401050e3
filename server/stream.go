package server

import (
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

const (
	// unanswered is how many acknowledgements may wait for their reader; while they do, no further batch is counted, and the
	// transport's flow control holds the client back. One more is being sent, and one more batch has been read.
	unanswered = 6
	// streamPatience is how long the oldest of them may wait.
	streamPatience = 30 * time.Second
	// flushPatience is how long the end of a stream waits for the acknowledgements before it.
	flushPatience = time.Second
	// lingering is how long a stream whose client sends no more waits until its last batch is published.
	lingering = 5 * time.Second
)

// StreamResults counts batches of reports as they come and acknowledges each; what is published is told with the next
// acknowledgement, or by itself within Config.Acknowledge. No probe tokens are granted: grants stays empty.
func (r *routingService) StreamResults(stream grpc.BidiStreamingServer[sluicev1.StreamResultsRequest, sluicev1.StreamResultsResponse]) error {
	if r.s.cfg.Router.Table() == nil {
		return noTable()
	}
	f := &resultFeed{
		r: r, stream: stream, limits: callerOf(stream.Context()).limits,
		in: make(chan *sluicev1.StreamResultsRequest), failed: make(chan error, 1),
		out: make(chan *sluicev1.StreamResultsResponse, unanswered), sent: make(chan error, 1),
	}
	return f.run()
}

// resultFeed is one running stream of results: one goroutine reads, one sends, and the handler's own counts in between.
type resultFeed struct {
	r      *routingService
	stream grpc.BidiStreamingServer[sluicev1.StreamResultsRequest, sluicev1.StreamResultsResponse]
	limits *limits
	in     chan *sluicev1.StreamResultsRequest
	failed chan error // why nothing more is read
	out    chan *sluicev1.StreamResultsResponse
	sent   chan error // why nothing more is sent; closed then

	resultLog

	reporter uint64
	decided  int64            // newest second of decisions
	pause    <-chan time.Time // until which nothing is counted: the caller is ahead of its rate
	ended    <-chan time.Time // the client sends no more; how long to wait for the last second
}

// run serves the stream until it ends, and sends what has been acknowledged before that.
func (f *resultFeed) run() error {
	go f.read()
	go f.send()
	err := f.serve()
	close(f.out)
	timer := time.NewTimer(flushPatience)
	defer timer.Stop()
	select {
	case sendErr := <-f.sent:
		if err == nil && sendErr != nil {
			err = resultsBroken()
		}
	case <-timer.C: // when the handler has returned, the transport ends the send that is still waiting
	}
	return err
}

// read takes batches from the wire, one ahead of what is being counted.
func (f *resultFeed) read() {
	for {
		m, err := f.stream.Recv()
		if err != nil {
			f.failed <- err
			return
		}
		select {
		case f.in <- m:
		case <-f.stream.Context().Done():
			return
		}
	}
}

func (f *resultFeed) send() {
	defer close(f.sent)
	for m := range f.out {
		if err := f.stream.Send(m); err != nil {
			f.sent <- err
			return
		}
	}
}

// serve counts batches until the stream ends. It returns nil when the client has ended it.
func (f *resultFeed) serve() error {
	tick := time.NewTicker(f.r.s.cfg.Acknowledge)
	defer tick.Stop()
	for {
		if f.ended != nil && f.settled() {
			return nil
		}
		in := f.in
		if f.pause != nil {
			in = nil
		}
		var err error
		select {
		case <-f.stream.Context().Done():
			return f.stream.Context().Err() //nolint:wrapcheck // becomes a status
		case <-f.r.s.away:
			return resultsGoAway()
		case <-f.sent: //nolint:errcheck // of the transport, which knows why
			return resultsBroken()
		case err = <-f.failed:
			if !errors.Is(err, io.EOF) {
				return resultsBroken()
			}
			f.ended, err = time.After(lingering), nil
		case <-f.ended:
			return nil
		case m := <-in:
			err = f.take(m)
		case <-f.pause:
			f.pause = nil
		case <-tick.C:
			err = f.renew()
		}
		if err != nil {
			return err
		}
	}
}

// take counts one batch and acknowledges it.
func (f *resultFeed) take(m *sluicev1.StreamResultsRequest) error {
	known, err := f.check(m)
	if err != nil {
		for range m.GetReports() { // each is a delivery that was refused
			f.r.s.cfg.Counters.Reject()
		}
		return err
	}
	if known == nil {
		if err := f.r.s.fair.count(f.stream.Context()); err != nil {
			return err
		}
		known = f.count(m)
		f.remember(known, f.r.s.cfg.Clock.Second())
		if wait := f.limits.rate.spend(f.r.s.cfg.Now()); wait > 0 {
			f.pause = time.After(wait)
		}
	}
	f.settle(f.published())
	return f.push(&sluicev1.StreamResultsResponse{
		Sequence: known.GetSequence(), Counts: known.GetCounts(), Rejections: known.GetRejections(), PublishedThrough: f.through,
	})
}

// check looks at what makes a batch part of this stream. A batch that was counted before is given as it was acknowledged.
func (f *resultFeed) check(m *sluicev1.StreamResultsRequest) (*sluicev1.StreamResultsResponse, error) {
	switch {
	case m.GetSequence() == 0:
		return nil, invalid("sequence", "numbers from 1, growing with every batch")
	case len(m.GetReports()) > maxReports:
		return nil, invalid("reports", "at most 1000 reports")
	case f.sequence == 0: // the first batch tells who reports
		if !reporter(m.GetReporter()) || CardNumber(m.GetReporter()) {
			return nil, invalid("reporter", wantReporter)
		}
		f.reporter = reporterOf(f.stream.Context(), m.GetReporter())
	case m.GetSequence() <= f.sequence:
		if known := f.recall(m.GetSequence()); known != nil {
			return known, nil
		}
		return nil, invalid("sequence", "a number greater than that of the batch before, or one of the last 8 again")
	}
	return nil, nil //nolint:nilnil // a new batch
}

// count counts the reports and decisions of a new batch, once it may be counted. What is refused is told, the rest counts.
func (f *resultFeed) count(m *sluicev1.StreamResultsRequest) *sluicev1.StreamResultsResponse {
	defer f.r.s.fair.counted()
	ack := &sluicev1.StreamResultsResponse{Sequence: m.GetSequence()}
	refuse := func(i int, err error) { ack.Rejections = append(ack.Rejections, rejection(i, err)) }
	s := f.r.s
	b, _ := f.r.batches.Get().(*Batch)
	defer f.r.batches.Put(b)
	ack.Counts = countsOf(s.ingest.Reports(m.GetReports(), f.reporter, s.cfg.Clock.Second(), b, refuse))
	if m.GetDecisions() != nil {
		if err := f.decisions(m.GetDecisions()); err != nil {
			refuse(len(m.GetReports()), err) // after the reports: it is none of theirs
		}
	}
	return ack
}

// renew tells how far batches are published, if that has moved.
func (f *resultFeed) renew() error {
	if !f.settle(f.published()) {
		return nil
	}
	return f.push(&sluicev1.StreamResultsResponse{Sequence: f.sequence, PublishedThrough: f.through})
}

func (f *resultFeed) published() int64 {
	if f.r.s.published == nil {
		return 0
	}
	return f.r.s.published.Published()
}

// settled reports whether there is nothing more to tell.
func (f *resultFeed) settled() bool { return len(f.marks) == 0 || f.r.s.published == nil }

// push hands an acknowledgement to the sender, and waits while too many are before it.
func (f *resultFeed) push(m *sluicev1.StreamResultsResponse) error {
	select {
	case f.out <- m:
		return nil
	default:
	}
	timer := time.NewTimer(f.r.s.snapshots.patience(streamPatience))
	defer timer.Stop()
	select {
	case f.out <- m:
		return nil
	case <-f.stream.Context().Done():
		return f.stream.Context().Err() //nolint:wrapcheck // becomes a status
	case <-f.r.s.away:
		return resultsGoAway()
	case <-f.sent: //nolint:errcheck // of the transport, which knows why
		return resultsBroken()
	case <-timer.C:
		f.r.s.metrics.dropped.Inc()
		return resultsTooSlow()
	}
}

// resultsBroken is of a stream that the transport has ended: the caller went away, or sent what is no message of at most 4 MiB,
// which the transport has told it.
func resultsBroken() *fault {
	return &fault{code: codes.Canceled, message: "the stream was broken"}
}

func resultsGoAway() *fault {
	return &fault{
		code: codes.Unavailable, reason: sluicev1.ErrorReason_ERROR_REASON_OVERLOADED, retry: 100 * time.Millisecond,
		message: "this replica stops: open a stream to another one and send the batches after published_through again",
	}
}

func resultsTooSlow() *fault {
	return &fault{
		code: codes.ResourceExhausted, reason: sluicev1.ErrorReason_ERROR_REASON_OVERLOADED, retry: time.Second,
		message: "acknowledgements were read too slowly and the stream ended: open another and send the batches after published_through again",
	}
}
