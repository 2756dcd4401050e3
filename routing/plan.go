package routing

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sluice-pay/sluice/statemachine"
)

// Plan is a compiled catalogue. It is immutable and shared by the tables of all its states.
type Plan struct {
	lifetime int64     // of a decision, milliseconds
	source   published // what snapshots tell of the catalogue

	items  []statemachine.Scope         // by index; items of earlier plans keep theirs
	itemOf map[statemachine.Scope]int32 // items of this plan

	domains        []string
	domainOf       map[string]int32
	domainChannels [][]int32

	channels  []channel
	heads     []head // of the channels
	channelOf map[string]int32
	accounts  []account // of all channels
	terms     []terms
	sets      []accountSet

	entities   map[string]struct{}
	methods    map[string]shape
	currencies map[string]uint8

	lanes       []lane // sorted
	laneOf      map[statemachine.Lane]int32
	index       laneIndex
	instruments instrumentIndex
	ways        []way
	wayOf       map[wayKey]int32
	routes      []route
	rows        []row
	groups      []group
	slots       []slot
	combos      []combo

	strategies []strategy
	merits     []merit                // of the channels, empty without strategies
	keys       int                    // words of all slots of rows with a strategy
	lastScored atomic.Pointer[scored] // see scoredBy

	limits limitPlan

	policy   statemachine.Policy // default
	policies map[string]statemachine.Policy

	fleetLanes []statemachine.LaneMembers
	pools      []statemachine.Pool
	facts      map[string]statemachine.ChannelFacts
}

// channel is one channel of the catalogue.
type channel struct {
	id          string
	domains     []int32
	item        int32
	business    [statemachine.NumBusinessTypes]int32 // item, -1 = not supported
	enrolment   uint8                                // bit per business type that needs it
	methods     map[string]int32                     // item by method
	instruments map[statemachine.Instrument]instrument
	accounts    map[string]int32 // index in Plan.accounts
	schedule    *schedule        // nil = always open
	codes       codeTable
	weight      uint32
	probing     probing
	interval    int64 // probe interval, whole seconds, at least 1
	retired     bool  // takes no new payment
}

// head is what every decision needs of a channel, close together.
type head struct {
	id       string
	schedule *schedule
}

// instrument is one instrument of a channel.
type instrument struct {
	item, method int32 // items
	terms        int32
}

// account is one merchant account.
type account struct {
	id      string
	entity  string
	channel int32
	item    int32
}

// accountSet lists the accounts of one entity on one channel.
type accountSet struct {
	general []int32
	named   map[string][]int32 // by merchant, before the general ones
}

// terms are the currencies and amount limits of one instrument declaration.
type terms struct {
	currencies [4]uint64 // bit per currency of the plan
	limits     []limit
}

type limit struct {
	currency uint8
	min, max int64 // inclusive; max 0 = none
}

// shape says whether a method knows banks and card types.
type shape struct{ banks, cards bool }

// wayKey is what routes are chosen by first.
type wayKey struct {
	business statemachine.BusinessType
	method   string
}

// way lists the routes of one business type and method, in the order they are tried.
type way struct{ routes []int32 }

// route is one route with its selectors.
type route struct {
	id        string
	salt      []byte // purpose 0 route@generation 0: what precedes the payment id in the hash
	merchants map[string]struct{}
	tiers     map[string]struct{}
	members   []int32 // channels, in the catalogue's order

	strategy int32    // -1 = by priority, split and weight alone
	explored []byte   // salt of the exploration
	dealt    [][]byte // salts of the strategy's splits
	attempts uint8    // most attempts of a payment, at least 1
}

// serves reports whether the selectors match.
func (r *route) serves(merchant, tier string) bool {
	if r.merchants != nil {
		if _, ok := r.merchants[merchant]; !ok {
			return false
		}
	}
	if r.tiers != nil {
		if _, ok := r.tiers[tier]; !ok {
			return false
		}
	}
	return true
}

// lane is one row of the table per route of its way.
type lane struct {
	statemachine.Lane
	way  int32
	only row     // of the only route of the way, if that serves every payment, else without slots
	rows []int32 // by position of the route in the way, -1 = the route has no candidate for the lane
}

// row is the candidates of one lane under one route, by priority: runs of Plan.groups and Plan.slots.
type row struct {
	route           int32
	slot, group     int32
	key             int32 // first word of its first slot, -1 = no strategy
	nSlots, nGroups uint8
}

// slotsOf returns the slots of a row.
func (p *Plan) slotsOf(w *row) []slot { return p.slots[w.slot : w.slot+int32(w.nSlots)] }

// group is a run of slots that a hash orders: one priority, or its last resort.
type group struct {
	first, n uint8
	why      Why
	priority uint16
	total    uint64 // sum of the slots' weights
}

// slot is one channel of a row.
type slot struct {
	channel int32
	account int32 // the only account, or the complement of an account set
	terms   int32
	combo   int32  // what it counts under
	weight  uint32 // part of its group
	flags   uint8
}

const (
	slotEnrolment uint8 = 1 << iota // the payer must be enrolled
	slotWindow                      // the channel has a schedule
	slotRetired                     // the channel takes no new payment
)

// combo is channel × business type × instrument: the items a decision counts under, beside its account's.
type combo struct{ channel, business, method, instrument int32 }

// Items returns every item by index. Indices are stable: a plan compiled with a previous one keeps that one's, also of items
// that no longer exist. The slice must not be changed.
func (p *Plan) Items() []statemachine.Scope { return p.items }

// Item returns the index of an item.
func (p *Plan) Item(s statemachine.Scope) (int32, bool) {
	i, ok := p.itemOf[s]
	return i, ok
}

// Has reports whether the catalogue knows the scope: an item or a failure domain.
func (p *Plan) Has(s statemachine.Scope) bool {
	if s.Kind == statemachine.ScopeDomain {
		_, ok := p.domainOf[s.Of]
		return ok && s.Channel == ""
	}
	_, ok := p.itemOf[s]
	return ok
}

// Policy returns the policy of a channel; the default one for "" and channels it does not know.
func (p *Plan) Policy(channel string) statemachine.Policy {
	if own, ok := p.policies[channel]; ok {
		return own
	}
	return p.policy
}

// Channels returns the ids of the channels, sorted.
func (p *Plan) Channels() []string {
	ids := make([]string, len(p.channels))
	for i := range p.channels {
		ids[i] = p.channels[i].id
	}
	slices.Sort(ids)
	return ids
}

// Instruments returns the instruments of a channel that match, sorted; an empty bank, card type or method matches all. So a
// bank without card type covers both. It is empty for an unknown channel.
func (p *Plan) Instruments(channel, bank, cardType, method string) []statemachine.Instrument {
	c, ok := p.channelOf[channel]
	if !ok {
		return nil
	}
	var out []statemachine.Instrument
	for i := range p.channels[c].instruments {
		if (bank == "" || i.Bank == bank) && (cardType == "" || i.CardType == cardType) && (method == "" || i.Method == method) {
			out = append(out, i)
		}
	}
	slices.SortFunc(out, compareInstruments)
	return out
}

// Stranded returns the scopes, sorted, that carry an operator's order and that this plan does not know: applying its
// catalogue would leave those orders without effect.
func (p *Plan) Stranded(states []statemachine.State) []statemachine.Scope {
	var out []statemachine.Scope
	for i := range states {
		if states[i].Held() && !p.Has(states[i].Scope) {
			out = append(out, states[i].Scope)
		}
	}
	slices.SortFunc(out, statemachine.Scope.Compare)
	return out
}

// LaneIndex returns the position of a lane in Fleet().Lanes.
func (p *Plan) LaneIndex(l statemachine.Lane) (int, bool) {
	i, ok := p.laneOf[l]
	return int(i), ok
}

// Fleet returns the static part of the fleet: lanes with members and weights, pools, policies and facts. Lanes and Pools are
// the caller's to fill with demand and load, as are States and Recent; everything below them is shared and must not change.
func (p *Plan) Fleet() statemachine.Fleet {
	return statemachine.Fleet{
		Lanes:    slices.Clone(p.fleetLanes),
		Pools:    slices.Clone(p.pools),
		Default:  p.policy,
		Policies: p.policies,
		Channels: p.facts,
	}
}

func compareInstruments(a, b statemachine.Instrument) int {
	if c := strings.Compare(a.Method, b.Method); c != 0 {
		return c
	}
	if c := strings.Compare(a.Bank, b.Bank); c != 0 {
		return c
	}
	return strings.Compare(a.CardType, b.CardType)
}
