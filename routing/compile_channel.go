package routing

import (
	"fmt"
	"slices"
	"strings"
	"time"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// channel compiles one channel. One whose id is taken is checked all the same, under a name nobody can refer to.
func (k *compiler) channel(i int, src *configv1.Channel) {
	path := fmt.Sprintf("channels[%d]", i)
	_, twice := k.plan.channelOf[src.GetId()]
	own := k.id(path, src.GetId(), twice)
	index := i32(len(k.plan.channels))
	c := channel{
		id: src.GetId(), item: k.item(statemachine.ChannelScope(src.GetId())), weight: src.GetWeight(), retired: src.GetRetired(),
		methods: map[string]int32{}, instruments: map[statemachine.Instrument]instrument{}, accounts: map[string]int32{},
	}
	if c.weight == 0 {
		c.weight = defaultWeight
	}
	if src.GetProvider() == "" {
		k.add(path+".provider", "is missing", "the third party behind the channel")
	}
	k.channelDomains(path, &c, index, src)
	k.channelBusiness(path, &c, src)
	k.channelAccounts(path, &c, index, src)
	k.channelInstruments(path, &c, src)
	k.channelPolicy(path, &c, src)
	if c.schedule = k.schedule(path+".windows", src.GetWindows()); c.schedule != nil {
		c.schedule.drain = k.drain(path, src)
	}
	k.capacityOf(path+".capacity", capacityKey{channel: c.id}, src.GetCapacity())
	if id := src.GetCodeTable(); id != "" {
		codes, ok := k.codes[id]
		if !ok {
			k.addf(path+".code_table", "the id of a code table", "there is no code table %q", id)
		}
		c.codes = codes
	}
	if cur := src.GetFee().GetCurrency(); cur != "" && !validCurrency(cur) {
		k.addf(path+".fee.currency", "an ISO 4217 code", "%q is no currency", cur)
	}
	k.plan.channels = append(k.plan.channels, c)
	k.plan.heads = append(k.plan.heads, head{c.id, c.schedule})
	if own {
		k.plan.channelOf[c.id] = index
		k.plan.facts[c.id] = statemachine.ChannelFacts{
			Domains: src.GetFailureDomains(), Instruments: k.plan.Instruments(c.id, "", "", ""), Accounts: accountFacts(src),
		}
	}
}

// accountFacts says for whom the accounts of a channel are.
func accountFacts(src *configv1.Channel) []statemachine.AccountFacts {
	facts := make([]statemachine.AccountFacts, 0, len(src.GetAccounts()))
	for _, a := range src.GetAccounts() {
		merchants := slices.Clone(a.GetMerchants())
		slices.Sort(merchants)
		facts = append(facts, statemachine.AccountFacts{ID: a.GetId(), Entity: a.GetEntity(), Merchants: merchants})
	}
	slices.SortFunc(facts, func(a, b statemachine.AccountFacts) int { return strings.Compare(a.ID, b.ID) })
	return facts
}

func (k *compiler) channelDomains(path string, c *channel, index int32, src *configv1.Channel) {
	if n := len(src.GetFailureDomains()); n > maxDomains {
		k.addf(path+".failure_domains", "at most 16", "%d failure domains", n)
	}
	for j, id := range src.GetFailureDomains() {
		at := fmt.Sprintf("%s.failure_domains[%d]", path, j)
		d, ok := k.plan.domainOf[id]
		switch {
		case !ok:
			k.addf(at, "the id of a failure domain", "there is no failure domain %q", id)
		case slices.Contains(c.domains, d):
			k.addf(at, "each failure domain once", "%q is named twice", id)
		default:
			c.domains = append(c.domains, d)
			k.plan.domainChannels[d] = append(k.plan.domainChannels[d], index)
		}
	}
}

func (k *compiler) channelBusiness(path string, c *channel, src *configv1.Channel) {
	for b := range c.business {
		c.business[b] = -1
	}
	if len(src.GetBusinessTypes()) == 0 {
		k.add(path+".business_types", "is empty", "at least one business type")
	}
	for j, t := range src.GetBusinessTypes() {
		at := fmt.Sprintf("%s.business_types[%d]", path, j)
		b, ok := k.business(at, t)
		switch {
		case !ok:
		case c.business[b] >= 0:
			k.addf(at, "each business type once", "%s is named twice", b)
		default:
			c.business[b] = k.item(statemachine.BusinessScope(c.id, b))
		}
	}
	for j, t := range src.GetRequiresEnrolment() {
		at := fmt.Sprintf("%s.requires_enrolment[%d]", path, j)
		b, ok := k.business(at, t)
		switch {
		case !ok:
		case c.business[b] < 0:
			k.addf(at, "a business type of the channel", "the channel does not support %s", b)
		case b.FollowsOriginal():
			k.addf(at, "COLLECT, PAYOUT, DEDUCT or AUTHENTICATE", "%s follows its original, enrolled or not", b)
		default:
			c.enrolment |= 1 << b
		}
	}
}

func (k *compiler) business(path string, t configv1.BusinessType) (statemachine.BusinessType, bool) {
	b, ok := businessOf(t)
	if !ok {
		k.add(path, "is missing", "COLLECT, PAYOUT, DEDUCT, AUTHENTICATE, REFUND, CANCEL or QUERY")
	}
	return b, ok
}

func (k *compiler) channelAccounts(path string, c *channel, index int32, src *configv1.Channel) {
	if len(src.GetAccounts()) == 0 {
		k.add(path+".accounts", "is empty", "at least one merchant account")
	}
	for j, a := range src.GetAccounts() {
		at := fmt.Sprintf("%s.accounts[%d]", path, j)
		if _, ok := k.plan.entities[a.GetEntity()]; !ok {
			k.addf(at+".entity", "the id of an entity", "there is no entity %q", a.GetEntity())
		}
		for m, merchant := range a.GetMerchants() {
			if !validID(merchant) || slices.Contains(a.GetMerchants()[:m], merchant) {
				k.addf(fmt.Sprintf("%s.merchants[%d]", at, m), "each merchant's id once", "%q is no id or named twice", merchant)
			}
		}
		_, twice := c.accounts[a.GetId()]
		if !k.id(at, a.GetId(), twice) {
			continue
		}
		k.capacityOf(at+".capacity", capacityKey{c.id, a.GetId()}, a.GetCapacity())
		c.accounts[a.GetId()] = i32(len(k.plan.accounts))
		k.plan.accounts = append(k.plan.accounts, account{
			id: a.GetId(), entity: a.GetEntity(), channel: index, item: k.item(statemachine.AccountScope(c.id, a.GetId())),
		})
	}
}

// capacityOf declares a channel's or an account's capacity, and the pool it draws on as well.
func (k *compiler) capacityOf(path string, key capacityKey, src *configv1.Capacity) {
	name := "channel/" + key.channel
	if key.account != "" {
		name = "account/" + key.channel + "/" + key.account
	}
	k.pool(name, src.GetPaymentsPerSecond(), func(at int) { k.capacity[key] = append(k.capacity[key], at) })
	id := src.GetPool()
	if id == "" {
		return
	}
	if !k.pooled[id] {
		k.addf(path+".pool", "the id of a pool", "there is no pool %q", id)
		return
	}
	if at, ok := k.poolOf[id]; ok {
		k.capacity[key] = append(k.capacity[key], at)
	}
}

func (k *compiler) channelPolicy(path string, c *channel, src *configv1.Channel) {
	base := probingOver(probing{}, k.c.GetDefaultPolicy())
	c.probing = probingOver(base, src.GetPolicy())
	p := k.plan.policy
	if src.GetPolicy() != nil {
		p = policyOver(p, src.GetPolicy())
		if p != k.plan.policy {
			checkPolicy(&k.problems, path+".policy", p)
			k.plan.policies[c.id] = p
		}
	}
	c.interval = max(1, int64(p.ProbeInterval/time.Second))
}

func (k *compiler) channelInstruments(path string, c *channel, src *configv1.Channel) {
	all := k.currencyList(path+".currencies", src.GetCurrencies())
	if len(src.GetCurrencies()) == 0 {
		k.add(path+".currencies", "is empty", "at least one ISO 4217 code")
	}
	if len(src.GetInstruments()) == 0 {
		k.add(path+".instruments", "is empty", "at least one method")
	}
	for j, in := range src.GetInstruments() {
		at := fmt.Sprintf("%s.instruments[%d]", path, j)
		if !validID(in.GetMethod()) {
			k.addf(at+".method", "an id, e.g. QUICKPAY", "%q is no method", in.GetMethod())
			continue
		}
		k.methodShape(at, in)
		k.spanInstruments(at, c, in, k.intern(k.terms(at, in, all, src.GetCurrencies())))
	}
}

// methodShape holds a method to one shape on all channels, so that a payment's instrument means the same everywhere.
func (k *compiler) methodShape(path string, in *configv1.Instrument) {
	s := shape{banks: len(in.GetBanks()) > 0, cards: len(in.GetCardTypes()) > 0}
	first, ok := k.plan.methods[in.GetMethod()]
	if !ok {
		k.plan.methods[in.GetMethod()] = s
		k.shapeFrom[in.GetMethod()] = path
		return
	}
	from := k.shapeFrom[in.GetMethod()]
	if first.banks != s.banks {
		k.addf(path+".banks", "banks on every channel or on none", "method %s %s banks here, but not in %s", in.GetMethod(), knows(s.banks), from)
	}
	if first.cards != s.cards {
		k.addf(path+".card_types", "card types on every channel or on none", "method %s %s card types here, but not in %s", in.GetMethod(), knows(s.cards), from)
	}
}

func knows(yes bool) string {
	if yes {
		return "knows"
	}
	return "knows no"
}

// spanInstruments adds every combination of banks and card types.
func (k *compiler) spanInstruments(path string, c *channel, in *configv1.Instrument, t int32) {
	banks, cards := in.GetBanks(), k.cards(path, in)
	for b, bank := range banks {
		if !validID(bank) || slices.Contains(banks[:b], bank) {
			k.addf(fmt.Sprintf("%s.banks[%d]", path, b), "each bank's id once", "%q is no id or named twice", bank)
		}
	}
	if len(banks) == 0 {
		banks = []string{statemachine.NoBank}
	}
	method := k.item(statemachine.MethodScope(c.id, in.GetMethod()))
	c.methods[in.GetMethod()] = method
	overlap := 0
	for _, bank := range banks {
		for _, card := range cards {
			key := statemachine.Instrument{Method: in.GetMethod(), Bank: bank, CardType: card}
			if _, twice := c.instruments[key]; twice {
				if overlap++; overlap == 1 {
					k.addf(path, "each method, bank and card type in one instrument", "%s is in another instrument of the channel already", key)
				}
				continue
			}
			if len(k.plan.items) >= maxItems {
				k.addf(path, "fewer combinations", "the catalogue spans more than %d items", maxItems)
				return
			}
			c.instruments[key] = instrument{item: k.item(statemachine.InstrumentScope(c.id, key)), method: method, terms: t}
		}
	}
}

func (k *compiler) cards(path string, in *configv1.Instrument) []string {
	if len(in.GetCardTypes()) == 0 {
		return []string{statemachine.NoBank}
	}
	var out []string
	for j, t := range in.GetCardTypes() {
		name := CardName(t)
		if name == statemachine.NoBank || slices.Contains(out, name) {
			k.addf(fmt.Sprintf("%s.card_types[%d]", path, j), "each of DEBIT, CREDIT, PREPAID once", "%s is not allowed or named twice", t)
			continue
		}
		out = append(out, name)
	}
	return out
}

// intern keeps equal terms once: fewer bytes to look at in a decision.
func (k *compiler) intern(t terms) int32 {
	key := fmt.Sprint(t)
	i, ok := k.termsOf[key]
	if !ok {
		i = i32(len(k.plan.terms))
		k.plan.terms = append(k.plan.terms, t)
		k.termsOf[key] = i
	}
	return i
}

// terms compiles currencies and limits of an instrument.
func (k *compiler) terms(path string, in *configv1.Instrument, all [4]uint64, channel []string) terms {
	t := terms{currencies: all}
	names := channel
	if own := in.GetCurrencies(); len(own) > 0 {
		t.currencies = k.currencyList(path+".currencies", own)
		names = own
		for j, cur := range own {
			if !slices.Contains(channel, cur) {
				k.addf(fmt.Sprintf("%s.currencies[%d]", path, j), "a currency of the channel", "the channel does not take %q", cur)
			}
		}
	}
	for j, l := range in.GetLimits() {
		at := fmt.Sprintf("%s.limits[%d]", path, j)
		if !slices.Contains(names, l.GetCurrency()) {
			k.addf(at+".currency", "a currency of the instrument", "the instrument does not take %q", l.GetCurrency())
		}
		cur := k.currency(at+".currency", l.GetCurrency())
		if l.GetMin() < 0 || l.GetMax() < 0 || l.GetMax() > 0 && l.GetMax() < l.GetMin() {
			k.addf(at, "0 ≤ min ≤ max, or max 0 for none", "limits %d to %d leave no amount", l.GetMin(), l.GetMax())
		}
		if slices.ContainsFunc(t.limits, func(o limit) bool { return o.currency == cur }) {
			k.addf(at+".currency", "one limit per currency", "%s has two limits", l.GetCurrency())
		}
		t.limits = append(t.limits, limit{cur, l.GetMin(), l.GetMax()})
	}
	return t
}

func (k *compiler) currencyList(path string, list []string) [4]uint64 {
	var bits [4]uint64
	for j, name := range list {
		at := fmt.Sprintf("%s[%d]", path, j)
		if slices.Contains(list[:j], name) {
			k.addf(at, "each currency once", "%q is named twice", name)
		}
		c := k.currency(at, name)
		bits[c/64] |= 1 << (c % 64)
	}
	return bits
}

func (k *compiler) currency(path, name string) uint8 {
	if c, ok := k.plan.currencies[name]; ok {
		return c
	}
	if !validCurrency(name) {
		k.addf(path, "an ISO 4217 code, e.g. CNY", "%q is no currency", name)
		return 0
	}
	if len(k.plan.currencies) >= maxCurrencies {
		k.addf(path, "at most 256 currencies", "the catalogue has too many currencies")
		return 0
	}
	c := u8(len(k.plan.currencies))
	k.plan.currencies[name] = c
	return c
}
