package demo

import (
	"bytes"
	"slices"
	"testing"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/cmd/internal/bankmix"
	"github.com/sluice-pay/sluice/routing/catalogfile"
)

// TestSampleCompiles reads the sample as `sluice dev` does.
func TestSampleCompiles(t *testing.T) {
	_, plan, err := catalogfile.Check(CatalogName, CatalogYAML())
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Items()) == 0 || len(plan.Fleet().Lanes) == 0 {
		t.Errorf("%d items, %d lanes", len(plan.Items()), len(plan.Fleet().Lanes))
	}
}

func sample(t *testing.T) *configv1.Catalog {
	t.Helper()
	c, err := catalogfile.Parse(CatalogName, CatalogYAML())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSampleIsRealistic holds the sample to what it is there to show.
func TestSampleIsRealistic(t *testing.T) {
	c := sample(t)
	single, cross := 0, 0
	business := make(map[configv1.BusinessType]bool)
	for _, ch := range c.GetChannels() {
		banks := map[string]bool{}
		for _, in := range ch.GetInstruments() {
			for _, b := range in.GetBanks() {
				banks[b] = true
			}
		}
		switch {
		case len(banks) == 1:
			single++
		case len(banks) > 1:
			cross++
		}
		if len(ch.GetFailureDomains()) == 0 {
			t.Errorf("%s depends on nothing", ch.GetId())
		}
	}
	for _, r := range c.GetRoutes() {
		business[r.GetBusinessType()] = true
	}
	if len(c.GetChannels()) < 15 || single < 3 || cross < 8 || len(business) != 4 || len(c.GetEntities()) < 2 {
		t.Errorf("%d channels, %d single-card, %d cross-card, %d business types", len(c.GetChannels()), single, cross, len(business))
	}
}

// TestSampleSurvivesOneBank: whatever bank breaks on whatever UPI channel, at least two other
// channels carry that bank, for every one of the greatest banks of the real mix.
func TestSampleSurvivesOneBank(t *testing.T) {
	c := sample(t)
	mix, err := bankmix.Latest(bytes.NewReader(BankMixCSV()))
	if err != nil {
		t.Fatal(err)
	}
	for _, bank := range mix.Top(12) {
		carriers := 0
		for _, ch := range c.GetChannels() {
			if !slices.Contains(ch.GetBusinessTypes(), configv1.BusinessType_BUSINESS_TYPE_COLLECT) {
				continue
			}
			if slices.ContainsFunc(ch.GetInstruments(), func(in *configv1.Instrument) bool {
				return in.GetMethod() == "UPI" && slices.Contains(in.GetBanks(), bank.ID)
			}) {
				carriers++
			}
		}
		if carriers < 3 {
			t.Errorf("%s: %d UPI channels", bank.ID, carriers)
		}
	}
}
