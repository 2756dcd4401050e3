package demo

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/cmd/internal/bankmix"
)

// stream is one kind of payment: who pays, with what, how often.
type stream struct {
	weight    float64 // part of all payments, relative
	business  configv1.BusinessType
	method    string
	bank      string
	card      configv1.CardType
	merchants []string
	entity    string
	currency  string
	low, high int64   // amount in minor units
	declined  float64 // part declined on the payer's side
	failed    float64 // part failed by a bank or network
}

// traffic draws payments from the streams by weight.
type traffic struct {
	streams []stream
	total   float64
}

func (t *traffic) draw(r *rand.Rand) *stream {
	x := r.Float64() * t.total
	for i := range t.streams {
		if x -= t.streams[i].weight; x < 0 {
			return &t.streams[i]
		}
	}
	return &t.streams[len(t.streams)-1]
}

func (t *traffic) add(s stream) {
	t.streams = append(t.streams, s)
	t.total += s.weight
}

// newTraffic joins the published mix of Indian banks with some traffic in China.
func newTraffic(banks map[string]bool) (*traffic, error) {
	newest, err := bankmix.Latest(bytes.NewReader(BankMixCSV()))
	if err != nil {
		return nil, fmt.Errorf("bank mix: %w", err)
	}
	t := &traffic{}
	collect := configv1.BusinessType_BUSINESS_TYPE_COLLECT
	carried := slices.DeleteFunc(newest, func(b bankmix.Bank) bool { return !banks[b.ID] })
	for _, b := range carried {
		part := carried.Share(b.ID)
		t.add(stream{
			weight: 70 * part, business: collect, method: "UPI", bank: b.ID, merchants: []string{"m-groceries", "m-fashion", "m-bills"},
			entity: "in-retail", currency: "INR", low: 2_000, high: 400_000, declined: b.Declined, failed: b.Failed,
		})
		t.add(stream{
			weight: 10 * part, business: collect, method: "UPI", bank: b.ID, merchants: []string{"m-rail", "m-flights"},
			entity: "in-travel", currency: "INR", low: 50_000, high: 2_000_000, declined: b.Declined, failed: b.Failed,
		})
	}
	for _, bank := range []string{"ICBC", "CCB", "ABC", "BOC", "CMB"} {
		t.add(stream{
			weight: 2, business: collect, method: "QUICKPAY", bank: bank, card: configv1.CardType_CARD_TYPE_DEBIT,
			merchants: []string{"m-shop-cn"}, entity: "cn-retail", currency: "CNY", low: 900, high: 90_000, declined: 0.05, failed: 0.005,
		})
	}
	t.add(stream{
		weight: 10, business: collect, method: "BALANCE", merchants: []string{"m-shop-cn"}, entity: "cn-retail",
		currency: "CNY", low: 500, high: 50_000, declined: 0.03, failed: 0.003,
	})
	return t, nil
}
