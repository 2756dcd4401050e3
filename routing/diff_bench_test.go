package routing

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
)

// BenchmarkCompareTraffic decides as many recent requests as a replica keeps, by two tables.
func BenchmarkCompareTraffic(b *testing.B) {
	before, after := mustTable(b, dealtCatalog(90, 10)), mustTable(b, dealtCatalog(50, 50))
	list := payments(DefaultKeptRequests)
	b.ReportAllocs()
	for b.Loop() {
		if d := CompareTraffic(before, after, recentOf(list)); d.Sample != DefaultKeptRequests {
			b.Fatal(d.Sample)
		}
	}
}

// BenchmarkDiffCatalogs compares two catalogues of 2,000 channels that differ in one weight.
func BenchmarkDiffCatalogs(b *testing.B) {
	c := newCatalog()
	for i := range 2000 {
		c.Channels = append(c.Channels, newChannel(fmt.Sprintf("channel-%d", i)))
	}
	other := proto.CloneOf(c)
	other.GetChannels()[1999].Weight = 7
	var changes []CatalogChange
	b.ReportAllocs()
	for b.Loop() {
		changes = DiffCatalogs(c, other)
	}
	if len(changes) != 1 {
		b.Fatal(changes)
	}
}

// BenchmarkCompilePlan_2000Channels is what a new catalogue costs before it is in force.
func BenchmarkCompilePlan_2000Channels(b *testing.B) {
	c := newCatalog()
	for i := range 2000 {
		ch := newChannel(fmt.Sprintf("channel-%d", i))
		c.Channels = append(c.Channels, ch)
		if i%8 == 0 {
			c.Routes = append(c.Routes, &configv1.Route{Id: fmt.Sprintf("r-%d", i/8), BusinessType: collect, Method: "QUICKPAY", Merchants: []string{fmt.Sprintf("m-%d", i/8)}})
		}
		r := c.GetRoutes()[len(c.GetRoutes())-1]
		r.Members = append(r.Members, &configv1.RouteMember{Channel: ch.GetId(), Priority: uint32(i % 8)})
	}
	c.Routes = c.GetRoutes()[1:]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := CompilePlan(c, nil); err != nil {
			b.Fatal(err)
		}
	}
}
