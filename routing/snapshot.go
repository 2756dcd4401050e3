package routing

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// Why a snapshot is refused. Whoever holds an older one keeps it.
var (
	ErrSnapshotDamaged  = errors.New("the snapshot is damaged")
	ErrSnapshotForeign  = errors.New("the snapshot belongs to another environment")
	ErrSnapshotFeatures = errors.New("the snapshot needs features that this version does not know")
	ErrSnapshotBase     = errors.New("the change does not apply to the snapshot that is held")
)

// NewSnapshot returns the serialised input of a table: enough to decide without any service. now is when the table was last
// known to be current. The message shares the catalogue of the table's plan: it must not be changed.
func NewSnapshot(t *Table, environment string, now time.Time) *configv1.Snapshot {
	return &configv1.Snapshot{
		Environment: environment,
		Epoch:       t.rev.Epoch,
		Revision:    t.rev.Revision,
		WriteTime:   timestamppb.New(now),
		FeatureBits: features(t.plan.source.catalog),
		Catalog:     t.plan.source.withoutContacts(),
		States:      statesMessage(t.states),
		Scores:      ScoresMessage(t.scores),
		StaticOrder: t.plan.source.staticOrder(t.plan),
	}
}

// OpenSnapshot checks a snapshot and makes its table, which decides byte for byte as the one it was made from. prev, if given,
// is the plan of the table before: it is used again where the catalogue is the same. Errors wrap ErrSnapshotForeign,
// ErrSnapshotFeatures or ErrSnapshotDamaged.
func OpenSnapshot(s *configv1.Snapshot, environment string, prev *Plan) (*Table, error) {
	if err := CheckSnapshot(s, environment); err != nil {
		return nil, err
	}
	states, err := toStates(s.GetStates())
	if err != nil {
		return nil, err
	}
	scores, err := toScores(s.GetScores())
	if err != nil {
		return nil, err
	}
	plan := prev
	if prev == nil || !proto.Equal(prev.source.withoutContacts(), s.GetCatalog()) {
		if plan, err = CompilePlan(s.GetCatalog(), prev); err != nil {
			return nil, fmt.Errorf("%w: catalogue: %w", ErrSnapshotDamaged, err)
		}
	}
	return plan.Table(StampOf(s).Revision, states, scores), nil
}

// CheckSnapshot checks what can be checked without compiling: the environment, the features needed, and that nothing is
// missing. It is the cheap half of OpenSnapshot.
func CheckSnapshot(s *configv1.Snapshot, environment string) error {
	switch {
	case s.GetEnvironment() != environment:
		return fmt.Errorf("%w: it is of %q, want %q", ErrSnapshotForeign, s.GetEnvironment(), environment)
	case s.GetFeatureBits()&^KnownFeatures != 0:
		return fmt.Errorf("%w: bits %#x; update this program", ErrSnapshotFeatures, s.GetFeatureBits()&^KnownFeatures)
	case s.GetEpoch() == 0 || s.GetRevision() <= 0:
		return fmt.Errorf("%w: epoch %d, revision %d: want both above 0", ErrSnapshotDamaged, s.GetEpoch(), s.GetRevision())
	case s.GetWriteTime().CheckValid() != nil:
		return fmt.Errorf("%w: it has no valid write time", ErrSnapshotDamaged)
	case s.GetCatalog() == nil:
		return fmt.Errorf("%w: it has no catalogue", ErrSnapshotDamaged)
	}
	return nil
}

func statesMessage(states []statemachine.State) []*configv1.ScopeState {
	out := make([]*configv1.ScopeState, len(states))
	for i := range states {
		out[i] = statepb.FromState(states[i])
	}
	return out
}

// toStates reads states; they have to be sorted by scope, each scope once.
func toStates(list []*configv1.ScopeState) ([]statemachine.State, error) {
	out := make([]statemachine.State, len(list))
	for i, m := range list {
		s, err := statepb.ToState(m)
		if err != nil {
			return nil, fmt.Errorf("%w: states[%d]: %w", ErrSnapshotDamaged, i, err)
		}
		if i > 0 && out[i-1].Scope.Compare(s.Scope) >= 0 {
			return nil, fmt.Errorf("%w: states[%d]: %s does not follow %s in order", ErrSnapshotDamaged, i, s.Scope, out[i-1].Scope)
		}
		out[i] = s
	}
	return out, nil
}

// ScoresMessage serialises scores as they are published and as a snapshot has them: OpenScores reads them.
func ScoresMessage(sc *Scores) *configv1.Scores {
	if sc == nil {
		return nil
	}
	out := &configv1.Scores{Scores: make([]*configv1.Score, len(sc.Scores)), Second: sc.Second}
	for i := range sc.Scores {
		s := &sc.Scores[i]
		out.Scores[i] = &configv1.Score{
			Scope: statepb.FromScope(s.Item), SuccessRatePpm: uint32(s.SuccessRate), Feedback: s.Feedback,
			HeadroomPpm: uint32(s.Headroom), Frozen: s.Frozen, CommitmentPpm: uint32(s.Commitment),
			ResultTimeMs: s.ResultTimeMillis, Samples: s.Samples, DeviationPpm: uint32(s.Deviation),
		}
		if s.QuotaLeft != statemachine.FullShare {
			out.Scores[i].QuotaLeftPpm = new(uint32(s.QuotaLeft))
		}
	}
	return out
}

// OpenScores reads published scores as a snapshot's are read. Errors wrap ErrSnapshotDamaged.
func OpenScores(m *configv1.Scores) (*Scores, error) { return toScores(m) }

// toScores reads scores; they have to be sorted by item, each item once.
func toScores(m *configv1.Scores) (*Scores, error) {
	if m == nil {
		return nil, nil
	}
	out := &Scores{Scores: make([]Score, len(m.GetScores())), Second: m.GetSecond()}
	for i, s := range m.GetScores() {
		item, err := statepb.ToScope(s.GetScope())
		if err != nil {
			return nil, fmt.Errorf("%w: scores[%d]: %w", ErrSnapshotDamaged, i, err)
		}
		before := statemachine.Scope{} // an absent item does not follow it either
		if i > 0 {
			before = out.Scores[i-1].Item
		}
		if before.Compare(item) >= 0 {
			return nil, fmt.Errorf("%w: scores[%d]: %q does not follow %q in order", ErrSnapshotDamaged, i, item, before)
		}
		if max(s.GetSuccessRatePpm(), s.GetHeadroomPpm(), s.GetDeviationPpm(), s.GetCommitmentPpm(), s.GetQuotaLeftPpm()) > uint32(statemachine.FullShare) {
			return nil, fmt.Errorf("%w: scores[%d]: %s: a part of more than one", ErrSnapshotDamaged, i, item)
		}
		out.Scores[i] = Score{
			Item: item, SuccessRate: statemachine.Share(s.GetSuccessRatePpm()), Feedback: s.GetFeedback(),
			Headroom: statemachine.Share(s.GetHeadroomPpm()), Frozen: s.GetFrozen(),
			ResultTimeMillis: s.GetResultTimeMs(), Samples: s.GetSamples(), Deviation: statemachine.Share(s.GetDeviationPpm()),
			Commitment: statemachine.Share(s.GetCommitmentPpm()), QuotaLeft: statemachine.FullShare,
		}
		if s.QuotaLeftPpm != nil {
			out.Scores[i].QuotaLeft = statemachine.Share(s.GetQuotaLeftPpm())
		}
	}
	return out, nil
}

// sameScores reports whether two tables have the same scores.
func sameScores(a, b *Scores) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a == b || slices.Equal(a.Scores, b.Scores)
}
