package server

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

func TestGetSnapshot(t *testing.T) {
	s := newStand(t, func(c *Config) { c.Environment = "prod" })
	s.cut(statemachine.InstrumentScope("alpha", icbcDebit))
	reply, err := s.routing().GetSnapshot(as(t, Cashier), &sluicev1.GetSnapshotRequest{})
	if err != nil {
		t.Fatal(err)
	}
	table, err := routing.OpenSnapshot(reply.GetSnapshot(), "prod", nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := s.Sight().Table; table.Revision() != want.Revision() || !slices.Equal(table.States(), want.States()) {
		t.Errorf("snapshot of %+v, in force is %+v", table.Revision(), want.Revision())
	}
	if !reply.GetSnapshot().GetWriteTime().AsTime().Equal(s.Sight().Confirmed) {
		t.Errorf("written at %v, confirmed at %v", reply.GetSnapshot().GetWriteTime().AsTime(), s.Sight().Confirmed)
	}
	for _, c := range reply.GetSnapshot().GetCatalog().GetChannels() {
		if len(c.GetContacts()) > 0 {
			t.Errorf("%s: contacts are told", c.GetId())
		}
	}
	_, err = s.routing().GetSnapshot(as(t, Viewer), &sluicev1.GetSnapshotRequest{})
	wantError(t, err, codes.PermissionDenied, "PERMISSION_DENIED")
}

// snapshotWatch is one client: it takes what the stream brings.
type snapshotWatch struct {
	t      *testing.T
	stream interface {
		Recv() (*sluicev1.WatchSnapshotResponse, error)
	}
	holder *routing.SnapshotHolder
}

func (s *stand) watchSnapshot(t *testing.T, ctx context.Context, held routing.Revision) *snapshotWatch { //nolint:revive // t first, as everywhere
	t.Helper()
	stream, err := s.routing().WatchSnapshot(ctx, &sluicev1.WatchSnapshotRequest{Epoch: held.Epoch, Revision: held.Revision})
	if err != nil {
		t.Fatal(err)
	}
	return &snapshotWatch{t, stream, routing.NewSnapshotHolder(DefaultEnvironment)}
}

// next takes one message and says which kind it was.
func (w *snapshotWatch) next() string {
	w.t.Helper()
	m, err := w.stream.Recv()
	if err != nil {
		w.t.Fatal(err)
	}
	switch u := m.GetUpdate().(type) {
	case *sluicev1.WatchSnapshotResponse_Snapshot:
		if _, err := w.holder.Offer(u.Snapshot); err != nil {
			w.t.Fatal(err)
		}
		return "snapshot"
	case *sluicev1.WatchSnapshotResponse_Change:
		c := u.Change
		revision := routing.Revision{Epoch: c.GetEpoch(), Revision: c.GetRevision()}
		if _, err := w.holder.Change(&routing.SnapshotChange{
			Base: c.GetBaseRevision(), Stamp: routing.Stamp{Revision: revision, Written: c.GetWriteTime().AsTime()}, States: c.GetStates(), Scores: c.GetScores(),
		}); err != nil {
			w.t.Fatal(err)
		}
		return "change of " + strings.Join(channelsOf(c.GetStates()), " ")
	case *sluicev1.WatchSnapshotResponse_Renewal:
		w.holder.Renew(routing.Stamp{
			Revision: routing.Revision{Epoch: u.Renewal.GetEpoch(), Revision: u.Renewal.GetRevision()}, Written: u.Renewal.GetWriteTime().AsTime(),
		})
		return "renewal"
	}
	return "nothing"
}

func channelsOf(states []*configv1.ScopeState) []string {
	var out []string
	for _, s := range states {
		out = append(out, s.GetScope().GetChannel())
	}
	return out
}

// is fails unless the next message is of a kind, and the client then holds the table in force.
func (w *snapshotWatch) is(s *stand, want string) {
	w.t.Helper()
	if got := w.next(); got != want {
		w.t.Fatalf("got a %s, want a %s", got, want)
	}
	table, stamp := w.holder.Held()
	force := s.Sight()
	if table == nil || stamp.Revision != force.Table.Revision() || !stamp.Written.Equal(force.Confirmed) || !slices.Equal(table.States(), force.Table.States()) {
		w.t.Fatalf("after the %s the client holds %+v, in force is %+v of %v", want, stamp, force.Table.Revision(), force.Confirmed)
	}
}

func TestWatchSnapshot_FullFirstThenChangesOnly(t *testing.T) {
	s := newStand(t, nil)
	w := s.watchSnapshot(t, as(t, Cashier), routing.Revision{})
	w.is(s, "snapshot")
	s.cut(statemachine.InstrumentScope("alpha", icbcDebit))
	s.server.Refresh()
	w.is(s, "change of alpha")
	s.server.Refresh() // nothing new
	s.cut(statemachine.InstrumentScope("beta", icbcDebit))
	s.server.Refresh()
	w.is(s, "change of beta")
	s.applyAnew(t)
	w.is(s, "snapshot")
}

// applyAnew puts another version of the catalogue in force.
func (s *stand) applyAnew(t *testing.T) {
	t.Helper()
	s.catalog = proto.CloneOf(s.catalog)
	s.catalog.Version += "+"
	raw, err := proto.Marshal(s.catalog)
	if err != nil {
		t.Fatal(err)
	}
	if s.plan, err = routing.CompilePlan(s.catalog, s.plan); err != nil {
		t.Fatal(err)
	}
	if _, err := s.control.ApplyCatalog(t.Context(), monitor.CatalogRequest{Catalog: raw, Author: "test", Reason: "anew"}, s.now()); err != nil {
		t.Fatal(err)
	}
	s.refresh()
	s.server.Refresh()
}

func TestWatchSnapshot_ContinuesFromWhatTheClientHas(t *testing.T) {
	s := newStand(t, nil)
	first := s.watchSnapshot(t, as(t, Cashier), routing.Revision{})
	first.is(s, "snapshot")
	held := s.Sight().Table.Revision()
	again := s.watchSnapshot(t, as(t, Cashier), held)
	again.holder = first.holder
	again.is(s, "renewal")
	s.cut(statemachine.InstrumentScope("alpha", icbcDebit))
	s.server.Refresh()
	again.is(s, "change of alpha")
	s.watchSnapshot(t, as(t, Cashier), held).is(s, "snapshot") // older than ours
}

func TestWatchSnapshot_Renews(t *testing.T) {
	s := newStand(t, func(c *Config) { c.Heartbeat = 5 * time.Millisecond })
	w := s.watchSnapshot(t, as(t, Cashier), routing.Revision{})
	w.is(s, "snapshot")
	s.second.Add(7)
	s.refresh() // confirms the same revision
	s.server.Refresh()
	for {
		if got := w.next(); got != "renewal" && got != "change of " {
			t.Fatalf("got a %s", got)
		}
		if _, stamp := w.holder.Held(); stamp.Written.Equal(epoch.Add(7 * time.Second)) {
			return
		}
	}
}

// TestInvariant11_WatchSendsNobodyBackInTime watches with a newer snapshot than the replica's: it may catch up, else it says so.
func TestInvariant11_WatchSendsNobodyBackInTime(t *testing.T) {
	s := newStand(t, nil)
	s.server.snapshots.hurry = 30 * time.Millisecond
	now := s.Sight().Table.Revision()
	for _, held := range []routing.Revision{{Epoch: now.Epoch, Revision: now.Revision + 1}, {Epoch: now.Epoch + 1, Revision: 1}} {
		w := s.watchSnapshot(t, as(t, Cashier), held)
		m, err := w.stream.Recv()
		wantError(t, err, codes.Unavailable, "SNAPSHOT_BEHIND")
		if m != nil {
			t.Errorf("%+v got %v", held, m)
		}
	}
}

// A replica that lags behind its client may catch up.
func TestWatchSnapshot_ReplicaCatchesUp(t *testing.T) {
	s := newStand(t, nil)
	now := s.Sight().Table.Revision()
	w := s.watchSnapshot(t, as(t, Cashier), routing.Revision{Epoch: now.Epoch, Revision: now.Revision + 1})
	waits := func() bool {
		s.server.snapshots.mu.Lock()
		defer s.server.snapshots.mu.Unlock()
		return s.server.snapshots.changed != nil
	}
	for !waits() {
		runtime.Gosched()
	}
	s.cut(statemachine.InstrumentScope("alpha", icbcDebit))
	reply, err := s.routing().GetSnapshot(as(t, Cashier), &sluicev1.GetSnapshotRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.holder.Offer(reply.GetSnapshot()); err != nil { // what the client has from elsewhere
		t.Fatal(err)
	}
	s.server.Refresh()
	w.is(s, "renewal")
}

// A reader that takes nothing is ended with a clear status; the others are served.
func TestWatchSnapshot_SlowReaderIsEnded(t *testing.T) {
	catalog := testCatalog()
	catalog.Name = strings.Repeat("a large catalogue ", 20_000)
	s := newStandOf(t, catalog, nil)
	s.server.snapshots.hurry = 50 * time.Millisecond
	slow := s.watchSnapshot(t, as(t, Cashier), routing.Revision{})
	slow.is(s, "snapshot")
	ctx, stop := context.WithTimeout(as(t, Cashier), 15*time.Second)
	defer stop()
	dropped := func() float64 {
		var m dto.Metric
		if err := s.server.metrics.dropped.Write(&m); err != nil {
			t.Fatal(err)
		}
		return m.GetCounter().GetValue()
	}
	for dropped() == 0 && ctx.Err() == nil {
		quick := s.watchSnapshot(t, ctx, routing.Revision{})
		quick.is(s, "snapshot")
		s.applyAnew(t)
		quick.is(s, "snapshot")
	}
	for {
		if _, err := slow.stream.Recv(); err != nil {
			wantError(t, err, codes.ResourceExhausted, "OVERLOADED")
			if !strings.Contains(err.Error(), "too slowly") {
				t.Errorf("%v", err)
			}
			return
		}
	}
}

func TestWatchSnapshot_StopSendsAway(t *testing.T) {
	s := newStand(t, nil)
	w := s.watchSnapshot(t, as(t, Cashier), routing.Revision{})
	w.is(s, "snapshot")
	if err := s.server.Stop(as(t, Viewer)); err != nil {
		t.Fatal(err)
	}
	_, err := w.stream.Recv()
	if errors.Is(err, nil) || !strings.Contains(err.Error(), "watch another one") {
		t.Errorf("got %v", err)
	}
}
