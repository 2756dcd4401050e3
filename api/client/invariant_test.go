package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// results an attempt may come to, and what they mean for the money.
var outcomes = []struct {
	Result

	money statemachine.Money
}{
	{Result{Outcome: configv1.Outcome_OUTCOME_CHANNEL_FAILED}, statemachine.MoneyReroutable},
	{Result{RawCode: "E91"}, statemachine.MoneyReroutable},
	{Result{Outcome: configv1.Outcome_OUTCOME_TIMED_OUT, RawCode: "E91"}, statemachine.MoneyReroutable}, // the code wins
	{Result{Outcome: configv1.Outcome_OUTCOME_NETWORK_FAILED}, statemachine.MoneyReroutable},
	{Result{Outcome: configv1.Outcome_OUTCOME_THROTTLED}, statemachine.MoneyReroutable},
	{Result{Outcome: configv1.Outcome_OUTCOME_USER_DECLINED}, statemachine.MoneyFinal},
	{Result{RawCode: "E51"}, statemachine.MoneyFinal},
	{Result{}, statemachine.MoneyInDoubt},
	{Result{Outcome: configv1.Outcome_OUTCOME_PENDING}, statemachine.MoneyInDoubt},
	{Result{Outcome: configv1.Outcome_OUTCOME_TIMED_OUT}, statemachine.MoneyInDoubt},
	{Result{RawCode: "E99"}, statemachine.MoneyInDoubt},
	{Result{Outcome: configv1.Outcome_OUTCOME_CHANNEL_FAILED, RawCode: "E99"}, statemachine.MoneyInDoubt}, // the code wins
	{Result{RawCode: "WHAT"}, statemachine.MoneyInDoubt},
	{Result{RawCode: "E00"}, statemachine.MoneyPaid},
	{Result{Outcome: configv1.Outcome_OUTCOME_SUCCEEDED}, statemachine.MoneyPaid},
}

// TestInvariant10_NoSecondChannelWhileInDoubt plays random histories of payments through Route and Next while replicas come and
// go, freeze and lag, in both modes: a channel is given only where every attempt before failed definitely, never one that was
// tried, and never of another settlement entity.
func TestInvariant10_NoSecondChannelWhileInDoubt(t *testing.T) {
	for _, mode := range []Mode{RPCFirst, LocalFirst} {
		t.Run(mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork()
				r := newReplica(t, n, "r1", testCatalog(6))
				cfg := config(n, mode)
				cfg.Timeout, cfg.Static = 50*time.Millisecond, r.snapshot()
				c := newClient(t, cfg)
				rng := rand.New(rand.NewPCG(10, uint64(mode)))
				var seen [statemachine.MoneyPaid + 1]int
				histories := 3000
				if underRace {
					histories = 800
				}
				for i := range histories {
					history(t, c, i, rng, seen[:])
					if i%100 == 0 {
						upset(t, r, n, rng)
					}
				}
				for m, n := range seen {
					if n == 0 {
						t.Errorf("nothing was asked after money %d", m)
					}
				}
				if s := c.Stats(); s.Local == 0 || mode == RPCFirst && (s.Remote == 0 || s.Fallen == 0) {
					t.Errorf("not every way was taken: %+v", s)
				}
			})
		})
	}
}

// upset changes what replica and network are like.
func upset(t *testing.T, r *replica, n *network, rng *rand.Rand) {
	t.Helper()
	n.frozen.Store(false)
	switch rng.IntN(4) {
	case 0:
		r.kill()
	case 1:
		n.frozen.Store(true)
	default:
		if !r.alive {
			r.start()
		}
		rev := r.sight.Load().Table.Revision()
		r.put(routing.Revision{Epoch: 1, Revision: rev.Revision + 1}, cutAt(channelName(rng.IntN(6)), time.Now()))
	}
	time.Sleep(time.Duration(rng.IntN(20)) * time.Second)
}

// history takes one payment to its end.
func history(t *testing.T, c *Client, i int, rng *rand.Rand, seen []int) {
	t.Helper()
	m := payment(i)
	account := "main"
	if rng.IntN(2) == 0 {
		m.Payment.SettlementEntity, account = "e-2", "travel"
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	reply, err := c.Route(ctx, m)
	worst := statemachine.MoneyReroutable
	for range 8 {
		if err != nil {
			return
		}
		to := reply.GetChannels()[0]
		if worst != statemachine.MoneyReroutable {
			t.Fatalf("%s after %v", to.GetChannel(), m.GetAttempts())
		}
		if to.GetAccount() != account {
			t.Fatalf("account %s of another entity than %s", to.GetAccount(), m.GetPayment().GetSettlementEntity())
		}
		for _, a := range m.GetAttempts() {
			if a.GetChannel() == to.GetChannel() {
				t.Fatalf("%s again after %v", to.GetChannel(), m.GetAttempts())
			}
		}
		o := outcomes[rng.IntN(len(outcomes))]
		worst = max(worst, o.money)
		seen[o.money]++
		if rng.IntN(2) == 0 {
			reply, err = c.Next(ctx, m, reply, o.Result)
			continue
		}
		m.Attempts = append(m.Attempts, &sluicev1.PreviousAttempt{Channel: to.GetChannel(), Account: to.GetAccount(), AttemptId: to.GetAttemptId(), Outcome: o.Outcome, RawCode: o.RawCode})
		reply, err = c.Route(ctx, m)
	}
}

// TestInvariant10_Reasons: whoever decides, what forbids another channel is told alike.
func TestInvariant10_Reasons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		r := newReplica(t, n, "r1", testCatalog(3))
		remote, local := newClient(t, config(n, RPCFirst)), newClient(t, config(n, LocalFirst))
		for round := range 2 {
			for i, o := range outcomes {
				var told []string
				for _, c := range []*Client{remote, local} {
					m := payment(100*round + i)
					_, err := c.Next(t.Context(), m, mustRoute(t, c, m), o.Result)
					told = append(told, describe(err))
				}
				if told[0] != told[1] {
					t.Errorf("round %d, %+v:\nreplica %s\nclient  %s", round, o.Result, told[0], told[1])
				}
				if ok := told[0] == "OK"; ok != (o.money == statemachine.MoneyReroutable) {
					t.Errorf("round %d, %+v: %s", round, o.Result, told[0])
				}
			}
			r.kill() // the second round: both decide by themselves
			synctest.Wait()
		}
	})
}

// describe renders an error with its details.
func describe(err error) string {
	if err == nil {
		return "OK"
	}
	st := status.Convert(err)
	return fmt.Sprintf("%v %s %v", st.Code(), st.Message(), st.Details())
}

// TestInvariant11_NeverBackToAnOlderSnapshot: whatever replicas, file and etcd offer in whatever order, and however often the
// client restarts, what it holds and what its answers are made from only advances.
func TestInvariant11_NeverBackToAnOlderSnapshot(t *testing.T) {
	seeds := uint64(24)
	if underRace {
		seeds = 4
	}
	for seed := range seeds {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 11))
			n, etcd := newNetwork(), &shelf{}
			r := newReplica(t, n, "r1", testCatalog(3))
			cfg := config(n, Mode(rng.IntN(2)))
			cfg.File, cfg.Etcd, cfg.Timeout = filepath.Join(dir, "s"), etcd, 50*time.Millisecond
			c := newClient(t, cfg)
			newest := routing.Revision{}
			for i := range 60 {
				shake(t, r, n, etcd, rng)
				if rng.IntN(8) == 0 {
					if err := c.Close(); err != nil {
						t.Fatal(err)
					}
					c = newClient(t, cfg)
				}
				s := c.State()
				held := routing.Revision{Epoch: s.Epoch, Revision: s.Revision}
				if newest.Newer(held) {
					t.Fatalf("seed %d, step %d: held %v after %v", seed, i, held, newest)
				}
				newest = held
				if reply, err := c.Route(t.Context(), payment(i)); err == nil {
					id, err := routing.ParseDecisionID(reply.GetDecisionId())
					of := routing.Revision{Epoch: id.Epoch, Revision: id.Revision}
					if err != nil || newest.Newer(of) {
						t.Fatalf("seed %d, step %d: answered from %v after %v: %v", seed, i, of, newest, err)
					}
				} else if status.Code(err) != codes.Unavailable {
					t.Fatal(err)
				}
			}
		})
	}
}

// shake puts any table in force at the replica, or in etcd, older or newer, or takes the replica away.
func shake(t *testing.T, r *replica, n *network, etcd *shelf, rng *rand.Rand) {
	t.Helper()
	rev := routing.Revision{Epoch: 1 + rng.Uint64N(2), Revision: 90 + rng.Int64N(30)}
	switch rng.IntN(6) {
	case 0:
		etcd.put(routing.NewSnapshot(r.plan.Table(rev, nil, nil), env, time.Now().Add(-time.Duration(rng.IntN(100))*time.Second)))
	case 1:
		r.kill()
	case 2:
		n.frozen.Store(!n.frozen.Load())
	default:
		if !r.alive {
			r.start()
		}
		r.put(rev)
	}
	time.Sleep(time.Duration(rng.IntN(40)) * time.Second)
	synctest.Wait()
}

// TestInvariant11_OutdatedReplicaIsNotBelieved: an answer from an older table than the client holds is replaced by its own.
func TestInvariant11_OutdatedReplicaIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, w := newNetwork(), &witness{}
		r := newReplica(t, n, "r1", testCatalog(3))
		cfg := config(n, RPCFirst)
		cfg.Metrics = w
		c := newClient(t, cfg)
		r.put(routing.Revision{Epoch: 1, Revision: 200}, cutAt("a", time.Now()))
		synctest.Wait()
		r.put(routing.Revision{Epoch: 1, Revision: 150}) // as if another replica that lags answered
		synctest.Wait()
		reply := mustRoute(t, c, payment(1))
		if reply.GetTableRevision() != 200 || channels(reply) != "bc" || !w.last().Local || c.Stats().Outdated != 1 {
			t.Errorf("%v %+v %+v", reply, w.last(), c.Stats())
		}
		var all []statemachine.State
		for _, ch := range []string{"a", "b", "c"} {
			all = append(all, cutAt(ch, time.Now()))
		}
		r.put(routing.Revision{Epoch: 1, Revision: 151}, all...)
		if reply := mustRoute(t, c, payment(2)); channels(reply) != "bc" {
			t.Errorf("an outdated refusal was believed: %v", reply)
		}
		if !slices.Contains(w.moves, SourceFresh) {
			t.Errorf("moves %v", w.moves)
		}
	})
}

// TestInvariant10_ForgottenAttempts: a caller that asks again without the attempt in doubt is reminded of it, also by a replica
// that has started anew and knows nothing, and so is one that would take a payout elsewhere before anything is known.
func TestInvariant10_ForgottenAttempts(t *testing.T) {
	for _, mode := range []Mode{RPCFirst, LocalFirst} {
		t.Run(mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork()
				payout := configv1.BusinessType_BUSINESS_TYPE_PAYOUT
				r := newReplica(t, n, "r1", testCatalog(3, func(c *configv1.Catalog) {
					for _, ch := range c.GetChannels() {
						ch.BusinessTypes = append(ch.BusinessTypes, payout)
					}
					c.Routes = append(c.Routes, &configv1.Route{Id: "payout", BusinessType: payout, Method: "QUICKPAY", Members: c.GetRoutes()[0].GetMembers()})
				}))
				c := newClient(t, config(n, mode))
				m := payment(1)
				if _, err := c.Next(t.Context(), m, mustRoute(t, c, m), Result{RawCode: "E99"}); status.Code(err) != codes.FailedPrecondition {
					t.Fatal(err)
				}
				out := payment(2)
				out.Payment.BusinessType = payout
				first := mustRoute(t, c, out)

				r.kill()
				r.start()
				r.put(routing.Revision{Epoch: 1, Revision: 101}, cutAt("a", time.Now()))
				time.Sleep(10 * time.Second)
				synctest.Wait()
				_, err := c.Route(t.Context(), payment(1))
				if got := refusalIn(err); got.GetReason() != sluicev1.ErrorReason_ERROR_REASON_AMBIGUOUS_PREVIOUS_ATTEMPT || got.GetAttempt().GetChannel() != "a" || !got.GetAttempt().GetRemembered() {
					t.Errorf("forgotten attempt in doubt: %v, %v", err, got)
				}
				_, err = c.Route(t.Context(), proto.CloneOf(out))
				if got := refusalIn(err); got.GetReason() != sluicev1.ErrorReason_ERROR_REASON_AMBIGUOUS_PREVIOUS_ATTEMPT || got.GetAttempt().GetChannel() != "a" {
					t.Errorf("payout that was given elsewhere: %v, %v", err, got)
				}
				reply, err := c.Next(t.Context(), out, first, Result{RawCode: "E91"})
				if err != nil || reply.GetChannels()[0].GetChannel() != "b" {
					t.Errorf("payout after a definite failure: %v, %v", reply, err)
				}
			})
		})
	}
}

func refusalIn(err error) *sluicev1.RouteRefusal {
	for _, d := range status.Convert(err).Details() {
		if r, ok := d.(*sluicev1.RouteRefusal); ok {
			return r
		}
	}
	return nil
}
