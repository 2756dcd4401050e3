package campaign

import (
	"fmt"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/cmd/internal/bankmix"
)

// Names of the catalogue.
const (
	entity   = "e-1"
	method   = "QUICKPAY"
	currency = "INR"
	banks    = 8
)

// channel is a channel of the catalogue: its part of the payments, and how often it fails while it is well.
type channel struct {
	id   string
	part uint32 // per cent
	bad  float64
}

// channels are those of the trial: a big one, a few middling ones, and two that see little.
func channels() []channel {
	return []channel{
		{"alpha", 35, 0.006}, {"bravo", 25, 0.010}, {"charlie", 20, 0.015}, {"delta", 10, 0.020}, {"echo", 7, 0.025}, {"foxtrot", 3, 0.030},
	}
}

// merchant is a merchant and its part of the payments.
type merchant struct {
	id   string
	part float64
}

func merchants() []merchant {
	return []merchant{{"m-1", 0.35}, {"m-2", 0.25}, {"m-3", 0.16}, {"m-4", 0.12}, {"m-5", 0.08}, {"m-6", 0.04}}
}

// accountOf is the merchant's contract on a channel.
func accountOf(channel, merchant string) string { return channel + "-" + merchant }

// topBanks are the greatest banks of the published mix.
func topBanks() (bankmix.Mix, error) {
	all, err := bankmix.Published()
	if err != nil {
		return nil, fmt.Errorf("bank mix: %w", err)
	}
	return all.Top(banks), nil
}

// Catalog returns the catalogue of every trace: one route over six channels, each serving every bank, with an account a
// merchant.
func Catalog() (*configv1.Catalog, error) {
	mix, err := topBanks()
	if err != nil {
		return nil, err
	}
	in := &configv1.Instrument{Method: method, CardTypes: []configv1.CardType{configv1.CardType_CARD_TYPE_DEBIT}}
	for _, b := range mix {
		in.Banks = append(in.Banks, b.ID)
	}
	collect := configv1.BusinessType_BUSINESS_TYPE_COLLECT
	c := &configv1.Catalog{Entities: []*configv1.Entity{{Id: entity}}}
	route := &configv1.Route{Id: "quickpay", BusinessType: collect, Method: method}
	for _, ch := range channels() {
		out := &configv1.Channel{
			Id: ch.id, Provider: ch.id, BusinessTypes: []configv1.BusinessType{collect}, Instruments: []*configv1.Instrument{in},
			Currencies: []string{currency}, Weight: ch.part,
		}
		for _, m := range merchants() {
			out.Accounts = append(out.Accounts, &configv1.Account{Id: accountOf(ch.id, m.id), Entity: entity, Merchants: []string{m.id}})
		}
		c.Channels = append(c.Channels, out)
		route.Members = append(route.Members, &configv1.RouteMember{Channel: ch.id, Split: ch.part})
	}
	c.Routes = []*configv1.Route{route}
	return c, nil
}
