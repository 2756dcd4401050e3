package simulate

import (
	"maps"
	"slices"
	"strings"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// contracts is what the world knows of the catalogue: who can carry which stream, and what raw codes mean to a cashier.
type contracts struct {
	channels map[string]*configv1.Channel
	domains  map[string]bool
	banks    map[string]bool
	methods  map[string]bool
	codes    map[string]map[string]meaning // by channel
	routes   []*configv1.Route
}

// meaning is what a raw code means.
type meaning struct {
	outcome statemachine.Outcome
	money   statemachine.Money
}

// cell is one way a stream can go: its channel and merchant account.
type cell struct {
	id      int
	stream  int
	channel string
	account string
	domains []string
	scopes  []statemachine.Scope // every scope that applies
}

func newContracts(c *configv1.Catalog) *contracts {
	k := &contracts{
		channels: map[string]*configv1.Channel{}, domains: map[string]bool{}, banks: map[string]bool{},
		methods: map[string]bool{}, codes: map[string]map[string]meaning{}, routes: c.GetRoutes(),
	}
	for _, d := range c.GetFailureDomains() {
		k.domains[d.GetId()] = true
	}
	tables := map[string]map[string]meaning{}
	for _, t := range c.GetCodeTables() {
		tables[t.GetId()] = readCodes(t)
	}
	for _, ch := range c.GetChannels() {
		k.channels[ch.GetId()] = ch
		k.codes[ch.GetId()] = tables[ch.GetCodeTable()]
		for _, i := range ch.GetInstruments() {
			k.methods[i.GetMethod()] = true
			for _, b := range i.GetBanks() {
				k.banks[b] = true
			}
		}
	}
	return k
}

func readCodes(t *configv1.CodeTable) map[string]meaning {
	m := make(map[string]meaning, len(t.GetCodes()))
	for _, c := range t.GetCodes() {
		o := statemachine.Outcome(c.GetOutcome()) //nolint:gosec // the schema admits the outcomes alone
		money := o.Money()
		if c.Final != nil {
			money = statemachine.MoneyReroutable
			if c.GetFinal() {
				money = statemachine.MoneyFinal
			}
		}
		m[c.GetCode()] = meaning{outcome: o, money: money}
	}
	return m
}

// meaningOf returns what a code means on a channel; a code that no table holds is unmapped.
func (k *contracts) meaningOf(channel, code string) meaning {
	if m, ok := k.codes[channel][code]; ok {
		return m
	}
	return meaning{outcome: statemachine.OutcomeUnmapped, money: statemachine.MoneyInDoubt}
}

// cellsOf returns the ways a stream can go, sorted by channel and account.
func (k *contracts) cellsOf(s *Scenario, stream int) []cell {
	st := &s.Traffic[stream]
	var out []cell
	for _, id := range slices.Sorted(maps.Keys(k.channels)) {
		ch := k.channels[id]
		if !k.routed(st, id) || !slices.Contains(ch.GetBusinessTypes(), configv1.BusinessType(st.Business)) ||
			!slices.Contains(k.instruments(ch), st.Instrument) || !slices.Contains(ch.GetCurrencies(), st.Currency) {
			continue
		}
		for _, a := range ch.GetAccounts() {
			if st.mayUse(a) {
				out = append(out, newCell(st, stream, ch, a.GetId()))
			}
		}
	}
	return out
}

func newCell(st *Stream, stream int, ch *configv1.Channel, account string) cell {
	c := cell{stream: stream, channel: ch.GetId(), account: account, domains: ch.GetFailureDomains()}
	member := statemachine.Member{Channel: c.channel, Account: account, Domains: c.domains}
	lane := statemachine.Lane{Entity: st.Entity, Business: st.Business, Instrument: st.Instrument}
	c.scopes = member.Scopes(lane, nil)
	return c
}

func (k *contracts) routed(st *Stream, channel string) bool {
	if r := k.routeOf(st); r != nil {
		return slices.ContainsFunc(r.GetMembers(), func(m *configv1.RouteMember) bool { return m.GetChannel() == channel })
	}
	return false
}

// routeOf returns the route that a stream takes, nil if there is none.
func (k *contracts) routeOf(st *Stream) *configv1.Route {
	for _, r := range k.routes {
		if r.GetMethod() == st.Instrument.Method && r.GetBusinessType() == configv1.BusinessType(st.Business) &&
			(len(r.GetMerchants()) == 0 || slices.Contains(r.GetMerchants(), st.Merchant)) &&
			(len(r.GetUserTiers()) == 0 || slices.Contains(r.GetUserTiers(), st.Tier)) {
			return r
		}
	}
	return nil
}

// instruments lists every instrument of a channel.
func (*contracts) instruments(ch *configv1.Channel) []statemachine.Instrument {
	var out []statemachine.Instrument
	for _, i := range ch.GetInstruments() {
		banks, cards := i.GetBanks(), make([]string, 0, 2)
		for _, c := range i.GetCardTypes() {
			cards = append(cards, strings.TrimPrefix(c.String(), "CARD_TYPE_"))
		}
		if len(banks) == 0 {
			banks = []string{statemachine.NoBank}
		}
		if len(cards) == 0 {
			cards = []string{statemachine.NoBank}
		}
		for _, b := range banks {
			for _, c := range cards {
				out = append(out, statemachine.Instrument{Method: i.GetMethod(), Bank: b, CardType: c})
			}
		}
	}
	return out
}

// scopes turns an order's selector into scopes: one, or one per instrument for a bank.
func (k *contracts) scopes(s Selector) []statemachine.Scope {
	kind, err := s.narrowest()
	if err != nil {
		return nil
	}
	switch kind {
	case statemachine.ScopeDomain:
		return []statemachine.Scope{statemachine.DomainScope(s.Domain)}
	case statemachine.ScopeBusiness:
		return []statemachine.Scope{statemachine.BusinessScope(s.Channel, s.Business)}
	case statemachine.ScopeMethod:
		return []statemachine.Scope{statemachine.MethodScope(s.Channel, s.Method)}
	case statemachine.ScopeAccount:
		return []statemachine.Scope{statemachine.AccountScope(s.Channel, s.Account)}
	case statemachine.ScopeInstrument:
		return k.instrumentScopes(s)
	case statemachine.ScopeChannel, statemachine.ScopeUnspecified:
	}
	return []statemachine.Scope{statemachine.ChannelScope(s.Channel)}
}

func (k *contracts) instrumentScopes(s Selector) []statemachine.Scope {
	var out []statemachine.Scope
	for _, i := range k.instruments(k.channels[s.Channel]) {
		if s.matchesInstrument(i) {
			out = append(out, statemachine.InstrumentScope(s.Channel, i))
		}
	}
	return out
}
