package monitor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// AlertMerchantFailing is the kind of alert about a merchant whose accounts fail on every channel.
const AlertMerchantFailing = "MERCHANT_FAILING"

// MerchantFailing is a merchant, or a settlement entity, whose accounts fail on every channel that has one, while other accounts
// there do not: the fault is the merchant's, an attack on it, or a contract it has with all of them.
type MerchantFailing struct {
	Merchants []string // that the accounts are for; several cannot be told apart. Empty = all of the entity
	Entity    string
	Scopes    []statemachine.Scope // the accounts that fail, sorted
	Helps     bool                 // another account of the entity can take over, so cutting them helps
	Evidence  statemachine.Evidence
}

// name is the merchant for people, and the key under which it is told once.
func (m *MerchantFailing) name() string {
	switch len(m.Merchants) {
	case 0:
		return "settlement entity " + m.Entity
	case 1:
		return "merchant " + m.Merchants[0]
	}
	return "one of the merchants " + listed(m.Merchants, 4) + " (they share accounts and cannot be told apart)"
}

// Alert returns the alert that people get about it.
func (m *MerchantFailing) Alert(second int64) statemachine.Alert {
	names := make([]string, 0, len(m.Scopes))
	for _, s := range m.Scopes {
		names = append(names, s.String())
	}
	act := "nothing is cut, another channel would not help"
	if m.Helps {
		act = "shared accounts of the entity take over where they can"
	}
	return statemachine.Alert{
		Kind: AlertMerchantFailing, Severity: statemachine.Critical, At: time.Unix(second, 0).UTC(),
		Message: fmt.Sprintf("%s fails on every channel that has an account for it (%s) while other accounts there are well: %s; look at its contracts, credentials and traffic; %s",
			m.name(), listed(names, 6), act, m.Evidence.Explanation),
	}
}

// merchantAccounts are the accounts that belong together.
type merchantAccounts struct {
	merchants []string
	entity    string
	scopes    []statemachine.Scope
}

// merchantsFailing takes out the verdicts about accounts of merchants that fail wherever they have an account, on at least two
// channels, unless an account they share with others is calm: then cutting helps, and people are told all the same.
func merchantsFailing(chosen []statemachine.Verdict, seen *History, f *statemachine.Fleet) ([]statemachine.Verdict, []MerchantFailing) {
	failing := map[statemachine.Scope]statemachine.Verdict{}
	for _, v := range chosen {
		if v.Scope.Kind == statemachine.ScopeAccount && v.Kind != statemachine.Recovered {
			failing[v.Scope] = v
		}
	}
	if len(failing) < 2 {
		return chosen, nil
	}
	var found []MerchantFailing
	told := map[statemachine.Scope]bool{}
	withheld := map[statemachine.Scope]bool{}
	for _, g := range accountGroups(f) {
		m, ok := g.failing(failing, seen, f)
		if !ok || told[m.Scopes[0]] {
			continue // what a merchant explains, its entity need not
		}
		for _, s := range m.Scopes {
			told[s], withheld[s] = true, !m.Helps
		}
		found = append(found, m)
	}
	return slices.DeleteFunc(chosen, func(v statemachine.Verdict) bool {
		return v.Kind != statemachine.Recovered && withheld[v.Scope]
	}), found
}

// failing tells whether the group fails everywhere and nothing else does on the channels where it does.
func (g *merchantAccounts) failing(failing map[statemachine.Scope]statemachine.Verdict, seen *History, f *statemachine.Fleet) (MerchantFailing, bool) {
	m := MerchantFailing{Merchants: g.merchants, Entity: g.entity}
	var verdicts []statemachine.Verdict
	channels := map[string]bool{}
	for _, s := range g.scopes {
		if v, ok := failing[s]; ok {
			verdicts, m.Scopes = append(verdicts, v), append(m.Scopes, s)
			channels[s.Channel] = true
		}
	}
	if len(channels) == 0 {
		return m, false
	}
	if down, _ := everywhere(verdicts, g.scopes, seen, f); !down {
		return m, false
	}
	for s := range failing {
		if channels[s.Channel] && !slices.Contains(g.scopes, s) {
			return m, false
		}
	}
	m.Evidence = verdicts[0].Evidence
	m.Helps = g.helped(m.Evidence, seen, f)
	return m, true
}

// helped reports whether an account that the merchants share with others of their entity is calm.
func (g *merchantAccounts) helped(e statemachine.Evidence, seen *History, f *statemachine.Fleet) bool {
	if len(g.merchants) == 0 {
		return false // routing does not cross entities
	}
	for channel, facts := range f.Channels {
		for _, a := range facts.Accounts {
			shared := a.Entity == g.entity && len(a.Merchants) == 0
			if shared && calm(statemachine.AccountScope(channel, a.ID), e.From, e.To, seen, f) {
				return true
			}
		}
	}
	return false
}

// accountGroups groups the accounts of the fleet by the merchants and then, if there are several, by the entities they are for.
func accountGroups(f *statemachine.Fleet) []merchantAccounts {
	merchants, entities := map[[2]string]*merchantAccounts{}, map[[2]string]*merchantAccounts{}
	for _, channel := range slices.Sorted(maps.Keys(f.Channels)) {
		for _, a := range f.Channels[channel].Accounts {
			scope := statemachine.AccountScope(channel, a.ID)
			group(entities, "", a.Entity).scopes = append(group(entities, "", a.Entity).scopes, scope)
			for _, m := range a.Merchants {
				group(merchants, m, a.Entity).scopes = append(group(merchants, m, a.Entity).scopes, scope)
			}
		}
	}
	var groups []merchantAccounts
	same := map[string]int{} // merchants with the same accounts are one group
	for _, g := range sortedGroups(merchants) {
		key := fmt.Sprint(g.scopes)
		if at, ok := same[key]; ok {
			groups[at].merchants = append(groups[at].merchants, g.merchants...)
			continue
		}
		same[key] = len(groups)
		groups = append(groups, g)
	}
	if len(entities) > 1 {
		groups = append(groups, sortedGroups(entities)...)
	}
	return groups
}

func group(in map[[2]string]*merchantAccounts, merchant, entity string) *merchantAccounts {
	g := in[[2]string{merchant, entity}]
	if g == nil {
		g = &merchantAccounts{entity: entity}
		if merchant != "" {
			g.merchants = []string{merchant}
		}
		in[[2]string{merchant, entity}] = g
	}
	return g
}

func sortedGroups(in map[[2]string]*merchantAccounts) []merchantAccounts {
	keys := slices.SortedFunc(maps.Keys(in), func(a, b [2]string) int { return strings.Compare(a[0]+"\x00"+a[1], b[0]+"\x00"+b[1]) })
	out := make([]merchantAccounts, 0, len(keys))
	for _, k := range keys {
		out = append(out, *in[k])
	}
	return out
}

// Merchants tells of failing merchants once while they fail.
type Merchants struct{ seen map[string]int64 } // by name, second of the newest finding

// merchantQuiet is how many seconds a merchant must not fail everywhere before it is told again.
const merchantQuiet = 600

// NewMerchants returns a teller that has told nothing.
func NewMerchants() *Merchants { return &Merchants{seen: map[string]int64{}} }

// Observe takes what merchantsFailing found in a second and returns what is to be told.
func (m *Merchants) Observe(found []MerchantFailing, second int64) []statemachine.Alert {
	maps.DeleteFunc(m.seen, func(_ string, at int64) bool { return second-at >= merchantQuiet })
	var alerts []statemachine.Alert
	for i := range found {
		if _, told := m.seen[found[i].name()]; !told {
			alerts = append(alerts, found[i].Alert(second))
		}
		m.seen[found[i].name()] = second
	}
	return alerts
}

// withheldAccounts remembers until when accounts were not to blame for what they showed: nothing is cut for it afterwards.
type withheldAccounts map[statemachine.Scope]int64

// filter takes out what accounts show since before the last second in which they failed with all of their merchant's.
func (w withheldAccounts) filter(verdicts []statemachine.Verdict, failing []MerchantFailing, second int64) []statemachine.Verdict {
	for _, m := range failing {
		if m.Helps {
			continue
		}
		for _, s := range m.Scopes {
			w[s] = second
		}
	}
	maps.DeleteFunc(w, func(_ statemachine.Scope, until int64) bool { return second-until > keptSeconds })
	return slices.DeleteFunc(verdicts, func(v statemachine.Verdict) bool {
		until, ok := w[v.Scope]
		return ok && v.Kind != statemachine.Recovered && v.Evidence.From <= until
	})
}
