package monitor

import (
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

const (
	declineDesigns = 3       // decline shares the test is tuned to
	declineBudget  = 100     // days between false alarms of one item
	declineDwell   = 5       // seconds a suspicion must stand, so that siblings can show the same
	declineAdopt   = 86_400  // seconds after which a burst is the new usual
	declineNews    = 3_600   // least seconds between two notes about declines that are no fault
	declineRise    = 60      // seconds a suspicion stands before people get a note about it
	declineForget  = 600     // seconds between looks for channels that left the catalogue
	declineQuiet   = 86_400  // seconds without an answer after which a suspicion is dropped
	declineReady   = 200.0   // answers that make a baseline
	declineLeast   = 9.2     // least threshold: ln(10000)
	declineMinDay  = 100.0   // least answers a day the budget is spread over
	declineOverAt  = 7.0     // log odds that a burst is over: about 1000 to 1
	declineNoise   = 8.0     // most overdispersion allowed for
	declineMargin  = 1.3     // odds by which the upper baseline lies above what was learned
	declineZ       = 2.33    // and the normal quantile of its 99 % bound
	declineSpan    = 60      // seconds learned at once
	declineFading  = 1. / 64 // weight of the newest span in slow averages
)

// answers are the answers of an item, with the declines among them and the declines that were to be expected.
type answers struct {
	n, d, e float64
}

func (a *answers) add(b answers) { a.n, a.d, a.e = a.n+b.n, a.d+b.d, a.e+b.e }

func (a *answers) minus(b answers) answers { return answers{a.n - b.n, a.d - b.d, a.e - b.e} }

// since is what came to a sum since it was start, without a part.
func since(sum, start, part answers) answers {
	return answers{sum.n - start.n - part.n, sum.d - start.d - part.d, sum.e - start.e - part.e}
}

// Declines watches the share of USER_DECLINED and REJECTED among the answers of every channel × instrument. A decline says that
// the channel answered, so nothing is ever cut on one; but a burst on one channel, while other channels stay calm for the same
// banks, is no change of the payers: a response code is mapped wrongly or a risk rule went wrong, and people are paged.
//
// Per instrument, and per channel over the sum of its instruments, Bernoulli CUSUMs run against a learned upper baseline. Their
// threshold is a budget of one false alarm in 100 days, their increments are divided by the measured overdispersion. A
// crossing is a suspicion only. It is a fault when
//   - the same instruments on the other channels are calm, over the whole run and in what came after the crossing;
//   - the accounts' own usual shares do not explain it, so that it is no other mix of merchants;
//   - it took the place of successes. A campaign, or one payer who tries again and again, adds declines to a traffic whose
//     successes go on. This also stands in for counting distinct payers: the repeats of a few do not stop the others.
//
// Everything else gets a note of severity INFO at most, once an hour. It is deterministic, knows no clock, and is not safe for
// concurrent use. Work is proportional to the items of a second.
type Declines struct {
	second    int64
	cells     []declineCell
	accounts  []declineAccount
	channels  []declineChannel
	groups    []declineGroup
	index     map[statemachine.Scope]int32 // of cells and accounts, which the kind tells apart
	channelAt map[string]int32
	groupAt   map[string]int32
	hot       []int32 // channels with a suspicion or a burst
	noted     int64   // second of the last note about declines on several channels
	pruned    int64
	found     []statemachine.Alert
}

// declineCell is one channel × instrument.
type declineCell struct {
	suspicion

	item    statemachine.Scope
	channel int32
	group   int32
	next    int32 // the cell that followed it last time
	base    learned
	edge    declineEdge
	all     answers // since the start, while the test runs
	mark    answers // the same when the channel's suspicion arose
}

// declineAccount is one channel × account: only its usual share is of interest.
type declineAccount struct {
	item    statemachine.Scope
	channel int32
	next    int32
	base    learned
}

// declineChannel is the sum over the instruments of a channel.
type declineChannel struct {
	suspicion

	name     string
	cells    []int32
	accounts []int32
	base     learned // of its traffic against the siblings', and its overdispersion
	x        [declineDesigns]float64
	now      answers     // of the newest second
	all      answers     // since the start
	rejects  float64     // REJECTED in the newest second
	mix      float64     // declines expected by accounts beyond those expected by instruments, of the newest second
	mixed    float64     // the same since the start
	touched  []int32     // cells with answers in the newest second
	noted    int64       // second of the last note
	hot      bool        // in Declines.hot
	edge     declineEdge // only its threshold is used
}

// declineGroup is one instrument over all channels.
type declineGroup struct {
	all    answers // since the start
	before answers // the same before second at
	at     int64
	usual  answers // slow average of calm spans, the prior of a new cell
}

func (g *declineGroup) add(a answers, second int64) {
	if g.at != second {
		g.before, g.at = g.all, second
	}
	g.all.add(a)
}

// until returns what the group had before a second.
func (g *declineGroup) until(second int64) answers {
	if g.at == second {
		return g.before
	}
	return g.all
}

// NewDeclines returns a watcher that knows nothing yet.
func NewDeclines() *Declines {
	return &Declines{index: map[statemachine.Scope]int32{}, channelAt: map[string]int32{}, groupAt: map[string]int32{}}
}

// Observe takes the sum of one sealed second, in order of time, and returns what people must be told, sorted by scope. A
// second that is not newer than the last is ignored.
func (d *Declines) Observe(sum *SecondCounts, f *statemachine.Fleet) []statemachine.Alert {
	if sum.Second <= d.second {
		return nil
	}
	d.second, d.found = sum.Second, nil
	if d.pruned == 0 {
		d.pruned = sum.Second
	}
	at, cell, account := int32(-1), int32(-1), int32(-1)
	for i := range sum.Items {
		item := &sum.Items[i]
		if item.Item.Kind != statemachine.ScopeInstrument && item.Item.Kind != statemachine.ScopeAccount {
			continue
		}
		n, declined, rejected := answered(item)
		if n == 0 {
			continue
		}
		if at < 0 || d.channels[at].name != item.Item.Channel {
			d.close(at)
			at = d.channel(item.Item.Channel)
		}
		if item.Item.Kind == statemachine.ScopeAccount {
			account = d.account(item.Item, at, account)
			d.mix(account, n, declined)
			continue
		}
		cell = d.cell(item.Item, at, cell)
		d.enter(cell, n, declined, rejected)
	}
	d.close(at)
	d.judge()
	if sum.Second-d.pruned >= declineForget {
		d.pruned = sum.Second
		d.prune(f)
	}
	slices.SortStableFunc(d.found, func(a, b statemachine.Alert) int { return a.Scope.Compare(b.Scope) })
	return d.found
}

// answered counts the answers of an item, by whatever lane they came.
func answered(c *ItemCounts) (n, declined, rejected float64) {
	var good, user, refused uint32
	for k := range c.Evidence {
		o := &c.Evidence[k].Outcomes
		good, user, refused = good+o[statemachine.Succeeded], user+o[statemachine.UserDeclined], refused+o[statemachine.Rejected]
	}
	return float64(good + user + refused), float64(user + refused), float64(refused)
}

// mix enters an account's answers: what its own usual share makes one expect.
func (d *Declines) mix(at int32, n, declined float64) {
	a := &d.accounts[at]
	c := &d.channels[a.channel]
	c.mix += n * a.base.share(c.base.p)
	a.base.enter(answers{n: n, d: declined})
}

// enter runs the test of one instrument over its newest second.
func (d *Declines) enter(at int32, n, declined, rejected float64) {
	c := &d.cells[at]
	ch := &d.channels[c.channel]
	if !c.edge.ready {
		c.base.enter(answers{n: n, d: declined})
		ch.mix -= n * c.base.share(ch.base.p)
		ch.touched = append(ch.touched, at)
		return
	}
	a := answers{n: n, d: declined, e: n * c.base.p}
	c.base.enter(a)
	c.all.add(a)
	g := &d.groups[c.group]
	g.add(a, d.second)
	x := c.edge.odds(n, declined)
	if c.step(x, c.edge.h, d.second) {
		c.start(g.until(d.second), ch.mixed)
	}
	c.enter(a, rejected)
	if c.crossed == d.second || c.burst.at != 0 {
		d.heat(c.channel)
	}
	ch.x[0] += x[0] * c.edge.noise
	ch.x[1] += x[1] * c.edge.noise
	ch.x[2] += x[2] * c.edge.noise
	ch.now.add(a)
	ch.rejects += rejected
	ch.mix -= a.e
	ch.touched = append(ch.touched, at)
}

// heat puts a channel on the list of those with a suspicion or a burst.
func (d *Declines) heat(at int32) {
	if c := &d.channels[at]; !c.hot {
		c.hot = true
		d.hot = append(d.hot, at)
	}
}

// close ends a channel's part of the second: the test over the sum of its instruments, and learning where a span is full.
func (d *Declines) close(at int32) {
	if at < 0 {
		return
	}
	c := &d.channels[at]
	if c.now.n > 0 {
		for k := range c.x {
			c.x[k] /= c.edge.noise
		}
		if c.step(c.x, c.edge.h, d.second) {
			c.start(d.groupsOf(c, d.second), c.mixed)
		}
		c.enter(c.now, c.rejects)
		c.base.enter(c.now)
		c.all.add(c.now)
		if c.crossed == d.second {
			d.heat(at)
		}
	}
	c.mixed += c.mix
	d.learn(c)
	c.x, c.now, c.rejects, c.mix, c.touched = [declineDesigns]float64{}, answers{}, 0, 0, c.touched[:0]
}

// groupsOf adds up the groups of a channel's instruments: before a second, or everything for second 0.
func (d *Declines) groupsOf(c *declineChannel, second int64) (sum answers) {
	for _, i := range c.cells {
		sum.add(d.groups[d.cells[i].group].until(second))
	}
	return sum
}

func (d *Declines) channel(name string) int32 {
	at, ok := d.channelAt[name]
	if !ok {
		at = int32(len(d.channels)) //nolint:gosec // bounded by the catalogue
		d.channelAt[name] = at
		c := declineChannel{name: name, base: newLearned(d.second)}
		c.edge.limit(&c.base)
		d.channels = append(d.channels, c)
	}
	return at
}

// cell finds an instrument's cell: most often it is the one that followed the last one before.
func (d *Declines) cell(item statemachine.Scope, channel, last int32) int32 {
	guess := int32(0)
	if last >= 0 {
		guess = d.cells[last].next
	}
	if int(guess) < len(d.cells) && d.cells[guess].item == item {
		return guess
	}
	at, ok := d.index[item]
	if !ok {
		at = int32(len(d.cells)) //nolint:gosec // bounded by the catalogue
		d.index[item] = at
		group, known := d.groupAt[item.Of]
		if !known {
			group = int32(len(d.groups)) //nolint:gosec // bounded by the catalogue
			d.groupAt[item.Of] = group
			d.groups = append(d.groups, declineGroup{})
		}
		d.cells = append(d.cells, declineCell{item: item, channel: channel, group: group, base: newLearned(d.second)})
		d.channels[channel].cells = append(d.channels[channel].cells, at)
	}
	if last >= 0 {
		d.cells[last].next = at
	}
	return at
}

func (d *Declines) account(item statemachine.Scope, channel, last int32) int32 {
	guess := int32(0)
	if last >= 0 {
		guess = d.accounts[last].next
	}
	if int(guess) < len(d.accounts) && d.accounts[guess].item == item {
		return guess
	}
	at, ok := d.index[item]
	if !ok {
		at = int32(len(d.accounts)) //nolint:gosec // bounded by the catalogue
		d.index[item] = at
		d.accounts = append(d.accounts, declineAccount{item: item, channel: channel, base: newLearned(d.second)})
		d.channels[channel].accounts = append(d.channels[channel].accounts, at)
	}
	if last >= 0 {
		d.accounts[last].next = at
	}
	return at
}

// prune forgets what is no longer in the catalogue, by building everything anew from what is.
func (d *Declines) prune(f *statemachine.Fleet) {
	gone := func(c declineChannel) bool { _, ok := f.Channels[c.name]; return !ok }
	if !slices.ContainsFunc(d.channels, gone) {
		return
	}
	fresh := NewDeclines()
	fresh.second, fresh.noted, fresh.pruned, fresh.found = d.second, d.noted, d.pruned, d.found
	for i := range d.channels {
		if old := &d.channels[i]; !gone(*old) {
			fresh.adopt(d, old)
		}
	}
	*d = *fresh
}

// adopt takes a channel over from another watcher: baselines and open bursts, no suspicions.
func (d *Declines) adopt(from *Declines, old *declineChannel) {
	at := d.channel(old.name)
	d.channels[at].base, d.channels[at].burst, d.channels[at].noted = old.base, old.burst, old.noted
	for _, i := range old.cells {
		o := &from.cells[i]
		n := &d.cells[d.cell(o.item, at, -1)]
		n.base, n.burst = o.base, o.burst
		d.groups[n.group].usual = from.groups[o.group].usual
	}
	for _, i := range old.accounts {
		o := &from.accounts[i]
		d.accounts[d.account(o.item, at, -1)].base = o.base
	}
	d.settle(at)
}
