package monitor

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// The kinds of alert about merchant accounts.
const (
	AlertAccountFailed     = "ACCOUNT_FAILED"      // an account is refused by its channel; goes to the account's owner
	AlertAccountFailedOver = "ACCOUNT_FAILED_OVER" // it is accepted again
)

const (
	ownersEnough  = 2      // payers refused that make an alert at once
	ownersMemory  = 600    // seconds within which they must be
	ownersAlone   = 30     // seconds without a success after which one refusal is enough
	ownersAgain   = 3_600  // seconds between two alerts while it lasts
	ownersOver    = 300    // seconds without a refusal before it is over …
	ownersGood    = 3      // … and the successes seen in them
	ownersForget  = 86_400 // seconds without any result after which an account is no longer watched
	ownersHalf    = 60.0   // seconds in which the share of refusals fades by half
	ownersGravely = 0.1    // share of refusals that is critical
)

// Owners watches ACCOUNT_FAILED on every channel × account: our own contract is at fault (prefunded balance, certificate, a
// suspended account, a quota), which the account's owner must put right. It cuts nothing: the detectors do, as the outcome is
// bad for the account's item alone.
//
// The alert names the account by its scope and carries no contact: whoever delivers it looks the owner up in the catalogue, so
// that contacts enter neither logs nor snapshots. It is raised once two payers were refused within ten minutes, or one
// and nothing succeeded for half a minute; again when a part of the payments becomes a tenth of them or more, and at most
// hourly while it lasts; and it ends when payments succeed and none was refused for five minutes.
//
// It is deterministic, knows no clock, and is not safe for concurrent use.
type Owners struct {
	second   int64
	accounts map[statemachine.Scope]*refused
}

// refused is an account that was refused at least once.
type refused struct {
	first   int64   // second of the first refusal of the episode
	newest  int64   // second of the newest refusal
	last    int64   // second of the newest result of any kind
	payers  uint64  // refused ones, repeats left out
	n       uint64  // refusals
	good    uint64  // successes since the newest refusal
	bad     float64 // refusals, fading
	all     float64 // results, fading
	told    int64   // second of the newest alert, 0 = none yet
	grave   bool    // it was critical
	reasons []statemachine.ReasonCount
}

// NewOwners returns a watcher that has seen nothing.
func NewOwners() *Owners { return &Owners{accounts: map[statemachine.Scope]*refused{}} }

// Observe takes the sum of one sealed second, in order of time, and returns the alerts to the owners of accounts, sorted by
// scope. A second that is not newer than the last is ignored.
func (o *Owners) Observe(sum *SecondCounts, _ *statemachine.Fleet) []statemachine.Alert {
	if sum.Second <= o.second {
		return nil
	}
	o.second = sum.Second
	for i := range sum.Items {
		item := &sum.Items[i]
		if item.Item.Kind != statemachine.ScopeAccount {
			continue
		}
		failed := item.Evidence[0].Outcomes[statemachine.AccountFailed] + item.Evidence[1].Outcomes[statemachine.AccountFailed] +
			item.Evidence[2].Outcomes[statemachine.AccountFailed]
		if failed > 0 || len(o.accounts) > 0 {
			o.enter(item, failed)
		}
	}
	if len(o.accounts) == 0 {
		return nil
	}
	var alerts []statemachine.Alert
	for item, r := range o.accounts { // sorted below
		if a, ok := o.judge(item, r); ok {
			alerts = append(alerts, a)
		}
	}
	slices.SortFunc(alerts, func(a, b statemachine.Alert) int { return a.Scope.Compare(b.Scope) })
	return alerts
}

// enter counts an account's second.
func (o *Owners) enter(item *ItemCounts, failed uint32) {
	r := o.accounts[item.Item]
	if r == nil {
		if failed == 0 {
			return
		}
		r = &refused{first: o.second, last: o.second}
		o.accounts[item.Item] = r
	}
	var sum Tally
	for k := range item.Evidence {
		sum.Add(&item.Evidence[k])
	}
	succeeded := sum.Outcomes[statemachine.Succeeded]
	if failed+succeeded == 0 {
		return
	}
	fade := fading(float64(o.second - r.last))
	r.bad, r.all = r.bad*fade+float64(failed), r.all*fade+float64(failed+succeeded)
	r.last = o.second
	if failed == 0 {
		r.good += uint64(succeeded)
		return
	}
	if r.told == 0 && o.second-r.newest > ownersMemory {
		r.first, r.payers, r.n, r.reasons = o.second, 0, 0, nil
	}
	r.newest, r.good = o.second, 0
	r.n += uint64(failed)
	// Whatever else failed took as many of the distinct payers as it could.
	r.payers += uint64(max(0, int64(sum.BadPayers)-int64(sum.Bad-min(sum.Bad, failed))))
	r.reasons = mergeReasons(r.reasons, item.Reasons)
}

// fading is what is left of a count after some seconds.
func fading(elapsed float64) float64 {
	if elapsed <= 0 {
		return 1
	}
	return math.Exp2(-elapsed / ownersHalf)
}

// judge says what is to be told of an account, and forgets it when there is nothing left to tell.
func (o *Owners) judge(item statemachine.Scope, r *refused) (statemachine.Alert, bool) {
	switch silent := o.second - r.newest; {
	case r.told == 0 && silent > ownersMemory, o.second-r.last > ownersForget:
		delete(o.accounts, item)
	case r.told == 0:
		if r.payers >= ownersEnough || silent >= ownersAlone && r.good == 0 {
			return o.alert(item, r), true
		}
	case silent >= ownersOver && r.good >= ownersGood:
		delete(o.accounts, item)
		return statemachine.Alert{
			Kind: AlertAccountFailedOver, Severity: statemachine.Info, Scope: item, At: time.Unix(o.second, 0).UTC(),
			Message: fmt.Sprintf("account %s of %s is accepted again: %d payments succeeded since the last was refused %s ago; %d were refused since %s",
				item.Of, item.Channel, r.good, time.Duration(silent)*time.Second, r.n, clock(r.first)),
		}, true
	case o.second-r.told >= ownersAgain, !r.grave && r.gravely() && r.newest == o.second:
		return o.alert(item, r), true
	}
	return statemachine.Alert{}, false
}

// gravely reports whether a tenth of the newest payments or more was refused.
func (r *refused) gravely() bool { return r.bad >= ownersGravely*r.all }

func (o *Owners) alert(item statemachine.Scope, r *refused) statemachine.Alert {
	severity, part := statemachine.Warning, "a small part of its payments"
	if r.gravely() || r.grave {
		severity, part, r.grave = statemachine.Critical, fmt.Sprintf("%.0f %% of its newest payments", 100*r.bad/max(r.all, 1e-9)), true
	}
	if r.good == 0 && o.second-r.newest >= ownersAlone {
		part = "nothing succeeded since"
	}
	again := ""
	if r.told != 0 {
		again = "still "
	}
	r.told = o.second
	return statemachine.Alert{
		Kind: AlertAccountFailed, Severity: severity, Scope: item, At: time.Unix(o.second, 0).UTC(),
		Message: fmt.Sprintf("for the owner of account %s of %s: the channel %srefuses the account itself (%s), %d times since %s, %s; "+
			"look at its prefunded balance, certificate, quota and whether it is suspended",
			item.Of, item.Channel, again, reasonText(r.reasons), r.n, clock(r.first), part),
	}
}

// reasonText names the three most frequent reasons.
func reasonText(reasons []statemachine.ReasonCount) string {
	var names []string
	for _, r := range reasons {
		names = append(names, fmt.Sprintf("%s %d times", r.Reason, r.N))
	}
	if len(names) == 0 {
		return "no reason given"
	}
	return listed(names, 3)
}

// clock is the time of a second for people.
func clock(second int64) string { return time.Unix(second, 0).UTC().Format("2006-01-02 15:04:05Z") }
