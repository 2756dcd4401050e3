package demo

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"

	"github.com/sluice-pay/sluice/api/client"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// gateways report results as payment gateways do, by turns: each has a reporter of its own, which keeps results while nobody
// takes them.
type gateways struct {
	reporters []*client.Reporter
	turn      atomic.Uint64
}

func newGateways(sdk *client.Client, dir string) (*gateways, error) {
	g := &gateways{}
	for i := range gatewayCount {
		name := fmt.Sprintf("gateway-%d", i+1)
		r, err := sdk.Reporter(client.ReporterConfig{Name: name, File: filepath.Join(dir, name)})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		g.reporters = append(g.reporters, r)
	}
	return g, nil
}

// report hands over one result. What cannot be kept is counted and logged by the reporter.
func (g *gateways) report(ctx context.Context, r *sluicev1.Report) {
	_ = g.reporters[g.turn.Add(1)%uint64(len(g.reporters))].Report(ctx, r)
}
