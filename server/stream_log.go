package server

import (
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
)

const (
	recalled = 8   // batches whose acknowledgements are kept for a repeated one: as many as may be in flight
	maxMarks = 900 // seconds not yet published that are told apart; beyond, older ones are told with younger
)

// Publisher tells how far the seconds of a replica are closed and published. A Config.Clock may be one; without it batches of
// StreamResults never become published.
type Publisher interface {
	Published() int64 // newest such second, Unix; never goes back
}

// resultLog is what one stream remembers of its batches. It is bounded however long publishing takes.
type resultLog struct {
	sequence uint64 // newest batch counted
	through  uint64 // newest batch published
	kept     [recalled]*sluicev1.StreamResultsResponse
	next     int
	marks    []mark
}

// mark is the newest batch counted in or before a second.
type mark struct {
	second   int64
	sequence uint64
}

// remember notes a batch that was counted no later than in a second.
func (l *resultLog) remember(ack *sluicev1.StreamResultsResponse, second int64) {
	l.sequence = ack.GetSequence()
	l.kept[l.next], l.next = ack, (l.next+1)%recalled
	if n := len(l.marks); n > 0 && l.marks[n-1].second >= second {
		l.marks[n-1].sequence = l.sequence
		return
	}
	if len(l.marks) == maxMarks {
		l.marks = append(l.marks[:0], l.marks[1:]...)
	}
	l.marks = append(l.marks, mark{second, l.sequence})
}

// recall returns how one of the last batches was acknowledged, nil for any other.
func (l *resultLog) recall(sequence uint64) *sluicev1.StreamResultsResponse {
	for _, k := range l.kept {
		if k.GetSequence() == sequence {
			return k
		}
	}
	return nil
}

// settle takes note of how far seconds are published and reports whether that moved any batch.
func (l *resultLog) settle(published int64) bool {
	n := 0
	for n < len(l.marks) && l.marks[n].second <= published {
		l.through = l.marks[n].sequence
		n++
	}
	if n == 0 {
		return false
	}
	l.marks = append(l.marks[:0], l.marks[n:]...)
	return true
}

func countsOf(n Counts) *sluicev1.ReportCounts {
	return &sluicev1.ReportCounts{
		Applied: n[monitor.Applied], Corrected: n[monitor.Corrected], Duplicate: n[monitor.Duplicate],
		Rejected: n[monitor.RejectedIn], Late: n[monitor.Late],
	}
}
