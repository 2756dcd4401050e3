package demo

import (
	"context"
	"log/slog"
	"time"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

const (
	flushEvery  = 50 * time.Millisecond
	flushMost   = 500
	queueLength = 10_000
)

// gateways collects results and reports them in batches, as a payment gateway does.
type gateways struct {
	routing sluicev1.RoutingServiceClient
	logger  *slog.Logger
	queue   chan *sluicev1.Report
}

func newGateways(routing sluicev1.RoutingServiceClient, logger *slog.Logger) *gateways {
	return &gateways{routing: routing, logger: logger, queue: make(chan *sluicev1.Report, queueLength)}
}

// report queues one result.
func (g *gateways) report(r *sluicev1.Report) { g.queue <- r }

// run reports until ctx ends, then once more what is queued. A batch that could not be delivered is tried again: the
// attempt ids make that harmless.
func (g *gateways) run(ctx context.Context, reporter string) {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	var batch []*sluicev1.Report
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case r := <-g.queue:
			if batch = append(batch, r); len(batch) < flushMost {
				continue
			}
		case <-ticker.C:
		}
		if most := batch[:min(len(batch), flushMost)]; len(most) > 0 && g.send(context.WithoutCancel(ctx), reporter, most) {
			batch = batch[len(most):]
		}
	}
}

func (g *gateways) send(ctx context.Context, reporter string, batch []*sluicev1.Report) bool {
	ctx, cancel := context.WithTimeout(ctx, routeTimeout)
	defer cancel()
	reply, err := g.routing.ReportResults(ctx, &sluicev1.ReportResultsRequest{Reports: batch, Reporter: reporter})
	if err != nil {
		g.logger.Warn("results not delivered, trying again", slog.Int("reports", len(batch)), slog.Any("error", err))
		return false
	}
	for _, r := range reply.GetRejections() {
		g.logger.Warn("result rejected", slog.String("field", r.GetField()), slog.String("description", r.GetDescription()))
	}
	return true
}
