package simulate

import "context"

// Judge runs a prepared scenario without an event log, through the production node, and returns what the judge saw.
func Judge(ctx context.Context, p *Prepared) (*Summary, error) {
	return Run(ctx, p, nil, production)
}
