package campaign

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sluice-pay/sluice/cmd/internal/bankmix"
	"github.com/sluice-pay/sluice/cmd/internal/simulate"
	"github.com/sluice-pay/sluice/statemachine"
)

// Event is one fault, which is labelled, or one trap, which must not be cut.
type Event struct {
	Label    string // kind/number
	Kind     string
	Trap     bool
	From, To time.Duration
	Channel  string // empty = all of them
}

// kind is a kind of event: how long it lasts, and how it breaks what it breaks.
type kind struct {
	name  string
	lasts time.Duration
	trap  bool
	strew func(*script, *Event)
}

// kinds are the rotation: every kind comes once before any comes again.
func kinds() []kind {
	return []kind{
		{"hard", 5 * time.Minute, false, (*script).hard},
		{"half", 8 * time.Minute, false, part(0.50)},
		{"part20", 15 * time.Minute, false, part(0.20)},
		{"part10", 20 * time.Minute, false, part(0.10)},
		{"part5", 30 * time.Minute, false, part(0.05)},
		{"bank", 10 * time.Minute, false, (*script).bank},
		{"account", 10 * time.Minute, false, (*script).account},
		{"hanging", 8 * time.Minute, false, (*script).hanging},
		{"flapping", 8 * time.Minute, false, (*script).flapping},
		{"relapse", 9 * time.Minute, false, (*script).relapse},
		{"common", 2 * time.Minute, true, (*script).common},
		{"declines", 5 * time.Minute, true, (*script).declineBurst},
		{"bank-down", 6 * time.Minute, true, (*script).bankDown},
		{"gateway", 5 * time.Minute, true, (*script).gateway},
		{"staggered", 2 * time.Minute, true, (*script).staggered},
	}
}

// Kinds lists the names of all kinds, faults first, and which of them are traps.
func Kinds() (names []string, traps map[string]bool) {
	traps = map[string]bool{}
	for _, k := range kinds() {
		names = append(names, k.name)
		traps[k.name] = k.trap
	}
	return names, traps
}

// script writes the truth of a trace beyond its baselines.
type script struct {
	rng      *rand.Rand
	mix      bankmix.Mix
	duration time.Duration
	truth    []simulate.Truth
	events   []Event
	numbers  map[string]int
}

// warmUp is how long nothing breaks at the start of a day: the node is as new as the day.
const warmUp = time.Hour

func newScript(seed uint64, mix bankmix.Mix, duration time.Duration) *script {
	src := rand.NewPCG(seed, 0x5c121)
	return &script{rng: rand.New(src), mix: mix, duration: duration, numbers: map[string]int{}} //nolint:gosec // a trace must be repeatable
}

// trial breaks something every 20 to 30 minutes, later only where the one before has lasted longer.
func (s *script) trial() {
	s.anger()
	at := warmUp
	for {
		all := kinds()
		s.rng.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
		for _, k := range all {
			if at+k.lasts > s.duration-5*time.Minute {
				return
			}
			next := at + s.about(25*time.Minute, 5*time.Minute)
			s.happen(k, at)
			at = max(next, at+k.lasts+s.about(10*time.Minute, 2*time.Minute))
		}
	}
}

// calm breaks nothing: payers in anger, and a burst of declines every two hours.
func (s *script) calm() {
	s.anger()
	for at := warmUp + s.about(time.Hour, 30*time.Minute); at < s.duration-10*time.Minute; at += s.about(2*time.Hour, 30*time.Minute) {
		s.happen(kind{"declines", 5 * time.Minute, true, (*script).declineBurst}, at)
	}
}

// anger is a payer every half an hour or so who fails eight times in 20 s.
func (s *script) anger() {
	for at := s.about(20*time.Minute, 10*time.Minute); at < s.duration-time.Minute; at += s.about(30*time.Minute, 10*time.Minute) {
		t := entry(simulate.Selector{Channel: s.channel()})
		t.From, t.To = at, at+time.Minute
		t.Burst = &simulate.Burst{Failures: 8, Over: 20 * time.Second}
		s.truth = append(s.truth, t)
	}
}

func (s *script) happen(k kind, at time.Duration) {
	s.numbers[k.name]++
	e := Event{Label: fmt.Sprintf("%s/%d", k.name, s.numbers[k.name]), Kind: k.name, Trap: k.trap, From: at, To: at + k.lasts}
	k.strew(s, &e)
	s.events = append(s.events, e)
}

// about draws a whole number of milliseconds around a mean.
func (s *script) about(mean, spread time.Duration) time.Duration {
	return (mean + time.Duration((2*s.rng.Float64()-1)*float64(spread))).Truncate(time.Millisecond)
}

func (s *script) channel() string {
	all := channels()
	return all[s.rng.IntN(len(all))].id
}

// add writes an entry of an event; a trap has no label.
func (s *script) add(e *Event, from, to time.Duration, of simulate.Selector, change func(*simulate.Truth)) {
	t := entry(of)
	t.From, t.To = from, to
	if !e.Trap {
		t.Incident = e.Label
	}
	t.Latency, t.Takes = latency()
	change(&t)
	s.truth = append(s.truth, t)
}

// fails makes an entry fail with an outcome at a rate; declines keep their part of the rest.
func fails(o statemachine.Outcome, rate float64, reason string) func(*simulate.Truth) {
	return func(t *simulate.Truth) {
		t.HasOutcomes, t.Reason = true, reason
		t.Outcomes[o] = rate
		t.Outcomes[statemachine.UserDeclined] = declines * (1 - rate)
		t.Outcomes[statemachine.Succeeded] = (1 - declines) * (1 - rate)
	}
}

// turn alternates between two outcomes by the event's number, from the day's first on.
func (s *script) turn(e *Event, odd, even statemachine.Outcome) statemachine.Outcome {
	if s.numbers[e.Kind]%2 == 1 {
		return odd
	}
	return even
}

func (s *script) whole(e *Event) simulate.Selector {
	e.Channel = s.channel()
	return simulate.Selector{Channel: e.Channel}
}

// hard is a channel where everything fails, with a code and without in turn.
func (s *script) hard(e *Event) {
	s.add(e, e.From, e.To, s.whole(e), fails(s.turn(e, statemachine.ChannelFailed, statemachine.NetworkFailed), 1, "SYSTEM_ERROR"))
}

// part is a channel where a part fails beyond its usual failures.
func part(rate float64) func(*script, *Event) {
	return func(s *script, e *Event) {
		s.add(e, e.From, e.To, s.whole(e), func(t *simulate.Truth) {
			t.Factor, t.Reason = 1-rate/(1-declines), "SYSTEM_BUSY"
			t.Latency, t.Takes = nil, nil
		})
	}
}

// bank is a bank that is down behind one channel.
func (s *script) bank(e *Event) {
	of := s.whole(e)
	of.Bank = s.mix[s.rng.IntN(len(s.mix))].ID
	s.add(e, e.From, e.To, of, fails(statemachine.ChannelFailed, 0.9, "BANK_SYSTEM_ERROR"))
}

// account is a merchant's contract that fails on one channel: said so, or not, in turn.
func (s *script) account(e *Event) {
	of := s.whole(e)
	all := merchants()
	of.Account = accountOf(of.Channel, all[s.rng.IntN(len(all))].id)
	s.add(e, e.From, e.To, of, fails(s.turn(e, statemachine.AccountFailed, statemachine.ChannelFailed), 0.9, "ACCOUNT_ERROR"))
}

// hanging is a channel that takes every payment and never answers.
func (s *script) hanging(e *Event) {
	s.add(e, e.From, e.To, s.whole(e), fails(statemachine.TimedOut, 1, ""))
}

// flapping is a channel that is down for 20 s and well for 20 s.
func (s *script) flapping(e *Event) {
	const phase = 20 * time.Second
	of := s.whole(e)
	for at := e.From; at < e.To; at += 2 * phase {
		s.add(e, at, at+phase, of, fails(statemachine.ChannelFailed, 1, "SYSTEM_ERROR"))
	}
	e.To -= phase
}

// relapse is a channel that is down for 5 minutes, well for one, and down for 3 more.
func (s *script) relapse(e *Event) {
	of := s.whole(e)
	s.add(e, e.From, e.From+5*time.Minute, of, fails(statemachine.ChannelFailed, 1, "SYSTEM_ERROR"))
	s.add(e, e.From+6*time.Minute, e.To, of, fails(statemachine.ChannelFailed, 1, "SYSTEM_ERROR"))
}

// common is our own network: every channel fails alike.
func (s *script) common(e *Event) {
	s.add(e, e.From, e.To, simulate.Selector{}, func(t *simulate.Truth) {
		fails(statemachine.NetworkFailed, 0.7, "")(t)
		t.CommonMode = true
	})
}

// staggered is our own network again, channel by channel: half of them at once, all of them within 5 s.
func (s *script) staggered(e *Event) {
	all := channels()
	s.rng.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	for i, ch := range all {
		late := 5 * float64(max(0, i+1-len(all)/2)) / float64(len(all)-len(all)/2)
		s.add(e, e.From+time.Duration(late*float64(time.Second)), e.To, simulate.Selector{Channel: ch.id}, func(t *simulate.Truth) {
			fails(statemachine.NetworkFailed, 0.7, "")(t)
			t.CommonMode = true
		})
	}
}

// declineBurst is payers who are refused on one channel: the channel answers.
func (s *script) declineBurst(e *Event) {
	s.add(e, e.From, e.To, s.whole(e), func(t *simulate.Truth) {
		t.HasOutcomes = true
		t.Outcomes[statemachine.UserDeclined], t.Outcomes[statemachine.Succeeded] = 0.6, 0.4
	})
}

// bankDown is a bank that is down behind every channel: no channel is at fault.
func (s *script) bankDown(e *Event) {
	b := s.mix[s.rng.IntN(len(s.mix))].ID
	s.add(e, e.From, e.To, simulate.Selector{Bank: b}, fails(statemachine.ChannelFailed, 0.9, "BANK_SYSTEM_ERROR"))
}

// gateway is one of our own instances that reaches nobody.
func (s *script) gateway(e *Event) {
	s.add(e, e.From, e.To, simulate.Selector{Gateway: 1 + s.rng.IntN(gateways)}, fails(statemachine.NetworkFailed, 1, ""))
}
