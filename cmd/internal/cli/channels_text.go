package cli

import (
	"fmt"
	"strconv"
	"strings"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// channelTable renders one line per channel.
func (v view) channelTable(list []*sluicev1.ChannelStatus) string {
	t := table{right: map[int]bool{2: true, 3: true, 4: true, 5: true}}
	t.add("  STATE", "CHANNEL", "SHARE", "PER SECOND", "FAILING", "INSTRUMENTS", "PROVIDER", "NAME")
	for _, c := range list {
		st := channelStanding(c)
		t.add(v.paint.text(st.colour, st.icon+" "+st.word), c.GetChannel(), percent(c.GetSharePpm()),
			number(c.GetTraffic().GetPaymentsPerSecond()), failing(c.GetTraffic()), instruments(c), clean(c.GetProvider()), clean(c.GetName()))
	}
	return t.String()
}

// channelStanding is the standing of the channel as a whole; one that is well itself shows that a part of it is not.
func channelStanding(c *sluicev1.ChannelStatus) standing {
	whole := standingOf(&sluicev1.ScopeStatus{Phase: c.GetPhase(), SharePpm: c.GetSharePpm()})
	parts := 0
	for _, s := range c.GetScopes() {
		st := standingOf(s)
		if scopeOf(s.GetScope()).String() == c.GetChannel() {
			whole = st
		} else if st.harm != harmNone {
			parts++
		}
	}
	switch {
	case whole.harm == harmNone && parts > 0:
		return standing{"◐", plural(parts, "part") + " not healthy", yellow, harmPartial}
	case whole.harm == harmNone && c.GetRetired():
		return standing{"·", "RETIRED", dim, harmNone}
	case whole.harm == harmNone && !c.GetInWindow():
		return standing{"✔", "HEALTHY, outside its hours", green, harmNone}
	}
	return whole
}

// failing is the part of the last minute's results that was bad, `-` without results.
func failing(t *sluicev1.Traffic) string {
	if t.GetAnswered() <= 0 {
		return "-"
	}
	return fraction(t.GetBad() / t.GetAnswered())
}

// instruments renders how many instruments are open: `12` or `11 of 12`.
func instruments(c *sluicev1.ChannelStatus) string {
	if c.GetInstrumentsDown() == 0 {
		return strconv.FormatUint(uint64(c.GetInstruments()), 10)
	}
	return fmt.Sprintf("%d of %d", c.GetInstruments()-min(c.GetInstruments(), c.GetInstrumentsDown()), c.GetInstruments())
}

// channelsText renders `sluice channels`.
func (v view) channelsText(r *sluicev1.ListChannelsResponse) string {
	if len(r.GetChannels()) == 0 {
		return "no channel fits\n"
	}
	var b strings.Builder
	b.WriteString(v.channelTable(r.GetChannels()))
	for _, d := range r.GetFailureDomains() {
		st := standingOf(d)
		fmt.Fprintf(&b, "%s  %s  %s\n", v.paint.text(st.colour, st.icon+" "+st.word), people(scopeOf(d.GetScope())), percent(d.GetSharePpm()))
	}
	fmt.Fprintf(&b, "%s, revision %d, data %s old\n", plural(len(r.GetChannels()), "channel"), r.GetTableRevision(), shortAge(r.GetTableAge().AsDuration()))
	return b.String()
}
