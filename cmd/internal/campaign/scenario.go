package campaign

import (
	"time"

	"github.com/sluice-pay/sluice/cmd/internal/bankmix"
	"github.com/sluice-pay/sluice/cmd/internal/simulate"
	"github.com/sluice-pay/sluice/statemachine"
)

// What every trace has.
const (
	day      = 24 * time.Hour
	gateways = 4
	declines = 0.12 // by the payer's side, mean over the banks
	abandon  = 0.02
	payers   = 20000 // of a merchant at a bank
)

// Trace is a unit's scenario with the script that broke it.
type Trace struct {
	Unit     Unit
	Scenario *simulate.Scenario
	Events   []Event // faults and traps, in order of time
}

// Scenario makes the trace of a unit: the same unit gives the same trace.
func Scenario(u Unit) (*Trace, error) {
	class, err := ClassOf(u.Class)
	if err != nil {
		return nil, err
	}
	return newTrace(u, class, day)
}

func newTrace(u Unit, class Class, duration time.Duration) (*Trace, error) {
	mix, err := topBanks()
	if err != nil {
		return nil, err
	}
	catalog, err := Catalog()
	if err != nil {
		return nil, err
	}
	s := &simulate.Scenario{
		Name: u.String(), Seed: u.seed(), Start: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC), Duration: duration,
		Replicas: 1, Gateways: gateways, Catalog: catalog, Reroute: simulate.Reroute{MaxAttempts: 1},
		Reports: simulate.Reports{Delay: simulate.NewSpread(50*time.Millisecond, 200*time.Millisecond)},
	}
	s.Traffic = streams(mix, class.Rate)
	s.Truth = baselines(mix)
	script := newScript(u.seed(), mix, duration)
	if class.Healthy {
		script.calm()
	} else {
		script.trial()
	}
	s.Truth = append(s.Truth, script.truth...)
	s.Index()
	return &Trace{Unit: u, Scenario: s, Events: script.events}, nil
}

// streams are a stream for each bank and merchant: a day's curve, and a busy minute at the end of each hour.
func streams(mix bankmix.Mix, rate float64) []simulate.Stream {
	shape := simulate.Shape{
		Kind: simulate.ShapeDay, Amplitude: 0.8, Peak: 14 * time.Hour, Every: time.Hour, Length: time.Minute, Factor: 3,
	}
	var out []simulate.Stream
	for _, b := range mix {
		for _, m := range merchants() {
			out = append(out, simulate.Stream{
				Business:   statemachine.Collect,
				Instrument: statemachine.Instrument{Method: method, Bank: b.ID, CardType: "DEBIT"},
				Merchant:   m.id, Entity: entity, Amount: 12_000, Currency: currency, Tier: "STANDARD", Payers: payers,
				Rate: rate * mix.Share(b.ID) * m.part, Abandon: abandon, Shape: shape,
			})
		}
	}
	return out
}

// baselines are what attempts meet while all is well: the channel's own rate of failures and everybody's declines, both
// more or less by the bank's published figures.
func baselines(mix bankmix.Mix) []simulate.Truth {
	declined, failed := 0.0, 0.0
	for _, b := range mix {
		declined += b.Declined * mix.Share(b.ID)
		failed += b.Failed * mix.Share(b.ID)
	}
	var out []simulate.Truth
	for _, ch := range channels() {
		for _, b := range mix {
			t := entry(simulate.Selector{Channel: ch.id, Bank: b.ID})
			bad := ch.bad * between(0.6, b.Failed/failed, 1.8)
			t.HasOutcomes = true
			t.Outcomes[statemachine.ChannelFailed] = 0.7 * bad
			t.Outcomes[statemachine.NetworkFailed] = 0.15 * bad
			t.Outcomes[statemachine.TimedOut] = 0.15 * bad
			t.Outcomes[statemachine.UserDeclined] = declines * between(0.5, b.Declined/declined, 2)
			t.Outcomes[statemachine.Succeeded] = 1 - bad - t.Outcomes[statemachine.UserDeclined]
			t.Latency, t.Takes = latency()
			out = append(out, t)
		}
	}
	return out
}

// entry is a truth that lasts for the whole run.
func entry(of simulate.Selector) simulate.Truth {
	return simulate.Truth{To: day, Selector: of, Otherwise: statemachine.ChannelFailed}
}

// latency is 0.3 to 1.2 s where the channel answers with an agreement or a decline, 0.1 to 0.5 s for a failure, 10 s for
// silence.
func latency() (*simulate.Spread, *[statemachine.NumOutcomes]simulate.Spread) {
	well, failed := simulate.NewSpread(600*time.Millisecond, 1200*time.Millisecond), simulate.NewSpread(220*time.Millisecond, 500*time.Millisecond)
	var takes [statemachine.NumOutcomes]simulate.Spread
	takes[statemachine.ChannelFailed], takes[statemachine.NetworkFailed], takes[statemachine.AccountFailed] = failed, failed, failed
	takes[statemachine.TimedOut] = simulate.NewSpread(10*time.Second, 10*time.Second)
	return &well, &takes
}

func between(low, x, high float64) float64 { return min(max(x, low), high) }
