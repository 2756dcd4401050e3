package simulate

import (
	"context"

	"github.com/sluice-pay/sluice/monitor"
)

// handover is the exchange of a replica that is alone in a world without faults of the control plane: it hands its rows
// back as they are. Nobody else reads them, so they need neither be packed nor kept.
type handover struct {
	rows [8]*monitor.Row // by second
}

// Publish implements monitor.Exchange.
func (h *handover) Publish(_ context.Context, r *monitor.Row) error {
	*h.place(r.Counts.Second) = r
	return nil
}

// Read implements monitor.Exchange.
func (h *handover) Read(_ context.Context, second int64) ([]*monitor.Row, error) {
	if r := *h.place(second); r != nil && r.Counts.Second == second {
		return []*monitor.Row{r}, nil
	}
	return nil, nil
}

func (h *handover) place(second int64) **monitor.Row {
	return &h.rows[uint64(second)%uint64(len(h.rows))] //nolint:gosec // after 1970
}

// forgetful is a ledger that takes no checkpoints: nobody will ever restart from them.
type forgetful struct{ monitor.Ledger }

// alone reports whether a run has one replica, which nothing befalls.
func (p *Prepared) alone() bool { return p.Scenario.Replicas == 1 && len(p.Scenario.Faults) == 0 }
