package monitor

import (
	"cmp"
	"math"
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// suspicion is the sequential test of one item, what it has seen since its statistic last was zero, and the burst it found.
type suspicion struct {
	w       [declineDesigns]float64
	from    int64   // second the run began, 0 = none
	last    int64   // second of the newest answer
	crossed int64   // second the statistic reached the threshold, 0 = it did not
	run     answers // since the run began
	rejects float64 // REJECTED among them
	peers   answers // what the groups had when the run began
	mixAt   float64 // the channel's mix then
	then    answers // the run when the threshold was reached
	theirs  answers // what the groups had then
	let     bool    // it was no fault and is learned from
	burst   burst
}

// burst is a burst that people were told of.
type burst struct {
	at       int64 // second it was told, 0 = none
	share    float64
	usual    float64
	up, down float64 // odds of a decline, and of another answer, for the burst being over
	over     float64 // their sum, never below 0
}

// step runs the test over the newest second and reports whether a run begins with it.
func (s *suspicion) step(x [declineDesigns]float64, h float64, second int64) bool {
	s.last = second
	if s.from == 0 && x[0] <= 0 { // the mildest design is the last to fall
		return false
	}
	most := 0.0
	for k, v := range x {
		if v += s.w[k]; v < 0 {
			v = 0
		} else if v > 1.5*h {
			v = 1.5 * h
		}
		if s.w[k] = v; v > most {
			most = v
		}
	}
	switch {
	case most == 0:
		s.calmDown()
		return false
	case s.crossed == 0 && most >= h:
		s.crossed = second
	case s.crossed != 0 && most < h/2:
		s.crossed, s.let = 0, false
	}
	began := s.from == 0
	if began {
		s.from = second
	}
	return began
}

// calmDown ends the run.
func (s *suspicion) calmDown() {
	if s.from != 0 {
		*s = suspicion{last: s.last, burst: s.burst}
	}
}

// start notes where a run begins.
func (s *suspicion) start(peers answers, mix float64) { s.peers, s.mixAt = peers, mix }

func (s *suspicion) enter(a answers, rejected float64) {
	if s.from != 0 {
		s.run.add(a)
		s.rejects += rejected
	}
	if s.burst.at != 0 {
		s.burst.over = max(0, s.burst.over+a.d*s.burst.up+(a.n-a.d)*s.burst.down)
	}
}

// calm reports whether what is seen may be learned.
func (s *suspicion) calm(h float64) bool {
	return s.burst.at == 0 && (s.let || max(s.w[0], s.w[1], s.w[2]) <= 0.6*h)
}

// tell opens a burst.
func (s *suspicion) tell(second int64, noise float64) {
	share, usual := s.run.d/s.run.n, clipShare(s.run.e/s.run.n)
	between := shift(usual, oddsOver(share, usual)/2)
	s.burst = burst{
		at: second, share: share, usual: usual,
		up: math.Log(usual/between) / noise, down: math.Log((1-usual)/(1-between)) / noise,
	}
}

// clipShare keeps a share away from 0 and 1.
func clipShare(p float64) float64 { return min(0.98, max(0.005, p)) }

// oddsOver is the log odds of a share over those of the usual one.
func oddsOver(share, usual float64) float64 {
	p, q := clipShare(share), clipShare(usual)
	return math.Log(p / (1 - p) * (1 - q) / q)
}

// shift moves a share by log odds.
func shift(p, by float64) float64 {
	odds := p / (1 - p) * math.Exp(by)
	return odds / (1 + odds)
}

// calmOdds are the log odds of answers being as usual against half way, in log odds, to a burst.
func calmOdds(a answers, theta, noise float64) float64 {
	if a.n <= 0 {
		return 0
	}
	p := clipShare(a.e / a.n)
	q := shift(p, theta/2)
	return statemachine.Odds(a.n, a.d, p, q) / noise
}

// cause is what a suspicion turns out to be.
type cause uint8

const (
	causeOpen   cause = iota // not known yet
	causeFault               // of mapping or a risk rule
	causeShared              // the same on other channels
	causeMixed               // other merchants than usual
	causeAdded               // came on top: a campaign, or somebody who tries again and again
	causeAlone               // no other channel to compare with
)

// siblings are the same instruments on the other channels.
type siblings struct {
	run   answers // over the run
	fresh answers // since the threshold was reached
	usual float64 // the item's usual traffic as a multiple of theirs
	mix   float64 // declines that the mix of accounts explains
	noise float64
}

// weigh tells what a suspicion is.
func (s *suspicion) weigh(o siblings) cause {
	const sure, fresh, against = 3, 1, -2
	theta := oddsOver(s.run.d/s.run.n, s.run.e/s.run.n)
	all, since := calmOdds(o.run, theta, o.noise), calmOdds(o.fresh, theta, o.noise)
	excess := s.run.d - s.run.e
	expected := min(o.usual*o.run.n, s.run.n) * (1 - s.run.e/s.run.n)
	lost := expected - (s.run.n - s.run.d)
	doubt := math.Sqrt(o.noise * expected * (1 + expected/max(1, o.run.n)))
	switch {
	case o.run.n == 0 || o.usual == 0:
		return causeAlone
	case all <= against || since <= against:
		return causeShared
	case o.mix >= excess/2:
		return causeMixed
	case lost < excess/4:
		return causeAdded
	case all < sure || since < fresh || lost < 2*doubt:
		return causeOpen
	}
	return causeFault
}

// judge looks at every channel with a suspicion or a burst.
func (d *Declines) judge() {
	if len(d.hot) == 0 {
		return
	}
	slices.SortFunc(d.hot, func(a, b int32) int { return cmp.Compare(d.channels[a].name, d.channels[b].name) })
	keep := d.hot[:0]
	for _, at := range d.hot {
		c := &d.channels[at]
		if d.judgeChannel(c); c.crossed != 0 || c.burst.at != 0 || d.open(c) {
			keep = append(keep, at)
		} else {
			c.hot = false
		}
	}
	d.hot = keep
}

// open reports whether some instrument of a channel is suspected or bursts.
func (d *Declines) open(c *declineChannel) bool {
	return slices.ContainsFunc(c.cells, func(i int32) bool { return d.cells[i].crossed != 0 || d.cells[i].burst.at != 0 })
}

func (d *Declines) judgeChannel(c *declineChannel) {
	if c.burst.at != 0 {
		d.ends(c)
		return
	}
	wide := d.judgeWhole(c)
	for _, i := range c.cells {
		cell := &d.cells[i]
		switch {
		case c.burst.at != 0:
			return
		case cell.burst.at != 0:
			d.endsOne(c, cell)
		case cell.crossed == 0:
		case d.stale(&cell.suspicion):
			cell.crossed = 0
		case cell.crossed == d.second:
			cell.then, cell.theirs = cell.run, d.groups[cell.group].all
		case wide == narrow && d.second-cell.crossed >= declineDwell:
			d.judgeOne(c, cell)
		}
	}
}

// stale reports whether nothing was heard of an item for a day.
func (d *Declines) stale(s *suspicion) bool { return d.second-s.last >= declineQuiet }

// width is how much of a channel a burst takes in.
type width uint8

const (
	narrow    width = iota // some of its instruments
	undecided              // not known yet
	whole                  // most of them
)

// judgeWhole judges the channel as one, and tells whether its instruments are to be judged by themselves.
func (d *Declines) judgeWhole(c *declineChannel) width {
	switch {
	case c.crossed == 0:
		return narrow
	case d.stale(&c.suspicion):
		c.crossed = 0
		return narrow
	case c.crossed == d.second:
		c.then, c.theirs = c.run, d.groupsOf(c, 0)
		for _, i := range c.cells {
			d.cells[i].mark = d.cells[i].all
		}
		return undecided
	case d.second-c.crossed < declineDwell:
		return undecided
	}
	w := d.width(c)
	if w != whole {
		return w
	}
	all := d.groupsOf(c, 0)
	o := siblings{
		run: since(all, c.peers, c.run), fresh: since(all, c.theirs, c.run.minus(c.then)),
		usual: c.base.usual(), mix: c.mixed - c.mixAt, noise: c.edge.noise,
	}
	switch why := c.weigh(o); why {
	case causeFault:
		c.tell(d.second, c.edge.noise)
		d.tellChannel(c, o)
		d.discard(c)
	case causeOpen, causeShared, causeMixed, causeAdded, causeAlone:
		d.note(c, &c.suspicion, why)
	}
	return whole
}

// width leaves out the instrument with most of the excess since the suspicion arose, and looks whether the rest bursts as well.
func (d *Declines) width(c *declineChannel) width {
	const sure = 4
	var top answers
	for _, i := range c.cells {
		if a := d.cells[i].all.minus(d.cells[i].mark); a.d-a.e > top.d-top.e {
			top = a
		}
	}
	rest := since(c.run, c.then, top)
	odds := 0.0
	if rest.n > 0 && top.n > 0 {
		odds = calmOdds(rest, oddsOver(top.d/top.n, top.e/top.n), c.edge.noise)
	}
	switch {
	case odds <= -sure:
		return whole
	case odds >= sure || len(c.cells) == 1 || d.second-c.crossed >= declineRise:
		return narrow
	}
	return undecided
}

func (d *Declines) judgeOne(c *declineChannel, cell *declineCell) {
	all := d.groups[cell.group].all
	o := siblings{
		run: since(all, cell.peers, cell.run), fresh: since(all, cell.theirs, cell.run.minus(cell.then)),
		usual: cell.base.usual(), mix: c.mixed - cell.mixAt, noise: cell.edge.noise,
	}
	switch why := cell.weigh(o); why {
	case causeFault:
		cell.tell(d.second, cell.edge.noise)
		d.tellInstrument(cell, o)
		d.discard(c)
	case causeOpen, causeShared, causeMixed, causeAdded, causeAlone:
		d.note(c, &cell.suspicion, why)
	}
}

// discard forgets what a channel has not learned yet: it may hold the beginning of the burst.
func (d *Declines) discard(c *declineChannel) {
	c.base.drop(d.second, since(d.groupsOf(c, 0), answers{}, c.all))
	for _, i := range c.cells {
		cell := &d.cells[i]
		cell.base.drop(d.second, d.groups[cell.group].all.minus(cell.all))
	}
	for _, i := range c.accounts {
		d.accounts[i].base.drop(d.second, answers{})
	}
}

// ends looks whether the burst of a channel is over.
func (d *Declines) ends(c *declineChannel) {
	lasted := d.second - c.burst.at
	if c.burst.over < declineOverAt && lasted < declineAdopt {
		return
	}
	d.tellOver(channelItem(c), &c.burst)
	c.suspicion = suspicion{last: c.last}
	for _, i := range c.cells {
		cell := &d.cells[i]
		cell.suspicion = suspicion{last: cell.last}
		if lasted >= declineAdopt {
			d.relearn(cell)
		}
	}
	d.discard(c)
}

func (d *Declines) endsOne(c *declineChannel, cell *declineCell) {
	lasted := d.second - cell.burst.at
	if cell.burst.over < declineOverAt && lasted < declineAdopt {
		return
	}
	d.tellOver(cell.item, &cell.burst)
	cell.suspicion = suspicion{last: cell.last}
	if lasted >= declineAdopt {
		d.relearn(cell)
	}
	d.discard(c)
}

// relearn takes what lasted a day for the new usual.
func (d *Declines) relearn(cell *declineCell) {
	share := cell.base
	cell.base = newLearned(d.second)
	cell.base.own, cell.base.peers, cell.base.rate = share.own, share.peers, share.rate
	cell.edge.ready = false
	d.groups[cell.group].usual = answers{}
}
