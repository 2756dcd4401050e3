package node

import (
	"bytes"
	"context"
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/server"
	"github.com/sluice-pay/sluice/statemachine"
)

// published are the scores in force, as stored and as read.
type published struct {
	stored []byte
	scores *routing.Scores // nil before the first
}

// readScores reads the scores of a view into p, if they are others than before. Damaged ones leave those before in force: they
// rank payments, and must not keep a change of state from coming into force.
func (p *published) readScores(view *monitor.View, logger *slog.Logger) {
	if view.Scores == nil || bytes.Equal(view.Scores, p.stored) {
		return
	}
	m := &configv1.Scores{}
	err := proto.Unmarshal(view.Scores, m)
	var scores *routing.Scores
	if err == nil {
		scores, err = routing.OpenScores(m)
	}
	if p.stored = view.Scores; err != nil {
		logger.Error("the published scores cannot be read: those before stay in force", slog.Any("error", err))
		return
	}
	p.scores = scores
}

// list returns the scores in force in the words of package monitor.
func (p *published) list() monitor.Scores {
	if p.scores == nil {
		return monitor.Scores{}
	}
	out := monitor.Scores{Second: p.scores.Second, List: make([]monitor.Score, len(p.scores.Scores))}
	for i := range p.scores.Scores {
		s := &p.scores.Scores[i]
		out.List[i] = monitor.Score{
			Item: s.Item, SuccessRate: s.SuccessRate, Deviation: s.Deviation, Samples: s.Samples, Feedback: s.Feedback, Headroom: s.Headroom,
			QuotaLeft: s.QuotaLeft, Commitment: s.Commitment, ResultTimeMillis: s.ResultTimeMillis, Frozen: s.Frozen,
		}
	}
	return out
}

// publishScores puts new scores beside head if this replica leads, they differ, and five seconds of results have come since
// the last. It comes after the changes of a Tick and never beside one: a Tick makes one attempt at the ledger.
func (n *Node) publishScores(ctx context.Context, now time.Time) {
	before := n.scores.list()
	second := n.scorer.Second()
	if n.cfg.Unscored || n.control.View().Leader == 0 || second < before.Second+monitor.ScoresEvery || second < n.scoredAt+monitor.ScoresEvery {
		return
	}
	n.scoredAt = second
	next, changed := n.scorer.Scores(monitor.Around{Fleet: n.fleet(now), Feedback: n.feedback.of, Quotas: n.quotas.Scores()}, before.List)
	if !changed {
		return
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(scoresMessage(next, second))
	if err == nil {
		var revision int64
		if revision, err = n.control.PublishScores(ctx, data, now); revision != 0 && err == nil {
			err = n.look(ctx, now)
		}
	}
	if err != nil { // the next come in five seconds
		n.cfg.Logger.Warn("the scores were not published", slog.Any("error", err))
	}
}

// feedbackRules are when channels get negative feedback, by channel; that of the default policy under the empty name.
type feedbackRules map[string]monitor.FeedbackRule

func newFeedbackRules(catalog *configv1.Catalog) feedbackRules {
	base := catalog.GetDefaultPolicy().GetFeedback()
	rules := feedbackRules{"": server.FeedbackRule(base)}
	for _, c := range catalog.GetChannels() {
		if own := c.GetPolicy().GetFeedback(); own != nil {
			rules[c.GetId()] = server.FeedbackRule(base, own)
		}
	}
	return rules
}

func (r feedbackRules) of(channel string) monitor.FeedbackRule {
	if rule, ok := r[channel]; ok {
		return rule
	}
	return r[""]
}

func scoresMessage(list []monitor.Score, second int64) *configv1.Scores {
	out := &configv1.Scores{Scores: make([]*configv1.Score, len(list)), Second: second}
	for i := range list {
		s := &list[i]
		out.Scores[i] = &configv1.Score{
			Scope: statepb.FromScope(s.Item), SuccessRatePpm: uint32(s.SuccessRate), Feedback: s.Feedback, HeadroomPpm: uint32(s.Headroom),
			Frozen: s.Frozen, ResultTimeMs: s.ResultTimeMillis, Samples: s.Samples, DeviationPpm: uint32(s.Deviation),
			CommitmentPpm: uint32(s.Commitment),
		}
		if s.QuotaLeft != statemachine.FullShare {
			out.Scores[i].QuotaLeftPpm = new(uint32(s.QuotaLeft))
		}
	}
	return out
}
