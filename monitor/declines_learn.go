package monitor

import "math"

// learned is the usual share of declines of an item, from spans of a minute that were calm, each taken one span late, so that
// the beginning of a burst is discarded with it.
type learned struct {
	n, d  float64 // answers and declines learned from, fading with a half-life of two hours down to declineReady·2.5
	p     float64 // the share they make, with the prior
	rate  float64 // answers a second, slow average
	noise float64 // variance of a span's declines against a binomial's, slow average
	own   float64 // answers …
	peers float64 // … against those of the siblings, fading with a half-life of 30 minutes

	from int64   // second the open span began
	span answers // the open span
	seen answers // siblings when it began
	late kept    // the closed span before it
}

// kept is a closed span.
type kept struct {
	answers
	peers   float64
	seconds float64
}

func newLearned(second int64) learned { return learned{from: second, noise: 1.5} }

func (l *learned) enter(a answers) { l.span.add(a) }

// share is the usual share, or another one while nothing was learned.
func (l *learned) share(other float64) float64 {
	if l.n > 0 {
		return l.p
	}
	return other
}

// due reports whether the open span is full.
func (l *learned) due(second int64) bool { return second-l.from >= declineSpan }

// turn closes the open span, learns the one before it if calm, and opens the next. siblings are the siblings' answers so far.
// It returns what was learned.
func (l *learned) turn(second int64, siblings answers, calm bool) (news answers) {
	if calm && l.late.seconds > 0 {
		news = l.late.answers
		l.take()
	}
	l.late = kept{answers: l.span, peers: siblings.n - l.seen.n, seconds: float64(second - l.from)}
	if !calm {
		l.late = kept{}
	}
	l.span, l.seen, l.from = answers{}, siblings, second
	return news
}

// drop forgets what is not learned yet.
func (l *learned) drop(second int64, siblings answers) {
	l.span, l.late, l.seen, l.from = answers{}, kept{}, siblings, second
}

func (l *learned) take() {
	const (
		twoHours = 0.994240424 // 2^(-1/120), per span
		halfHour = 0.977159968 // 2^(-1/30)
		least    = 2.5 * declineReady
	)
	s := &l.late
	if l.n >= declineReady && s.n > 0 {
		e := s.e
		if e == 0 {
			e = s.n * l.p
		}
		if e >= 1 && e < s.n {
			x := s.d - e
			l.noise += (min(x*x/(e*(1-e/s.n)), 20) - l.noise) * declineFading
		}
	}
	spans := s.seconds / declineSpan
	if l.n > least {
		fade := max(math.Pow(twoHours, spans), least/l.n)
		l.n, l.d = l.n*fade, l.d*fade
	}
	l.n, l.d = l.n+s.n, l.d+s.d
	fade := math.Pow(halfHour, spans)
	l.own, l.peers = l.own*fade+s.n, l.peers*fade+s.peers
	weight := declineFading * 8 * spans
	if l.rate == 0 {
		weight = 1
	}
	l.rate += (s.n/s.seconds - l.rate) * min(1, weight)
}

// prior sets the share from what was learned and from a share learned elsewhere that counts as 50 answers.
func (l *learned) prior(share float64) {
	const weight = 50
	l.p = (l.d + weight*share) / (l.n + weight)
}

// usual is the item's usual part of the traffic, as a multiple of its siblings'; 0 = not known.
func (l *learned) usual() float64 {
	if l.own < 5 || l.peers < 5 {
		return 0
	}
	return l.own / l.peers
}

// declineEdge holds what the test of an item compares with: recomputed when something was learned.
type declineEdge struct {
	up    [declineDesigns]float64 // log likelihood ratio of a decline, by the noise
	down  [declineDesigns]float64 // and of another answer
	h     float64
	noise float64
	ready bool
}

// set derives the test from the baseline: design shares at odds of 2.5, 8 and 30 times those of the upper baseline, which lies
// above what was learned by the 99 % bound and a margin for wandering.
func (t *declineEdge) set(l *learned, prior float64) {
	t.ready = l.n+min(declineReady, prior) >= declineReady
	if !t.ready {
		return
	}
	t.limit(l)
	p := min(0.9, max(0.01, l.p+declineZ*math.Sqrt(l.noise*l.p*(1-l.p)/max(1, l.n+50))))
	odds := p / (1 - p) * declineMargin
	p = odds / (1 + odds)
	for k, times := range [declineDesigns]float64{2.5, 8, 30} {
		q := odds * times / (1 + odds*times)
		t.up[k], t.down[k] = math.Log(q/p)/t.noise, math.Log((1-q)/(1-p))/t.noise
	}
}

// limit sets the threshold and the overdispersion.
func (t *declineEdge) limit(l *learned) {
	t.h = max(declineLeast, math.Log(max(declineMinDay, l.rate*86_400)*declineBudget*declineDesigns))
	t.noise = min(declineNoise, max(1, l.noise))
}

// odds are the log likelihood ratios of a second, by the noise.
func (t *declineEdge) odds(n, d float64) [declineDesigns]float64 {
	other := n - d
	return [declineDesigns]float64{d*t.up[0] + other*t.down[0], d*t.up[1] + other*t.down[1], d*t.up[2] + other*t.down[2]}
}

// learn ends the spans of a channel and of the items that had answers in this second.
func (d *Declines) learn(c *declineChannel) {
	calm := c.calm(c.edge.h)
	for _, i := range c.touched {
		cell := &d.cells[i]
		if cell.base.due(d.second) {
			g := &d.groups[cell.group]
			news := cell.base.turn(d.second, g.all.minus(cell.all), calm && cell.calm(cell.edge.h))
			g.learn(news)
			cell.base.prior(g.share())
			cell.edge.set(&cell.base, g.usual.n)
		}
	}
	if !c.base.due(d.second) {
		return
	}
	c.base.turn(d.second, since(d.groupsOf(c, 0), answers{}, c.all), calm)
	if c.base.n > 0 {
		c.base.p = c.base.d / c.base.n
	}
	c.edge.limit(&c.base)
	for _, i := range c.accounts {
		if a := &d.accounts[i]; a.base.span.n > 0 || a.base.late.n > 0 {
			a.base.turn(d.second, answers{}, calm)
			a.base.prior(c.base.p)
		}
	}
}

func (g *declineGroup) learn(news answers) {
	const most = 5_000
	g.usual.n, g.usual.d = g.usual.n+news.n, g.usual.d+news.d
	if g.usual.n > most {
		g.usual.d *= most / g.usual.n
		g.usual.n = most
	}
}

// share is the usual share over all channels.
func (g *declineGroup) share() float64 { return (g.usual.d + 1) / (g.usual.n + 10) }

// settle recomputes what a channel's baselines amount to, after they were taken over.
func (d *Declines) settle(at int32) {
	c := &d.channels[at]
	c.edge.limit(&c.base)
	for _, i := range c.cells {
		cell := &d.cells[i]
		cell.edge.set(&cell.base, d.groups[cell.group].usual.n)
	}
	d.heat(at) // the next judgement takes it off the list if nothing is open
}
