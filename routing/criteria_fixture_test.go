package routing

import (
	"slices"
	"testing"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// withStrategy gives the first route a strategy of these criteria.
func withStrategy(c *configv1.Catalog, criteria ...*configv1.Criterion) *configv1.Catalog {
	c.Strategies = []*configv1.Strategy{{Id: "s", Criteria: criteria}}
	c.GetRoutes()[0].Strategy = "s"
	return c
}

// level puts all members of the first route at one priority.
func level(c *configv1.Catalog) *configv1.Catalog {
	for _, m := range c.GetRoutes()[0].GetMembers() {
		m.Priority = 0
	}
	return c
}

// The criteria of tests, with the least that they need.
func feedback(step uint32) *configv1.Criterion {
	return &configv1.Criterion{Kind: &configv1.Criterion_Feedback{Feedback: &configv1.FeedbackCriterion{Step: step}}}
}

func successRate(step uint32, bounds ...uint32) *configv1.Criterion {
	return &configv1.Criterion{Kind: &configv1.Criterion_SuccessRate{SuccessRate: &configv1.SuccessRateCriterion{StepPpm: step, BoundsPpm: bounds}}}
}

func lowFee(step uint32) *configv1.Criterion {
	return &configv1.Criterion{Kind: &configv1.Criterion_Fee{Fee: &configv1.FeeCriterion{StepBasisPoints: step}}}
}

func greatWeight(step uint32) *configv1.Criterion {
	return &configv1.Criterion{Kind: &configv1.Criterion_Weight{Weight: &configv1.WeightCriterion{Step: step}}}
}

func priorityFirst() *configv1.Criterion {
	return &configv1.Criterion{Kind: &configv1.Criterion_Priority{Priority: &configv1.PriorityCriterion{}}}
}

func headroom(step uint32) *configv1.Criterion {
	return &configv1.Criterion{Kind: &configv1.Criterion_Headroom{Headroom: &configv1.HeadroomCriterion{StepPpm: step}}}
}

func expectedValue(points, step uint32) *configv1.Criterion {
	return &configv1.Criterion{Kind: &configv1.Criterion_ExpectedValue{
		ExpectedValue: &configv1.ExpectedValueCriterion{MarginBasisPoints: points, StepBasisPoints: step},
	}}
}

func percentages(generation uint32, parts ...*configv1.SplitPart) *configv1.Criterion {
	return &configv1.Criterion{Kind: &configv1.Criterion_Split{Split: &configv1.SplitCriterion{Generation: generation, Parts: parts}}}
}

// rated is the score of an item with a success rate in ppm, and nothing against it.
func rated(s statemachine.Scope, rate statemachine.Share, edit ...func(*Score)) Score {
	sc := Score{
		Item: s, SuccessRate: rate, Feedback: 10_000, Headroom: statemachine.FullShare, QuotaLeft: statemachine.FullShare,
		Samples: 1000, Deviation: 10_000,
	}
	for _, f := range edit {
		f(&sc)
	}
	return sc
}

// scores sorts scores.
func scores(list ...Score) *Scores {
	slices.SortFunc(list, func(a, b Score) int { return a.Item.Compare(b.Item) })
	return &Scores{Scores: list}
}

// scoredTable is the table of a catalogue with these scores of channels.
func scoredTable(tb testing.TB, c *configv1.Catalog, list ...Score) *Table {
	tb.Helper()
	return mustPlan(tb, c).Table(Revision{1, 100}, nil, scores(list...))
}
