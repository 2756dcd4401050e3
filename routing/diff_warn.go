package routing

import (
	"fmt"
	"slices"
	"strings"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// CatalogDiff is what a catalogue changes.
type CatalogDiff struct {
	Changes  []CatalogChange
	Traffic  *TrafficDiff // nil = no recent requests are known
	Warnings []string     // what people should know before, in the order of the catalogue
}

// DiffTables compares the catalogues of two tables, and by recent requests what moves; recent may be nil. The tables should have
// the same states and scores, else the difference of these is told as well.
func DiffTables(before, after *Table, recent Recent) *CatalogDiff {
	d := &CatalogDiff{}
	if sameCatalog(before.plan.source.catalog, after.plan.source.catalog) {
		recent = nil // nothing moves
	}
	d.Changes = DiffCatalogs(before.plan.source.catalog, after.plan.source.catalog)
	if recent != nil {
		d.Traffic = CompareTraffic(before, after, recent)
	}
	w := &warner{before: before.plan, after: after.plan, traffic: d.Traffic}
	for i := range before.plan.channels {
		w.channel(&before.plan.channels[i])
	}
	w.routes()
	w.states(before)
	d.Warnings = w.list
	return d
}

type warner struct {
	before, after *Plan
	traffic       *TrafficDiff
	list          []string
}

func (w *warner) addf(format string, args ...any) {
	w.list = append(w.list, fmt.Sprintf(format, args...))
}

// channel warns of what belongs to payments that were made on a channel and would be lost: refunds, cancels, queries.
func (w *warner) channel(was *channel) {
	at, ok := w.after.channelOf[was.id]
	if !ok {
		w.addf("channel %s is taken out%s: refunds, cancels and queries of its payments would be refused; "+
			"keep it with `retired: true` until no refund can come any more", was.id, w.recently(was.id))
		return
	}
	is := &w.after.channels[at]
	for _, a := range w.before.accountsOf(was) {
		if _, ok := is.accounts[a]; !ok {
			w.addf("account %s of channel %s is taken out%s: refunds, cancels and queries of its payments would be refused; "+
				"keep it until no refund can come any more", a, was.id, w.recently(was.id))
		}
	}
	for b := range was.business {
		if business := statemachine.BusinessType(b); business.FollowsOriginal() && was.business[b] >= 0 && is.business[b] < 0 {
			w.addf("channel %s no longer supports %s: those of its payments would be refused", was.id, business)
		}
	}
	w.instruments(was, is)
}

// accountsOf lists the ids of a channel's accounts, sorted.
func (*Plan) accountsOf(c *channel) []string {
	ids := make([]string, 0, len(c.accounts))
	for id := range c.accounts {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (w *warner) instruments(was, is *channel) {
	var gone []statemachine.Instrument
	for in := range was.instruments {
		if _, ok := is.instruments[in]; !ok {
			gone = append(gone, in)
		}
	}
	if len(gone) == 0 {
		return
	}
	slices.SortFunc(gone, compareInstruments)
	more := ""
	if len(gone) > 1 {
		more = fmt.Sprintf(" and %d more", len(gone)-1)
	}
	w.addf("channel %s no longer has %s%s: refunds, cancels and queries that name them would be refused", was.id, gone[0], more)
}

// recently says what is known of a channel's recent traffic.
func (w *warner) recently(channel string) string {
	if w.traffic == nil || w.traffic.Taken[channel] == 0 {
		return ""
	}
	return fmt.Sprintf(" and took %d of the last %d decisions", w.traffic.Taken[channel], w.traffic.Sample)
}

// routes warns of routes that have only retired channels left.
func (w *warner) routes() {
	for i := range w.after.routes {
		r := &w.after.routes[i]
		if len(r.members) == 0 || slices.ContainsFunc(r.members, func(c int32) bool { return !w.after.channels[c].retired }) {
			continue
		}
		w.addf("route %s has only retired channels: every payment of it would be refused", r.id)
	}
}

// states warns of what automation closed and the new catalogue does not know. Orders are refused, not warned of.
func (w *warner) states(before *Table) {
	var gone []string
	for i := range before.hot {
		if s := before.hot[i].scope; !w.after.Has(s) {
			gone = append(gone, fmt.Sprintf("%s (%s)", s, before.hot[i].phase))
		}
	}
	if len(gone) > 0 {
		w.addf("closed by automation and no longer in the catalogue, so without effect until it is back: %s", strings.Join(gone, ", "))
	}
}

// Catalog returns the catalogue that the plan was compiled from. It must not be changed.
func (p *Plan) Catalog() *configv1.Catalog { return p.source.catalog }
