package monitor

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-pay/sluice/statemachine"
)

// refusals is one second of an account: payments that succeeded, and that were refused for the account's sake by distinct
// payers or by one that came before.
type refusals struct {
	good, failed, repeats, broken uint32
	kind                          statemachine.LaneKind
}

func (r refusals) items(account string) []ItemCounts {
	c := ItemCounts{Item: statemachine.AccountScope("unionpay", account)}
	t := &c.Evidence[r.kind]
	t.Outcomes[statemachine.Succeeded] = r.good
	t.Outcomes[statemachine.AccountFailed] = r.failed + r.repeats
	t.Outcomes[statemachine.ChannelFailed] = r.broken
	t.Bad, t.BadPayers = r.failed+r.repeats+r.broken, r.failed+r.broken
	if r.failed+r.repeats > 0 {
		c.Reasons = []statemachine.ReasonCount{{Reason: "MERCHANT_SUSPENDED", N: uint64(r.failed + r.repeats)}}
	}
	return []ItemCounts{c}
}

// watch plays seconds and returns "second KIND SEVERITY" of what was told, seconds from the start.
func (o *Owners) watch(from, to int64, of func(int64) refusals) (told []string, all []statemachine.Alert) {
	for s := from; s < to; s++ {
		for _, a := range o.Observe(&SecondCounts{Second: firstSecond + s, Items: of(s).items("up-2")}, nil) {
			told = append(told, a.Kind+" "+a.Severity.String())
			all = append(all, a)
		}
	}
	return told, all
}

func TestOwners(t *testing.T) {
	at := func(seconds map[int64]refusals, otherwise refusals) func(int64) refusals {
		return func(s int64) refusals {
			if r, ok := seconds[s]; ok {
				return r
			}
			return otherwise
		}
	}
	span := func(from, to int64, in, out refusals) func(int64) refusals {
		return func(s int64) refusals {
			if s >= from && s < to {
				return in
			}
			return out
		}
	}
	calm := refusals{good: 5}
	tests := []struct {
		name  string
		of    func(int64) refusals
		last  int64
		want  []string
		first int64 // second of the first alert
	}{
		{"calm", at(nil, calm), 2000, nil, 0},
		{"suspended, then lifted", span(100, 400, refusals{failed: 3}, calm), 2000, []string{"ACCOUNT_FAILED CRITICAL", "ACCOUNT_FAILED_OVER INFO"}, 100},
		{"one of many, then well", at(map[int64]refusals{100: {good: 5, failed: 1}}, calm), 2000, nil, 0},
		{"one, and nothing succeeds", at(map[int64]refusals{100: {failed: 1}}, refusals{}), 500, []string{"ACCOUNT_FAILED CRITICAL"}, 130},
		{"one payer again and again, others succeed", span(100, 160, refusals{good: 5, repeats: 1}, calm), 2000, nil, 0},
		{"the channel fails, one is refused", at(map[int64]refusals{100: {failed: 1, broken: 9}}, calm), 2000, nil, 0},
		{"a small part", span(100, 3000, refusals{good: 100, failed: 1}, calm), 3000, []string{"ACCOUNT_FAILED WARNING"}, 101},
		{
			"a small part, then a large one", func(s int64) refusals {
				switch {
				case s < 100:
					return calm
				case s < 1000:
					return refusals{good: 100, failed: 1}
				}
				return refusals{good: 1, failed: 10}
			}, 3000, []string{"ACCOUNT_FAILED WARNING", "ACCOUNT_FAILED CRITICAL"}, 101,
		},
		{"for three hours", span(100, 20_000, refusals{failed: 1}, calm), 100 + 3*3600 + 10, slices.Repeat([]string{"ACCOUNT_FAILED CRITICAL"}, 4), 101},
		{"with gaps, told once", func(s int64) refusals {
			if s >= 100 && s%60 == 0 {
				return refusals{good: 1, failed: 2}
			}
			return calm
		}, 3000, []string{"ACCOUNT_FAILED CRITICAL"}, 120},
		{
			"cut, then proved by probes", func(s int64) refusals {
				switch {
				case s < 100:
					return calm
				case s < 110:
					return refusals{failed: 2}
				case s < 900:
					return refusals{}
				}
				return refusals{good: 1, kind: statemachine.KindProbe}
			}, 1500, []string{"ACCOUNT_FAILED CRITICAL", "ACCOUNT_FAILED_OVER INFO"}, 100,
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			told, all := NewOwners().watch(0, tc.last, tc.of)
			equal(t, "told", told, tc.want)
			if len(all) > 0 && all[0].At.Unix() != firstSecond+tc.first {
				t.Errorf("first told in second %d, want %d", all[0].At.Unix()-firstSecond, tc.first)
			}
		})
	}
}

func TestOwnersNameTheAccountAndTheReason(t *testing.T) {
	_, all := NewOwners().watch(0, 10, func(int64) refusals { return refusals{failed: 2} })
	if len(all) != 1 || all[0].Scope != statemachine.AccountScope("unionpay", "up-2") {
		t.Fatalf("alerts: %+v", all)
	}
	for _, part := range []string{"owner of account up-2 of unionpay", "MERCHANT_SUSPENDED 2 times", "certificate", "100 % of its newest payments"} {
		if !strings.Contains(all[0].Message, part) {
			t.Errorf("%q lacks %q", all[0].Message, part)
		}
	}
}

func TestOwnersCheckpoint(t *testing.T) {
	o, restored := NewOwners(), NewOwners()
	o.watch(0, 50, func(int64) refusals { return refusals{failed: 2} })
	saved := o.Checkpoint()
	if err := restored.Restore(saved); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(restored.Checkpoint(), saved) {
		t.Error("a restored watcher's checkpoint differs")
	}
	told, _ := restored.watch(50, 600, func(int64) refusals { return refusals{good: 1} })
	equal(t, "told after the restart", told, []string{"ACCOUNT_FAILED_OVER INFO"})
	for cut := range saved {
		if err := restored.Restore(saved[:cut]); !errors.Is(err, ErrPacked) {
			t.Fatalf("%d of %d bytes: %v", cut, len(saved), err)
		}
	}
}

// ACCOUNT_FAILED is bad for channel × account alone.
func TestAccountFailedCountsForTheAccountAlone(t *testing.T) {
	c := NewCounters(CountersOptions{})
	items := []statemachine.Scope{
		statemachine.ChannelScope("unionpay"), statemachine.BusinessScope("unionpay", statemachine.Collect),
		statemachine.MethodScope("unionpay", "QUICKPAY"), statemachine.AccountScope("unionpay", "up-2"), statemachine.InstrumentScope("unionpay", bankCard("ICBC")),
	}
	if err := c.SetItems(items); err != nil {
		t.Fatal(err)
	}
	c.Count(&Report{
		Attempt: 1, Payment: 1, Items: [ItemsPerReport]int32{0, 1, 2, 3, 4}, Evidence: [ItemsPerReport]bool{true, true, true, true, true},
		Outcome: statemachine.AccountFailed, Coded: true, Final: true, Reason: "CERTIFICATE", Age: NoAge,
	}, 100)
	for _, sum := range c.Close(101) {
		for _, item := range sum.Items {
			answered, bad := item.Evidence[statemachine.KindNormal].Weighted()
			want := 0.0
			if item.Item.Kind == statemachine.ScopeAccount {
				want = 1
			}
			if answered != want || bad != want {
				t.Errorf("%s: %g of %g are bad, want %g", item.Item, bad, answered, want)
			}
		}
		if alerts := NewOwners().Observe(&sum, nil); len(alerts) != 0 {
			t.Errorf("one refusal was told at once: %v", alerts)
		}
	}
}
