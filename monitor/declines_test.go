package monitor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// paying is the traffic of one bank and account on one channel.
type paying struct {
	channel, bank, account string
	rate, declines         float64
}

// declineWorld draws seconds of traffic. change may alter the traffic of a second; nil = never.
type declineWorld struct {
	rng     *rand.Rand
	traffic []paying
	change  func(second int64, p paying) paying
	items   map[statemachine.Scope]*ItemCounts
}

func newDeclineWorld(seed uint64, traffic []paying) *declineWorld {
	return &declineWorld{rng: rand.New(rand.NewPCG(seed, 7)), traffic: traffic, items: map[statemachine.Scope]*ItemCounts{}}
}

// poisson draws a number of payments.
func poisson(rng *rand.Rand, mean float64) (n uint32) {
	for limit, p := math.Exp(-mean), rng.Float64(); p > limit; p *= rng.Float64() {
		n++
	}
	return n
}

// second draws one second.
func (w *declineWorld) second(at int64) *SecondCounts {
	clear(w.items)
	for _, p := range w.traffic {
		if w.change != nil {
			p = w.change(at, p)
		}
		declined := poisson(w.rng, p.rate*p.declines)
		paid := poisson(w.rng, p.rate*(1-p.declines))
		if declined+paid > 0 {
			w.count(p, paid, declined)
		}
	}
	sum := &SecondCounts{Second: at, Revision: 1, Items: make([]ItemCounts, 0, len(w.items))}
	for _, c := range w.items {
		sum.Items = append(sum.Items, *c)
	}
	slices.SortFunc(sum.Items, func(a, b ItemCounts) int { return a.Item.Compare(b.Item) })
	return sum
}

func (w *declineWorld) count(p paying, paid, declined uint32) {
	for _, item := range []statemachine.Scope{
		statemachine.ChannelScope(p.channel), statemachine.AccountScope(p.channel, p.account), statemachine.InstrumentScope(p.channel, bankCard(p.bank)),
	} {
		c := w.items[item]
		if c == nil {
			c = &ItemCounts{Item: item}
			w.items[item] = c
		}
		t := &c.Evidence[statemachine.KindNormal]
		t.Outcomes[statemachine.Succeeded] += paid
		t.Outcomes[statemachine.UserDeclined] += declined - declined/4
		t.Outcomes[statemachine.Rejected] += declined / 4
	}
}

func bankCard(bank string) statemachine.Instrument {
	return statemachine.Instrument{Method: "QUICKPAY", Bank: bank, CardType: "DEBIT"}
}

// everyBank is three channels that carry three banks, of one account each.
func everyBank(rate, declines float64) (traffic []paying) {
	for _, c := range []string{"cardlink", "netsunion", "unionpay"} {
		for _, b := range []string{"ABC", "CCB", "ICBC"} {
			traffic = append(traffic, paying{c, b, "a1", rate, declines})
		}
	}
	return traffic
}

func declineFleet(traffic []paying) *statemachine.Fleet {
	f := &statemachine.Fleet{Default: statemachine.DefaultPolicy(), Channels: map[string]statemachine.ChannelFacts{}}
	for _, p := range traffic {
		f.Channels[p.channel] = statemachine.ChannelFacts{}
	}
	return f
}

// run plays seconds and returns what was told, as "second KIND scope".
func (w *declineWorld) run(d *Declines, from, to int64) (told []string, all []statemachine.Alert) {
	f := declineFleet(w.traffic)
	for s := from; s < to; s++ {
		for _, a := range d.Observe(w.second(s), f) {
			told = append(told, a.Kind+" "+a.Scope.String())
			all = append(all, a)
		}
	}
	return told, all
}

const (
	learningTime = 7200 // seconds
	firstSecond  = 1_000_000
	faultFrom    = firstSecond + learningTime
	faultTo      = faultFrom + 600
)

type declineCase struct {
	name    string
	traffic []paying
	change  func(int64, paying) paying
	want    []string // kinds and scopes, in order
	within  int64    // seconds after the beginning in which the first must come
}

// during changes the traffic while a fault lasts.
func during(change func(*paying)) func(int64, paying) paying {
	return func(s int64, p paying) paying {
		if s >= faultFrom && s < faultTo {
			change(&p)
		}
		return p
	}
}

// declining lets what matches be declined more.
func declining(share float64, matches func(paying) bool) func(int64, paying) paying {
	return during(func(p *paying) {
		if matches(*p) {
			p.declines = share
		}
	})
}

func declineCases() []declineCase {
	icbcOnUnionpay := "unionpay/instrument=QUICKPAY:ICBC:DEBIT"
	return []declineCase{
		{
			"a whole channel", everyBank(2, 0.06),
			declining(0.6, func(p paying) bool { return p.channel == "unionpay" }),
			[]string{"DECLINE_BURST unionpay", "DECLINE_BURST_OVER unionpay"},
			20,
		},
		{
			"one bank of a channel", everyBank(2, 0.06),
			declining(0.6, func(p paying) bool { return p.channel == "unionpay" && p.bank == "ICBC" }),
			[]string{"DECLINE_BURST " + icbcOnUnionpay, "DECLINE_BURST_OVER " + icbcOnUnionpay},
			70,
		},
		{
			"every payment of a quiet channel", everyBank(0.05, 0.06),
			declining(1, func(p paying) bool { return p.channel == "unionpay" }),
			[]string{"DECLINE_BURST unionpay", "DECLINE_BURST_OVER unionpay"},
			200,
		},
		{
			"trap: salary day on every channel", everyBank(2, 0.06),
			during(func(p *paying) { p.declines = 0.6 }),
			[]string{"DECLINES_RISE "},
			90,
		},
		{
			"trap: one bank declines on every channel", everyBank(2, 0.06),
			declining(0.6, func(p paying) bool { return p.bank == "ICBC" }),
			[]string{"DECLINES_RISE "},
			90,
		},
		{
			"trap: a campaign of bad risk that one channel alone carries", append(everyBank(2, 0.06),
				paying{"unionpay", "ABC", "a2", 0, 0.35}, paying{"unionpay", "CCB", "a2", 0, 0.35}, paying{"unionpay", "ICBC", "a2", 0, 0.35}),
			during(func(p *paying) {
				if p.account == "a2" {
					p.rate = 4
				}
			}),
			[]string{"DECLINES_RISE unionpay"},
			90,
		},
		{
			"trap: one payer tries again and again on a quiet channel", everyBank(0.05, 0.06),
			func(s int64, p paying) paying {
				if p.channel == "unionpay" && p.bank == "ICBC" && s >= faultFrom && s < faultFrom+60 {
					p.rate, p.declines = 0.5, 0.92 // 27 times in a minute
				}
				return p
			},
			[]string{"DECLINES_RISE unionpay"},
			180,
		},
		{
			"trap: other merchants than usual", append(everyBank(2, 0.06),
				paying{"unionpay", "ABC", "a2", 0.2, 0.45}, paying{"unionpay", "CCB", "a2", 0.2, 0.45}, paying{"unionpay", "ICBC", "a2", 0.2, 0.45}),
			during(func(p *paying) {
				if p.channel == "unionpay" {
					p.rate = 2.2 - p.rate
				}
			}),
			[]string{"DECLINES_RISE unionpay"},
			90,
		},
		{
			"trap: no other channel to compare with",
			[]paying{{"unionpay", "ICBC", "a1", 2, 0.06}},
			during(func(p *paying) { p.declines = 0.6 }),
			[]string{"DECLINES_RISE unionpay"},
			90,
		},
		{
			"trap: everywhere, but one channel shows it first", everyBank(2, 0.06),
			func(s int64, p paying) paying {
				if s >= faultFrom && s < faultTo && (p.channel == "unionpay" || s >= faultFrom+5) {
					p.declines = 0.6
				}
				return p
			},
			[]string{"DECLINES_RISE "},
			90,
		},
		{
			"trap: one bank everywhere on quiet channels", everyBank(0.05, 0.06),
			declining(1, func(p paying) bool { return p.bank == "ICBC" }),
			[]string{"DECLINES_RISE "},
			600,
		},
		{
			"a rush that is declined as usual", everyBank(2, 0.06),
			during(func(p *paying) { p.rate = 10 }),
			nil, 0,
		},
	}
}

func TestDeclines(t *testing.T) {
	for _, tc := range declineCases() {
		t.Run(tc.name, func(t *testing.T) {
			for seed := range uint64(3) {
				tc.check(t, seed)
			}
		})
	}
}

func (tc *declineCase) check(t *testing.T, seed uint64) {
	t.Helper()
	w := newDeclineWorld(seed, tc.traffic)
	w.change = tc.change
	told, all := w.run(NewDeclines(), firstSecond, faultTo+1200)
	if !slices.Equal(told, tc.want) {
		t.Errorf("seed %d: told %q, want %q\n%v", seed, told, tc.want, all)
		return
	}
	if len(all) > 0 && all[0].At.Unix()-faultFrom > tc.within {
		t.Errorf("seed %d: told %d s after the beginning, want at most %d", seed, all[0].At.Unix()-faultFrom, tc.within)
	}
	for _, a := range all {
		burst := a.Kind == AlertDeclineBurst
		if (a.Severity == statemachine.Critical) != burst || !burst && a.Severity != statemachine.Info {
			t.Errorf("seed %d: %s has severity %s", seed, a.Kind, a.Severity)
		}
	}
}

// Calm traffic, with Poisson noise, a diurnal wave, a rush every hour and a wandering share of declines, raises nothing.
func TestDeclinesCalmDays(t *testing.T) {
	days := 1
	if testing.Short() {
		t.Skip("simulates days")
	}
	for seed, base := range []struct{ rate, declines float64 }{{0.02, 0.06}, {0.2, 0.12}, {0.2, 0.35}, {1, 0.06}} {
		t.Run(fmt.Sprintf("%g a second %g declined", base.rate, base.declines), func(t *testing.T) {
			traffic := everyBank(base.rate, base.declines)
			for i := range traffic {
				traffic[i].declines *= 0.7 + 0.1*float64(i%7)
			}
			w := newDeclineWorld(uint64(seed), traffic)
			w.change = func(s int64, p paying) paying {
				wave := math.Sin(2 * math.Pi * float64(s%86_400) / 86_400)
				p.rate *= 1 + 0.8*wave
				if s%3600 < 60 {
					p.rate *= 3
				}
				odds := p.declines / (1 - p.declines) * (1 + 0.3*wave) * wander(p.channel, s/60)
				p.declines = odds / (1 + odds)
				return p
			}
			d := NewDeclines()
			if _, all := w.run(d, firstSecond, firstSecond+int64(days)*86_400); len(all) > 0 {
				t.Errorf("%d alerts, the first: %+v", len(all), all[0])
			}
		})
	}
}

// wander is a lognormal factor of the odds of a channel's minute.
func wander(channel string, minute int64) float64 {
	rng := rand.New(rand.NewPCG(uint64(minute), uint64(len(channel))<<8+uint64(channel[0])))
	return math.Exp(0.3 * rng.NormFloat64())
}

func TestDeclinesSentence(t *testing.T) {
	w := newDeclineWorld(1, everyBank(2, 0.06))
	w.change = func(s int64, p paying) paying {
		if s >= firstSecond+learningTime && p.channel == "unionpay" {
			p.declines = 0.6
		}
		return p
	}
	_, all := w.run(NewDeclines(), firstSecond, firstSecond+learningTime+60)
	if len(all) != 1 || all[0].Severity != statemachine.Critical {
		t.Fatalf("alerts: %+v", all)
	}
	for _, part := range []string{"unionpay: declined ", "usually 6", "USER_DECLINED and ", "the other channels are calm", "nothing is cut"} {
		if !strings.Contains(all[0].Message, part) {
			t.Errorf("%q lacks %q", all[0].Message, part)
		}
	}
	if all[0].At != time.Unix(all[0].At.Unix(), 0).UTC() {
		t.Errorf("time %v", all[0].At)
	}
}
