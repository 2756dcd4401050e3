package monitor

import "github.com/sluice-pay/sluice/statemachine"

// packLimits is the first byte of a row with limits or quotas, which a version that knows none must not take for a whole one.
const packLimits = 2

func (r *Row) limited() bool { return len(r.Counts.Quotas)+len(r.Limits) > 0 }

// limits appends what a row says of quotas and limits: a tail that rows without any do not have.
func (p *packer) limits(r *Row) {
	p.uint(uint64(len(r.Counts.Quotas)))
	for _, q := range r.Counts.Quotas {
		p.string(q.ID)
		p.int(q.Units)
	}
	p.uint(uint64(len(r.Limits)))
	for i := range r.Limits {
		l := &r.Limits[i]
		p.string(l.Name)
		p.uint(uint64(l.Asked))
		p.int(l.Started)
		p.int(l.Room)
		p.int(l.Total)
		p.uint(uint64(len(l.Ended)))
		for _, e := range l.Ended {
			p.int(r.Counts.Second - e.Second)
			p.int(e.Units)
		}
	}
}

func (u *unpacker) limits(r *Row) {
	r.Counts.Quotas = unpackList(u, 2, func() statemachine.QuotaCount {
		return statemachine.QuotaCount{ID: u.string(), Units: u.int()}
	})
	r.Limits = unpackList(u, 6, func() statemachine.LimitCount {
		l := statemachine.LimitCount{Name: u.string(), Asked: u.uint32(), Started: u.int(), Room: u.int(), Total: u.int()}
		l.Ended = unpackList(u, 2, func() statemachine.EndedCount {
			return statemachine.EndedCount{Second: r.Counts.Second - u.int(), Units: u.int()}
		})
		return l
	})
	if u.err == nil && !r.limited() {
		u.fail("neither limits nor quotas")
	}
}
