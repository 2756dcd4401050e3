package client

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// firsts counts which channel n payments get first, each a second apart of the others.
func firsts(t *testing.T, c *Client, from, n int, result func(channel string) string) map[string]int {
	t.Helper()
	got := map[string]int{}
	for i := range n {
		m := payment(from + i)
		reply, _, err := c.local(m, time.Now())
		must(t, err)
		to := reply.GetChannels()[0]
		got[to.GetChannel()]++
		c.observe(reportOf(m, to, Result{RawCode: result(to.GetChannel())}))
		time.Sleep(time.Second / 4)
	}
	return got
}

func allGood(string) string { return "E00" }

// lonely is a client whose only replica went away longer than StaleLimit ago.
func lonely(t *testing.T, states ...statemachine.State) *Client {
	t.Helper()
	n := newNetwork()
	r := newReplica(t, n, "r1", testCatalog(3))
	r.put(routing.Revision{Epoch: 1, Revision: 101}, states...)
	c := newClient(t, config(n, LocalFirst))
	synctest.Wait()
	r.kill()
	time.Sleep(DefaultStaleLimit + 2*time.Second)
	synctest.Wait()
	if s := c.State(); !s.Alone || s.Source != SourceStale {
		t.Fatalf("%+v", s)
	}
	return c
}

// TestAlone_DemotesWhatFails: a channel whose results fail keeps a twentieth, comes back when it is well, and where all fail
// nobody is refused.
func TestAlone_DemotesWhatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := lonely(t)
		failsAt := func(channels string) func(string) string {
			return func(channel string) string {
				if strings.Contains(channels, channel) {
					return "E91"
				}
				return "E00"
			}
		}
		firsts(t, c, 0, 40, failsAt("a"))
		if got := firsts(t, c, 1000, 200, failsAt("a")); got["a"] < 5 || got["a"] > 12 || got["b"] < 185 {
			t.Errorf("a fails: %v", got)
		}
		firsts(t, c, 2000, 60, failsAt("abc"))
		if got := firsts(t, c, 3000, 100, failsAt("abc")); got["a"]+got["b"]+got["c"] != 100 { // none was refused
			t.Errorf("all fail: %v", got)
		}
		firsts(t, c, 4000, 400, allGood)
		if got := firsts(t, c, 5000, 100, allGood); got["a"] != 100 {
			t.Errorf("all are well again: %v", got)
		}
	})
}

// TestAlone_OnePayerIsOnePieceOfEvidence: one payer's repeated failures demote nothing.
func TestAlone_OnePayerIsOnePieceOfEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := lonely(t)
		for i := range 50 {
			m := payment(i)
			m.Payment.PayerKey = 7
			to := mustRoute(t, c, m).GetChannels()[0]
			c.observe(reportOf(m, to, Result{RawCode: "E91"}))
		}
		time.Sleep(2 * time.Second)
		if got := firsts(t, c, 100, 20, allGood); got["a"] != 20 {
			t.Errorf("%v", got)
		}
	})
}

// TestAlone_ProbesOldAutomaticCuts: what automation closed long ago gets single payments, more while they succeed; what people
// closed gets none.
func TestAlone_ProbesOldAutomaticCuts(t *testing.T) {
	for name, tc := range map[string]struct {
		edit   func(*statemachine.State)
		probed bool
	}{
		"cut by automation":            {func(*statemachine.State) {}, true},
		"being probed":                 {func(s *statemachine.State) { s.Phase = statemachine.Probing }, true},
		"suspended":                    {func(s *statemachine.State) { s.Suspend = override("compliance") }, false},
		"switched off":                 {func(s *statemachine.State) { s.Off = override("li.wei") }, false},
		"switched off, time over":      {func(s *statemachine.State) { s.Off = override("li.wei"); s.Off.Until = s.Off.Since + 1 }, false},
		"held":                         {func(s *statemachine.State) { s.Hold = override("li.wei") }, false},
		"cut by people":                {func(s *statemachine.State) { s.CutBy = statemachine.Operator }, false},
		"cooling down for a long time": {func(s *statemachine.State) { s.CoolUntil = s.CoolUntil.Add(time.Hour) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := cutAt("a", time.Now())
				tc.edit(&s)
				c := lonely(t, s)
				bad := firsts(t, c, 0, 480, func(ch string) string { // two minutes
					if ch == "a" {
						return "E91"
					}
					return "E00"
				})
				if !tc.probed {
					if bad["a"] != 0 {
						t.Errorf("%d payments went there", bad["a"])
					}
					return
				}
				if bad["a"] < 3 || bad["a"] > 5 {
					t.Errorf("%d probes of what fails, want one every 30 s", bad["a"])
				}
				if good := firsts(t, c, 1000, 960, allGood); good["a"] < 64 {
					t.Errorf("%d probes while they succeed, want ever more", good["a"])
				}
			})
		})
	}
}

// TestAlone_EndsWhenTheControlPlaneIsBack: the client's own judgement ends with the first word of a replica.
func TestAlone_EndsWhenTheControlPlaneIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		r := newReplica(t, n, "r1", testCatalog(3))
		r.put(routing.Revision{Epoch: 1, Revision: 101}, cutAt("a", time.Now()))
		c := newClient(t, config(n, LocalFirst))
		synctest.Wait()
		r.kill()
		time.Sleep(DefaultStaleLimit + 40*time.Second)
		if got := firsts(t, c, 0, 200, allGood); got["a"] == 0 {
			t.Fatalf("not probed: %v", got)
		}
		r.start()
		r.confirm()
		time.Sleep(12 * time.Second)
		synctest.Wait()
		if s := c.State(); s.Alone || s.Source != SourceFresh {
			t.Fatalf("%+v", s)
		}
		if got := firsts(t, c, 1000, 40, allGood); got["a"] != 0 {
			t.Errorf("%v", got)
		}
	})
}

// toldOf sums up what a client tells replicas of its decisions under generation 3, step 2 of channel a.
func toldOf(t *testing.T, c *Client) (decided, wouldBe, sent uint32) {
	t.Helper()
	last := int64(0)
	for m := c.takeDecisions(); m != nil; m = c.takeDecisions() {
		if m.GetSecond() <= last || m.GetEpoch() != 1 || m.GetTableRevision() != 101 {
			t.Fatalf("%v after second %d", m, last)
		}
		last = m.GetSecond()
		for _, l := range m.GetLanes() {
			decided += l.GetDecisions()
		}
		for _, g := range m.GetGates() {
			if g.GetGeneration() != 3 || g.GetStep() != 2 || g.GetScope().GetChannel() != "a" {
				t.Fatalf("%v", g)
			}
			wouldBe += g.GetWouldBe()
			sent += g.GetSent()
		}
	}
	return decided, wouldBe, sent
}

// TestRampShare: shares of the snapshot are kept by the client's own counters, and what it decided is told up.
func TestRampShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		r := newReplica(t, n, "r1", testCatalog(3))
		ramp := statemachine.NewState(statemachine.ChannelScope("a"))
		ramp.Phase, ramp.Share, ramp.Generation, ramp.Step = statemachine.Ramping, 100_000, 3, 2
		r.put(routing.Revision{Epoch: 1, Revision: 101}, ramp)
		c := newClient(t, config(n, RPCFirst))
		synctest.Wait()
		got := firsts(t, c, 0, 400, allGood)
		if got["a"] != 40 || got["b"] != 360 {
			t.Errorf("%v, want a tenth", got)
		}
		// What is told is compared exactly: of less than what is kept, and between two seconds, not while one is told.
		time.Sleep(2*time.Second + tick/8)
		toldOf(t, c)
		const few = 4 * (keptSeconds - 2) // four a second
		got = firsts(t, c, 500, few, allGood)
		time.Sleep(tick)
		if decided, wouldBe, sent := toldOf(t, c); decided != few || wouldBe != few || sent != uint32(got["a"]) || sent == 0 {
			t.Errorf("%d decided, %d would-be, %d sent; want %d, %d and %d", decided, wouldBe, sent, few, few, got["a"])
		}
		c.grant([]*sluicev1.ProbeGrant{{Scope: &configv1.Scope{Kind: configv1.ScopeKind_SCOPE_KIND_CHANNEL, Channel: "a"}, Generation: 4, Tokens: 1, LastSecond: time.Now().Unix() + 60}})
		probing := ramp
		probing.Phase, probing.Share, probing.Generation = statemachine.Probing, 0, 4
		r.put(routing.Revision{Epoch: 1, Revision: 102}, probing)
		time.Sleep(12 * time.Second)
		synctest.Wait()
		if got := firsts(t, c, 1000, 160, allGood); got["a"] != 1 {
			t.Errorf("%v, want one probe for one token", got)
		}
	})
}

// TestStatic_SpreadsByHashAndCapacity: payments go to the channels of the order by their capacity, the same one always the same
// way, and not to what people have closed.
func TestStatic_SpreadsByHashAndCapacity(t *testing.T) {
	plan, err := routing.CompilePlan(testCatalog(4, capacities(100_000)), nil)
	must(t, err)
	suspended := statemachine.NewState(statemachine.ChannelScope("d"))
	suspended.Suspend = override("compliance")
	states := []statemachine.State{cutAt("a", time.Now()), suspended}
	static := routing.NewSnapshot(plan.Table(routing.Revision{Epoch: 1, Revision: 7}, states, nil), env, time.Now().Add(-time.Hour))
	c := newClient(t, Config{Environment: env, Static: static})
	got := map[string]int{}
	for i := range 6000 {
		reply := mustRoute(t, c, payment(i))
		got[reply.GetChannels()[0].GetChannel()]++
		if again := mustRoute(t, c, payment(i)); channels(again) != channels(reply) || reply.GetSource() != SourceStatic {
			t.Fatalf("%v, then %v", reply, again)
		}
	}
	// d's four tenths go to whoever follows it in each payment's own order.
	if got["d"] != 0 || got["a"] < 900 || got["a"] > 1300 || got["c"] < 2600 || got["c"] > 3300 {
		t.Errorf("%v", got)
	}
	refund := payment(1)
	refund.Payment.BusinessType = configv1.BusinessType_BUSINESS_TYPE_REFUND
	refund.Payment.Original = &sluicev1.OriginalPayment{Channel: "b", Account: "main"}
	if reply := mustRoute(t, c, refund); channels(reply) != "b" || reply.GetChannels()[0].GetReason() != sluicev1.RankReason_RANK_REASON_ORIGINAL {
		t.Errorf("refund: %v", reply)
	}
	other := payment(1)
	other.Payment.SettlementEntity = "e-2"
	if a := mustRoute(t, c, other).GetChannels()[0].GetAccount(); a != "travel" {
		t.Errorf("account %s of another entity", a)
	}
	if s := c.State(); s.Source != SourceStatic || s.Age < time.Hour {
		t.Errorf("%+v", s)
	}
}

// TestSlots: concurrent payments of the client's own decisions are free again with their results, once; results of a replica's
// decisions free nothing here.
func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		newReplica(t, n, "r1", testCatalog(2, func(c *configv1.Catalog) {
			c.GetChannels()[0].Capacity = &configv1.Capacity{Concurrent: 5}
		}))
		c := newClient(t, config(n, LocalFirst))
		synctest.Wait()
		ask := func(from, count int) (onA int, results []*sluicev1.Report) {
			for i := range count {
				m := payment(from + i)
				to := mustRoute(t, c, m).GetChannels()[0]
				if to.GetChannel() == "a" {
					onA++
					results = append(results, reportOf(m, to, Result{RawCode: "E00"}))
				}
			}
			return onA, results
		}
		onA, results := ask(0, 20)
		if onA != 5 {
			t.Fatalf("%d at once, want 5", onA)
		}
		for range 3 { // a repeated report frees nothing more
			c.observe(results[0])
			c.observe(results[1])
		}
		other := routing.DecisionID{Epoch: 1, Revision: 100, Second: time.Now().Unix(), Hash: 42}
		c.observe(&sluicev1.Report{
			AttemptId: string(other.AppendAttempt(nil, 0)), PaymentId: "p", Channel: "a", Account: "main", Method: "QUICKPAY", Bank: "ICBC",
			CardType: configv1.CardType_CARD_TYPE_DEBIT, BusinessType: collect, RawCode: "E00",
		})
		time.Sleep(3 * time.Second)
		if onA, _ := ask(100, 20); onA != 2 {
			t.Errorf("%d after two results, want 2", onA)
		}
	})
}
