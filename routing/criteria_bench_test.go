package routing

import (
	"fmt"
	"strconv"
	"testing"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// rankedCatalog is a bigCatalog whose routes rank by feedback, success rate in bands, fee and weight, with its scores: of
// every channel, and of one instrument in ten.
func rankedCatalog(channels, entities, banks int) (*configv1.Catalog, *Scores) {
	c := bigCatalog(channels, entities, banks)
	c.Strategies = []*configv1.Strategy{{Id: "s", Criteria: []*configv1.Criterion{feedback(100), successRate(5000), lowFee(0), greatWeight(0)}}}
	for _, r := range c.GetRoutes() {
		r.Strategy = "s"
	}
	var list []Score
	for i, ch := range c.GetChannels() {
		ch.Weight = uint32(1 + i%50)
		ch.Fee = &configv1.Fee{Fixed: int64(i % 7 * 10), BasisPoints: uint32(20 + i%30)}
		list = append(list, rated(statemachine.ChannelScope(ch.GetId()), statemachine.Share(930_000+i*7919%60_000)))
		for b := 0; b < banks; b += 10 {
			in := statemachine.Instrument{Method: ch.GetInstruments()[0].GetMethod(), Bank: fmt.Sprintf("BANK%03d", b), CardType: "DEBIT"}
			list = append(list, rated(statemachine.InstrumentScope(ch.GetId(), in), statemachine.Share(920_000+(i+b)*6151%70_000)))
		}
	}
	return c, scores(list...)
}

// BenchmarkDecideStrategy is what a client pays for a decision of its own: ten candidates, four criteria.
func BenchmarkDecideStrategy(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			c, sc := rankedCatalog(n, 1, 10)
			benchmarkDecide(b, c, sc)
		})
	}
	b.Run("explore", func(b *testing.B) {
		c, sc := rankedCatalog(10, 1, 10)
		c.GetStrategies()[0].Exploration = &configv1.Exploration{SharePpm: 1_000_000}
		benchmarkDecide(b, c, sc)
	})
	b.Run("value", func(b *testing.B) {
		c, sc := rankedCatalog(10, 1, 10)
		c.GetStrategies()[0].Criteria = []*configv1.Criterion{feedback(100), expectedValue(150, 1), successRate(0), greatWeight(0)}
		benchmarkDecide(b, c, sc)
	})
	b.Run("split", func(b *testing.B) {
		c, sc := rankedCatalog(10, 1, 10)
		var parts []*configv1.SplitPart
		for i, ch := range c.GetChannels() {
			parts = append(parts, &configv1.SplitPart{Channel: ch.GetId(), Part: uint32(1 + i)})
		}
		c.GetStrategies()[0].Criteria = []*configv1.Criterion{feedback(100), percentages(0, parts...), successRate(0), greatWeight(0)}
		benchmarkDecide(b, c, sc)
	})
}

func benchmarkDecide(b *testing.B, c *configv1.Catalog, sc *Scores) {
	b.Helper()
	p := mustPlan(b, c)
	requests := bigRequests(p, 1<<12)
	t := p.Table(Revision{1, 7}, nil, sc)
	var d Decision
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := Decide(t, &requests[i&(1<<12-1)], noon, Admission{Lifted: -1}, &d); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkScores makes the keys of 400,000 slots anew, as each publication of scores does.
func BenchmarkScores(b *testing.B) {
	c, sc := rankedCatalog(1000, 4, 50)
	p := mustPlan(b, c)
	b.ReportAllocs()
	for b.Loop() {
		p.score(sc)
	}
}
