package monitor

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sluice-pay/sluice/statemachine"
)

// ErrFenced is returned by Exchange.Publish for a row whose claims another replica took over in the meantime: claim its
// attempts again, disown the lost ones, then publish what is left.
var ErrFenced = errors.New("another replica took over claims of this second")

// ErrClaim is wrapped by the error of ParseClaimHolder.
var ErrClaim = errors.New("a claim's value is damaged or foreign")

// TakeOverAfter is how many seconds after a second's end its claims may be taken over if its row was not published.
const TakeOverAfter = 3

// Claims settle which replica counts an attempt that several were told of. A replica claims the attempts of a closed
// second before it publishes them, takes out those it lost, and publishes the rest. All writes are idempotent.
type Claims interface {
	// Claim claims the attempts that this replica counted in a second, in the order in which they were counted; now is
	// the current second. Element i of the result answers claim i, also when there is an error: it says why some
	// are Unverified.
	Claim(ctx context.Context, second, now int64, claims []Claim) ([]ClaimAnswer, error)
}

// Claim is one result of an attempt that a replica counted.
type Claim struct {
	Attempt uint64 // fingerprint of the attempt id
	Stage   ClaimStage
	Outcome statemachine.Outcome
	Decided int64 // second of its decision, 0 = unknown
}

// ClaimStage is how far along its life an attempt is. Each stage is counted once.
type ClaimStage uint8

// The stages, in rising order: a later one is worth more.
const (
	StagePending ClaimStage = iota // accepted, not final
	StageResult                    // a provisional result
	StageFinal                     // a final result
)

// ClaimVerdict says whose a result is.
type ClaimVerdict uint8

// The verdicts.
const (
	Won        ClaimVerdict = iota // this replica counts it
	Lost                           // another replica counted it
	Held                           // another replica claimed it and has not published it yet: leave it out, ask again
	Unverified                     // could not be claimed: counted, and asked again
)

// String returns won, lost, held or unverified.
func (v ClaimVerdict) String() string {
	switch v {
	case Lost:
		return "lost"
	case Held:
		return "held"
	case Unverified:
		return "unverified"
	case Won:
	}
	return "won"
}

// ClaimAnswer answers one claim.
type ClaimAnswer struct {
	Verdict ClaimVerdict
	Known   bool                 // something of the attempt was claimed before: Prior and Final hold
	Prior   statemachine.Outcome // won: what this result corrects; lost and held: what the other replica counted
	Final   bool                 // lost and held: the other's result is final
	Settled bool                 // unverified: asking again will not tell more
}

// ClaimHolder is the value of a claim: who claimed what.
type ClaimHolder struct {
	Replica string
	Boot    uint64
	Second  int64
	Stage   ClaimStage
	Outcome statemachine.Outcome
}

// Append appends the value in a readable form that ParseClaimHolder reads: stage, outcome, second, boot, replica.
func (h ClaimHolder) Append(b []byte) []byte {
	b = strconv.AppendUint(b, uint64(h.Stage), 10)
	b = append(b, ' ')
	b = strconv.AppendUint(b, uint64(h.Outcome), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, h.Second, 10)
	b = append(b, ' ')
	b = strconv.AppendUint(b, h.Boot, 16)
	b = append(b, ' ')
	return append(b, h.Replica...)
}

// ParseClaimHolder is the inverse of ClaimHolder.Append. Its error wraps ErrClaim.
func ParseClaimHolder(text string) (ClaimHolder, error) {
	parts := strings.SplitN(text, " ", 5)
	if len(parts) != 5 {
		return ClaimHolder{}, fmt.Errorf("%w: %d parts, want 5", ErrClaim, len(parts))
	}
	stage, err1 := strconv.ParseUint(parts[0], 10, 8)
	outcome, err2 := strconv.ParseUint(parts[1], 10, 8)
	second, err3 := strconv.ParseInt(parts[2], 10, 64)
	boot, err4 := strconv.ParseUint(parts[3], 16, 64)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return ClaimHolder{}, fmt.Errorf("%w: %w", ErrClaim, err)
	}
	h := ClaimHolder{
		Replica: parts[4], Boot: boot, Second: second,
		Stage: ClaimStage(stage), Outcome: statemachine.Outcome(outcome),
	}
	if h.Stage > StageFinal || h.Outcome >= statemachine.NumOutcomes {
		return ClaimHolder{}, fmt.Errorf("%w: unknown stage or outcome", ErrClaim)
	}
	return h, nil
}
