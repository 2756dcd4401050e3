package monitor

import (
	"bytes"
	"errors"
	"testing"

	"github.com/sluice-pay/sluice/statemachine"
)

// hundreds is a quota whose periods are a hundred seconds long.
func hundreds(id string, units int64, minimum bool, items ...statemachine.Scope) QuotaRule {
	return QuotaRule{ID: id, Units: units, Minimum: minimum, Items: items, Period: func(s int64) (int64, int64) { return s - s%100, s - s%100 + 100 }}
}

func used(second int64, list ...statemachine.QuotaCount) *SecondCounts {
	return &SecondCounts{Second: second, Quotas: list}
}

// TestQuotasCountAPeriod: what succeeds is used until the period ends, corrections take away, seconds count once and in order.
func TestQuotasCountAPeriod(t *testing.T) {
	q := NewQuotas()
	q.SetRules([]QuotaRule{hundreds("a", 1000, false), hundreds("b", 10, true)})
	for _, x := range []struct {
		second, units, want int64
	}{
		{1001, 300, 300}, {1001, 300, 300}, {1000, 300, 300}, {1050, 500, 800}, {1099, -100, 700}, {1100, 50, 50}, {1101, -80, 0}, {1199, 40, 10}, {1300, 0, 0},
	} {
		q.Observe(used(x.second, statemachine.QuotaCount{ID: "a", Units: x.units}))
		if got := q.Used(); got["a"] != x.want || got["b"] != 0 || len(got) != 2 {
			t.Errorf("after second %d: %v, want a %d", x.second, got, x.want)
		}
	}
}

// TestQuotasSurvive a restart, a catalogue without them, and nothing that is damaged.
func TestQuotasSurvive(t *testing.T) {
	q := NewQuotas()
	rules := []QuotaRule{hundreds("a", 1000, false)}
	q.SetRules(rules)
	q.Observe(used(1001, statemachine.QuotaCount{ID: "a", Units: 300}))
	pipeline := []byte("what a pipeline saves")
	joined := JoinCheckpoint(pipeline, q.Checkpoint())
	p, saved := SplitCheckpoint(joined)
	if !bytes.Equal(p, pipeline) || !bytes.Equal(saved, q.Checkpoint()) {
		t.Fatal("a joined checkpoint is not split into what it was made of")
	}
	if p, saved := SplitCheckpoint(pipeline); !bytes.Equal(p, pipeline) || saved != nil {
		t.Error("a checkpoint of before quotas is not left as it is")
	}
	again := NewQuotas()
	if err := again.Restore(saved); err != nil {
		t.Fatal(err)
	}
	again.SetRules(nil)
	again.Observe(used(1002, statemachine.QuotaCount{ID: "a", Units: 5}))
	again.SetRules(rules)
	again.Observe(used(1003, statemachine.QuotaCount{ID: "a", Units: 7}))
	if got := again.Used()["a"]; got != 307 {
		t.Errorf("after restart and a catalogue without it: %d, want 307", got)
	}
	for n := range saved {
		if err := again.Restore(saved[:n]); !errors.Is(err, ErrPacked) {
			t.Fatalf("the first %d of %d bytes: %v, want ErrPacked", n, len(saved), err)
		}
	}
	if again.Used()["a"] != 307 {
		t.Error("a damaged checkpoint changed something")
	}
}

// TestQuotaScores say what is left of hard limits, the least counts, and how far behind a steady use a minimum is.
func TestQuotaScores(t *testing.T) {
	channel, account := statemachine.ChannelScope("c"), statemachine.AccountScope("c", "x")
	q := NewQuotas()
	q.SetRules([]QuotaRule{hundreds("day", 1000, false, channel), hundreds("other", 400, false, channel, account), hundreds("least", 100, true, account)})
	q.Observe(used(1049, statemachine.QuotaCount{ID: "day", Units: 100}, statemachine.QuotaCount{ID: "least", Units: 20}, statemachine.QuotaCount{ID: "other", Units: 300}))
	want := []QuotaScore{{channel, 250_000, 0}, {account, 250_000, 300_000}}
	got := q.Scores()
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %+v, want %+v", got, want)
	}
	q.Observe(used(1099, statemachine.QuotaCount{ID: "least", Units: 90}, statemachine.QuotaCount{ID: "other", Units: 500}))
	if got := q.Scores(); got[0].LeftPPM != 0 || got[1].CommitmentPPM != 0 {
		t.Errorf("overused and ahead: %+v", got)
	}
}

// TestCountersCountQuotas: a success counts once, a correction moves it, a failure and what is in doubt use nothing; only the
// first definite result settles its attempt.
func TestCountersCountQuotas(t *testing.T) {
	c := NewCounters(CountersOptions{})
	if err := c.SetItems([]statemachine.Scope{statemachine.ChannelScope("c")}); err != nil {
		t.Fatal(err)
	}
	count := func(attempt uint64, o statemachine.Outcome, final, settles bool) {
		t.Helper()
		r := Report{
			Attempt: attempt, Items: [ItemsPerReport]int32{0, NoItem, NoItem, NoItem, NoItem}, Outcome: o, Final: final, Age: 0,
			Quotas: []statemachine.QuotaCount{{ID: "b", Units: 1}, {ID: "a", Units: 250}},
		}
		if c.Count(&r, 1000); r.Settles != settles {
			t.Errorf("attempt %d, %s: settles %v, want %v", attempt, o, r.Settles, settles)
		}
	}
	count(1, statemachine.Succeeded, false, true)
	count(1, statemachine.Succeeded, false, false)
	count(1, statemachine.Succeeded, true, false)
	count(2, statemachine.Pending, false, false)
	count(2, statemachine.TimedOut, false, false)
	count(2, statemachine.Succeeded, true, true)
	count(3, statemachine.Succeeded, false, true)
	count(3, statemachine.ChannelFailed, true, false)
	count(4, statemachine.ChannelFailed, true, true)
	got := c.Close(1000)[0].Quotas
	want := []statemachine.QuotaCount{{ID: "a", Units: 500}, {ID: "b", Units: 2}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
