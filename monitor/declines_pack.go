package monitor

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Checkpoint returns what was learned and the open bursts, packed. Runs that are under way are gathered anew.
func (d *Declines) Checkpoint() []byte {
	p := packer{[]byte{packVersion}}
	p.int(d.second)
	p.int(d.noted)
	names := make([]string, 0, len(d.groupAt))
	for name := range d.groupAt {
		names = append(names, name)
	}
	slices.Sort(names)
	p.uint(uint64(len(names)))
	for _, name := range names {
		g := &d.groups[d.groupAt[name]]
		p.string(name)
		p.floats(g.usual.n, g.usual.d)
	}
	order := make([]int32, 0, len(d.channels))
	for _, at := range d.channelAt {
		order = append(order, at)
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(d.channels[a].name, d.channels[b].name) })
	p.uint(uint64(len(order)))
	for _, at := range order {
		d.packChannel(&p, &d.channels[at])
	}
	return p.b
}

func (d *Declines) packChannel(p *packer, c *declineChannel) {
	p.string(c.name)
	p.int(c.noted)
	p.learned(&c.base)
	p.burst(&c.burst)
	cells, accounts := slices.Clone(c.cells), slices.Clone(c.accounts)
	slices.SortFunc(cells, func(a, b int32) int { return d.cells[a].item.Compare(d.cells[b].item) })
	slices.SortFunc(accounts, func(a, b int32) int { return d.accounts[a].item.Compare(d.accounts[b].item) })
	p.uint(uint64(len(cells)))
	for _, i := range cells {
		p.scope(d.cells[i].item)
		p.learned(&d.cells[i].base)
		p.burst(&d.cells[i].burst)
	}
	p.uint(uint64(len(accounts)))
	for _, i := range accounts {
		p.scope(d.accounts[i].item)
		p.learned(&d.accounts[i].base)
	}
}

func (p *packer) floats(v ...float64) {
	for _, f := range v {
		p.word(math.Float64bits(f))
	}
}

// learned packs a baseline in single precision: it is an estimate.
func (p *packer) learned(l *learned) {
	for _, f := range []float64{l.n, l.d, l.p, l.rate, l.noise, l.own, l.peers} {
		p.uint(uint64(math.Float32bits(float32(f))))
	}
}

func (p *packer) burst(b *burst) {
	p.int(b.at)
	if b.at != 0 {
		p.floats(b.share, b.usual, b.up, b.down, b.over)
	}
}

// Restore takes back what Checkpoint returned, replacing everything seen so far. On an error, which wraps ErrPacked, nothing
// changes.
func (d *Declines) Restore(b []byte) error {
	u, fresh := &unpacker{b: b}, NewDeclines()
	u.version()
	fresh.second, fresh.noted = u.int(), u.int()
	usual := map[string]answers{}
	for _, g := range unpackList(u, 17, func() declineNamed { return declineNamed{u.string(), answers{n: u.float(), d: u.float()}} }) {
		usual[g.name] = g.answers
	}
	channels := unpackList(u, 10, func() int32 { return fresh.unpackChannel(u) })
	if err := u.done(); err != nil {
		return fmt.Errorf("restore the watcher of declines: %w", err)
	}
	for name, at := range fresh.groupAt {
		fresh.groups[at].usual = usual[name]
	}
	for _, at := range channels {
		fresh.settle(at)
	}
	*d = *fresh
	return nil
}

type declineNamed struct {
	name string
	answers
}

func (d *Declines) unpackChannel(u *unpacker) int32 {
	at := d.channel(u.string())
	d.channels[at].noted = u.int()
	d.channels[at].base = u.learned(d.second)
	d.channels[at].burst = u.burst()
	last := int32(-1)
	unpackList(u, 10, func() bool {
		item := u.scope()
		last = d.cell(item, at, last)
		d.cells[last].base, d.cells[last].burst = u.learned(d.second), u.burst()
		return true
	})
	last = -1
	unpackList(u, 9, func() bool {
		item := u.scope()
		last = d.account(item, at, last)
		d.accounts[last].base = u.learned(d.second)
		return true
	})
	return at
}

func (u *unpacker) float() float64 {
	f := math.Float64frombits(u.word())
	if math.IsNaN(f) || math.IsInf(f, 0) {
		u.fail("no number")
		return 0
	}
	return f
}

func (u *unpacker) learned(second int64) learned {
	l := newLearned(second)
	for _, into := range []*float64{&l.n, &l.d, &l.p, &l.rate, &l.noise, &l.own, &l.peers} {
		*into = float64(math.Float32frombits(u.uint32()))
		if !(*into >= 0 && *into <= math.MaxFloat32) {
			u.fail("no baseline")
		}
	}
	if l.d > l.n || l.p > 1 {
		u.fail("no baseline")
	}
	return l
}

func (u *unpacker) burst() (b burst) {
	if b.at = u.int(); b.at != 0 {
		b.share, b.usual, b.up, b.down, b.over = u.float(), u.float(), u.float(), u.float(), u.float()
	}
	return b
}
