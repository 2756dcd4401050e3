package routing

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

const payout = configv1.BusinessType_BUSINESS_TYPE_PAYOUT

// outgoingCatalog has channels a, b and c with a route for COLLECT, PAYOUT and DEDUCT each; a maps codes.
func outgoingCatalog(edit ...func(*configv1.Catalog)) *configv1.Catalog {
	also := func(c *configv1.Channel) { c.BusinessTypes = append(c.BusinessTypes, payout) }
	c := newCatalog(newChannel("a", also, func(c *configv1.Channel) { c.CodeTable = "codes" }), newChannel("b", also), newChannel("c", also))
	for i, b := range []configv1.BusinessType{payout, deduct} {
		r := &configv1.Route{Id: fmt.Sprint("more-", i), BusinessType: b, Method: "QUICKPAY", Members: c.GetRoutes()[0].GetMembers()}
		c.Routes = append(c.Routes, r)
	}
	no := false
	c.CodeTables = []*configv1.CodeTable{{Id: "codes", Codes: []*configv1.ResponseCode{
		{Code: "91", Outcome: configv1.Outcome_OUTCOME_CHANNEL_FAILED},
		{Code: "52", Outcome: configv1.Outcome_OUTCOME_USER_DECLINED, Final: &no},
		{Code: "93", Outcome: configv1.Outcome_OUTCOME_PENDING},
	}}}
	for _, f := range edit {
		f(c)
	}
	return c
}

// A payout or a deduction goes elsewhere only after a failure that is definite by the channel's own table, or that the caller
// claims without a code; for a collection the caller's word about an unmapped code counts.
func TestMoneyGoesElsewhereOnlyAfterADefiniteFailure(t *testing.T) {
	table := mustTable(t, outgoingCatalog())
	for _, tt := range []struct {
		name              string
		attempt           Attempt
		collect, outwards string // channel, or what forbids it
	}{
		{"mapped code", Attempt{Channel: "a", Code: "91"}, "b", "b"},
		{"mapped code wins over a claim", Attempt{Channel: "a", Outcome: statemachine.ChannelFailed, Code: "93"}, "DOUBT", "DOUBT"},
		{"declined, reroutable by its code", Attempt{Channel: "a", Code: "52"}, "b", "b"},
		{"nothing written", Attempt{Channel: "a", Outcome: statemachine.NetworkFailed}, "b", "b"},
		{"failed, without a code", Attempt{Channel: "a", Outcome: statemachine.ChannelFailed}, "b", "b"},
		{"failed, with a code nobody mapped", Attempt{Channel: "a", Outcome: statemachine.ChannelFailed, Code: "??"}, "b", "DOUBT"},
		{"declined, with a code nobody mapped", Attempt{Channel: "a", Outcome: statemachine.UserDeclined, Code: "??"}, "FINAL", "DOUBT"},
		{"failed, on a channel without a table", Attempt{Channel: "b", Outcome: statemachine.ChannelFailed, Code: "91"}, "a", "DOUBT"},
		{"failed, on a channel that is gone", Attempt{Channel: "gone", Outcome: statemachine.Throttled, Code: "91"}, "a", "DOUBT"},
		{"paid, with a code nobody mapped", Attempt{Channel: "a", Outcome: statemachine.Succeeded, Code: "??"}, "PAID", "PAID"},
		{"pending", Attempt{Channel: "a", Outcome: statemachine.Pending}, "DOUBT", "DOUBT"},
		{"timed out", Attempt{Channel: "a", Outcome: statemachine.TimedOut}, "DOUBT", "DOUBT"},
		{"unspecified", Attempt{Channel: "a"}, "DOUBT", "DOUBT"},
		{"unmapped", Attempt{Channel: "a", Code: "??"}, "DOUBT", "DOUBT"},
	} {
		for _, b := range []statemachine.BusinessType{statemachine.Collect, statemachine.Payout, statemachine.Deduct} {
			want := tt.outwards
			if b == statemachine.Collect {
				want = tt.collect
			}
			var d Decision
			err := decide(table, newRequest(func(r *Request) { r.Business, r.Attempts = b, []Attempt{tt.attempt} }), noon, &d)
			got := answerOf(&d, err)
			if got != want {
				t.Errorf("%s, %s: %s, want %s", tt.name, b, got, want)
			}
		}
	}
}

// answerOf is the first channel, or a word for what forbids one.
func answerOf(d *Decision, err error) string {
	switch {
	case err == nil:
		return d.Candidates[0].Channel
	case errors.Is(err, ErrAlreadyPaid):
		return "PAID"
	case errors.Is(err, ErrAmbiguousPreviousAttempt):
		return "DOUBT"
	case errors.Is(err, ErrFinalPreviousAttempt):
		return "FINAL"
	}
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.Reason.String()
	}
	return err.Error()
}

func TestAttemptsAreLimited(t *testing.T) {
	failed := func(channels ...string) []Attempt {
		var out []Attempt
		for _, c := range channels {
			out = append(out, Attempt{Channel: c, Outcome: statemachine.NetworkFailed})
		}
		return out
	}
	many := failed(slices.Repeat([]string{"a"}, MaxAttempts)...)
	inDoubt := append(failed("a"), Attempt{Channel: "b", Outcome: statemachine.TimedOut})
	for _, tt := range []struct {
		name           string
		catalog, route uint32
		edit           func(*Request)
		want           string
	}{
		{"no limit", 0, 0, func(r *Request) { r.Attempts = failed("a", "b") }, "c"},
		{"below the catalogue's", 2, 0, func(r *Request) { r.Attempts = failed("a") }, "b"},
		{"at the catalogue's", 2, 0, func(r *Request) { r.Attempts = failed("a", "b") }, "ATTEMPTS_EXHAUSTED"},
		{"the route's goes before", 1, 3, func(r *Request) { r.Attempts = failed("a", "b") }, "c"},
		{"the route's is less", 9, 1, func(r *Request) { r.Attempts = failed("a") }, "ATTEMPTS_EXHAUSTED"},
		{"the first is always allowed", 1, 1, func(*Request) {}, "a"},
		{"as many as a request names", 0, 0, func(r *Request) { r.Attempts = many }, "ATTEMPTS_EXHAUSTED"},
		{"doubt is told first", 1, 0, func(r *Request) { r.Attempts = inDoubt }, "DOUBT"},
		{"the deadline is told first", 1, 0, func(r *Request) { r.Attempts, r.Deadline = failed("a"), noon*1000 }, "PAYMENT_EXPIRED"},
		{"a refund has one channel", 1, 0, func(r *Request) {
			r.Business, r.Original, r.Attempts = statemachine.Refund, Original{Channel: "a", Account: "main"}, failed("a", "a")
		}, "a"},
		{"another route is not limited", 0, 1, func(r *Request) { r.Business, r.Attempts = statemachine.Payout, failed("a") }, "b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table := mustTable(t, outgoingCatalog(func(c *configv1.Catalog) { c.MaxAttempts, c.Routes[0].MaxAttempts = tt.catalog, tt.route }))
			var d Decision
			if got := answerOf(&d, decide(table, newRequest(tt.edit), noon, &d)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	for _, edit := range []func(*configv1.Catalog){
		func(c *configv1.Catalog) { c.MaxAttempts = MaxAttempts + 1 }, func(c *configv1.Catalog) { c.Routes[0].MaxAttempts = MaxAttempts + 1 },
	} {
		if _, err := CompilePlan(outgoingCatalog(edit), nil); err == nil {
			t.Error("more attempts than a request can name were taken")
		}
	}
}

// A payment that has had its attempts is no demand: nothing could carry it.
func TestExhaustedPaymentsAreNoDemand(t *testing.T) {
	r := NewRouter()
	r.Swap(mustTable(t, outgoingCatalog(func(c *configv1.Catalog) { c.MaxAttempts = 1 })))
	var d Decision
	q := newRequest(func(r *Request) { r.Attempts = []Attempt{{Channel: "a", Outcome: statemachine.NetworkFailed}} })
	if err := r.Route(q, noon, &d); answerOf(&d, err) != "ATTEMPTS_EXHAUSTED" {
		t.Fatal(err)
	}
	if c := r.Drain(noon); len(c.Lanes) != 0 {
		t.Errorf("counted as %+v", c.Lanes)
	}
}

// REFUND, CANCEL and QUERY get channel and account of their original, or nothing, and are told when to ask again.
func TestOriginalOrLater(t *testing.T) {
	const opens = noon + 3600
	closed := func(c *configv1.Channel) {
		c.Windows = &configv1.Windows{TimeZone: "Asia/Shanghai", Open: []*configv1.OpenHours{{From: "13:00", To: "14:00"}}}
	}
	cooling := off(statemachine.ChannelScope("a"))
	cooling.CoolUntil = (noon + 30) * 1000
	account := cooling
	account.Scope = statemachine.AccountScope("a", "main")
	other := off(statemachine.AccountScope("a", "second"))
	domain := cooling
	domain.Scope = statemachine.DomainScope("net")
	probing := inPhase(statemachine.ChannelScope("a"), statemachine.Probing, 0)
	probing.CoolUntil = 0
	tests := []struct {
		name   string
		edit   func(*configv1.Channel)
		states []statemachine.State
		refund string // what a refund gets: a/main, or the reason of the drop
		query  string
		until  int64 // of the refund's refusal
	}{
		{name: "well", refund: "a/main", query: "a/main"},
		{name: "disabled", states: []statemachine.State{cooling}, refund: "DISABLED", query: "a/main", until: noon + 30},
		{name: "account disabled", states: []statemachine.State{account}, refund: "DISABLED", query: "a/main", until: noon + 30},
		{name: "another account disabled", states: []statemachine.State{other}, refund: "a/main", query: "a/main"},
		{name: "domain disabled", states: []statemachine.State{domain}, refund: "DISABLED", query: "a/main", until: noon + 30},
		{name: "probing", states: []statemachine.State{probing}, refund: "PROBING", query: "a/main", until: noon + 1},
		{name: "suspended", states: []statemachine.State{override(func(s *statemachine.State) { s.Suspend = byOperator })}, refund: "SUSPENDED", query: "a/main"},
		{name: "switched off", states: []statemachine.State{override(func(s *statemachine.State) { s.Off = byOperator })}, refund: "SWITCHED_OFF", query: "a/main", until: noon + 90},
		{name: "outside its hours", edit: closed, refund: "OUTSIDE_WINDOW", query: "OUTSIDE_WINDOW", until: opens},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newChannel("a", func(c *configv1.Channel) {
				c.Accounts = append(c.Accounts, &configv1.Account{Id: "second", Entity: "e-1"})
				c.FailureDomains = []string{"net"}
			})
			if tt.edit != nil {
				tt.edit(a)
			}
			c := newCatalog(a, newChannel("b"))
			c.FailureDomains = []*configv1.FailureDomain{{Id: "net", Kind: configv1.FailureDomainKind_FAILURE_DOMAIN_KIND_EGRESS}}
			router := NewRouter()
			router.Swap(mustTable(t, c, tt.states...))
			for _, b := range []statemachine.BusinessType{statemachine.Refund, statemachine.Query} {
				want := tt.refund
				if b == statemachine.Query {
					want = tt.query
				}
				var d Decision
				q := newRequest(func(r *Request) { r.Business, r.Original = b, Original{Channel: "a", Account: "main"} })
				err := router.Route(q, noon, &d)
				if err == nil {
					if got := d.Candidates[0].Channel + "/" + d.Candidates[0].Account; got != want || len(d.Candidates) != 1 {
						t.Errorf("%s: got %s and %d in all, want %s", b, got, len(d.Candidates), want)
					}
					continue
				}
				refusal, ok := errors.AsType[*Refusal](err)
				if !ok || refusal.Reason != NoUsableChannel || len(d.Dropped) != 1 || d.Dropped[0].Drop.String() != want {
					t.Fatalf("%s: %v, dropped %+v, want %s", b, err, d.Dropped, want)
				}
				if b == statemachine.Refund && refusal.DeferUntil != tt.until {
					t.Errorf("%s: until %d, want %d", b, refusal.DeferUntil, tt.until)
				}
			}
		})
	}
}

// Whatever a request says, on whatever table: its channel takes no other entity's money, and is one the payer is enrolled with
// where that is needed.
func TestInvariant10_EntitiesAndEnrolmentsAreNeverCrossed(t *testing.T) {
	enrol := func(c *configv1.Channel) { c.RequiresEnrolment = []configv1.BusinessType{deduct} }
	theirs := func(c *configv1.Channel) {
		c.Accounts = append(c.Accounts, &configv1.Account{Id: "theirs", Entity: "e-2"}, &configv1.Account{Id: "named", Entity: "e-2", Merchants: []string{"m-1"}})
	}
	c := newCatalog(newChannel("a", enrol, theirs), newChannel("b", theirs), newChannel("c", enrol), newChannel("d", enrol, theirs))
	c.Routes = append(c.Routes, &configv1.Route{Id: "deduct", BusinessType: deduct, Method: "QUICKPAY", Members: c.GetRoutes()[0].GetMembers()})
	plan := mustPlan(t, c)
	needs := map[string]bool{"a": true, "c": true, "d": true}
	answered := 0
	rapid.Check(t, func(t *rapid.T) {
		r := NewRouter()
		r.Swap(plan.Table(Revision{1, 9}, drawStates(t, "table"), nil))
		q := drawRequest(t)
		if rapid.Bool().Draw(t, "deduct") {
			q.Business, q.Original = statemachine.Deduct, Original{}
			q.Instrument.Bank, q.Merchant, q.Entity = "ICBC", "m-1", rapid.SampledFrom([]string{"e-1", "e-2"}).Draw(t, "entity")
		}
		q.Enrolled = rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d"}), rapid.ID[string]).Draw(t, "enrolled")
		var d Decision
		if r.Route(q, noon, &d) == nil {
			answered++
		}
		judgeCandidates(t, plan, q, &d)
		for _, x := range d.Candidates {
			if q.Business == statemachine.Deduct && needs[x.Channel] && !slices.Contains(q.Enrolled, x.Channel) {
				t.Fatalf("%+v got %s without enrolment", q, x.Channel)
			}
		}
	})
	if answered == 0 {
		t.Error("nothing was ever answered")
	}
}

// A reader that does not know of limited attempts refuses a snapshot that has them.
func TestLimitedAttemptsAreAFeature(t *testing.T) {
	for want, edit := range map[uint64]func(*configv1.Catalog){
		0:                  func(*configv1.Catalog) {},
		FeatureMaxAttempts: func(c *configv1.Catalog) { c.MaxAttempts = 3 },
	} {
		if got := NewSnapshot(mustTable(t, outgoingCatalog(edit)), "test", time.Unix(noon, 0)).GetFeatureBits(); got != want {
			t.Errorf("bits %b, want %b", got, want)
		}
	}
	onRoute := outgoingCatalog(func(c *configv1.Catalog) { c.Routes[1].MaxAttempts = 2 })
	if got := NewSnapshot(mustTable(t, onRoute), "test", time.Unix(noon, 0)).GetFeatureBits(); got != FeatureMaxAttempts {
		t.Errorf("bits %b", got)
	}
}
