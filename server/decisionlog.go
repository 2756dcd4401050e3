package server

import (
	"context"
	"encoding/json"
	"fmt"
	"math/bits"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"github.com/sluice-pay/sluice/routing"
)

// decisionQueue is how many sampled decisions may wait to be written.
const decisionQueue = 1024

// DecisionLogOptions say which decisions are logged, and where to.
type DecisionLogOptions struct {
	SamplePPM   uint32 // part of the payments; 1,000,000 = all
	Salt        string // the payments that are sampled hang on it; the same on every replica
	Environment string
	Replica     string
	// Write takes one record of JSON, without a newline. Calls follow one another.
	Write func(line []byte) error
}

// DecisionLog writes the decisions for a sample of the payments, with the probability that each candidate had, so that other
// policies can be judged by what happened. Which payments are sampled hangs on their id alone: all decisions for a payment
// are logged, on whichever replica, and a greater sample holds the payments of a smaller one.
type DecisionLog struct {
	o     DecisionLogOptions
	salt  []byte // purpose 0 salt 0: what precedes the payment id in the hash
	queue chan sampled

	written, dropped, failed atomic.Uint64
}

// sampled is a decision on its way.
type sampled struct {
	kept  routing.Kept
	table *routing.Table
}

// DecisionLogCounters count the decisions that were sampled, by what became of them.
type DecisionLogCounters struct {
	Written uint64
	Dropped uint64 // the queue was full
	Failed  uint64 // Write said no
}

// NewDecisionLog returns a log that writes while Run runs.
func NewDecisionLog(o DecisionLogOptions) *DecisionLog {
	return &DecisionLog{o: o, salt: append([]byte("sample\x00"+o.Salt), 0), queue: make(chan sampled, decisionQueue)}
}

// Sampled reports whether the decisions for a payment are logged. It allocates nothing.
func (l *DecisionLog) Sampled(payment string) bool {
	if l == nil || l.o.SamplePPM == 0 {
		return false
	}
	var b [256]byte // enough for a salt of 64 bytes and any payment id
	part, _ := bits.Mul64(xxhash.Sum64(append(append(b[:0], l.salt...), payment...)), 1_000_000)
	return part < uint64(l.o.SamplePPM)
}

// Offer logs a decision if its payment is sampled. It never waits: what does not fit is dropped and counted.
func (l *DecisionLog) Offer(q *routing.Request, d *routing.Decision) {
	if !l.Sampled(q.PaymentID) {
		return
	}
	kept, table := routing.KeptOf(q, d)
	if table == nil {
		return
	}
	select {
	case l.queue <- sampled{kept, table}:
	default:
		l.dropped.Add(1)
	}
}

// Run writes what is offered until ctx ends, then what still waits.
func (l *DecisionLog) Run(ctx context.Context) {
	for {
		select {
		case s := <-l.queue:
			l.write(&s)
		case <-ctx.Done():
			for {
				select {
				case s := <-l.queue:
					l.write(&s)
				default:
					return
				}
			}
		}
	}
}

func (l *DecisionLog) write(s *sampled) {
	line, err := l.line(s)
	if err == nil {
		err = l.o.Write(line)
	}
	if err != nil {
		l.failed.Add(1)
		return
	}
	l.written.Add(1)
}

// line renders the record of a decision.
func (l *DecisionLog) line(s *sampled) ([]byte, error) {
	r := recordOf(&s.kept, s.table)
	r.Environment, r.Replica, r.SamplePPM = l.o.Environment, l.o.Replica, l.o.SamplePPM
	line, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("decision log: %w", err)
	}
	return line, nil
}

// Counters say what became of the decisions that were sampled.
func (l *DecisionLog) Counters() DecisionLogCounters {
	return DecisionLogCounters{Written: l.written.Load(), Dropped: l.dropped.Load(), Failed: l.failed.Load()}
}
