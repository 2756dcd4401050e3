package server

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

type channelWatch interface {
	Recv() (*sluicev1.WatchChannelsResponse, error)
}

func (s *stand) watch(t *testing.T, m *sluicev1.WatchChannelsRequest) channelWatch {
	t.Helper()
	stream, err := s.channels().WatchChannels(as(t, Viewer), m)
	if err != nil {
		t.Fatal(err)
	}
	first, err := stream.Recv()
	if err != nil || first.GetFull() == nil {
		t.Fatalf("first message %v, %v", first, err)
	}
	return stream
}

func next(t *testing.T, w channelWatch) *sluicev1.WatchChannelsResponse {
	t.Helper()
	for {
		m, err := w.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if m.GetHeartbeat() == nil {
			return m
		}
	}
}

// nextTransition skips alerts, which come with their transition.
func nextTransition(t *testing.T, w channelWatch) *sluicev1.Transition {
	t.Helper()
	for {
		if tr := next(t, w).GetTransition(); tr != nil {
			return tr
		}
	}
}

// A watch begins with the whole and goes on with every transition, its evidence attached, in the order of the journal.
func TestWatchChannels(t *testing.T) {
	s := newStand(t, nil)
	w := s.watch(t, &sluicev1.WatchChannelsRequest{})
	cut := statemachine.InstrumentScope("alpha", icbcDebit)
	s.cut(cut)
	tr := nextTransition(t, w)
	same(t, "scope", tr.GetScope().GetName(), cut.String())
	same(t, "from", tr.GetFrom(), configv1.Phase_PHASE_HEALTHY)
	same(t, "to", tr.GetTo(), configv1.Phase_PHASE_DISABLED)
	same(t, "evidence", tr.GetEvidence().GetBad(), 28)
	same(t, "kind", tr.GetIncidentKind(), configv1.IncidentKind_INCIDENT_KIND_CUT)
	same(t, "incident", tr.GetIncidentId(), s.Sight().View.Incidents[0].ID)
	same(t, "cause", tr.GetCause(), configv1.Cause_CAUSE_AUTOMATION)
	same(t, "author", tr.GetAuthor(), "automation/r1")
	same(t, "evidence of the status", tr.GetStatus().GetEvidence().GetBad(), 28)
	same(t, "revision", tr.GetTableRevision(), s.Sight().View.Revision)
	if _, err := s.channels().SwitchChannel(as(t, Operator), overriding(off(&sluicev1.Scope{Channel: "beta"}))); err != nil {
		t.Fatal(err)
	}
	order := nextTransition(t, w)
	if order.GetScope().GetName() != "beta" || order.GetAuthor() != "operator" || order.GetReason() != "drill" || order.GetJournalSequence() != tr.GetJournalSequence()+1 {
		t.Errorf("order %v", order)
	}
	s.hub.Raise(statemachine.Alert{Kind: "COMMON_MODE", Severity: statemachine.Critical, At: epoch, Message: "ours"})
	if a := next(t, w).GetAlert(); a.GetAlert().GetKind() != "COMMON_MODE" {
		t.Errorf("alert %v", a)
	}
}

// An alert about a merchant account names its owner to operators; others learn no contact.
func TestWatchNamesTheOwnerOfAnAccount(t *testing.T) {
	s := newStand(t, nil)
	li := &configv1.Contact{Name: "Li Wei", Address: "+86 10 5678"}
	s.catalog.Channels[0].Accounts[0].Owner = li
	alpha, beta := statemachine.AccountScope("alpha", "a1"), statemachine.AccountScope("beta", "a1")
	for _, c := range []struct {
		role Role
		want *configv1.Contact
	}{{Viewer, nil}, {Operator, li}, {Approver, li}} {
		w, err := s.channels().WatchChannels(as(t, c.role), &sluicev1.WatchChannelsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Recv(); err != nil {
			t.Fatal(err)
		}
		for scope, want := range map[statemachine.Scope]*configv1.Contact{alpha: c.want, beta: nil, statemachine.ChannelScope("alpha"): nil} {
			s.hub.Raise(statemachine.Alert{Kind: monitor.AlertAccountFailed, Severity: statemachine.Critical, Scope: scope, At: epoch, Message: "refused"})
			if got := next(t, w).GetAlert(); got.GetAlert().GetScope() == nil || !proto.Equal(got.GetOwner(), want) {
				t.Errorf("role %v, %v: got %v, want %v", c.role, scope, got, want)
			}
		}
	}
}

func TestWatchSomeChannels(t *testing.T) {
	s := newStand(t, nil)
	stream, err := s.channels().WatchChannels(as(t, Viewer), &sluicev1.WatchChannelsRequest{Channels: []string{"alpha"}})
	if err != nil {
		t.Fatal(err)
	}
	if first, err := stream.Recv(); err != nil || len(first.GetFull().GetChannels()) != 1 || first.GetFull().GetChannels()[0].GetChannel() != "alpha" {
		t.Fatalf("full %v, %v", first, err)
	}
	s.cut(statemachine.InstrumentScope("gamma", icbcDebit))
	if _, err := s.channels().SwitchChannel(as(t, Operator), off(&sluicev1.Scope{FailureDomain: "net"})); err == nil {
		t.Fatal("the guard let the network be closed with gamma's ICBC down")
	}
	if _, err := s.channels().SwitchChannel(as(t, Operator), overriding(off(&sluicev1.Scope{FailureDomain: "net"}))); err != nil {
		t.Fatal(err)
	}
	if tr := nextTransition(t, stream); tr.GetScope().GetName() != "domain=net" {
		t.Errorf("alpha's watch got %v", tr)
	}
}

// After a broken watch nothing is missed: what happened in between comes after the whole.
func TestWatchResumes(t *testing.T) {
	s := newStand(t, nil)
	seen := s.Sight().View.Head.Sequence
	s.cut(statemachine.InstrumentScope("alpha", icbcDebit))
	w := s.watch(t, &sluicev1.WatchChannelsRequest{AfterSequence: seen})
	if tr := nextTransition(t, w); tr.GetJournalSequence() != seen+1 {
		t.Errorf("replayed %v", tr)
	}
	s.cut(statemachine.InstrumentScope("beta", icbcDebit))
	if tr := nextTransition(t, w); tr.GetJournalSequence() != seen+2 || tr.GetScope().GetChannel() != "beta" {
		t.Errorf("then %v", tr)
	}
}

func TestWatchHeartbeats(t *testing.T) {
	s := newStand(t, func(c *Config) { c.Heartbeat = 5 * time.Millisecond })
	m, err := s.watch(t, &sluicev1.WatchChannelsRequest{}).Recv()
	if err != nil || m.GetHeartbeat().GetTableRevision() != s.Sight().View.Revision || m.GetHeartbeat().GetJournalSequence() != s.Sight().View.Head.Sequence {
		t.Errorf("got %v, %v", m, err)
	}
}

// A reader that does not keep up is told and ended; the others are served.
func TestSlowWatchersAreEnded(t *testing.T) {
	m := NewMetrics()
	h := newHub(m)
	slow, quick := h.watch(), h.watch()
	for i := range uint64(watchBuffer + 1) {
		h.Publish([]monitor.JournalEntry{{Sequence: i + 1}, {Sequence: i + 1}}) // each once, however often it is told
		if e := <-quick.entries; e.Sequence != i+1 {
			t.Fatalf("got %d, want %d", e.Sequence, i+1)
		}
	}
	select {
	case <-slow.slow:
	default:
		t.Error("the slow watch still runs")
	}
	select {
	case <-quick.slow:
		t.Error("the quick watch was ended")
	default:
	}
	if f := tooSlow(); f.code != codes.ResourceExhausted || !strings.Contains(f.message, "journal_sequence") {
		t.Errorf("status %v", f)
	}
}

// A stopping server tells its watches to go elsewhere instead of waiting for them.
func TestStopSendsWatchersAway(t *testing.T) {
	s := newStand(t, nil)
	w := s.watch(t, &sluicev1.WatchChannelsRequest{})
	if err := s.server.Stop(as(t, Viewer)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Recv(); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "watch another one") {
		t.Errorf("got %v", err)
	}
	if s.server.Ready() {
		t.Error("ready after Stop")
	}
}

// A watch tells of a new catalogue who put it in force and why, and shows the channels anew: there may be others.
func TestWatchChannels_NewCatalogue(t *testing.T) {
	s := newStand(t, nil)
	w := s.watch(t, &sluicev1.WatchChannelsRequest{})
	c := betaFirst()
	c.Channels = append(c.GetChannels(), testChannel("epsilon", "ICBC"))
	c.Channels[0].Retired = true
	s.apply(t, &sluicev1.ApplyCatalogRequest{Catalog: c, Reason: "alpha ends"})
	told := next(t, w).GetCatalog()
	if r := told.GetRevision(); r.GetRevision() != 2 || r.GetVersion() != "v2" || r.GetAuthor() != "owner" || r.GetReason() != "alpha ends" || told.GetJournalSequence() != 2 {
		t.Errorf("told %v", told)
	}
	full := next(t, w).GetFull()
	if len(full.GetChannels()) != 5 || full.GetTableRevision() != told.GetTableRevision() {
		t.Fatalf("then %v", full)
	}
	for _, ch := range full.GetChannels() {
		if ch.GetRetired() != (ch.GetChannel() == "alpha") {
			t.Errorf("%s: retired %v", ch.GetChannel(), ch.GetRetired())
		}
	}
}
