package client

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// staticWeight is the weight of a channel that declares none, as in routes.
const staticWeight = 100

// ReadStatic reads the snapshot of last resort from a file as `sluice snapshot pull` writes it, to be embedded in a program or
// shipped beside it.
func ReadStatic(file string) (*configv1.Snapshot, error) {
	data, err := os.ReadFile(file) //nolint:gosec // the user's own file
	if err != nil {
		return nil, fmt.Errorf("read the static order: %w", err)
	}
	return routing.DecodeSnapshot(data) //nolint:wrapcheck // says it all
}

// newStatic makes the table of last resort. Of the snapshot it takes the catalogue, its static orders in the place of its
// routes, and what people have closed; the rest is too old to mean anything. Within an order a payment goes where its hash
// says, each channel by its capacity: all clients without a control plane must not fall upon the first channel.
func newStatic(s *configv1.Snapshot, environment string) (*routing.Table, error) {
	whole, err := routing.OpenSnapshot(s, environment, nil)
	if err != nil {
		return nil, fmt.Errorf("static order: %w", err)
	}
	c := proto.CloneOf(s.GetCatalog())
	c.Routes = nil
	for _, o := range routing.NewSnapshot(whole, environment, s.GetWriteTime().AsTime()).GetStaticOrder() {
		if r := staticRoute(c, o); r != nil {
			c.Routes = append(c.Routes, r)
		}
	}
	if len(c.GetRoutes()) == 0 {
		return nil, errors.New("static order: the snapshot has none")
	}
	orders := proto.CloneOf(s)
	orders.Catalog, orders.Scores, orders.States = c, nil, slices.DeleteFunc(orders.GetStates(), func(st *configv1.ScopeState) bool {
		return st.GetSuspend() == nil && st.GetOff() == nil
	})
	t, err := routing.OpenSnapshot(orders, environment, nil)
	if err != nil {
		return nil, fmt.Errorf("static order: %w", err)
	}
	return t, nil
}

// staticRoute is the route of one static order.
func staticRoute(c *configv1.Catalog, o *configv1.StaticOrder) *configv1.Route {
	business := strings.TrimPrefix(o.GetBusinessType().String(), "BUSINESS_TYPE_")
	r := &configv1.Route{
		Id: "static." + strings.ToLower(business) + "." + o.GetMethod(), BusinessType: o.GetBusinessType(), Method: o.GetMethod(),
	}
	if len(r.GetId()) > 64 || !statemachine.ValidName(r.GetId()) {
		r.Id = fmt.Sprintf("static.%s.%d", strings.ToLower(business), len(c.GetRoutes()))
	}
	weights, declared, total := map[string]uint32{}, map[string]uint32{}, uint64(0)
	for _, ch := range c.GetChannels() {
		weights[ch.GetId()] = cmp.Or(ch.GetWeight(), staticWeight)
		if n := ch.GetCapacity().GetPaymentsPerSecond(); n > 0 && slices.Contains(o.GetChannels(), ch.GetId()) {
			declared[ch.GetId()] = n
			total += uint64(n)
		}
	}
	for _, id := range o.GetChannels() {
		part, known := weights[id]
		if len(declared) > 0 { // a channel that declares nothing counts as a usual one
			part = cmp.Or(declared[id], uint32(max(1, total/uint64(len(declared))))) //nolint:gosec // the mean of 32-bit numbers
		}
		if known {
			r.Members = append(r.Members, &configv1.RouteMember{Channel: id, Split: part})
		}
	}
	if len(r.GetMembers()) == 0 {
		return nil
	}
	return r
}
