package routepb

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// bundled is how many channels an answer holds without a second allocation: the number given without max_channels.
const bundled = 3

// Reply is an answer in one allocation.
type Reply struct {
	Response sluicev1.RouteResponse
	Age      durationpb.Duration // room for the age of the table, which the decision does not know

	until    timestamppb.Timestamp
	channels [bundled]sluicev1.RankedChannel
	pointers [bundled]*sluicev1.RankedChannel
}

// FromDecision renders a decision alone: who answers adds the age of the table and its source. All ids lie in one string. It
// works in text, overwriting it, and returns it for the next decision.
func FromDecision(d *routing.Decision, text []byte) (*Reply, []byte) {
	b := &Reply{}
	m := &b.Response
	text = d.ID.Append(text[:0])
	size := len(text)
	for rank := range d.Candidates {
		text = append(text, text[:size]...)
		text = append(text, '/')
		text = appendRank(text, rank)
	}
	ids := string(text)
	m.DecisionId, ids = ids[:size], ids[size:]
	m.Channels = b.pointers[:0]
	for rank := range d.Candidates {
		c := &d.Candidates[rank]
		var out *sluicev1.RankedChannel
		if rank < bundled {
			out = &b.channels[rank]
		} else {
			out = &sluicev1.RankedChannel{}
		}
		n := size + 2
		if rank >= 10 {
			n++
		}
		out.Channel, out.Account, out.AttemptId = c.Channel, c.Account, ids[:n]
		out.Reason, out.Kind = sluicev1.RankReason(c.Why), FromKind(c.Kind)
		ids = ids[n:]
		m.Channels = append(m.Channels, out)
	}
	b.until.Seconds, b.until.Nanos = d.ValidUntil/1000, int32(d.ValidUntil%1000)*int32(time.Millisecond)
	m.ValidUntil = &b.until
	m.InstrumentHealth = healthOf(d)
	m.TableRevision = d.Revision.Revision
	return b, text
}

// appendRank appends a rank below 100.
func appendRank(b []byte, rank int) []byte {
	if rank >= 10 {
		b = append(b, '0'+byte(rank/10)) //nolint:gosec // a digit
	}
	return append(b, '0'+byte(rank%10)) //nolint:gosec // a digit
}

// healthOf says how well the payment's instrument is doing, as far as the decision looked: degraded when a state took a channel
// away or lowered its part.
func healthOf(d *routing.Decision) sluicev1.Availability {
	if AnyClosed(d) {
		return sluicev1.Availability_AVAILABILITY_DEGRADED
	}
	for i := range d.Candidates {
		if d.Candidates[i].Kind != statemachine.KindNormal {
			return sluicev1.Availability_AVAILABILITY_DEGRADED
		}
	}
	return sluicev1.Availability_AVAILABILITY_AVAILABLE
}

// AnyClosed reports whether a state took a channel away, or lowered its part so that this payment did not get it.
func AnyClosed(d *routing.Decision) bool {
	for i := range d.Dropped {
		if d.Dropped[i].Drop >= routing.DropDisabled {
			return true
		}
	}
	return false
}
