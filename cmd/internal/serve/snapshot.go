package serve

import (
	"fmt"

	"github.com/sluice-pay/sluice/routing/etcdstore"
)

// publisher keeps the fallback snapshot in the store up to date while this replica leads.
func (r *replica) publisher() (*etcdstore.Publisher, error) {
	w, err := etcdstore.NewWriter(r.store.client, r.o.Environment, 0)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	return etcdstore.NewPublisher(w, r.o.Logger), nil
}
