package server

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
)

// compile follows the catalogue of a view.
func (w *world) compile(view *monitor.View) {
	catalog := &configv1.Catalog{}
	if err := proto.Unmarshal(view.Catalog, catalog); err != nil {
		w.t.Fatal(err)
	}
	if proto.Equal(catalog, w.catalog) {
		return
	}
	plan, err := routing.CompilePlan(catalog, w.plan)
	if err != nil {
		w.t.Error(err)
		return
	}
	w.plan, w.catalog = plan, catalog
}

// ApplyCatalog changes the catalogue as a node does.
func (w *world) ApplyCatalog(ctx context.Context, q monitor.CatalogRequest, now time.Time) (monitor.Result, error) {
	r, err := w.control.ApplyCatalog(ctx, q, now)
	if err == nil && !q.ValidateOnly {
		w.refresh() //nolint:contextcheck // the replica looks by itself
	}
	return r, err
}

func (w *world) Catalog(ctx context.Context, number uint64) ([]byte, monitor.CatalogRevision, error) {
	return w.ledger.Catalog(ctx, number)
}

func (w *world) Catalogs(ctx context.Context) ([]monitor.CatalogRevision, error) {
	return w.ledger.Catalogs(ctx)
}

func (s *stand) catalogs() sluicev1.CatalogServiceClient {
	return sluicev1.NewCatalogServiceClient(s.conn)
}

// betaFirst is the test's catalogue with beta before alpha.
func betaFirst() *configv1.Catalog {
	c := testCatalog()
	c.Version = "v2"
	m := c.GetRoutes()[0].GetMembers()
	m[0].Priority, m[1].Priority = 1, 0
	return c
}

// routed returns the channel a payment gets.
func (s *stand) routed(t *testing.T, id string) string {
	t.Helper()
	r, err := s.routing().Route(as(t, Cashier), payment(id))
	if err != nil {
		t.Fatal(err)
	}
	return r.GetChannels()[0].GetChannel()
}

func (s *stand) apply(t *testing.T, m *sluicev1.ApplyCatalogRequest) *sluicev1.ApplyCatalogResponse {
	t.Helper()
	m.Reason = cmp.Or(m.GetReason(), "new rates")
	r, err := s.catalogs().ApplyCatalog(as(t, Owner), m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A new catalogue routes the next payment; the reply and the journal say who changed what and why; going back is a change as well.
func TestInvariant14_ApplyAndRollBack(t *testing.T) {
	s := newStand(t, nil)
	if got := s.routed(t, "p1"); got != "alpha" {
		t.Fatalf("before: %s", got)
	}
	read, err := s.catalogs().GetCatalog(as(t, Owner), &sluicev1.GetCatalogRequest{})
	if err != nil || len(read.GetCatalog().GetChannels()[0].GetContacts()) != 1 {
		t.Fatalf("%v; what is read must be what can be applied", err)
	}
	done := s.apply(t, &sluicev1.ApplyCatalogRequest{Catalog: betaFirst(), Reason: "beta is cheaper", Etag: read.GetEtag()})
	if got := s.routed(t, "p3"); got != "beta" {
		t.Errorf("after: %s, want beta at once", got)
	}
	wantApplied(t, s, done)
	back, err := s.catalogs().RollbackCatalog(as(t, Operator), &sluicev1.RollbackCatalogRequest{Revision: 1, Reason: "beta declines", Etag: done.GetEtag()})
	if err != nil || back.GetRevision().GetRevision() != 3 || back.GetRevision().GetRollbackOf() != 1 || back.GetRevision().GetVersion() != "v1" || s.routed(t, "p4") != "alpha" {
		t.Errorf("rolled back: %v, %v", back, err)
	}
	wantAudit(t, s, "3<1 operator: beta declines; 2<0 owner: beta is cheaper; 1<0 test: begin")
}

// wantApplied expects what is told of the second revision.
func wantApplied(t *testing.T, s *stand, done *sluicev1.ApplyCatalogResponse) {
	t.Helper()
	want := &sluicev1.CatalogRevision{
		Revision: 2, Version: "v2", Author: "owner", Reason: "beta is cheaper", InForce: true, CreateTime: timestamppb.New(s.now()),
	}
	if !proto.Equal(done.GetRevision(), want) || done.GetEtag() != "2" || done.GetTableRevision() != s.Sight().View.Revision {
		t.Errorf("got %v", done)
	}
}

// wantAudit expects what the journal tells of catalogues, newest first.
func wantAudit(t *testing.T, s *stand, want string) {
	t.Helper()
	audit, err := sluicev1.NewAuditServiceClient(s.conn).ListAuditEntries(as(t, Viewer), &sluicev1.ListAuditEntriesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, e := range audit.GetEntries() {
		told = append(told, fmt.Sprintf("%d<%d %s: %s", e.GetEntry().GetCatalog(), e.GetEntry().GetRollbackOf(), e.GetEntry().GetAuthor(), e.GetEntry().GetReason()))
	}
	if got := strings.Join(told, "; "); got != want {
		t.Errorf("the journal tells %s", got)
	}
}

// Asking tells what would change and changes nothing; the etag that comes with it is that of the catalogue in force.
func TestApplyCatalog_OnlyAsked(t *testing.T) {
	s := newStand(t, nil)
	s.routed(t, "p1")
	ask := &sluicev1.ApplyCatalogRequest{Catalog: betaFirst(), ValidateOnly: true}
	asked := s.apply(t, ask)
	if asked.GetRevision().GetRevision() != 0 || asked.GetTableRevision() != 0 || asked.GetEtag() != "1" || s.Sight().View.Head.Sequence != 1 {
		t.Errorf("only asked, got %v", asked)
	}
	ask.ValidateOnly, ask.Etag = false, asked.GetEtag()
	if done := s.apply(t, ask); !proto.Equal(asked.GetDiff(), done.GetDiff()) {
		t.Errorf("asked, it told\n%v\ndone, it told\n%v", asked.GetDiff(), done.GetDiff())
	}
}

// The difference names entries by id and what share of the real traffic moves, by bank and channel.
func TestApplyCatalog_TellsWhatMoves(t *testing.T) {
	s := newStand(t, nil)
	for i := range 20 {
		q := payment(fmt.Sprintf("p%d", i))
		if i%4 == 0 {
			q.Payment.Bank = "CMB"
		}
		if i%10 == 9 {
			q.Payment.Bank = "ABC" // delta's alone
		}
		if _, err := s.routing().Route(as(t, Cashier), q); err != nil {
			t.Fatal(err)
		}
	}
	d := s.apply(t, &sluicev1.ApplyCatalogRequest{Catalog: betaFirst(), ValidateOnly: true}).GetDiff()
	var changes []string
	for _, c := range d.GetChanges() {
		changes = append(changes, c.GetPath()+" "+c.GetBefore()+">"+c.GetAfter())
	}
	if got := strings.Join(changes, "; "); got != "routes[quick].members[alpha].priority >1; routes[quick].members[beta].priority 1>; version v1>v2" {
		t.Errorf("changes %s", got)
	}
	if d.GetSample() != 20 || d.GetMovedPpm() != 900_000 || d.GetSampleStartTime().GetSeconds() != s.Second() || len(d.GetWarnings()) != 0 {
		t.Errorf("got %v", d)
	}
	var shifts []string
	for _, x := range d.GetShifts() {
		shifts = append(shifts, fmt.Sprintf("%s %s>%s %d %d %d", x.GetBank(), x.GetFromChannel(), x.GetToChannel(), x.GetDecisions(), x.GetSharePpm(), x.GetBankSharePpm()))
	}
	if got := strings.Join(shifts, "; "); got != "ICBC alpha>beta 13 650000 1000000; CMB alpha>beta 5 250000 1000000" {
		t.Errorf("shifts %s", got)
	}
}

// A channel that is taken out although it is used: what was its traffic is told, what is lost, and what to do instead.
func TestApplyCatalog_ChannelInUseTakenOut(t *testing.T) {
	s := newStand(t, nil)
	for i := range 20 {
		q := payment(fmt.Sprintf("p%d", i))
		if i >= 18 {
			q.Payment.Bank = "ABC" // delta's alone
		}
		if _, err := s.routing().Route(as(t, Cashier), q); err != nil {
			t.Fatal(err)
		}
	}
	without := testCatalog()
	without.Channels, without.Routes[0].Members = without.GetChannels()[:3], without.GetRoutes()[0].GetMembers()[:3]
	d := s.apply(t, &sluicev1.ApplyCatalogRequest{Catalog: without, ValidateOnly: true}).GetDiff()
	if len(d.GetWarnings()) != 1 || !strings.Contains(d.GetWarnings()[0], "delta is taken out and took 2 of the last 20 decisions") || !strings.Contains(d.GetWarnings()[0], "retired: true") {
		t.Errorf("warned of %q", d.GetWarnings())
	}
	if len(d.GetShifts()) != 1 || d.GetShifts()[0].GetFromChannel() != "delta" || d.GetShifts()[0].GetToChannel() != "" {
		t.Errorf("shifts %v, want those of delta to nowhere", d.GetShifts())
	}
}

// A retired channel loses its payments and keeps its refunds.
func TestApplyCatalog_RetiredChannelKeepsItsRefunds(t *testing.T) {
	s := newStand(t, nil)
	c := testCatalog()
	c.Channels[0].Retired = true
	s.apply(t, &sluicev1.ApplyCatalogRequest{Catalog: c})
	if got := s.routed(t, "p1"); got != "beta" {
		t.Errorf("a payment goes to %s, want beta", got)
	}
	q := payment("p0")
	q.Payment.BusinessType, q.Payment.Original = refund, &sluicev1.OriginalPayment{Channel: "alpha", Account: "a1"}
	r, err := s.routing().Route(as(t, Cashier), q)
	if err != nil || r.GetChannels()[0].GetChannel() != "alpha" {
		t.Errorf("its refund: %v, %v", r, err)
	}
}

func TestMistakes_Catalogue(t *testing.T) {
	noise := func() *configv1.Catalog { // about 2 MiB that no compression makes smaller
		c := testCatalog()
		random := rand.New(rand.NewPCG(1, 2))
		for i := range 12_000 {
			text := make([]byte, 180)
			for j := range text {
				text[j] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!?+*-_.,;:<>"[random.IntN(64)]
			}
			c.CodeTables[0].Codes = append(c.GetCodeTables()[0].GetCodes(), &configv1.ResponseCode{
				Code: fmt.Sprintf("C%d", i), Outcome: configv1.Outcome_OUTCOME_REJECTED, Advice: string(text),
			})
		}
		return c
	}
	broken := betaFirst()
	broken.Routes[0].Members[2].Channel, broken.Channels[1].CodeTable = "nowhere", "none"
	later := betaFirst()
	later.Version = "v3"
	for name, test := range map[string]struct {
		apply  *sluicev1.ApplyCatalogRequest
		back   *sluicev1.RollbackCatalogRequest
		code   codes.Code
		reason string
		tells  []string
	}{
		"a bad etag":                   {apply: &sluicev1.ApplyCatalogRequest{Catalog: later, Etag: "1"}, code: codes.Aborted, reason: "STALE_ETAG"},
		"an etag of something else":    {apply: &sluicev1.ApplyCatalogRequest{Catalog: later, Etag: "x"}, code: codes.InvalidArgument, reason: "INVALID_FIELD", tells: []string{"etag"}},
		"no reason":                    {apply: &sluicev1.ApplyCatalogRequest{Catalog: later, Reason: " "}, code: codes.InvalidArgument, reason: "INVALID_FIELD", tells: []string{"reason"}},
		"no catalogue":                 {apply: &sluicev1.ApplyCatalogRequest{}, code: codes.InvalidArgument, reason: "INVALID_FIELD", tells: []string{"catalog"}},
		"a rule of a field":            {apply: &sluicev1.ApplyCatalogRequest{Catalog: &configv1.Catalog{Entities: []*configv1.Entity{{Id: "a b"}}}}, code: codes.InvalidArgument, reason: "INVALID_FIELD", tells: []string{"catalog.entities[0].id", "catalog.channels"}},
		"names that do not exist":      {apply: &sluicev1.ApplyCatalogRequest{Catalog: broken}, code: codes.InvalidArgument, reason: "INVALID_CATALOG", tells: []string{"catalog.routes[0].members[2].channel", "catalog.channels[1].code_table", `"nowhere"`}},
		"too large":                    {apply: &sluicev1.ApplyCatalogRequest{Catalog: noise()}, code: codes.InvalidArgument, reason: "INVALID_FIELD", tells: []string{"1048576 bytes compressed"}},
		"too large, only asking":       {apply: &sluicev1.ApplyCatalogRequest{Catalog: noise(), ValidateOnly: true}, code: codes.InvalidArgument, reason: "INVALID_FIELD"},
		"a request id of another one":  {apply: &sluicev1.ApplyCatalogRequest{Catalog: later, RequestId: "first"}, code: codes.AlreadyExists, reason: "REQUEST_ID_REUSED"},
		"back to an unknown revision":  {back: &sluicev1.RollbackCatalogRequest{Revision: 7}, code: codes.NotFound, reason: "UNKNOWN_REVISION", tells: []string{"1 to 2"}},
		"back to the one in force":     {back: &sluicev1.RollbackCatalogRequest{Revision: 2}, code: codes.FailedPrecondition, reason: "REVISION_IN_FORCE"},
		"back with a bad etag":         {back: &sluicev1.RollbackCatalogRequest{Revision: 1, Etag: "1"}, code: codes.Aborted, reason: "STALE_ETAG"},
		"back to no revision":          {back: &sluicev1.RollbackCatalogRequest{}, code: codes.InvalidArgument, reason: "INVALID_FIELD"},
		"back with another request id": {back: &sluicev1.RollbackCatalogRequest{Revision: 1, RequestId: "first"}, code: codes.AlreadyExists, reason: "REQUEST_ID_REUSED"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t, nil)
			s.apply(t, &sluicev1.ApplyCatalogRequest{Catalog: betaFirst(), RequestId: "first"})
			var err error
			if test.back != nil {
				test.back.Reason = cmp.Or(test.back.GetReason(), "because")
				_, err = s.catalogs().RollbackCatalog(as(t, Owner), test.back)
			} else {
				test.apply.Reason = cmp.Or(test.apply.GetReason(), "because")
				_, err = s.catalogs().ApplyCatalog(as(t, Owner), test.apply)
			}
			wantError(t, err, test.code, test.reason)
			text := err.Error() + fmt.Sprint(status.Convert(err).Details()...)
			for _, want := range test.tells {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in %s", want, text)
				}
			}
			if v := s.Sight().View; v.Head.Catalog != 2 || v.Head.Sequence != 2 || s.routed(t, "p1") != "beta" {
				t.Errorf("after a mistake catalogue %d is in force", v.Head.Catalog)
			}
		})
	}
}

// The current etag is told with a stale one, for information; whoever gives it back without looking has been warned.
func TestApplyCatalog_StaleEtagTellsTheCurrent(t *testing.T) {
	s := newStand(t, nil)
	s.apply(t, &sluicev1.ApplyCatalogRequest{Catalog: betaFirst(), Etag: "1"})
	_, err := s.catalogs().ApplyCatalog(as(t, Owner), &sluicev1.ApplyCatalogRequest{Catalog: testCatalog(), Reason: "late", Etag: "1"})
	wantError(t, err, codes.Aborted, "STALE_ETAG")
	if m := detailOf[*errdetails.ErrorInfo](t, err).GetMetadata(); m["etag"] != "1" || m["current_etag"] != "2" {
		t.Errorf("told %v", m)
	}
}

// Ten who start from the same catalogue: one is in time, nine are told; a request that is sent twice happens once.
func TestApplyCatalog_Concurrent(t *testing.T) {
	s := newStand(t, nil)
	var wg sync.WaitGroup
	errs := make([]error, 10)
	for i := range errs {
		wg.Go(func() {
			c := betaFirst()
			c.Version = fmt.Sprintf("v-%d", i)
			_, errs[i] = s.catalogs().ApplyCatalog(as(t, Owner), &sluicev1.ApplyCatalogRequest{Catalog: c, Reason: "race", Etag: "1"})
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		wantError(t, err, codes.Aborted, "STALE_ETAG")
	}
	if won != 1 || s.Sight().View.Head.Catalog != 2 {
		t.Errorf("%d won, catalogue %d in force", won, s.Sight().View.Head.Catalog)
	}
}

// A repeated request answers what the first did, also when another catalogue is in force by now; nothing is applied again.
func TestApplyCatalog_RepeatedRequest(t *testing.T) {
	s := newStand(t, nil)
	first := s.apply(t, &sluicev1.ApplyCatalogRequest{Catalog: betaFirst(), RequestId: "once", Etag: "1"})
	s.apply(t, &sluicev1.ApplyCatalogRequest{Catalog: testCatalog()})
	again := s.apply(t, &sluicev1.ApplyCatalogRequest{Catalog: betaFirst(), RequestId: "once", Etag: "1"})
	if again.GetRevision().GetRevision() != 2 || again.GetRevision().GetInForce() || again.GetTableRevision() != first.GetTableRevision() ||
		again.GetJournalSequence() != first.GetJournalSequence() || again.GetEtag() != "3" {
		t.Errorf("first %v\nagain %v", first, again)
	}
	if len(again.GetDiff().GetChanges()) != len(first.GetDiff().GetChanges()) || !strings.Contains(strings.Join(again.GetDiff().GetWarnings(), " "), "carried out before") {
		t.Errorf("again it tells %v", again.GetDiff())
	}
	if got := s.routed(t, "p1"); got != "alpha" || s.Sight().View.Head.Sequence != 3 {
		t.Errorf("%s, %d entries", got, s.Sight().View.Head.Sequence)
	}
}

// The same catalogue again is no change, and says so.
func TestApplyCatalog_SameAgain(t *testing.T) {
	s := newStand(t, nil)
	for _, only := range []bool{true, false} {
		r := s.apply(t, &sluicev1.ApplyCatalogRequest{Catalog: testCatalog(), ValidateOnly: only})
		if len(r.GetDiff().GetChanges()) != 0 || r.GetTableRevision() != 0 || !strings.Contains(strings.Join(r.GetDiff().GetWarnings(), " "), "in force already, as revision 1") {
			t.Errorf("validate_only %v: %v", only, r)
		}
	}
	if n := s.Sight().View.Head.Sequence; n != 1 {
		t.Errorf("%d journal entries, want 1", n)
	}
}

// A catalogue that strands an order is refused with the scopes by name, asked or told; released, it is taken.
func TestApplyCatalog_StrandedOrders(t *testing.T) {
	s := newStand(t, nil)
	for _, scope := range []*sluicev1.Scope{
		{Channel: "delta"},
		{Channel: "delta", Method: "QUICKPAY"},
	} {
		if _, err := s.channels().SwitchChannel(as(t, Operator), &sluicev1.SwitchChannelRequest{Action: sluicev1.Action_ACTION_HOLD, Scope: scope, Reason: "migration"}); err != nil {
			t.Fatal(err)
		}
	}
	without := testCatalog()
	without.Channels, without.Routes[0].Members = without.GetChannels()[:3], without.GetRoutes()[0].GetMembers()[:3]
	for _, only := range []bool{true, false} {
		_, err := s.catalogs().ApplyCatalog(as(t, Owner), &sluicev1.ApplyCatalogRequest{Catalog: without, Reason: "delta is over", ValidateOnly: only})
		wantError(t, err, codes.FailedPrecondition, "ORDER_STRANDED")
		var subjects []string
		for _, v := range detailOf[*errdetails.PreconditionFailure](t, err).GetViolations() {
			subjects = append(subjects, v.GetSubject())
		}
		if !slices.Equal(subjects, []string{"delta", "delta/method=QUICKPAY"}) {
			t.Errorf("named %v", subjects)
		}
	}
	if v := s.Sight().View.Head.Catalog; v != 1 {
		t.Errorf("catalogue %d in force", v)
	}
}

// Revisions come newest first, in pages, as far as they are kept; what is listed can be read.
func TestListCatalogRevisions(t *testing.T) {
	s := newStand(t, nil)
	const last = monitor.KeptCatalogs + 5
	for i := 2; i <= last; i++ {
		c := testCatalog()
		c.Version = fmt.Sprintf("v%d", i)
		s.apply(t, &sluicev1.ApplyCatalogRequest{Catalog: c, Reason: "change " + c.GetVersion()})
	}
	var numbers []uint64
	for token, pages := "", 1; pages == 1 || token != ""; pages++ {
		page, err := s.catalogs().ListCatalogRevisions(as(t, Viewer), &sluicev1.ListCatalogRevisionsRequest{PageSize: 20, PageToken: token})
		if err != nil || len(page.GetRevisions()) != []int{0, 20, 20, 10}[pages] {
			t.Fatalf("page %d: %d revisions, %v", pages, len(page.GetRevisions()), err)
		}
		token = page.GetNextPageToken()
		for _, r := range page.GetRevisions() {
			numbers = append(numbers, r.GetRevision())
			if r.GetInForce() != (r.GetRevision() == last) || r.GetAuthor() != "owner" || r.GetReason() != "change "+r.GetVersion() {
				t.Errorf("listed %v", r)
			}
		}
	}
	if len(numbers) != monitor.KeptCatalogs || numbers[0] != last || !slices.IsSortedFunc(numbers, func(a, b uint64) int { return int(b) - int(a) }) {
		t.Errorf("listed %v", numbers)
	}
	wantOldest(t, s, numbers[len(numbers)-1], last)
}

// wantOldest reads the oldest revision that is kept, and not the one before it.
func wantOldest(t *testing.T, s *stand, oldest, last uint64) {
	t.Helper()
	_, err := s.catalogs().ListCatalogRevisions(as(t, Viewer), &sluicev1.ListCatalogRevisionsRequest{PageToken: "nonsense"})
	wantError(t, err, codes.InvalidArgument, "INVALID_FIELD")
	old, err := s.catalogs().GetCatalog(as(t, Viewer), &sluicev1.GetCatalogRequest{Revision: oldest})
	if err != nil || old.GetCatalog().GetVersion() != old.GetRevision().GetVersion() || old.GetRevision().GetInForce() || old.GetEtag() != catalogEtag(last) ||
		len(old.GetCatalog().GetChannels()[0].GetContacts()) != 0 {
		t.Errorf("an earlier one for a viewer: %v, %v", old, err)
	}
	_, err = s.catalogs().GetCatalog(as(t, Viewer), &sluicev1.GetCatalogRequest{Revision: oldest - 1})
	wantError(t, err, codes.NotFound, "UNKNOWN_REVISION")
}

// Only owners and operators change the catalogue; owners give no orders.
func TestApplyCatalog_WhoMay(t *testing.T) {
	s := newStand(t, nil)
	for r := Viewer; r <= Owner; r <<= 1 {
		_, err := s.catalogs().ApplyCatalog(as(t, r), &sluicev1.ApplyCatalogRequest{Catalog: betaFirst(), Reason: "by " + r.String(), ValidateOnly: true})
		if may := r&owners != 0; may != (err == nil) {
			t.Errorf("%s: %v", r, err)
		}
		_, err = s.catalogs().RollbackCatalog(as(t, r), &sluicev1.RollbackCatalogRequest{Revision: 1, Reason: "by " + r.String()})
		if denied := status.Code(err) == codes.PermissionDenied; denied == (r&owners != 0) {
			t.Errorf("rollback by %s: %v", r, err)
		}
	}
	_, err := s.channels().SwitchChannel(as(t, Owner), &sluicev1.SwitchChannelRequest{
		Action: sluicev1.Action_ACTION_OFF, Scope: &sluicev1.Scope{Channel: "delta"}, Reason: "no business of mine",
	})
	wantError(t, err, codes.PermissionDenied, "PERMISSION_DENIED")
}
