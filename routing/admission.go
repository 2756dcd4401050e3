package routing

import "github.com/sluice-pay/sluice/statemachine"

// Admission is what live counters said about the ranked candidates of a decision. With it the decision can be made again.
type Admission struct {
	Vetoed          uint64                   // bit i: the i-th ranked candidate was not admitted
	Reasons         [vetoReasonPlanes]uint64 // bit i of plane k is bit k of the VetoReason of candidate i
	Lifted          int8                     // index of the candidate that a probe lifted to first place, -1 = none
	MerchantLimited bool                     // the merchant is above its rate: the payment as a whole was refused
}

// VetoReason says which live counter vetoed a candidate.
type VetoReason uint8

// The reasons of a veto. The numbers are part of decision ids.
const (
	VetoState       VetoReason = 0 // the gate of its state: a ramp's share, or no probe token
	VetoRate        VetoReason = 1 // payments per second of the channel, the account or their pool
	VetoConcurrency VetoReason = 2 // payments under way on them
	VetoQuota       VetoReason = 3 // a hard quota of them is used up
	VetoThrottle    VetoReason = 4 // it asked for fewer payments
	numVetoReasons  VetoReason = 5

	vetoReasonPlanes = 3
)

// drop is what becomes of a healthy candidate that is vetoed for a reason.
func (v VetoReason) drop() DropReason {
	switch v {
	case VetoConcurrency:
		return DropConcurrencyLimited
	case VetoQuota:
		return DropQuotaExhausted
	case VetoThrottle:
		return DropThrottled
	case VetoState, VetoRate, numVetoReasons, admitted:
	}
	return DropRateLimited
}

// Veto vetoes the i-th ranked candidate for a reason.
func (a *Admission) Veto(i int, why VetoReason) {
	bit := uint64(1) << i
	a.Vetoed |= bit
	for k := range a.Reasons {
		a.Reasons[k] &^= bit
		if why>>k&1 != 0 {
			a.Reasons[k] |= bit
		}
	}
}

// Why returns the reason of the i-th candidate's veto; VetoState if it has none.
func (a *Admission) Why(i int) VetoReason {
	v := VetoReason(0)
	for k := range a.Reasons {
		v |= VetoReason(a.Reasons[k]>>i&1) << k
	}
	return v
}

// reasoned reports whether an admission says more than vetoes of states.
func (a *Admission) reasoned() bool {
	return a.MerchantLimited || a.Reasons != [vetoReasonPlanes]uint64{}
}

// bounded leaves out of an admission what the ranking does not have, so that equal decisions have equal ids: bits beyond the
// candidates, reasons of candidates that were not vetoed, and numbers that are no reason.
func (rk *Ranking) bounded(a Admission) Admission {
	if rk.ranked < MaxCandidates {
		a.Vetoed &= 1<<rk.ranked - 1
	}
	if a.reasoned() {
		a.boundReasons()
		a.MerchantLimited = a.MerchantLimited && rk.decided < 0 && rk.refusal == RefusalNone
	}
	if a.Lifted < 0 || int(a.Lifted) >= rk.ranked || rk.list[a.Lifted].phase == statemachine.Disabled {
		a.Lifted = -1
	}
	return a
}

// boundReasons clears reasons that mean nothing: 5, 6 and 7 are none.
func (a *Admission) boundReasons() {
	none := a.Reasons[2] & (a.Reasons[0] | a.Reasons[1])
	for k := range a.Reasons {
		a.Reasons[k] &= a.Vetoed &^ none
	}
}
