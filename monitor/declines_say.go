package monitor

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

// The kinds of alert about declines.
const (
	AlertDeclineBurst     = "DECLINE_BURST"      // a fault of mapping or of a risk rule; pages
	AlertDeclineBurstOver = "DECLINE_BURST_OVER" // declines are as usual again, or the burst is the new usual
	AlertDeclinesRise     = "DECLINES_RISE"      // more declines than usual that are no fault of the channel; for information
)

func channelItem(c *declineChannel) statemachine.Scope { return statemachine.ChannelScope(c.name) }

func (d *Declines) say(kind string, severity statemachine.Severity, scope statemachine.Scope, message string) {
	d.found = append(d.found, statemachine.Alert{
		Kind: kind, Severity: severity, Scope: scope, At: time.Unix(d.second, 0).UTC(), Message: message,
	})
}

// outOf renders answers: "63 of 100 (63 %, usually 5 %)".
func outOf(a answers) string {
	if a.n <= 0 {
		return "no answers"
	}
	return fmt.Sprintf("%.0f of %.0f (%s, usually %s)", a.d, a.n, shareText(a.d/a.n), shareText(a.e/a.n))
}

func shareText(p float64) string {
	if p < 0.1 {
		return fmt.Sprintf("%.1f %%", 100*p)
	}
	return fmt.Sprintf("%.0f %%", 100*p)
}

// burstText is the sentence about a burst.
func burstText(scope statemachine.Scope, s *suspicion, o siblings, second int64, where string) string {
	return fmt.Sprintf("%s: declined %s answers in %d s, %.0f as USER_DECLINED and %.0f as REJECTED%s; the other channels are calm for the same banks, declined %s: "+
		"a response code is mapped wrongly or a risk rule went wrong, nothing is cut",
		scope, outOf(s.run), second-s.from+1, s.run.d-s.rejects, s.rejects, where, outOf(o.run))
}

func (d *Declines) tellInstrument(cell *declineCell, o siblings) {
	d.say(AlertDeclineBurst, statemachine.Critical, cell.item, burstText(cell.item, &cell.suspicion, o, d.second, ""))
}

func (d *Declines) tellChannel(c *declineChannel, o siblings) {
	type share struct {
		item statemachine.Scope
		answers
	}
	var parts []share
	for _, i := range c.cells {
		if a := d.cells[i].all.minus(d.cells[i].mark); a.d > a.e {
			parts = append(parts, share{d.cells[i].item, a})
		}
	}
	slices.SortFunc(parts, func(a, b share) int {
		return cmp.Or(cmp.Compare(b.d-b.e, a.d-a.e), a.item.Compare(b.item))
	})
	var names []string
	for _, p := range parts {
		names = append(names, fmt.Sprintf("%s %.0f of %.0f", p.item.Of, p.d, p.n))
	}
	where := fmt.Sprintf(", lately %s", listed(names, 3))
	if len(names) == 0 {
		where = ""
	}
	d.say(AlertDeclineBurst, statemachine.Critical, channelItem(c), burstText(channelItem(c), &c.suspicion, o, d.second, where))
}

func (d *Declines) tellOver(scope statemachine.Scope, b *burst) {
	lasted := time.Duration(d.second-b.at) * time.Second
	message := fmt.Sprintf("%s: declines are as usual again (%s), %s after the burst of %s was told", scope, shareText(b.usual), lasted, shareText(b.share))
	if d.second-b.at >= declineAdopt {
		message = fmt.Sprintf("%s: the declines (%s) have lasted for a day and are taken for the new usual from now on", scope, shareText(b.share))
	}
	d.say(AlertDeclineBurstOver, statemachine.Info, scope, message)
}

// note tells, once an hour at most, of a rise that is no fault of the channel, and lets the baseline learn it.
func (d *Declines) note(c *declineChannel, s *suspicion, why cause) {
	if s.let || d.second-s.crossed < declineRise || why == causeOpen {
		return
	}
	s.let = true
	last, scope, text := &c.noted, channelItem(c), ""
	switch why {
	case causeShared:
		last, scope = &d.noted, statemachine.Scope{}
		text = "the other channels show the same for the same banks, so it lies with the payers, their banks or a campaign"
	case causeMixed:
		text = "the usual shares of the accounts explain it: other merchants pay than usual"
	case causeAdded:
		text = "they came on top of the usual successes: a campaign, or somebody who tries again and again"
	case causeAlone:
		text = "no other channel is known to carry the same, so nothing tells payers from a wrong mapping or risk rule"
	case causeOpen, causeFault:
	}
	if *last != 0 && d.second-*last < declineNews {
		return
	}
	*last = d.second
	d.say(AlertDeclinesRise, statemachine.Info, scope,
		fmt.Sprintf("%s: declined %s answers in %d s; %s; nothing is cut", channelItem(c), outOf(s.run), d.second-s.from+1, text))
}
