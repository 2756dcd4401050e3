package cli

import (
	"fmt"
	"strings"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// mostLanes is how many endangered lanes a prediction names.
const mostLanes = 5

// predictionText tells where the traffic goes, before an order or after it.
func (v view) predictionText(r *sluicev1.SwitchChannelResponse) string {
	shift := r.GetShift()
	var b strings.Builder
	switch {
	case shift.GetPaymentsPerSecond() <= 0 && len(shift.GetChannels()) == 0:
		b.WriteString("No traffic moves, by the last minute's demand.\n")
	default:
		fmt.Fprintf(&b, "%s payments/s move, by the last minute's demand:\n", number(shift.GetPaymentsPerSecond()))
		b.WriteString(shiftTable(shift))
	}
	b.WriteString(v.lanesText(shift.GetLanes()))
	for _, w := range r.GetWarnings() {
		b.WriteString(v.paint.text(yellow, strings.TrimSuffix(wrap("note: "+clean(w), 0, v.width), "\n")) + "\n")
	}
	return b.String()
}

func shiftTable(shift *sluicev1.PredictedShift) string {
	if len(shift.GetChannels()) == 0 {
		return ""
	}
	t := table{right: map[int]bool{1: true, 2: true, 3: true}}
	t.add("  CHANNEL", "BEFORE", "AFTER", "LOAD AFTER")
	for _, c := range shift.GetChannels() {
		load := "capacity not declared"
		if c.GetLoadAfterPpm() > 0 {
			load = percent(c.GetLoadAfterPpm())
		}
		t.add("  "+c.GetChannel(), percent(c.GetBeforePpm()), percent(c.GetAfterPpm()), load)
	}
	return t.String()
}

// lanesText names the lanes that are left with nothing, or with a single channel while they have traffic, and counts the
// others.
func (v view) lanesText(lanes []*sluicev1.LaneShift) string {
	var b strings.Builder
	named, quiet, safe := 0, 0, 0
	for _, l := range lanes {
		left := l.GetUsableAfter()
		switch {
		case len(left) > 1 || len(left) > 0 && len(left) >= len(l.GetUsableBefore()):
			safe++
			continue
		case len(left) == 1 && l.GetPaymentsPerSecond() <= 0:
			quiet++
			continue
		}
		if named++; named > mostLanes {
			continue
		}
		text := v.paint.text(red, "NOTHING is left")
		if len(left) > 0 {
			text = v.paint.text(yellow, "only "+left[0]+" is left")
		}
		fmt.Fprintf(&b, "  %s (%s payments/s): %s\n", clean(l.GetLane()), number(l.GetPaymentsPerSecond()), text)
	}
	if more := named - mostLanes; more > 0 {
		fmt.Fprintf(&b, "  and %s like that\n", plural(more, "more lane"))
	}
	if quiet > 0 {
		fmt.Fprintf(&b, "  one channel is left for %s without traffic in the last minute\n", plural(quiet, "lane"))
	}
	if safe > 0 {
		fmt.Fprintf(&b, "  more than one channel is left, or as many as before, for %s\n", plural(safe, "lane"))
	}
	return b.String()
}

// doneText tells what an order did and, last, the command that undoes it.
func (v view) doneText(r *sluicev1.SwitchChannelResponse, undo string) string {
	var b strings.Builder
	for _, s := range r.GetScopes() {
		b.WriteString(v.doneLine(s))
	}
	fmt.Fprintf(&b, "Revision %d, journal entry %d.\n", r.GetTableRevision(), r.GetJournalSequence())
	b.WriteString(v.predictionText(r))
	if undo == "" {
		return b.String() + "Nothing undoes this in one step; sluice now shows what can be done.\n"
	}
	return b.String() + "To undo it:\n  " + undo + "\n"
}

// doneLine is one scope after an order.
func (v view) doneLine(s *sluicev1.ScopeStatus) string {
	st := standingOf(s)
	line := fmt.Sprintf("%s  %s", people(scopeOf(s.GetScope())), percent(s.GetSharePpm()))
	if o := orderOf(s.GetState()); o.GetUntil() != nil {
		line += ", until " + v.ahead(o.GetUntil())
	}
	return v.paint.text(st.colour, st.icon+" "+st.word) + "  " + line + "\n" + wrap(v.nextLine(s), 4, v.width)
}
