package monitor

import (
	"fmt"
	"slices"

	"github.com/sluice-pay/sluice/statemachine"
)

// Checkpoint returns the accounts that are watched, packed.
func (o *Owners) Checkpoint() []byte {
	p := packer{[]byte{packVersion}}
	p.int(o.second)
	items := make([]statemachine.Scope, 0, len(o.accounts))
	for item := range o.accounts {
		items = append(items, item)
	}
	slices.SortFunc(items, statemachine.Scope.Compare)
	p.uint(uint64(len(items)))
	for _, item := range items {
		r := o.accounts[item]
		p.scope(item)
		p.int(r.first)
		p.int(r.newest)
		p.int(r.last)
		p.uint(r.payers)
		p.uint(r.n)
		p.uint(r.good)
		p.floats(r.bad, r.all)
		p.int(r.told)
		p.bool(r.grave)
		p.reasons(r.reasons)
	}
	return p.b
}

// Restore takes back what Checkpoint returned, replacing everything seen so far. On an error, which wraps ErrPacked, nothing
// changes.
func (o *Owners) Restore(b []byte) error {
	u, fresh := &unpacker{b: b}, NewOwners()
	u.version()
	fresh.second = u.int()
	unpackList(u, 25, func() bool {
		item := u.scope()
		fresh.accounts[item] = &refused{
			first: u.int(), newest: u.int(), last: u.int(), payers: u.uint(), n: u.uint(), good: u.uint(),
			bad: u.float(), all: u.float(), told: u.int(), grave: u.bool(), reasons: u.reasons(),
		}
		return true
	})
	if err := u.done(); err != nil {
		return fmt.Errorf("restore the watcher of accounts: %w", err)
	}
	*o = *fresh
	return nil
}
