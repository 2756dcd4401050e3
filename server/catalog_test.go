package server

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

const (
	collect = configv1.BusinessType_BUSINESS_TYPE_COLLECT
	refund  = configv1.BusinessType_BUSINESS_TYPE_REFUND
	debit   = configv1.CardType_CARD_TYPE_DEBIT
	credit  = configv1.CardType_CARD_TYPE_CREDIT
)

// testCatalog has three cross-card channels on one network and, for ABC alone, one more.
func testCatalog() *configv1.Catalog {
	c := &configv1.Catalog{
		Name: "test", Version: "v1",
		Entities:       []*configv1.Entity{{Id: "acme", Name: "Acme"}},
		FailureDomains: []*configv1.FailureDomain{{Id: "net", Kind: configv1.FailureDomainKind_FAILURE_DOMAIN_KIND_CLEARING_NETWORK}},
		CodeTables: []*configv1.CodeTable{{Id: "codes", Codes: []*configv1.ResponseCode{
			{Code: "00", Outcome: configv1.Outcome_OUTCOME_SUCCEEDED},
			{Code: "51", Outcome: configv1.Outcome_OUTCOME_USER_DECLINED, Advice: "ASK_FOR_ANOTHER_CARD"},
			{Code: "E91", Outcome: configv1.Outcome_OUTCOME_CHANNEL_FAILED},
			{Code: "N0", Outcome: configv1.Outcome_OUTCOME_NETWORK_FAILED},
		}}},
	}
	route := &configv1.Route{Id: "quick", BusinessType: collect, Method: "QUICKPAY"}
	for i, id := range []string{"alpha", "beta", "gamma"} {
		c.Channels = append(c.Channels, testChannel(id, "ICBC", "CMB"))
		route.Members = append(route.Members, &configv1.RouteMember{Channel: id, Priority: uint32(i)})
	}
	c.Channels = append(c.Channels, testChannel("delta", "ABC"))
	route.Members = append(route.Members, &configv1.RouteMember{Channel: "delta", Priority: 9})
	c.Routes = []*configv1.Route{route}
	c.Channels[0].FailureDomains, c.Channels[1].FailureDomains = []string{"net"}, []string{"net"}
	c.Channels[0].Contacts = []*configv1.Contact{{Name: "desk", Address: "+86 10 1234"}}
	return c
}

func testChannel(id string, banks ...string) *configv1.Channel {
	return &configv1.Channel{
		Id: id, Name: "Channel " + id, Provider: "provider-" + id, BusinessTypes: []configv1.BusinessType{collect, refund},
		Instruments: []*configv1.Instrument{{Method: "QUICKPAY", Banks: banks, CardTypes: []configv1.CardType{debit, credit}}},
		Accounts:    []*configv1.Account{{Id: "a1", Entity: "acme"}}, Currencies: []string{"CNY"}, CodeTable: "codes",
	}
}

// largeCatalog has n channels for one lane, so many a route; merchant m0 is served by the first route, and so on.
func largeCatalog(n, perRoute int) *configv1.Catalog {
	c := testCatalog()
	c.FailureDomains, c.Channels, c.Routes = nil, nil, nil
	for i := range n {
		id := fmt.Sprintf("channel-%05d", i)
		c.Channels = append(c.Channels, testChannel(id, "ICBC"))
		if i%perRoute == 0 {
			c.Routes = append(c.Routes, &configv1.Route{Id: fmt.Sprintf("route-%d", i/perRoute), BusinessType: collect, Method: "QUICKPAY", Merchants: []string{fmt.Sprintf("m%d", i/perRoute)}})
		}
		r := c.GetRoutes()[len(c.GetRoutes())-1]
		r.Members = append(r.Members, &configv1.RouteMember{Channel: id, Priority: uint32(i % perRoute)})
	}
	return c
}

// payment is a request that alpha takes.
func payment(id string) *sluicev1.RouteRequest {
	return &sluicev1.RouteRequest{Payment: &sluicev1.Payment{
		PaymentId: id, Merchant: "shop", SettlementEntity: "acme", BusinessType: collect, Method: "QUICKPAY", Bank: "ICBC", CardType: debit,
		Amount: 1200, Currency: "CNY",
	}}
}

// result is a good report of an attempt on a channel.
func result(attempt, channel string) *sluicev1.Report {
	return &sluicev1.Report{
		AttemptId: attempt, PaymentId: "p-" + attempt, Channel: channel, Account: "a1", Method: "QUICKPAY", Bank: "ICBC", CardType: debit,
		BusinessType: collect, Outcome: configv1.Outcome_OUTCOME_SUCCEEDED, RawCode: "00", LatencyMs: 120, Amount: 1200, Currency: "CNY",
	}
}

func changed[M proto.Message](m M, change func(M)) M {
	c, _ := proto.Clone(m).(M)
	change(c)
	return c
}
