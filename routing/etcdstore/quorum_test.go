package etcdstore_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/sluice-pay/sluice/routing/etcdstore"
)

// freeURL is an address that nobody listens on.
func freeURL(t *testing.T) url.URL {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return url.URL{Scheme: "http", Host: l.Addr().String()}
}

// cluster starts three members and returns what stops each, and their client addresses.
func cluster(t *testing.T) (stop []func(), endpoints []string) {
	t.Helper()
	var configs []*embed.Config
	var members []*embed.Etcd
	initial := ""
	for i := range 3 {
		c := newConfig(t.TempDir())
		c.Name = fmt.Sprintf("m%d", i)
		peer, client := freeURL(t), freeURL(t)
		c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
		c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
		if initial != "" {
			initial += ","
		}
		initial += c.Name + "=" + peer.String()
		configs, endpoints = append(configs, c), append(endpoints, client.Host)
	}
	for _, c := range configs {
		c.InitialCluster = initial
		e, err := embed.StartEtcd(c)
		if err != nil {
			t.Fatal(err)
		}
		stop = append(stop, sync.OnceFunc(e.Close))
		t.Cleanup(stop[len(stop)-1])
		members = append(members, e)
	}
	for _, e := range members {
		<-e.Server.ReadyNotify()
	}
	return stop, endpoints
}

// TestReadAny_WithoutAMajority stops two of three members: nothing can be written or read in agreement any more, and the
// snapshot is read all the same.
func TestReadAny_WithoutAMajority(t *testing.T) {
	if testing.Short() {
		t.Skip("three members take seconds to start and stop")
	}
	stop, endpoints := cluster(t)
	env, p := environment(), plan(t, "one")
	config := clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()}
	client, err := clientv3.New(config)
	if err != nil {
		t.Fatal(err)
	}
	push(t, newWriter(t, client, env), snapshot(p, env, 7))
	client.Close()
	last, err := clientv3.New(clientv3.Config{Endpoints: endpoints[2:], Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer last.Close()
	if _, err := last.Get(t.Context(), "/"); err != nil { // it has everything that was agreed on
		t.Fatal(err)
	}
	stop[0]()
	stop[1]()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := last.Get(ctx, "/"); err == nil {
		t.Fatal("the cluster still agrees")
	}
	found, err := etcdstore.ReadAny(t.Context(), config, env, time.Second)
	if err != nil || found.Snapshot.GetRevision() != 7 || found.Endpoint != endpoints[2] {
		t.Fatalf("%+v, %v", found, err)
	}
}
