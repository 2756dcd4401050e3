package server

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

var icbcDebit = statemachine.Instrument{Method: "QUICKPAY", Bank: "ICBC", CardType: "DEBIT"}

func ids(channels []*sluicev1.ChannelStatus) []string {
	var out []string
	for _, c := range channels {
		out = append(out, c.GetChannel())
	}
	return out
}

func TestListChannels(t *testing.T) {
	s := newStand(t, nil)
	s.cut(statemachine.InstrumentScope("beta", icbcDebit))
	tests := map[string]struct {
		request *sluicev1.ListChannelsRequest
		want    []string
	}{
		"all":            {&sluicev1.ListChannelsRequest{}, []string{"alpha", "beta", "delta", "gamma"}},
		"not healthy":    {&sluicev1.ListChannelsRequest{NotHealthyOnly: true}, []string{"beta"}},
		"provider":       {&sluicev1.ListChannelsRequest{Provider: "provider-gamma"}, []string{"gamma"}},
		"bank":           {&sluicev1.ListChannelsRequest{Bank: "ABC"}, []string{"delta"}},
		"method":         {&sluicev1.ListChannelsRequest{Method: "WALLET"}, nil},
		"failure domain": {&sluicev1.ListChannelsRequest{FailureDomain: "net"}, []string{"alpha", "beta"}},
	}
	for name, test := range tests {
		reply, err := s.channels().ListChannels(as(t, Viewer), test.request)
		if err != nil || !slices.Equal(ids(reply.GetChannels()), test.want) {
			t.Errorf("%s: got %v, %v, want %v", name, ids(reply.GetChannels()), err, test.want)
		}
	}
}

func TestListChannelsPages(t *testing.T) {
	s := newStand(t, nil)
	var got []string
	q := &sluicev1.ListChannelsRequest{PageSize: 3}
	for {
		reply, err := s.channels().ListChannels(as(t, Viewer), q)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, ids(reply.GetChannels())...)
		if q.PageToken = reply.GetNextPageToken(); q.GetPageToken() == "" {
			break
		}
		other := &sluicev1.ListChannelsRequest{PageSize: 3, PageToken: q.GetPageToken(), Provider: "provider-alpha"}
		_, err = s.channels().ListChannels(as(t, Viewer), other)
		wantError(t, err, codes.InvalidArgument, "INVALID_FIELD")
	}
	if want := []string{"alpha", "beta", "delta", "gamma"}; !slices.Equal(got, want) {
		t.Errorf("pages gave %v", got)
	}
}

// A channel with one bank cut shows that bank, its evidence, what comes next and when, and how much of the channel is down.
func TestGetChannelShowsWhatIsCut(t *testing.T) {
	s := newStand(t, nil)
	cut := statemachine.InstrumentScope("alpha", icbcDebit)
	s.traffic[cut] = Traffic{Window: time.Minute, Results: 30, Succeeded: 2, Answered: 30, Bad: 28, PerSecond: 0.5}
	s.cut(cut)
	reply, err := s.channels().GetChannel(as(t, Viewer), &sluicev1.GetChannelRequest{Channel: "alpha"})
	if err != nil {
		t.Fatal(err)
	}
	c := reply.GetChannel()
	same(t, "phase of the channel", c.GetPhase(), configv1.Phase_PHASE_HEALTHY)
	same(t, "instruments", c.GetInstruments(), 4)
	same(t, "instruments down", c.GetInstrumentsDown(), 1)
	same(t, "in its window", c.GetInWindow(), true)
	if len(c.GetScopes()) != 2 {
		t.Fatalf("scopes %v", c.GetScopes())
	}
	scope := c.GetScopes()[1]
	until := s.now().Add(s.plan.Policy("alpha").CoolDown)
	same(t, "name", scope.GetScope().GetName(), cut.String())
	same(t, "bank", scope.GetScope().GetBank(), "ICBC")
	same(t, "phase", scope.GetPhase(), configv1.Phase_PHASE_DISABLED)
	same(t, "share", scope.GetSharePpm(), 0)
	same(t, "reason", scope.GetReason(), "28 of 30 failed in 10 s")
	same(t, "bad results", scope.GetEvidence().GetBad(), 28)
	same(t, "next", scope.GetNext(), "probes begin when the cool-down is over")
	same(t, "next time", scope.GetNextTime().AsTime(), until)
	same(t, "results", scope.GetTraffic().GetResults(), 30)
	if len(reply.GetConfig().GetContacts()) != 0 || reply.GetPolicy().GetRecovery().GetCoolDown().AsDuration() != s.plan.Policy("alpha").CoolDown {
		t.Errorf("config %v, policy %v", reply.GetConfig().GetContacts(), reply.GetPolicy())
	}
	if reply, err = s.channels().GetChannel(as(t, Operator), &sluicev1.GetChannelRequest{Channel: "alpha"}); err != nil || len(reply.GetConfig().GetContacts()) != 1 {
		t.Errorf("an operator sees %v, %v", reply.GetConfig().GetContacts(), err)
	}
	_, err = s.channels().GetChannel(as(t, Viewer), &sluicev1.GetChannelRequest{Channel: "nowhere"})
	wantError(t, err, codes.NotFound, "UNKNOWN_CHANNEL")
}

func off(scope *sluicev1.Scope) *sluicev1.SwitchChannelRequest {
	return &sluicev1.SwitchChannelRequest{Action: sluicev1.Action_ACTION_OFF, Scope: scope, Reason: "drill", Expiry: expireAfter(time.Hour)}
}

// overriding names the guards that a small catalogue makes speak.
func overriding(m *sluicev1.SwitchChannelRequest) *sluicev1.SwitchChannelRequest {
	m.OverrideGuards = []sluicev1.Guard{sluicev1.Guard_GUARD_LAST_USABLE, sluicev1.Guard_GUARD_CAPACITY}
	return m
}

func TestSwitchSelectsScopes(t *testing.T) {
	tests := map[string]struct {
		scope *sluicev1.Scope
		want  []string
		fails string
	}{
		"name":                {&sluicev1.Scope{Name: "alpha/method=QUICKPAY"}, []string{"alpha/method=QUICKPAY"}, ""},
		"channel":             {&sluicev1.Scope{Channel: "alpha"}, []string{"alpha"}, ""},
		"business type":       {&sluicev1.Scope{Channel: "alpha", BusinessType: collect}, []string{"alpha/business=COLLECT"}, ""},
		"method":              {&sluicev1.Scope{Channel: "alpha", Method: "QUICKPAY"}, []string{"alpha/method=QUICKPAY"}, ""},
		"account":             {&sluicev1.Scope{Channel: "alpha", Account: "a1"}, []string{"alpha/account=a1"}, ""},
		"failure domain":      {&sluicev1.Scope{FailureDomain: "net"}, []string{"domain=net"}, ""},
		"bank":                {&sluicev1.Scope{Channel: "alpha", Bank: "ICBC"}, []string{"alpha/instrument=QUICKPAY:ICBC:CREDIT", "alpha/instrument=QUICKPAY:ICBC:DEBIT"}, ""},
		"bank and card":       {&sluicev1.Scope{Channel: "alpha", Bank: "ICBC", CardType: credit}, []string{"alpha/instrument=QUICKPAY:ICBC:CREDIT"}, ""},
		"name and its parts":  {&sluicev1.Scope{Name: "alpha/account=a1", Channel: "alpha", Account: "a1"}, []string{"alpha/account=a1"}, ""},
		"name, other parts":   {&sluicev1.Scope{Name: "alpha/account=a1", Channel: "beta"}, nil, "INVALID_FIELD"},
		"two parts":           {&sluicev1.Scope{Channel: "alpha", Account: "a1", BusinessType: collect}, nil, "INVALID_FIELD"},
		"nothing":             {&sluicev1.Scope{}, nil, "INVALID_FIELD"},
		"malformed name":      {&sluicev1.Scope{Name: "alpha/bank=ICBC"}, nil, "INVALID_FIELD"},
		"unknown channel":     {&sluicev1.Scope{Channel: "nowhere", Bank: "ICBC"}, nil, "UNKNOWN_CHANNEL"},
		"unknown bank":        {&sluicev1.Scope{Channel: "alpha", Bank: "XYZ"}, nil, "UNKNOWN_SCOPE"},
		"unknown domain":      {&sluicev1.Scope{FailureDomain: "moon"}, nil, "UNKNOWN_SCOPE"},
		"unsupported account": {&sluicev1.Scope{Channel: "alpha", Account: "a9"}, nil, "UNKNOWN_SCOPE"},
	}
	s := newStand(t, nil)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			q := overriding(off(test.scope))
			q.ValidateOnly = true
			reply, err := s.channels().SwitchChannel(as(t, Operator), q)
			var got []string
			for _, scope := range reply.GetScopes() {
				got = append(got, scope.GetScope().GetName())
			}
			if test.fails != "" {
				if err == nil || detailOf[*errdetails.ErrorInfo](t, err).GetReason() != test.fails {
					t.Errorf("got %v, want %s", err, test.fails)
				}
				return
			}
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got %v, %v, want %v", got, err, test.want)
			}
		})
	}
	if s.Sight().View.Head.Sequence != 1 {
		t.Error("validate_only has changed something")
	}
}

// wantShift checks the prediction for alpha's OFF: four lanes (two banks × two cards) at 100 payments/s, all of which alpha took as
// the first by priority, go to beta.
func wantShift(t *testing.T, got *sluicev1.PredictedShift) {
	t.Helper()
	same(t, "payments that move", got.GetPaymentsPerSecond(), 400)
	if len(got.GetChannels()) != 2 || len(got.GetLanes()) != 4 {
		t.Fatalf("shift %v", got)
	}
	for i, want := range []*sluicev1.ChannelShift{{Channel: "alpha", BeforePpm: 1_000_000}, {Channel: "beta", AfterPpm: 1_000_000}} {
		if !proto.Equal(got.GetChannels()[i], want) {
			t.Errorf("channel %d: %v, want %v", i, got.GetChannels()[i], want)
		}
	}
	lane := got.GetLanes()[0]
	same(t, "usable before", strings.Join(lane.GetUsableBefore(), " "), "alpha beta gamma")
	same(t, "usable after", strings.Join(lane.GetUsableAfter(), " "), "beta gamma")
}

// An order tells where the traffic goes, is obeyed at once, is repeated without a second effect, and can be undone by what it gives.
func TestSwitchOffAndUndo(t *testing.T) {
	s := newStand(t, nil)
	q := off(&sluicev1.Scope{Channel: "alpha"})
	q.RequestId, q.Etag = "r-1", "0"
	reply, err := s.channels().SwitchChannel(as(t, Operator), q)
	if err != nil {
		t.Fatal(err)
	}
	scope := reply.GetScopes()[0]
	same(t, "phase", scope.GetPhase(), configv1.Phase_PHASE_DISABLED)
	same(t, "author", scope.GetState().GetOff().GetAuthor(), "operator")
	same(t, "journal sequence", reply.GetJournalSequence(), 2)
	wantShift(t, reply.GetShift())
	if routed, err := s.routing().Route(as(t, Cashier), payment("p1")); err != nil || routed.GetChannels()[0].GetChannel() != "beta" {
		t.Errorf("routed to %v, %v", routed, err)
	}
	again, err := s.channels().SwitchChannel(as(t, Operator), q)
	if err != nil || again.GetJournalSequence() != 2 || len(again.GetWarnings()) == 0 || s.Sight().View.Head.Sequence != 2 {
		t.Errorf("repeated: %v, %v", again, err)
	}
	undone, err := s.channels().SwitchChannel(as(t, Operator), reply.GetUndo())
	if err != nil || undone.GetScopes()[0].GetPhase() != configv1.Phase_PHASE_PROBING {
		t.Errorf("undone: %v, %v", undone, err)
	}
}

func TestStaleEtagAndReusedRequestID(t *testing.T) {
	s := newStand(t, nil)
	q := off(&sluicev1.Scope{Channel: "alpha"})
	q.RequestId, q.Etag = "r-1", "0"
	reply, err := s.channels().SwitchChannel(as(t, Operator), q)
	if err != nil {
		t.Fatal(err)
	}
	q.RequestId = "r-2" // with the etag of before
	_, err = s.channels().SwitchChannel(as(t, Operator), q)
	wantError(t, err, codes.Aborted, "STALE_ETAG")
	same(t, "current etag", detailOf[*errdetails.ErrorInfo](t, err).GetMetadata()["current_etag"], reply.GetScopes()[0].GetEtag())
	q = off(&sluicev1.Scope{Channel: "beta"})
	q.RequestId = "r-1" // of another order
	_, err = s.channels().SwitchChannel(as(t, Operator), q)
	wantError(t, err, codes.AlreadyExists, "REQUEST_ID_REUSED")
}

// A guard says no, is named, and can be overridden by its name, which the reply tells.
func TestGuardsRefuseAndAreOverridden(t *testing.T) {
	s := newStand(t, nil)
	q := off(&sluicev1.Scope{Channel: "delta"}) // the only one for ABC
	_, err := s.channels().SwitchChannel(as(t, Operator), q)
	wantError(t, err, codes.FailedPrecondition, "GUARD_REFUSED")
	if d := detailOf[*errdetails.ErrorInfo](t, err); d.GetMetadata()["guard"] != "LAST_USABLE" {
		t.Errorf("metadata %v", d.GetMetadata())
	}
	q.ValidateOnly = true
	_, err = s.channels().SwitchChannel(as(t, Operator), q)
	wantError(t, err, codes.FailedPrecondition, "GUARD_REFUSED")
	q.ValidateOnly, q.OverrideGuards = false, []sluicev1.Guard{sluicev1.Guard_GUARD_LAST_USABLE, sluicev1.Guard_GUARD_CAPACITY}
	reply, err := s.channels().SwitchChannel(as(t, Operator), q)
	if err != nil || len(reply.GetWarnings()) != 1 || !strings.HasPrefix(reply.GetWarnings()[0], "LAST_USABLE was overridden") {
		t.Errorf("overridden: %v, %v", reply.GetWarnings(), err)
	}
}

func TestSwitchExpiry(t *testing.T) {
	at := func(d time.Duration) func(*sluicev1.SwitchChannelRequest) {
		return func(m *sluicev1.SwitchChannelRequest) {
			m.Expiry = &sluicev1.SwitchChannelRequest_ExpireTime{ExpireTime: timestamppb.New(epoch.Add(d))}
		}
	}
	tests := map[string]struct {
		change func(*sluicev1.SwitchChannelRequest)
		fails  string
	}{
		"at a time":       {at(time.Hour), ""},
		"in the past":     {at(-time.Hour), "INVALID_FIELD"},
		"too long":        {at(10_000 * time.Hour), "INVALID_FIELD"},
		"none":            {func(m *sluicev1.SwitchChannelRequest) { m.Expiry = nil }, "INVALID_FIELD"},
		"none for ON":     {func(m *sluicev1.SwitchChannelRequest) { m.Action = sluicev1.Action_ACTION_ON }, "INVALID_FIELD"},
		"short reason":    {func(m *sluicev1.SwitchChannelRequest) { m.Reason = "x" }, "INVALID_FIELD"},
		"card number":     {func(m *sluicev1.SwitchChannelRequest) { m.Reason = "card 4111 1111 1111 1111" }, "CARD_NUMBER_REFUSED"},
		"malformed etag":  {func(m *sluicev1.SwitchChannelRequest) { m.Etag = "x" }, "INVALID_FIELD"},
		"lift of nothing": {func(m *sluicev1.SwitchChannelRequest) { m.Action, m.Expiry = sluicev1.Action_ACTION_LIFT, nil }, "ORDER_NOT_APPLICABLE"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStand(t, nil)
			reply, err := s.channels().SwitchChannel(as(t, Approver), changed(off(&sluicev1.Scope{Channel: "alpha"}), test.change))
			if test.fails == "" {
				if want := epoch.Add(time.Hour); err != nil || !reply.GetScopes()[0].GetState().GetOff().GetUntil().AsTime().Equal(want) {
					t.Errorf("got %v, %v", reply, err)
				}
				return
			}
			if err == nil || detailOf[*errdetails.ErrorInfo](t, err).GetReason() != test.fails {
				t.Errorf("got %v, want %s", err, test.fails)
			}
		})
	}
}

// A wider DISABLED wins over a narrower ON, which says so.
func TestNarrowOnUnderWideOffWarns(t *testing.T) {
	s := newStand(t, nil)
	if _, err := s.channels().SwitchChannel(as(t, Operator), off(&sluicev1.Scope{Channel: "alpha"})); err != nil {
		t.Fatal(err)
	}
	narrow := &sluicev1.Scope{Name: statemachine.InstrumentScope("alpha", icbcDebit).String()}
	on := &sluicev1.SwitchChannelRequest{Action: sluicev1.Action_ACTION_ON_NOW, Scope: narrow, Reason: "must work", Expiry: expireAfter(time.Minute)}
	reply, err := s.channels().SwitchChannel(as(t, Operator), on)
	if err != nil || !slices.ContainsFunc(reply.GetWarnings(), func(w string) bool { return strings.HasPrefix(w, "alpha is DISABLED and wins") }) {
		t.Errorf("warnings %v, %v", reply.GetWarnings(), err)
	}
}

// The undo of an order restores what lay over the scope before, for the time that was left.
func TestUndo(t *testing.T) {
	now := epoch
	over := statemachine.Override{Author: "ann", Reason: "maintenance", Since: statemachine.At(now), Until: statemachine.At(now.Add(time.Hour))}
	tests := map[string]struct {
		action sluicev1.Action
		before statemachine.State
		want   sluicev1.Action // 0 = nothing undoes it
	}{
		"off":                {sluicev1.Action_ACTION_OFF, statemachine.State{}, sluicev1.Action_ACTION_RELEASE},
		"on from off":        {sluicev1.Action_ACTION_ON, statemachine.State{Off: over}, sluicev1.Action_ACTION_OFF},
		"on from a cut":      {sluicev1.Action_ACTION_ON, statemachine.State{Phase: statemachine.Disabled}, 0},
		"release of on now":  {sluicev1.Action_ACTION_RELEASE, statemachine.State{OnNow: over}, sluicev1.Action_ACTION_ON_NOW},
		"release of a hold":  {sluicev1.Action_ACTION_RELEASE, statemachine.State{Hold: over}, sluicev1.Action_ACTION_HOLD},
		"hold":               {sluicev1.Action_ACTION_HOLD, statemachine.State{}, sluicev1.Action_ACTION_RELEASE},
		"hold over an off":   {sluicev1.Action_ACTION_HOLD, statemachine.State{Off: over}, 0},
		"on now over an off": {sluicev1.Action_ACTION_ON_NOW, statemachine.State{Off: over}, sluicev1.Action_ACTION_OFF},
		"on now":             {sluicev1.Action_ACTION_ON_NOW, statemachine.State{}, sluicev1.Action_ACTION_RELEASE},
		"lift":               {sluicev1.Action_ACTION_LIFT, statemachine.State{}, sluicev1.Action_ACTION_SUSPEND},
	}
	s := newStand(t, nil)
	for name, test := range tests {
		u := undo(&sluicev1.SwitchChannelRequest{Action: test.action, Scope: &sluicev1.Scope{Channel: "alpha"}, Reason: strings.Repeat("é", 250)}, test.before, now)
		if u.GetAction() != test.want || (u == nil) != (test.want == 0) {
			t.Errorf("%s: %v", name, u)
		}
		if u == nil {
			continue
		}
		if err := s.server.checkMessage(u); err != nil {
			t.Errorf("%s: the undo is no valid request: %v (%v)", name, err, proto.CloneOf(u))
		}
	}
}
