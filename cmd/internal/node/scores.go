package node

import (
	"bytes"
	"context"
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/server"
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

// second is the newest second behind the scores in force, 0 without any.
func (p *published) second() int64 {
	if p.scores == nil {
		return 0
	}
	return p.scores.Second
}

// list returns the scores in force in the words of package monitor.
func (p *published) list() monitor.Scores {
	if p.scores == nil {
		return monitor.Scores{}
	}
	out := monitor.Scores{Second: p.scores.Second, List: make([]monitor.Score, len(p.scores.Scores))}
	for i := range p.scores.Scores {
		out.List[i] = monitor.Score(p.scores.Scores[i])
	}
	return out
}

// publishScores puts new scores beside head if this replica leads, they differ, and five seconds of results have come since
// the last. It comes after the changes of a Tick and never beside one: a Tick makes one attempt at the ledger.
func (n *Node) publishScores(ctx context.Context, now time.Time) {
	second := n.scorer.Second()
	if n.cfg.Unscored || n.control.View().Leader == 0 || second < n.scores.second()+monitor.ScoresEvery || second < n.scoredAt+monitor.ScoresEvery {
		return
	}
	n.scoredAt = second
	next, changed := n.scorer.Scores(monitor.Around{Fleet: n.fleet(now), Feedback: n.feedback.of, Quotas: n.quotas.Scores()}, n.scores.list().List)
	if !changed {
		return
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(routing.ScoresMessage(ranked(next, second)))
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

// ranked returns scores in the words of package routing.
func ranked(list []monitor.Score, second int64) *routing.Scores {
	out := &routing.Scores{Scores: make([]routing.Score, len(list)), Second: second}
	for i := range list {
		out.Scores[i] = routing.Score(list[i])
	}
	return out
}
