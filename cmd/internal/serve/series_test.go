package serve_test

import (
	"context"
	"fmt"
	"testing"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/cmd/internal/serve"
)

// What a replica was told of can be read from every replica as a series: the leader writes it, Redis keeps it.
func TestSeriesIsReadFromEveryReplica(t *testing.T) {
	address := freeAddress(t)
	startEtcd(t, t.TempDir(), address)
	redis, _ := startRedis(t)
	leader := run(t, serve.Options{Replica: "a", Etcd: external(address), Redis: redis, Catalog: catalog(t)})
	other := run(t, serve.Options{Replica: "b", Etcd: external(address), Redis: redis})
	until(t, "points of the series at both", func(ctx context.Context) error {
		if err := other.fail(ctx, other); err != nil {
			return err
		}
		for _, one := range []*replica{leader, other} {
			reply, err := one.channels.QuerySeries(ctx, &sluicev1.QuerySeriesRequest{Scope: &sluicev1.Scope{Channel: "alpha"}})
			if err != nil {
				return err
			}
			if len(reply.GetPoints()) == 0 || reply.GetPoints()[0].GetBad() == 0 {
				return fmt.Errorf("%d points", len(reply.GetPoints()))
			}
		}
		return nil
	})
	for _, one := range []*replica{other, leader} {
		if err := one.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
}
