package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// TestFalls: what is about a replica falls down the ladder, what is about the payment does not.
func TestFalls(t *testing.T) {
	about := func(code codes.Code, reason sluicev1.ErrorReason) error {
		st, err := status.New(code, "text").WithDetails(&errdetails.ErrorInfo{Domain: "sluice", Reason: word(reason)})
		must(t, err)
		return st.Err()
	}
	replica := []sluicev1.ErrorReason{
		sluicev1.ErrorReason_ERROR_REASON_NO_TABLE, sluicev1.ErrorReason_ERROR_REASON_OVERLOADED, sluicev1.ErrorReason_ERROR_REASON_INTERNAL,
		sluicev1.ErrorReason_ERROR_REASON_UNAUTHENTICATED, sluicev1.ErrorReason_ERROR_REASON_LEDGER_UNAVAILABLE,
		sluicev1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN, sluicev1.ErrorReason_ERROR_REASON_SNAPSHOT_BEHIND,
		sluicev1.ErrorReason_ERROR_REASON_SERIES_UNAVAILABLE, sluicev1.ErrorReason_ERROR_REASON_NOT_BUILT_YET,
	}
	for n := range sluicev1.ErrorReason_name {
		reason := sluicev1.ErrorReason(n)
		if got, want := falls(about(codes.Unavailable, reason)), slices.Contains(replica, reason); got != want {
			t.Errorf("%v falls: %t, want %t", reason, got, want)
		}
	}
	for code := codes.Code(1); code <= codes.Unauthenticated; code++ {
		answer := slices.Contains([]codes.Code{codes.InvalidArgument, codes.FailedPrecondition, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied, codes.OutOfRange}, code)
		if got := falls(status.Error(code, "of the transport")); got == answer {
			t.Errorf("%v falls: %t", code, got)
		}
	}
	if !falls(context.DeadlineExceeded) || !falls(errors.New("broken pipe")) {
		t.Error("errors of the transport do not fall")
	}
}

// TestDeadline: a replica that does not answer leaves enough of the deadline for the ladder, and is not asked again and again.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, w := newNetwork(), &witness{}
		newReplica(t, n, "r1", testCatalog(3))
		cfg := config(n, RPCFirst)
		cfg.Metrics, cfg.Timeout, cfg.Reserve = w, 200*time.Millisecond, 10*time.Millisecond
		c := newClient(t, cfg)
		n.frozen.Store(true)
		for i, tc := range []struct{ deadline, took time.Duration }{
			{time.Second, 200 * time.Millisecond},           // the RPC's own limit
			{100 * time.Millisecond, 90 * time.Millisecond}, // the deadline, less what is kept
			{5 * time.Millisecond, 0},                       // no time to ask anybody
			{0, 200 * time.Millisecond},                     // no deadline
			{time.Second, 0},                                // the breaker is open
			{time.Second, 0},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			if tc.deadline > 0 {
				ctx, cancel = context.WithTimeout(t.Context(), tc.deadline)
			}
			begin := time.Now()
			reply, err := c.Route(ctx, payment(i))
			cancel()
			if err != nil || reply.GetSource() != SourceFresh || time.Since(begin) != tc.took || !w.last().Fallen || w.last().Took != tc.took {
				t.Errorf("%d: %v, %v after %v, told %+v", i, reply.GetSource(), err, time.Since(begin), w.last())
			}
		}
		slow := 0
		for range 40 { // ten seconds
			begin := time.Now()
			mustRoute(t, c, payment(1))
			if time.Since(begin) > 0 {
				slow++
			}
			time.Sleep(250 * time.Millisecond)
		}
		if slow < 7 || slow > 10 {
			t.Errorf("%d of 40 asked the frozen replica, want one a second", slow)
		}
		n.frozen.Store(false)
		time.Sleep(time.Second)
		for range 3 {
			mustRoute(t, c, payment(1))
		}
		if w.last().Local {
			t.Errorf("not asked again: %+v", w.last())
		}
	})
}

// TestNothingToDecideBy: without any table the error is the replica's own, or says what to do; nothing hangs.
func TestNothingToDecideBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork() // nobody listens
		for _, mode := range []Mode{RPCFirst, LocalFirst} {
			begin := time.Now()
			c := newClient(t, config(n, mode))
			if took := time.Since(begin); took != DefaultStartWait {
				t.Errorf("New took %v", took)
			}
			if _, err := c.Route(t.Context(), payment(1)); status.Code(err) != codes.Unavailable {
				t.Error(err)
			}
			var d routing.Decision
			if source, err := c.Decide(request(1), &d); source != SourceNone || !errors.Is(err, routing.ErrNoTable) {
				t.Error(source, err)
			}
			if s := c.Stats(); s.Failed != 1 || s.Refused+s.Remote+s.Local != 0 {
				t.Errorf("%+v", s)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := New(ctx, config(n, RPCFirst)); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// TestClosedClientAnswers from memory, and Close may be repeated.
func TestClosedClientAnswers(t *testing.T) {
	for _, mode := range []Mode{RPCFirst, LocalFirst} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork()
			newReplica(t, n, "r1", testCatalog(3))
			c := newClient(t, config(n, mode))
			must(t, c.Close())
			must(t, c.Close())
			if reply := mustRoute(t, c, payment(1)); reply.GetSource() != SourceFresh {
				t.Error(reply)
			}
		})
	}
}

// TestTrace is called around every operation, with what came of it.
func TestTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		newReplica(t, n, "r1", testCatalog(3))
		type key struct{}
		var log []string
		cfg := config(n, RPCFirst)
		cfg.Trace = func(ctx context.Context, operation string) (context.Context, func(*sluicev1.RouteResponse, error)) {
			return context.WithValue(ctx, key{}, operation), func(m *sluicev1.RouteResponse, err error) {
				log = append(log, fmt.Sprint(operation, " ", channels(m), " ", status.Code(err)))
			}
		}
		c := newClient(t, cfg)
		m := payment(1)
		reply := mustRoute(t, c, m)
		_, _ = c.Next(t.Context(), m, reply, Result{})
		if want := []string{"Route abc OK", "Next  FailedPrecondition"}; !slices.Equal(log, want) {
			t.Errorf("%q, want %q", log, want)
		}
		if _, err := c.Next(t.Context(), m, &sluicev1.RouteResponse{}, Result{}); status.Code(err) != codes.InvalidArgument {
			t.Error(err)
		}
	})
}

// TestConfig: everything wrong is told at once, by the field's name.
func TestConfig(t *testing.T) {
	dir := t.TempDir()
	for name, tc := range map[string]struct {
		cfg  Config
		want []string
	}{
		"nothing":      {Config{}, []string{"Environment", "Target"}},
		"a bad name":   {Config{Environment: "pr od", Target: "x"}, []string{"Environment"}},
		"mode":         {Config{Environment: env, Target: "x", Mode: 7}, []string{"Mode 7"}},
		"durations":    {Config{Environment: env, Target: "x", Timeout: -1, Reserve: 48 * time.Hour, ProbeEvery: 1}, []string{"Timeout", "Reserve", "ProbeEvery"}},
		"limits":       {Config{Environment: env, Target: "x", StaleAfter: time.Hour, StaleLimit: time.Minute}, []string{"StaleLimit"}},
		"no directory": {Config{Environment: env, File: filepath.Join(dir, "gone", "s")}, []string{"File", "directory"}},
		"a directory":  {Config{Environment: env, File: dir}, []string{"File", "it is a directory"}},
		"foreign":      {Config{Environment: env, Static: &configv1.Snapshot{Environment: "staging"}}, []string{"Static", "staging"}},
		"empty static": {Config{Environment: env, Static: &configv1.Snapshot{Environment: env, Epoch: 1, Revision: 1, WriteTime: timestamppb.Now(), Catalog: &configv1.Catalog{}}}, []string{"static order"}},
		"a bad target": {Config{Environment: env, Target: "nosuch\x00://"}, []string{"Target"}},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := New(t.Context(), tc.cfg)
			if !errors.Is(err, ErrConfig) {
				t.Fatal(c, err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
		})
	}
}

// TestInvalidRequest: both ways refuse alike what is wrong with a request.
func TestInvalidRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		newReplica(t, n, "r1", testCatalog(3))
		remote, local := newClient(t, config(n, RPCFirst)), newClient(t, config(n, LocalFirst))
		for _, edit := range []func(*sluicev1.RouteRequest){
			func(m *sluicev1.RouteRequest) { m.Payment = nil },
			func(m *sluicev1.RouteRequest) { m.Payment.PaymentId = "" },
			func(m *sluicev1.RouteRequest) { m.Payment.PaymentId = "with blank" },
			func(m *sluicev1.RouteRequest) { m.Payment.Merchant = "-" },
			func(m *sluicev1.RouteRequest) { m.Payment.BusinessType = 300 },
			func(m *sluicev1.RouteRequest) { m.Payment.BusinessType = 257 }, // not the 1 of its last byte
			func(m *sluicev1.RouteRequest) { m.Payment.CardType = -1 },
			func(m *sluicev1.RouteRequest) { m.Payment.Amount = -1 },
			func(m *sluicev1.RouteRequest) { m.Payment.Currency = "cny" },
			func(m *sluicev1.RouteRequest) { m.Payment.Bin = "12" },
			func(m *sluicev1.RouteRequest) { m.Payment.PaymentId = "4111111111111111" },
			func(m *sluicev1.RouteRequest) { m.MaxChannels = 65 },
			func(m *sluicev1.RouteRequest) { m.MaxChannels = 1 << 31 },
			func(m *sluicev1.RouteRequest) { m.Attempts = []*sluicev1.PreviousAttempt{{Channel: "a", Outcome: 10}} },
			func(m *sluicev1.RouteRequest) {
				m.Attempts = []*sluicev1.PreviousAttempt{{Channel: "a", Outcome: 256 + 5}}
			},
			func(m *sluicev1.RouteRequest) { m.Exclude = make([]string, 65) },
			func(m *sluicev1.RouteRequest) {
				m.Payment.Original = &sluicev1.OriginalPayment{Channel: "a", Account: "main"}
			},
		} {
			m := payment(1)
			edit(m)
			_, far := remote.Route(t.Context(), m)
			_, near := local.Route(t.Context(), m)
			if status.Code(far) != codes.InvalidArgument || status.Code(near) != codes.InvalidArgument || field(far) != field(near) {
				t.Errorf("%v\nreplica %v\nclient  %v", m, far, near)
			}
		}
	})
}

// field is the field that an error blames.
func field(err error) string {
	for _, d := range status.Convert(err).Details() {
		if b, ok := d.(*errdetails.BadRequest); ok {
			return b.GetFieldViolations()[0].GetField()
		}
	}
	return "none"
}

// TestAgreement_Messages: replica and client give the same reply for random requests on random tables, and refuse alike, but for
// the envelope: age, source and pressure.
func TestAgreement_Messages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		r := newReplica(t, n, "r1", testCatalog(8))
		remote, local := newClient(t, config(n, RPCFirst)), newClient(t, config(n, LocalFirst))
		rng := rand.New(rand.NewPCG(3, 3))
		answered, refused := 0, 0
		requests := 4000
		if underRace {
			requests = 1000
		}
		for i := range requests {
			if i%40 == 0 {
				r.put(routing.Revision{Epoch: 1, Revision: 200 + int64(i)}, anyStates(rng)...)
				time.Sleep(time.Second)
				synctest.Wait()
			}
			m := anyRequest(rng, i)
			near, nearErr := local.Route(t.Context(), m)
			far, farErr := remote.Route(t.Context(), m)
			if describe(nearErr) != describe(farErr) {
				t.Fatalf("%v\nreplica %s\nclient  %s", m, describe(farErr), describe(nearErr))
			}
			if farErr != nil {
				refused++
				continue
			}
			answered++
			for _, reply := range []*sluicev1.RouteResponse{near, far} {
				reply.TableAge, reply.PressurePpm, reply.Source = nil, 0, 0
			}
			if !proto.Equal(near, far) {
				t.Fatalf("%v\nreplica %v\nclient  %v", m, far, near)
			}
		}
		if answered < requests/8 || refused < requests/8 || remote.Stats().Local > 0 || local.Stats().Remote > 0 {
			t.Errorf("%d answered, %d refused, %+v, %+v", answered, refused, remote.Stats(), local.Stats())
		}
	})
}

// anyStates closes some channels, sometimes by people; nothing ramps.
func anyStates(rng *rand.Rand) []statemachine.State {
	var out []statemachine.State
	for i := range 8 {
		s := cutAt(channelName(i), time.Now().Add(-time.Duration(rng.IntN(100))*time.Second))
		switch rng.IntN(8) {
		case 0:
			s.Suspend = override("compliance")
		case 1:
			s.Off = override("li.wei")
		case 2:
			s.Incident = "inc-1"
		case 3:
			s.Scope = statemachine.InstrumentScope(channelName(i), statemachine.Instrument{Method: "QUICKPAY", Bank: "ICBC", CardType: "DEBIT"})
		case 4:
			s.Phase = statemachine.Probing
		default:
			continue
		}
		out = append(out, s)
	}
	return out
}

func anyRequest(rng *rand.Rand, i int) *sluicev1.RouteRequest {
	m := payment(i)
	p := m.GetPayment()
	pick := func(of ...string) string { return of[rng.IntN(len(of))] }
	p.SettlementEntity, p.Bank, p.Method = pick("e-1", "e-1", "e-2", "e-9"), pick("ICBC", "CCB", "CCB", "BOC"), pick("QUICKPAY", "QUICKPAY", "QUICKPAY", "UPI")
	p.Currency, p.Amount = pick("CNY", "CNY", "CNY", "USD"), 1+rng.Int64N(10_000)
	m.MaxChannels = uint32(rng.IntN(5))
	if rng.IntN(4) == 0 {
		o := outcomes[rng.IntN(len(outcomes))]
		m.Attempts = append(m.Attempts, &sluicev1.PreviousAttempt{Channel: channelName(rng.IntN(8)), Outcome: o.Outcome, RawCode: o.RawCode})
	}
	if rng.IntN(4) == 0 {
		m.Exclude = append(m.Exclude, channelName(rng.IntN(8)))
	}
	if rng.IntN(6) == 0 {
		p.BusinessType = configv1.BusinessType(5 + rng.IntN(3))
		p.Original = &sluicev1.OriginalPayment{Channel: channelName(rng.IntN(9)), Account: pick("main", "travel", "none")}
	}
	if rng.IntN(8) == 0 {
		p.Deadline = timestamppb.New(time.Now().Add(time.Duration(rng.IntN(20)-3) * time.Second))
	}
	return m
}

// TestAgreement_Decisions: a million requests decided by a replica's router, by the client, and once more from the table by the
// mask alone, are the same byte for byte; where something ramps the replay under the client's own mask is.
func TestAgreement_Decisions(t *testing.T) {
	requests := 1_000_000
	if underRace {
		requests = 40_000
	}
	n := newNetwork()
	r := newReplica(t, n, "r1", testCatalog(8))
	second := atomic.Int64{}
	second.Store(time.Now().Unix())
	cfg := config(n, LocalFirst)
	cfg.now = func() time.Time { return time.Unix(second.Load(), 0) }
	c := newClient(t, cfg)
	rng := rand.New(rand.NewPCG(4, 4))
	var near, far, again routing.Decision
	var a, b, replay []byte
	w := &scratch{}
	ramps := 0
	var table *routing.Table
	for i := range requests {
		if i%10_000 == 0 {
			states := anyStates(rng)
			if i%20_000 == 0 {
				ramp := statemachine.NewState(statemachine.AccountScope(channelName(rng.IntN(8)), "main"))
				ramp.Phase, ramp.Share, ramp.Generation = statemachine.Ramping, statemachine.Share(rng.IntN(1_000_000)), uint64(i)
				states = append(states, ramp)
			}
			r.put(routing.Revision{Epoch: 2, Revision: int64(i) + 1}, states...)
			table = held(t, c, int64(i)+1)
			second.Add(1)
		}
		if err := w.read(anyRequest(rng, i)); err != nil {
			t.Fatal(err)
		}
		_, nearErr := c.Decide(&w.request, &near)
		farErr := r.router.Route(&w.request, second.Load(), &far)
		againErr := routing.Decide(table, &w.request, second.Load(), near.Admission, &again)
		a, b, replay = near.AppendBytes(a[:0]), far.AppendBytes(b[:0]), again.AppendBytes(replay[:0])
		if string(a) != string(replay) || fmt.Sprint(nearErr) != fmt.Sprint(againErr) {
			t.Fatalf("%d: client %v %x\nreplay %v %x", i, nearErr, a, againErr, replay)
		}
		if i/10_000%2 == 0 {
			ramps++
			continue // replica and client each count for themselves
		}
		if string(a) != string(b) || fmt.Sprint(nearErr) != fmt.Sprint(farErr) {
			t.Fatalf("%d: client %v %x\nreplica %v %x", i, nearErr, a, farErr, b)
		}
	}
	if ramps != requests/2 {
		t.Error(ramps)
	}
}

// held waits until the client holds a revision, and returns its table as the snapshot made it.
func held(t *testing.T, c *Client, revision int64) *routing.Table {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if table, s := c.mem.holder.Held(); s.Revision.Revision == revision && c.mem.sight().table == table {
			return table
		}
		select {
		case <-ctx.Done():
			t.Fatalf("revision %d did not come: %+v", revision, c.State())
		case <-tick.C:
		}
	}
}
