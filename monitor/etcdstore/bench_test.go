package etcdstore_test

import (
	"strconv"
	"testing"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/monitor/etcdstore"
	"github.com/sluice-pay/sluice/monitor/ledgertest"
	"github.com/sluice-pay/sluice/statemachine"
)

func fill(b *testing.B, l *etcdstore.Ledger, states int) int64 {
	b.Helper()
	v, err := l.Read(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	revision := v.Revision
	for n := 0; n < states; n += monitor.MaxScopes {
		c := ledgertest.SampleChange(revision)
		for i := n; i < min(n+monitor.MaxScopes, states); i++ {
			c.States = append(c.States, statemachine.NewState(statemachine.ChannelScope("c"+strconv.Itoa(i))))
		}
		if revision, err = l.Commit(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
	return revision
}

// One cut: state, incident, journal entry and head in one transaction, without fsync.
func BenchmarkCommit(b *testing.B) {
	l, err := etcdstore.Open(b.Context(), etcd, etcdstore.Options{Environment: "bench-commit", Replica: "a"})
	if err != nil {
		b.Fatal(err)
	}
	fill(b, l, 0)
	b.ResetTimer()
	for b.Loop() {
		v, err := l.Read(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := l.Commit(b.Context(), ledgertest.SampleChange(v.Revision, 1)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead1000States(b *testing.B) {
	l, err := etcdstore.Open(b.Context(), etcd, etcdstore.Options{Environment: "bench-read", Replica: "a"})
	if err != nil {
		b.Fatal(err)
	}
	fill(b, l, 1000)
	b.ResetTimer()
	for b.Loop() {
		if _, err := l.Read(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
