package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// staleAge is the age from which a table is called stale: it is confirmed every 10 s, so three times that failed.
const staleAge = 30 * time.Second

// nowHint names the next commands.
const nowHint = "`sluice why` INCIDENT or SCOPE tells the story; `sluice off`, `on`, `hold`, `release` SCOPE act."

// nowText renders `sluice now`: a header, what is not healthy (worst first), and the healthy channels as a number or, with
// all, one by one. The address is who answered.
func (v view) nowText(r *sluicev1.ListChannelsResponse, address string, all bool) string {
	bad, healthy := split(r)
	var b strings.Builder
	b.WriteString(v.nowHeader(r, address, bad))
	b.WriteString(v.counts(bad, len(healthy)))
	names, words := 0, 0
	for _, s := range bad {
		names = max(names, displayWidth(people(scopeOf(s.GetScope()))))
		words = max(words, displayWidth(standingOf(s).word))
	}
	names = min(names, max(20, v.width-40))
	for _, s := range bad {
		b.WriteString("\n" + v.scopeBlock(s, words, names))
	}
	if len(bad) > 0 {
		b.WriteString("\n" + v.paint.text(dim, strings.TrimSuffix(wrap(nowHint, 0, v.width), "\n")) + "\n")
	}
	if all && len(healthy) > 0 {
		b.WriteString("\n" + v.channelTable(healthy))
	}
	return b.String()
}

// split returns the scopes that are not healthy or under an order, worst first, and the channels that have none.
func split(r *sluicev1.ListChannelsResponse) (bad []*sluicev1.ScopeStatus, healthy []*sluicev1.ChannelStatus) {
	for _, s := range r.GetFailureDomains() {
		if standingOf(s).harm != harmNone {
			bad = append(bad, s)
		}
	}
	for _, c := range r.GetChannels() {
		before := len(bad)
		for _, s := range c.GetScopes() {
			if standingOf(s).harm != harmNone {
				bad = append(bad, s)
			}
		}
		if len(bad) == before {
			healthy = append(healthy, c)
		}
	}
	byHarm(bad)
	return bad, healthy
}

func (v view) nowHeader(r *sluicev1.ListChannelsResponse, address string, bad []*sluicev1.ScopeStatus) string {
	age := r.GetTableAge().AsDuration()
	data := "data " + shortAge(age) + " old"
	if age > staleAge {
		data = v.paint.text(red, data+" (STALE)")
	}
	parts := []string{
		v.paint.text(bold, "sluice "+address), v.now.In(v.loc).Format("15:04:05"), data,
		fmt.Sprintf("revision %d", r.GetTableRevision()), automation(bad),
	}
	return joinWithin(parts, " · ", v.width)
}

// automation says what keeps automation from acting, as far as the scopes show it.
func automation(bad []*sluicev1.ScopeStatus) string {
	ordered, withheld := 0, 0
	for _, s := range bad {
		if orderOf(s.GetState()) != nil {
			ordered++
		}
		if standingOf(s).harm == harmFailing {
			withheld++
		}
	}
	switch {
	case withheld > 0 && ordered > 0:
		return fmt.Sprintf("automation does not act on %s, hands off %s", plural(withheld, "fault"), plural(ordered, "scope"))
	case withheld > 0:
		return "automation does not act on " + plural(withheld, "fault")
	case ordered > 0:
		return "automation on, hands off " + plural(ordered, "scope")
	}
	return "automation on"
}

// joinWithin joins parts and breaks the line where the next one would not fit.
func joinWithin(parts []string, sep string, width int) string {
	var b strings.Builder
	col := 0
	for _, p := range parts {
		n := displayWidth(p)
		switch {
		case col == 0:
		case col+displayWidth(sep)+n > width:
			b.WriteString("\n")
			col = 0
		default:
			b.WriteString(sep)
			col += displayWidth(sep)
		}
		b.WriteString(p)
		col += n
	}
	return b.String() + "\n"
}

// counts renders `1 disabled · 2 ramping · 14 channels healthy`.
func (v view) counts(bad []*sluicev1.ScopeStatus, healthy int) string {
	var words []string
	number := map[string]int{}
	colours := map[string]colour{}
	for _, s := range bad { // sorted by harm, and so are the words
		st := standingOf(s)
		if !slices.Contains(words, st.word) {
			words = append(words, st.word)
		}
		number[st.word]++
		colours[st.word] = st.colour
	}
	var parts []string
	for _, w := range words {
		parts = append(parts, v.paint.text(colours[w], fmt.Sprintf("%d %s", number[w], strings.ToLower(w))))
	}
	parts = append(parts, v.paint.text(green, plural(healthy, "channel")+" healthy"))
	return joinWithin(parts, " · ", v.width)
}
