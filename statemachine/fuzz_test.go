package statemachine

import (
	"encoding/binary"
	"testing"
	"time"
)

// FuzzStep drives a scope with arbitrary events at arbitrary times (also backwards) under an arbitrary valid policy and holds
// every step to the watcher's rules: legal moves only, generations that never go back, shares in bounds, held scopes unmoved.
func FuzzStep(f *testing.F) {
	f.Add([]byte{0, 0, 9, 1, 0, 0, 0, 10, 0, 0, 4, 3, 1, 1, 0, 9})
	f.Add([]byte("a life of orders and verdicts, now and then, off and on again"))
	f.Add([]byte{1, 3, 1, 0, 0, 200, 5, 0, 7, 1, 4, 4, 8, 30, 2, 2, 5, 1, 9, 9, 9, 9, 2, 2, 3, 1, 7})
	f.Fuzz(func(t *testing.T, script []byte) {
		p, script := fuzzPolicy(script)
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		var w watcher
		s, now := NewState(ChannelScope("union")), scenarioStart
		for len(script) >= 4 {
			var e Event
			now = now.Add(time.Duration(int8(script[0])) * time.Second)
			if script[0]&1 == 0 {
				now = now.Add(time.Duration(script[0]) * 10 * time.Second)
			}
			e = fuzzEvent(s, script[1], script[2], script[3], now)
			script = script[4:]
			next, effects := Step(s, e, p, now)
			if again, _ := Step(s, e, p, now); again != next {
				t.Fatalf("same input, different answers:\n%+v\n%+v", next, again)
			}
			if err := w.see(s, e, next, effects, p, now); err != nil {
				t.Fatal(err)
			}
			s = next.Rebased(s, int64(len(script)))
		}
	})
}

func fuzzPolicy(script []byte) (Policy, []byte) {
	p := DefaultPolicy()
	if len(script) < 8 {
		return p, nil
	}
	x := binary.LittleEndian.Uint64(script)
	p.Level = Level(x % 3)
	p.FirstShare = Share(x >> 2 % uint64(FullShare))
	p.Factor = 1.1 + float64(x>>8%30)/10
	p.CoolDown = time.Duration(1+x>>16%60) * time.Second
	p.CoolDownMax = 2 * p.CoolDown
	p.Dwell = time.Duration(1+x>>24%20) * time.Second
	p.QuietRate = float64(x>>32%4) * 0.01
	p.Probation = time.Duration(x>>40%600) * time.Second
	return p, script[8:]
}

func fuzzEvent(s State, kind, a, b byte, now time.Time) Event {
	rate := float64(a) / 255
	n := float64(b)
	ev := Evidence{Answered: n, Bad: n * rate, Rate: rate, Lower: WilsonLower(n*rate, n), To: now.Unix()}
	ruling := Ruling{Answer: Answer(a % 3), Guard: GuardCapacity, Share: Share(uint32(b) * 5000), Reason: "r"}
	switch kind % 4 {
	case 0:
		return Tick{}
	case 1:
		return Verdict{Kind: VerdictKind(b % 4), Evidence: ev, Ruling: ruling}
	case 2:
		return StepEvidence{
			Generation: s.Generation - uint64(kind>>7), Step: s.Step, Judgement: Judgement(kind >> 2 % 3), Answered: n, Bad: n * rate,
			Sent: uint64(b), Settled: uint64(b) - uint64(b>>6), PerSecond: float64(a), Routers: int(b), Ruling: ruling,
		}
	}
	return Order{Action: Action(a % 9), Author: "li", Reason: "r", For: time.Duration(int8(b)) * time.Minute, PerSecond: n}
}

// FuzzParseScope: whatever parses renders to the same text and is valid.
func FuzzParseScope(f *testing.F) {
	for _, s := range []string{
		"alipay", "alipay/business=COLLECT", "alipay/method=QUICKPAY", "alipay/account=a1", "alipay/instrument=QUICKPAY:ICBC:DEBIT",
		"alipay/instrument=WALLET:-:-", "domain=unionpay-network", "", "a/b", "a/instrument=x", "a/business=UNSPECIFIED", "domain=",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseScope(text)
		if err != nil {
			return
		}
		if s.String() != text {
			t.Errorf("%q parsed and rendered is %q", text, s)
		}
		if err := s.Validate(); err != nil {
			t.Errorf("%q parsed, but %v", text, err)
		}
		again, err := ParseScope(s.String())
		if err != nil || again != s {
			t.Errorf("%q does not come back: %v %v", text, again, err)
		}
	})
}
