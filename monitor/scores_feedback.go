package monitor

// Negative feedback looks at the last ten seconds in five slices.
const (
	feedbackSlices = 5
	sliceSeconds   = 2
)

// FeedbackRule says when there is negative feedback: on more bad results than Count, or a larger part than Ratio, within ten
// seconds.
type FeedbackRule struct{ Count, Ratio float64 }

// DefaultFeedback is more than 10 bad results or more than 10 %.
func DefaultFeedback() FeedbackRule { return FeedbackRule{Count: 10, Ratio: 0.1} }

// slices10 are the results of the last ten seconds.
type slices10 struct {
	at         [feedbackSlices]int64 // number of the slice that a place holds
	bad, total [feedbackSlices]float64
}

// add counts the evidence of a second.
func (s *slices10) add(second int64, t *Tally) {
	bad := float64(t.BadPayers) + 0.5*float64(t.HalfPayers)
	total := float64(t.Good() + t.BadPayers + t.HalfPayers)
	if total == 0 {
		return
	}
	slice := second / sliceSeconds
	i := slice % feedbackSlices
	if s.at[i] != slice {
		s.at[i], s.bad[i], s.total[i] = slice, 0, 0
	}
	s.bad[i] += bad
	s.total[i] += total
}

// score is the negative feedback at a second, of 0 to FullFeedback: 10 − 10·bad/total in thousandths where the rule asks for
// it.
func (s *slices10) score(second int64, rule FeedbackRule) uint32 {
	bad, total := 0.0, 0.0
	for i, at := range s.at {
		if now := second / sliceSeconds; at > now-feedbackSlices && at <= now {
			bad += s.bad[i]
			total += s.total[i]
		}
	}
	if total == 0 || bad <= rule.Count && bad <= rule.Ratio*total {
		return FullFeedback
	}
	return uint32(FullFeedback*(1-bad/total) + 0.5)
}
