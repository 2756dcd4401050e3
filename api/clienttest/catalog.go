package clienttest

import (
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// Names of the catalogue that New uses unless it is given another.
const (
	Environment = "test"
	Merchant    = "shop"
	Entity      = "entity"
	Method      = "QUICKPAY"
	Currency    = "CNY"
)

// Catalog returns the catalogue that New uses unless it is given another: channels alpha, beta and gamma, in this order, each
// with account main of entity "entity", for COLLECT, PAYOUT, REFUND, CANCEL and QUERY, by QUICKPAY with debit and credit cards
// of ICBC and CCB. Their response codes: E00 paid, E10 pending, E51 declined on the payer's side, E91 the channel failed, E77 our
// account failed, E99 in doubt. It may be changed.
func Catalog() *configv1.Catalog {
	c := &configv1.Catalog{
		Name:     "clienttest",
		Entities: []*configv1.Entity{{Id: Entity}},
		CodeTables: []*configv1.CodeTable{{Id: "codes", Codes: []*configv1.ResponseCode{
			{Code: "E00", Outcome: configv1.Outcome_OUTCOME_SUCCEEDED},
			{Code: "E10", Outcome: configv1.Outcome_OUTCOME_PENDING},
			{Code: "E51", Outcome: configv1.Outcome_OUTCOME_USER_DECLINED, Advice: "ASK_FOR_ANOTHER_CARD"},
			{Code: "E77", Outcome: configv1.Outcome_OUTCOME_ACCOUNT_FAILED},
			{Code: "E91", Outcome: configv1.Outcome_OUTCOME_CHANNEL_FAILED},
			{Code: "E99", Outcome: configv1.Outcome_OUTCOME_TIMED_OUT},
		}}},
		Routes: []*configv1.Route{
			{Id: "collect", BusinessType: configv1.BusinessType_BUSINESS_TYPE_COLLECT, Method: Method},
			{Id: "payout", BusinessType: configv1.BusinessType_BUSINESS_TYPE_PAYOUT, Method: Method},
		},
	}
	for i, id := range []string{"alpha", "beta", "gamma"} {
		c.Channels = append(c.Channels, &configv1.Channel{
			Id: id, Provider: "provider-" + id, CodeTable: "codes", Currencies: []string{Currency},
			BusinessTypes: []configv1.BusinessType{
				configv1.BusinessType_BUSINESS_TYPE_COLLECT, configv1.BusinessType_BUSINESS_TYPE_PAYOUT, configv1.BusinessType_BUSINESS_TYPE_REFUND,
				configv1.BusinessType_BUSINESS_TYPE_CANCEL, configv1.BusinessType_BUSINESS_TYPE_QUERY,
			},
			Instruments: []*configv1.Instrument{{
				Method: Method, Banks: []string{"ICBC", "CCB"},
				CardTypes: []configv1.CardType{configv1.CardType_CARD_TYPE_DEBIT, configv1.CardType_CARD_TYPE_CREDIT},
			}},
			Accounts: []*configv1.Account{{Id: "main", Entity: Entity}},
		})
		for _, r := range c.GetRoutes() {
			r.Members = append(r.Members, &configv1.RouteMember{Channel: id, Priority: uint32(i)})
		}
	}
	return c
}

// Request is a request that the catalogue serves: 120.00 CNY are collected by QUICKPAY from a debit card of ICBC. It may be
// changed.
func Request(payment string) *sluicev1.RouteRequest {
	return &sluicev1.RouteRequest{Payment: &sluicev1.Payment{
		PaymentId: payment, Merchant: Merchant, SettlementEntity: Entity, BusinessType: configv1.BusinessType_BUSINESS_TYPE_COLLECT,
		Method: Method, Bank: "ICBC", CardType: configv1.CardType_CARD_TYPE_DEBIT, Amount: 12_000, Currency: Currency,
	}}
}
