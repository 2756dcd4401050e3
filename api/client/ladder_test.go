package client

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
)

// witness remembers what Metrics was told.
type witness struct {
	mu      sync.Mutex
	answers []Call
	moves   []Source
}

func (w *witness) Answered(a Call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers = append(w.answers, a)
}

func (w *witness) Moved(_, to State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.moves = append(w.moves, to.Source)
}

func (w *witness) last() Call {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.answers[len(w.answers)-1]
}

// shelf is an etcd step that gives what lies on it.
type shelf struct {
	mu sync.Mutex
	s  *configv1.Snapshot
	n  int
}

func (s *shelf) Snapshot(context.Context, string) (*configv1.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	if s.s == nil {
		return nil, status.Error(codes.Unavailable, "nobody there")
	}
	return s.s, nil
}

func (s *shelf) put(m *configv1.Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.s = m
}

// TestLadder walks down the ladder step by step, and up again, in both modes.
func TestLadder(t *testing.T) {
	for _, mode := range []Mode{RPCFirst, LocalFirst} {
		t.Run(mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, w, etcd := newNetwork(), &witness{}, &shelf{}
				r := newReplica(t, n, "r1", testCatalog(3))
				static := r.snapshot()
				file := filepath.Join(t.TempDir(), "sluice.snapshot")
				cfg := config(n, mode)
				cfg.File, cfg.Metrics, cfg.Etcd, cfg.Static = file, w, etcd, static
				c := newClient(t, cfg)

				expect := func(want Source, age time.Duration, local bool) {
					t.Helper()
					reply := mustRoute(t, c, payment(1))
					if reply.GetSource() != want || reply.GetTableAge().AsDuration() != age || w.last().Local != local || w.last().Source != want {
						t.Fatalf("source %v, age %v, told %+v; want %v, %v, local %v", reply.GetSource(), reply.GetTableAge().AsDuration(), w.last(), want, age, local)
					}
					if channels(reply) != "abc" && want != SourceStatic {
						t.Fatalf("channels %s", channels(reply))
					}
				}
				local := mode == LocalFirst
				expect(SourceFresh, 0, local)
				synctest.Wait()

				time.Sleep(5 * time.Second)
				r.kill()
				synctest.Wait()
				expect(SourceFresh, 5*time.Second, true)
				time.Sleep(26 * time.Second)
				expect(SourceStale, 31*time.Second, true)

				// Restarted, with nobody there: from the file.
				if err := c.Close(); err != nil {
					t.Fatal(err)
				}
				c = newClient(t, cfg)
				expect(SourceFile, 31*time.Second, true)

				// etcd knows more: a newer table.
				newer := routing.Revision{Epoch: 1, Revision: 101}
				etcd.put(routing.NewSnapshot(r.plan.Table(newer, nil, nil), env, time.Now()))
				time.Sleep(6 * time.Second)
				synctest.Wait()
				expect(SourceEtcd, 6*time.Second, true)

				// No file, no etcd, no replica: static.
				etcd.put(nil)
				bare := cfg
				bare.File = ""
				if err := c.Close(); err != nil {
					t.Fatal(err)
				}
				c = newClient(t, bare)
				if reply := mustRoute(t, c, payment(1)); reply.GetSource() != SourceStatic || reply.GetChannels()[0].GetReason() != sluicev1.RankReason_RANK_REASON_STATIC {
					t.Fatalf("%v", reply)
				}

				// A replica comes back.
				r.start()
				r.put(routing.Revision{Epoch: 1, Revision: 102})
				time.Sleep(15 * time.Second)
				r.confirm()
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if reply := mustRoute(t, c, payment(1)); reply.GetSource() != SourceFresh || reply.GetTableRevision() != 102 {
					t.Fatalf("%v", reply)
				}
			})
		})
	}
}

// TestReplicaThatLostItsLedger repeats itself: its word makes nothing fresher, and a table that is confirmed again is fresh.
func TestReplicaThatLostItsLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		r := newReplica(t, n, "r1", testCatalog(3))
		c := newClient(t, config(n, LocalFirst))
		time.Sleep(45 * time.Second) // renewals come every 10 s, all with the same time
		synctest.Wait()
		if s := c.State(); s.Source != SourceStale || s.Age < 44*time.Second {
			t.Errorf("%+v", s)
		}
		r.confirm()
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if s := c.State(); s.Source != SourceFresh || s.Age > 11*time.Second {
			t.Errorf("%+v", s)
		}
	})
}
