package routing

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
)

// defaultWeight is the weight of a channel that declares none.
const defaultWeight = 100

// published is the catalogue of a plan as snapshots show it. It is made when the first snapshot asks for it.
type published struct {
	catalog *configv1.Catalog

	bare  sync.Once
	clean *configv1.Catalog

	ordered sync.Once
	orders  []*configv1.StaticOrder
}

// withoutContacts returns the catalogue without the people in it. What names none is shared with the original.
func (p *published) withoutContacts() *configv1.Catalog {
	p.bare.Do(func() {
		p.clean = &configv1.Catalog{}
		to := p.clean.ProtoReflect()
		p.catalog.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			to.Set(f, v)
			return true
		})
		p.clean.Channels = slices.Clone(p.catalog.GetChannels())
		for i, ch := range p.clean.GetChannels() {
			p.clean.Channels[i] = withoutPeople(ch)
		}
	})
	return p.clean
}

// withoutPeople returns the channel itself if it names nobody.
func withoutPeople(ch *configv1.Channel) *configv1.Channel {
	owned := func(a *configv1.Account) bool { return a.GetOwner() != nil }
	if len(ch.GetContacts()) == 0 && !slices.ContainsFunc(ch.GetAccounts(), owned) {
		return ch
	}
	ch = proto.CloneOf(ch)
	ch.Contacts = nil
	for _, a := range ch.GetAccounts() {
		a.Owner = nil
	}
	return ch
}

// staticOrder returns the orders of last resort: the declared ones, and for every other business type and method with a route
// that of its routes. They are sorted by business type and method. Retired channels are left out where new payments are made, and
// orders of which nothing is left.
func (p *published) staticOrder(plan *Plan) []*configv1.StaticOrder {
	p.ordered.Do(func() {
		p.orders = slices.Clone(p.catalog.GetStaticOrder())
		has := map[orderKey]bool{}
		for _, o := range p.orders {
			has[orderKey{o.GetBusinessType(), o.GetMethod()}] = true
		}
		weights := map[string]uint32{}
		for _, c := range p.catalog.GetChannels() {
			weights[c.GetId()] = cmp.Or(c.GetWeight(), defaultWeight)
		}
		for _, r := range p.catalog.GetRoutes() {
			key := orderKey{r.GetBusinessType(), r.GetMethod()}
			if !has[key] {
				has[key] = true
				p.orders = append(p.orders, p.derive(plan, key, weights))
			}
		}
		p.orders = p.withoutRetired(p.orders)
		slices.SortStableFunc(p.orders, func(a, b *configv1.StaticOrder) int {
			return cmp.Or(cmp.Compare(a.GetBusinessType(), b.GetBusinessType()), strings.Compare(a.GetMethod(), b.GetMethod()))
		})
	})
	return p.orders
}

// withoutRetired leaves retired channels out of the orders of new payments.
func (p *published) withoutRetired(orders []*configv1.StaticOrder) []*configv1.StaticOrder {
	retired := map[string]bool{}
	for _, c := range p.catalog.GetChannels() {
		if c.GetRetired() {
			retired[c.GetId()] = true
		}
	}
	if len(retired) == 0 {
		return orders
	}
	out := make([]*configv1.StaticOrder, 0, len(orders))
	for _, o := range orders {
		if b, _ := businessOf(o.GetBusinessType()); !b.FollowsOriginal() {
			left := &configv1.StaticOrder{BusinessType: o.GetBusinessType(), Method: o.GetMethod()}
			left.Channels = slices.DeleteFunc(slices.Clone(o.GetChannels()), func(c string) bool { return retired[c] })
			o = left
		}
		if len(o.GetChannels()) > 0 {
			out = append(out, o)
		}
	}
	return out
}

type orderKey struct {
	business configv1.BusinessType
	method   string
}

// derive orders the channels of the route that serves every payment, else of the first: by what its strategy says
// without scores, by priority, then the greater split or weight, then by id. Channels of other routes of the key follow.
func (p *published) derive(plan *Plan, key orderKey, weights map[string]uint32) *configv1.StaticOrder {
	var routes []*configv1.Route
	for _, r := range p.catalog.GetRoutes() {
		if r.GetBusinessType() == key.business && r.GetMethod() == key.method {
			routes = append(routes, r)
		}
	}
	slices.SortStableFunc(routes, func(a, b *configv1.Route) int { return cmp.Compare(selectors(a), selectors(b)) })
	out := &configv1.StaticOrder{BusinessType: key.business, Method: key.method}
	for _, r := range routes {
		members := slices.Clone(r.GetMembers())
		slices.SortStableFunc(members, func(a, b *configv1.RouteMember) int {
			return cmp.Or(slices.Compare(plan.neutralKey(r, a), plan.neutralKey(r, b)), cmp.Compare(a.GetPriority(), b.GetPriority()), cmp.Compare(b.GetSplit(), a.GetSplit()),
				cmp.Compare(weights[b.GetChannel()], weights[a.GetChannel()]), strings.Compare(a.GetChannel(), b.GetChannel()))
		})
		for _, m := range members {
			if len(out.GetChannels()) < MaxCandidates && !slices.Contains(out.GetChannels(), m.GetChannel()) {
				out.Channels = append(out.Channels, m.GetChannel())
			}
		}
	}
	return out
}

// selectors is 1 for a route that serves only some merchants or tiers, else 0.
func selectors(r *configv1.Route) int { return min(1, len(r.GetMerchants())+len(r.GetUserTiers())) }
