package monitor

// ClaimSlot is one of the places an attempt's claims are kept in. Who sets a slot first has it. Nearly every attempt
// needs the first slot alone: its only result.
type ClaimSlot uint8

// The slots.
const (
	SlotFirst  ClaimSlot = iota // the first thing that was reported of the attempt
	SlotResult                  // the first result after a PENDING
	SlotFinal                   // the final result after a provisional one
)

// ClaimWalk is the way of one claim through the slots of its attempt; a store moves it by what it finds there. Since each
// slot is given out by one atomic step, two replicas never both count the same stage of an attempt.
type ClaimWalk struct {
	Slot   ClaimSlot // the slot to try, while not Done
	Answer ClaimAnswer
	Done   bool
	stage  ClaimStage
}

// Walk starts the way of a claim.
func Walk(c Claim) ClaimWalk { return ClaimWalk{stage: c.Stage} }

// Set tells that the slot was free, or was taken over, and holds this claim now.
func (w *ClaimWalk) Set() { w.Done, w.Answer.Verdict = true, Won }

// Own tells that an earlier claim of this replica's life holds the slot.
func (w *ClaimWalk) Own(h ClaimHolder) {
	switch {
	case h.Stage < w.stage:
		w.pass(h)
	case h.Stage > w.stage && w.Answer.Known: // a later result of ours, claimed before this one, corrected the other's for both
		w.lose(h)
	default: // this very claim, whose answer was lost; or a later one, which corrects this one
		w.Set()
	}
}

// Published tells that another replica holds the slot and has published it.
func (w *ClaimWalk) Published(h ClaimHolder) {
	if h.Stage >= w.stage {
		w.lose(h)
		return
	}
	w.pass(h)
}

// Unpublished tells that another replica holds the slot and has not published it, for too short a time to take it over.
func (w *ClaimWalk) Unpublished(h ClaimHolder) {
	w.Done, w.Answer = true, ClaimAnswer{Verdict: Held, Known: true, Prior: h.Outcome, Final: h.Stage == StageFinal}
}

func (w *ClaimWalk) lose(h ClaimHolder) {
	w.Done, w.Answer = true, ClaimAnswer{Verdict: Lost, Known: true, Prior: h.Outcome, Final: h.Stage == StageFinal}
}

// Fail tells that the store could not say.
func (w *ClaimWalk) Fail() { w.Done, w.Answer = true, ClaimAnswer{Verdict: Unverified} }

// pass goes on to the next slot past an earlier stage of the attempt.
func (w *ClaimWalk) pass(h ClaimHolder) {
	w.Answer.Known, w.Answer.Prior = true, h.Outcome
	if h.Stage == StagePending {
		w.Slot = SlotResult
		return
	}
	w.Slot = SlotFinal
}

// TakeOver reports whether an unpublished claim of the holder may be taken over at the second now.
func (h ClaimHolder) TakeOver(now int64) bool { return now-h.Second > TakeOverAfter }
