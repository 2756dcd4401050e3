package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// mostShifts is how many shifts are listed; the rest is counted.
const mostShifts = 20

// diffText lists what changed, an entry a line: `+` is new, `-` is gone, `~` is another value. Warnings follow.
func (v view) diffText(d *sluicev1.CatalogDiff) string {
	var b strings.Builder
	if len(d.GetChanges()) == 0 {
		b.WriteString("Nothing changes.\n")
	} else {
		fmt.Fprintf(&b, "%s:\n", plural(len(d.GetChanges()), "change"))
		t := table{}
		for _, c := range d.GetChanges() {
			t.add(v.changeCells(c)...)
		}
		for line := range strings.Lines(t.String()) {
			b.WriteString(cut(strings.TrimSuffix(line, "\n"), max(v.width, defaultWidth)) + "\n")
		}
	}
	for _, w := range d.GetWarnings() {
		b.WriteString(v.paint.text(yellow, strings.TrimSuffix(wrap("note: "+clean(w), 0, v.width), "\n")) + "\n")
	}
	return b.String()
}

func (v view) changeCells(c *sluicev1.CatalogChange) []string {
	path, before, after := clean(c.GetPath()), clean(c.GetBefore()), clean(c.GetAfter())
	switch {
	case before == "":
		return []string{v.paint.text(green, "  + "+path), after}
	case after == "":
		return []string{v.paint.text(red, "  - "+path), before}
	}
	return []string{v.paint.text(yellow, "  ~ "+path), before + " → " + after}
}

// trafficText tells what part of the recent traffic moves, and where.
func (v view) trafficText(d *sluicev1.CatalogDiff) string {
	switch {
	case len(d.GetChanges()) == 0:
		return ""
	case d.GetSample() == 0:
		return "No recent decisions are kept by this replica: nothing can be told about traffic.\n"
	}
	var b strings.Builder
	of := fmt.Sprintf("of the last %s, since %s,", plural(int(d.GetSample()), "decision"), v.ago(d.GetSampleStartTime())) //nolint:gosec // bounded by what is kept
	if len(d.GetShifts()) == 0 {
		return "No traffic moves: none " + strings.TrimSuffix(of, ",") + ".\n"
	}
	fmt.Fprintf(&b, "%s %s would take another channel:\n", percent(d.GetMovedPpm()), of)
	t := table{right: map[int]bool{3: true, 4: true, 5: true}}
	t.add("  BANK", "FROM", "TO", "OF ALL", "OF THE BANK", "DECISIONS")
	for _, s := range shiftTotals(d) {
		t.add("  (all)", orDash(s.GetFromChannel(), "(refused)"), orDash(s.GetToChannel(), "(refused)"), percent(s.GetSharePpm()), "",
			strconv.FormatUint(s.GetDecisions(), 10))
	}
	for i, s := range d.GetShifts() {
		if i == mostShifts {
			break
		}
		t.add("  "+orDash(s.GetBank(), "-"), orDash(s.GetFromChannel(), "(refused)"), orDash(s.GetToChannel(), "(refused)"),
			percent(s.GetSharePpm()), percent(s.GetBankSharePpm()), strconv.FormatUint(s.GetDecisions(), 10))
	}
	b.WriteString(t.String())
	if more := len(d.GetShifts()) - mostShifts; more > 0 {
		fmt.Fprintf(&b, "  and %s\n", plural(more, "smaller shift"))
	}
	return b.String()
}

// shiftTotals sums the shifts of all banks, greatest first; none where only one bank is concerned.
func shiftTotals(d *sluicev1.CatalogDiff) []*sluicev1.CatalogShift {
	type way struct{ from, to string }
	sums, banks := map[way]uint64{}, map[string]bool{}
	for _, s := range d.GetShifts() {
		sums[way{s.GetFromChannel(), s.GetToChannel()}] += s.GetDecisions()
		banks[s.GetBank()] = true
	}
	if len(banks) < 2 {
		return nil
	}
	var out []*sluicev1.CatalogShift
	for w, n := range sums {
		out = append(out, &sluicev1.CatalogShift{FromChannel: w.from, ToChannel: w.to, Decisions: n, SharePpm: uint32(n * fullPPM / d.GetSample())}) //nolint:gosec // at most a million
	}
	slices.SortFunc(out, func(a, b *sluicev1.CatalogShift) int {
		return cmp.Or(cmp.Compare(b.GetDecisions(), a.GetDecisions()), strings.Compare(a.GetFromChannel(), b.GetFromChannel()), strings.Compare(a.GetToChannel(), b.GetToChannel()))
	})
	return out
}

func orDash(s, none string) string {
	if s == "" {
		return none
	}
	return clean(s)
}

// historyText lists the revisions, newest first.
func (v view) historyText(r *sluicev1.ListCatalogRevisionsResponse) string {
	t := table{right: map[int]bool{1: true}}
	t.add(" ", "REVISION", "VERSION", "WHEN", "AUTHOR", "REASON")
	for _, one := range r.GetRevisions() {
		mark, when, reason := "", "", clean(one.GetReason())
		if one.GetInForce() {
			mark = "*"
		}
		if one.GetCreateTime() != nil {
			when = v.clock(one.GetCreateTime().AsTime())
		}
		if one.GetRollbackOf() != 0 {
			reason = fmt.Sprintf("[back to %d] %s", one.GetRollbackOf(), reason)
		}
		t.add(mark, strconv.FormatUint(one.GetRevision(), 10), clean(one.GetVersion()), when, clean(one.GetAuthor()), reason)
	}
	var b strings.Builder
	for line := range strings.Lines(t.String()) {
		b.WriteString(cut(strings.TrimSuffix(line, "\n"), max(v.width, defaultWidth)) + "\n")
	}
	return b.String()
}
