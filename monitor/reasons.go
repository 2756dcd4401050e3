package monitor

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sluice-pay/sluice/statemachine"
)

const (
	// MaxReasons is how many causes of bad results a closed second names per item.
	MaxReasons = 8
	// OtherReason stands for all causes that the bounds left out.
	OtherReason = "OTHER"

	maxReasonBytes  = 64   // longer reasons are cut
	maxReasonNames  = 4096 // different reasons a replica tells apart
	reasonsPerCell  = 16   // different reasons an item tells apart in a second
	otherReason     = 0    // id of OtherReason
	unnamedReasonID = 1    // id of a bad result without a reason
)

// reasonNames gives reasons small numbers, for ever, up to a bound.
type reasonNames struct {
	ids   map[string]uint16
	names []string
}

func newReasonNames() *reasonNames {
	return &reasonNames{ids: map[string]uint16{OtherReason: otherReason, "": unnamedReasonID}, names: []string{OtherReason, "UNNAMED"}}
}

// id returns the number of a reason, that of OtherReason when there are too many. The reason is copied if it is kept.
func (n *reasonNames) id(reason string) uint16 {
	reason = cutReason(reason)
	if id, ok := n.ids[reason]; ok {
		return id
	}
	if len(n.names) >= maxReasonNames {
		return otherReason
	}
	id := uint16(len(n.names)) //nolint:gosec // bounded above
	reason = strings.Clone(reason)
	n.names = append(n.names, reason)
	n.ids[reason] = id
	return id
}

// cutReason shortens a reason to at most maxReasonBytes without splitting a character.
func cutReason(reason string) string {
	if len(reason) <= maxReasonBytes {
		return reason
	}
	end := maxReasonBytes
	for end > maxReasonBytes-utf8.UTFMax && !utf8.RuneStart(reason[end]) {
		end--
	}
	return reason[:end]
}

// reasonSlot counts one reason of one item.
type reasonSlot struct {
	id uint16
	n  uint32
}

// topReasons sorts by frequency, then name, and keeps the first MaxReasons.
func topReasons(all []statemachine.ReasonCount) []statemachine.ReasonCount {
	slices.SortFunc(all, func(a, b statemachine.ReasonCount) int {
		return cmp.Or(cmp.Compare(b.N, a.N), strings.Compare(a.Reason, b.Reason))
	})
	return all[:min(len(all), MaxReasons):min(len(all), MaxReasons)]
}

// mergeReasons adds counts of equal reasons and keeps the top ones.
func mergeReasons(lists ...[]statemachine.ReasonCount) []statemachine.ReasonCount {
	sum := map[string]uint64{}
	for _, list := range lists {
		for _, r := range list {
			sum[r.Reason] += r.N
		}
	}
	if len(sum) == 0 {
		return nil
	}
	all := make([]statemachine.ReasonCount, 0, len(sum))
	for reason, n := range sum {
		all = append(all, statemachine.ReasonCount{Reason: reason, N: n})
	}
	return topReasons(all)
}
