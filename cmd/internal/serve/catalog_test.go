package serve_test

import (
	"context"
	"fmt"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/cmd/internal/serve"
)

// catalogs is a client of a replica's CatalogService.
func (r *replica) catalogs(t *testing.T) sluicev1.CatalogServiceClient {
	t.Helper()
	conn, err := grpc.NewClient(r.at.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return sluicev1.NewCatalogServiceClient(conn)
}

// goesTo is a condition: payments of ICBC go to this channel.
func (r *replica) goesTo(channel string) func(context.Context) error {
	return func(ctx context.Context) error {
		got, err := r.route(ctx)
		if err == nil && got != channel {
			err = fmt.Errorf("to %s, want %s", got, channel)
		}
		return err
	}
}

// turned is the catalogue with the order of its first route turned round, and the channels that go first in it and in the original.
func turned(t *testing.T) (c *configv1.Catalog, first, before string) {
	t.Helper()
	c = catalog(t)
	c.Version = "turned"
	members := c.GetRoutes()[0].GetMembers()
	before, first = members[0].GetChannel(), members[len(members)-1].GetChannel()
	for i, m := range members {
		m.Priority, m.Split = uint32(len(members)-i), 0
	}
	return c, first, before
}

// A catalogue applied at one replica routes there at once and at the other as soon as the watch tells it; so does a rollback at the
// other.
func TestCatalogIsInForceAtEveryReplica(t *testing.T) {
	address := freeAddress(t)
	startEtcd(t, t.TempDir(), address)
	a := run(t, serve.Options{Replica: "a", Etcd: external(address), Catalog: catalog(t)})
	b := run(t, serve.Options{Replica: "b", Etcd: external(address)})
	next, first, before := turned(t)
	if err := b.goesTo(before)(t.Context()); err != nil {
		t.Fatalf("before: %v", err)
	}
	done, err := a.catalogs(t).ApplyCatalog(t.Context(), &sluicev1.ApplyCatalogRequest{Catalog: next, Reason: "turned round", Etag: "1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.goesTo(first)(t.Context()); err != nil {
		t.Errorf("here, at once: %v", err)
	}
	if took := until(t, "the catalogue to be in force at b", b.goesTo(first)); took > fullRead/3 {
		t.Errorf("it took %v: that was the full read, not the watch", took)
	}
	if _, err := b.catalogs(t).RollbackCatalog(t.Context(), &sluicev1.RollbackCatalogRequest{Revision: 1, Reason: "back", Etag: done.GetEtag()}); err != nil {
		t.Fatal(err)
	}
	until(t, "the rollback to be in force at a", a.goesTo(before))
}

// A restart with the old file keeps what was applied since, and the history with it.
func TestCatalogOutlivesARestart(t *testing.T) {
	address := freeAddress(t)
	startEtcd(t, t.TempDir(), address)
	a := run(t, serve.Options{Replica: "a", Etcd: external(address), Catalog: catalog(t)})
	next, first, _ := turned(t)
	if _, err := a.catalogs(t).ApplyCatalog(t.Context(), &sluicev1.ApplyCatalogRequest{Catalog: next, Reason: "turned round"}); err != nil {
		t.Fatal(err)
	}
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	again := run(t, serve.Options{Replica: "a", Etcd: external(address), Catalog: catalog(t)})
	if err := again.goesTo(first)(t.Context()); err != nil {
		t.Errorf("after a restart with the old file: %v", err)
	}
	list, err := again.catalogs(t).ListCatalogRevisions(t.Context(), &sluicev1.ListCatalogRevisionsRequest{})
	if err != nil || len(list.GetRevisions()) != 2 {
		t.Fatalf("history %v, %v", list, err)
	}
	if newest := list.GetRevisions()[0]; newest.GetVersion() != "turned" || !newest.GetInForce() || newest.GetReason() != "turned round" {
		t.Errorf("history %v", list)
	}
	kept, err := again.catalogs(t).GetCatalog(t.Context(), &sluicev1.GetCatalogRequest{Revision: 2})
	if err != nil || !proto.Equal(kept.GetCatalog(), next) {
		t.Errorf("revision 2 is no longer what was applied: %v", err)
	}
}
