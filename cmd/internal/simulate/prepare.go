package simulate

import (
	"errors"
	"fmt"
	"math"

	"github.com/cespare/xxhash/v2"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/monitor"
)

// Options are what the command line adds to a scenario.
type Options struct {
	Seed     *uint64           // replaces the scenario's seed
	Catalog  *configv1.Catalog // where the scenario has none; both is an error
	Policy   *configv1.Policy  // replaces the catalogue's default policy
	Payments bool              // write a line for every payment
	Recorder Recorder          // is told what the replicas see and do; nil = nobody
	Without  monitor.Without   // guards that are left out
}

// Errors of Prepare.
var (
	ErrNoCatalog   = fmt.Errorf("%w: no catalogue in the scenario and none named", ErrScenario)
	ErrTwoCatalogs = fmt.Errorf("%w: the scenario has a catalogue of its own and another is named", ErrScenario)
)

// Recorder is told every sealed second and every change of a run, in order.
type Recorder interface {
	Second(sum *monitor.SecondCounts, view *monitor.View)
	Entry(e *monitor.JournalEntry, view *monitor.View)
}

// Prepared is a scenario with the catalogue it runs on, checked against each other.
type Prepared struct {
	Scenario *Scenario
	Catalog  *configv1.Catalog
	Seed     uint64
	Payments bool
	Recorder Recorder
	Without  monitor.Without

	known *contracts
	cells []cell
	ways  [][]int // cells by stream
}

// Prepare joins a scenario with its catalogue and policy and checks every name.
func Prepare(s *Scenario, o Options) (*Prepared, error) {
	p := &Prepared{Scenario: s, Catalog: s.Catalog, Seed: s.Seed, Payments: o.Payments, Recorder: o.Recorder, Without: o.Without}
	switch {
	case s.Catalog == nil && o.Catalog == nil:
		return nil, ErrNoCatalog
	case s.Catalog != nil && o.Catalog != nil:
		return nil, ErrTwoCatalogs
	case o.Catalog != nil:
		p.Catalog = o.Catalog
	}
	if o.Seed != nil {
		p.Seed = *o.Seed
	}
	if o.Policy != nil {
		c, ok := proto.Clone(p.Catalog).(*configv1.Catalog)
		if !ok {
			return nil, errors.New("clone the catalogue: unexpected type")
		}
		c.DefaultPolicy = o.Policy
		p.Catalog = c
	}
	p.known = newContracts(p.Catalog)
	if err := references(s, p.known).sorted(); err != nil {
		return nil, err
	}
	for i := range s.Traffic {
		var ids []int
		for _, c := range p.known.cellsOf(s, i) {
			c.id = len(p.cells)
			ids = append(ids, c.id)
			p.cells = append(p.cells, c)
		}
		p.ways = append(p.ways, ids)
	}
	return p, nil
}

// cell returns the way of a stream over a channel and account, nil if the catalogue has none.
func (p *Prepared) cell(stream int, channel, account string) *cell {
	for _, id := range p.ways[stream] {
		if c := &p.cells[id]; c.channel == channel && c.account == account {
			return c
		}
	}
	return nil
}

func hash32(s string) uint64 {
	return xxhash.Sum64String(s) & math.MaxUint32
}
