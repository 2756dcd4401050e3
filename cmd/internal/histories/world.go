package main

import (
	"fmt"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/routing/catalogfile"
	"github.com/sluice-pay/sluice/server"
	"github.com/sluice-pay/sluice/statemachine"
)

// catalog has four channels for two entities. Codes: 00 paid, 91 failed, 51 declined, 52 declined but reroutable, 99 unknown.
const catalog = `name: histories
entities: [{id: e-1}, {id: e-2}]
code_tables:
  - id: codes
    codes:
      - {code: "00", outcome: SUCCEEDED}
      - {code: "91", outcome: CHANNEL_FAILED}
      - {code: "51", outcome: USER_DECLINED}
      - {code: "52", outcome: USER_DECLINED, final: false}
      - {code: "93", outcome: PENDING}
channels:
  - id: a
    provider: a
    business_types: [COLLECT, PAYOUT, DEDUCT, REFUND]
    instruments: [{method: BALANCE}]
    accounts: [{id: main, entity: e-1}, {id: second, entity: e-1}, {id: theirs, entity: e-2}]
    currencies: [CNY]
    code_table: codes
  - id: b
    provider: b
    business_types: [COLLECT, PAYOUT, DEDUCT, REFUND]
    instruments: [{method: BALANCE}]
    accounts: [{id: main, entity: e-1}, {id: theirs, entity: e-2}]
    currencies: [CNY]
    code_table: codes
  - id: c
    provider: c
    business_types: [COLLECT, PAYOUT, DEDUCT, REFUND]
    instruments: [{method: BALANCE}]
    accounts: [{id: main, entity: e-1}, {id: theirs, entity: e-2}]
    currencies: [CNY]
    requires_enrolment: [DEDUCT]
  - id: d
    provider: d
    business_types: [COLLECT, PAYOUT, DEDUCT, REFUND]
    instruments: [{method: BALANCE}]
    accounts: [{id: main, entity: e-1}]
    currencies: [CNY]
    code_table: codes
routes:
  - {id: collect, business_type: COLLECT, method: BALANCE, max_attempts: 4, members: [{channel: a}, {channel: b}, {channel: c}, {channel: d, priority: 1}]}
  - {id: payout, business_type: PAYOUT, method: BALANCE, members: [{channel: a}, {channel: b}, {channel: c, priority: 1}, {channel: d, priority: 2}]}
  - {id: deduct, business_type: DEDUCT, method: BALANCE, members: [{channel: c}, {channel: b, priority: 1}, {channel: a, priority: 2}]}
`

// replica is what of one server decides and remembers.
type replica struct {
	router   *routing.Router
	memory   *routing.Memory
	counters *monitor.Counters
	ingest   *server.Ingest
	table    int // that is in force
}

// world is two replicas and the tables that may be in force. It is used by one goroutine.
type world struct {
	replicas [2]replica
	tables   []*routing.Table
	plan     *routing.Plan
	second   int64
	played   int64

	random   random
	decision routing.Decision
	request  routing.Request
	report   sluicev1.Report
	h        history
}

func newWorld() (*world, error) {
	c, err := catalogfile.Parse("histories.yaml", []byte(catalog))
	if err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	plan, err := routing.CompilePlan(c, nil)
	if err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	w := &world{plan: plan, second: 1_800_000_000}
	for i, states := range statesOfTables() {
		w.tables = append(w.tables, plan.Table(routing.Revision{Epoch: 1, Revision: int64(i + 1)}, states, nil))
	}
	for i := range w.replicas {
		r := &w.replicas[i]
		r.router, r.memory = routing.NewRouter(), routing.NewMemory(routing.MemoryOptions{Doubts: 1 << 12, Recent: 1 << 13})
		r.counters = monitor.NewCounters(monitor.CountersOptions{DuplicateSlots: 1 << 12, PayerSlots: 1 << 8})
		if err := r.counters.SetItems(plan.Items()); err != nil {
			return nil, fmt.Errorf("counters: %w", err)
		}
		r.router.Swap(w.tables[0])
		r.ingest = server.NewIngest(r.router, r.counters).Remember(r.memory)
	}
	return w, nil
}

// swap puts a table in force on a replica.
func (w *world) swap(k, table int) {
	if r := &w.replicas[k]; r.table != table {
		r.table = table
		r.router.Swap(w.tables[table])
	}
}

// statesOfTables are the fleets the replicas may see: well, ramping, with channels off, probing and suspended.
func statesOfTables() [][]statemachine.State {
	in := func(s statemachine.Scope, p statemachine.Phase, share statemachine.Share) statemachine.State {
		st := statemachine.NewState(s)
		st.Phase, st.Share, st.Generation = p, share, 1
		return st
	}
	a, b, d := statemachine.ChannelScope("a"), statemachine.ChannelScope("b"), statemachine.ChannelScope("d")
	return [][]statemachine.State{
		nil,
		{in(a, statemachine.Disabled, 0)},
		{in(a, statemachine.Ramping, 300_000), in(b, statemachine.Ramping, 50_000)},
		{in(a, statemachine.Disabled, 0), in(b, statemachine.Disabled, 0), in(d, statemachine.Probing, 0)},
		{in(statemachine.AccountScope("a", "main"), statemachine.Disabled, 0)},
	}
}

// random is SplitMix64: small, and the same everywhere.
type random struct{ state uint64 }

func (r *random) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// upTo draws 0 to n-1.
func (r *random) upTo(n int) int { return int(r.next() % uint64(n)) } //nolint:gosec // small

// in draws true in so many of a hundred.
func (r *random) in(percent int) bool { return r.upTo(100) < percent }

// businessMessage is the business type of a report.
func businessMessage(b statemachine.BusinessType) configv1.BusinessType {
	return configv1.BusinessType(b)
}
