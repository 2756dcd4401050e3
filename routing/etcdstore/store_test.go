package etcdstore_test

import (
	"context"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/routing/etcdstore"
)

func TestPush_OnlyWhatChanged(t *testing.T) {
	env, p := environment(), plan(t, "one")
	if _, err := etcdstore.Read(t.Context(), etcd, env); !errors.Is(err, etcdstore.ErrNoSnapshot) {
		t.Fatalf("before the first push: %v", err)
	}
	w := newWriter(t, etcd, env)
	var before map[string]int64
	for revision := int64(1); revision <= 4; revision++ {
		push(t, w, snapshot(p, env, revision))
		expect(t, env, snapshot(p, env, revision))
		now := keysOf(t, env)
		if revision > 2 {
			for key, modified := range now {
				slot := map[int64]string{0: "b/", 1: "a/"}[revision%2]
				expected := strings.HasPrefix(key, slot) && !strings.Contains(key, "catalog") && !strings.Contains(key, "scores")
				if (modified != before[key]) != expected {
					t.Errorf("revision %d: %s written: %v, want %v", revision, key, !expected, expected)
				}
			}
		}
		before = now
	}
	// Nothing but the write time: the manifest alone, in its place.
	later := snapshot(p, env, 4)
	later.WriteTime = timestamppb.New(written.Add(time.Minute))
	push(t, w, later)
	expect(t, env, later)
	for key, modified := range keysOf(t, env) {
		if (modified != before[key]) != (key == "b/manifest") {
			t.Errorf("renewal: %s written: %v", key, modified != before[key])
		}
	}
	push(t, w, snapshot(p, env, 4)) // an earlier write time
	expect(t, env, later)
}

func TestPush_LargePartsInChunks(t *testing.T) {
	env := environment()
	rng := rand.NewChaCha8([32]byte{1})
	raw := make([]byte, 1<<20)
	_, _ = rng.Read(raw)
	large, small := plan(t, hex.EncodeToString(raw)), plan(t, "small")
	w := newWriter(t, etcd, env)
	for revision := int64(1); revision <= 2; revision++ {
		push(t, w, snapshot(large, env, revision))
		expect(t, env, snapshot(large, env, revision))
	}
	chunks := 0
	for key := range keysOf(t, env) {
		if strings.HasPrefix(key, "a/catalog/") {
			chunks++
		}
		got, err := etcd.Get(t.Context(), "/sluice/"+env+"/snapshot/"+key)
		if err != nil || len(got.Kvs[0].GetValue()) > etcdstore.ChunkBytes {
			t.Errorf("%s: %d bytes, %v", key, len(got.Kvs[0].GetValue()), err)
		}
	}
	if chunks < 3 {
		t.Fatalf("%d chunks of a catalogue over 1 MiB", chunks)
	}
	for revision := int64(3); revision <= 4; revision++ {
		push(t, w, snapshot(small, env, revision))
		expect(t, env, snapshot(small, env, revision))
	}
	if left := keysOf(t, env); len(left) != 8 {
		t.Errorf("chunks of the large catalogue are left: %v", left)
	}
}

// TestPush_CrashAnywhere ends the writer before each of its transactions: what was stored before is read until the new
// snapshot is whole, and the next writer goes on.
func TestPush_CrashAnywhere(t *testing.T) {
	for crash := 0; ; crash++ {
		env, p := environment(), plan(t, "one")
		w := newWriter(t, etcd, env)
		push(t, w, snapshot(p, env, 1))
		push(t, w, snapshot(p, env, 2))
		left := crash
		kv := &hooked{etcd, func() error {
			if left--; left < 0 {
				return errCrash
			}
			return nil
		}}
		next := snapshot(plan(t, "two"), env, 3) // every part but the scores differs
		err := newWriter(t, kv, env).Push(t.Context(), next, 0)
		if err == nil {
			expect(t, env, next)
			if crash < 3 {
				t.Fatalf("only %d transactions", crash)
			}
			return
		}
		if !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		expect(t, env, snapshot(p, env, 2))
		push(t, newWriter(t, etcd, env), next)
		expect(t, env, next)
	}
}

// TestPush_AnotherWriterAnywhere lets a second writer store a snapshot before each transaction of the first: whatever comes
// out is whole, and never the older of the two.
func TestPush_AnotherWriterAnywhere(t *testing.T) {
	for _, other := range []int64{3, 4, 5} { // older than, equal to and newer than the first's
		for at := 0; ; at++ {
			env, p := environment(), plan(t, "one")
			push(t, newWriter(t, etcd, env), snapshot(p, env, 1))
			push(t, newWriter(t, etcd, env), snapshot(p, env, 2))
			second := newWriter(t, etcd, env)
			n := 0
			kv := &hooked{etcd, func() error {
				if n++; n == at+1 {
					return second.Push(t.Context(), snapshot(plan(t, "two"), env, other), 0)
				}
				return nil
			}}
			err := newWriter(t, kv, env).Push(t.Context(), snapshot(plan(t, "three"), env, 4), 0)
			if err != nil && (!errors.Is(err, etcdstore.ErrNewer) || other != 5) {
				t.Fatalf("second writes %d before transaction %d: %v", other, at, err)
			}
			want := max(4, other)
			if n <= at {
				want = 4
			}
			if got := mustRead(t, env).Snapshot; got.GetRevision() != want {
				t.Fatalf("second writes %d before transaction %d: read %d", other, at, got.GetRevision())
			}
			if n <= at {
				break
			}
		}
	}
}

// TestPush_TwoWritersAtOnce lets two writers race while a reader looks: it never sees a torn snapshot, nor goes back.
func TestPush_TwoWritersAtOnce(t *testing.T) {
	env := environment()
	push(t, newWriter(t, etcd, env), snapshot(plan(t, "zero"), env, 1))
	ctx, stop := context.WithCancel(t.Context())
	var writers, reader sync.WaitGroup
	for i, name := range []string{"one", "two"} {
		p := plan(t, name)
		writers.Go(func() {
			w := newWriter(t, etcd, env)
			for revision := int64(2); revision < 40; revision++ {
				err := w.Push(ctx, snapshot(p, env, revision*2+int64(i)), 0)
				if err != nil && !errors.Is(err, etcdstore.ErrNewer) && !errors.Is(err, etcdstore.ErrContended) {
					t.Errorf("push: %v", err)
				}
			}
		})
	}
	reader.Go(func() {
		var last routing.Stamp
		for ctx.Err() == nil {
			found, err := etcdstore.Read(context.WithoutCancel(ctx), etcd, env)
			if err != nil || found.Passed != nil {
				// A writer may be putting chunks into the older slot, whose manifest is then torn: only the newest matters.
				t.Errorf("read: %v, %+v", err, found)
				return
			}
			now := routing.StampOf(found.Snapshot)
			if last.Newer(now.Revision) {
				t.Errorf("from %+v back to %+v", last, now)
			}
			last = now
		}
	})
	writers.Wait()
	stop()
	reader.Wait()
	mustRead(t, env)
}

// TestInvariant15_DamagedPartRefused damages every stored value in turn: the other slot is read, and the next push repairs.
func TestInvariant15_DamagedPartRefused(t *testing.T) {
	env, p := environment(), plan(t, "one")
	for key := range func() map[string]int64 {
		w := newWriter(t, etcd, env)
		push(t, w, snapshot(p, env, 1))
		push(t, w, snapshot(p, env, 2))
		return keysOf(t, env)
	}() {
		for name, damage := range map[string]func([]byte) []byte{
			"a byte changed": func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
			"a byte that gzip does not look at changed": func(b []byte) []byte { b[9] ^= 1; return b },
			"cut":         func(b []byte) []byte { return b[:len(b)-1] },
			"a byte more": func(b []byte) []byte { return append(b, 0) },
			"gone":        func([]byte) []byte { return nil },
		} {
			t.Run(strings.ReplaceAll(key, "/", " ")+" "+name, func(t *testing.T) {
				env := environment()
				w := newWriter(t, etcd, env)
				push(t, w, snapshot(p, env, 1)) // slot a
				push(t, w, snapshot(p, env, 2)) // slot b
				tamper(t, "/sluice/"+env+"/snapshot/"+key, damage)
				want := int64(2)
				if strings.HasPrefix(key, "b/") {
					want = 1
				}
				found := expect(t, env, snapshot(p, env, want))
				// Damage of the older slot shows where it may have been the newer one: in its manifest.
				if told := (want == 1 || key == "a/manifest") && (!strings.HasSuffix(key, "manifest") || name != "gone"); (found.Passed != nil) != told {
					t.Errorf("told: %v", found.Passed)
				}
				push(t, w, snapshot(p, env, 3))
				push(t, w, snapshot(p, env, 4))
				newest := expect(t, env, snapshot(p, env, 4)).Slot
				tamper(t, "/sluice/"+env+"/snapshot/"+newest+"/manifest", func([]byte) []byte { return nil })
				expect(t, env, snapshot(p, env, 3)) // the other slot is whole again
			})
		}
	}
}

func TestRead_BothSlotsDamaged(t *testing.T) {
	env, p := environment(), plan(t, "one")
	w := newWriter(t, etcd, env)
	push(t, w, snapshot(p, env, 1))
	push(t, w, snapshot(p, env, 2))
	for _, slot := range []string{"a", "b"} {
		tamper(t, "/sluice/"+env+"/snapshot/"+slot+"/catalog/0000", func(b []byte) []byte { b[30] ^= 4; return b })
	}
	_, err := etcdstore.Read(t.Context(), etcd, env)
	if !errors.Is(err, routing.ErrSnapshotDamaged) || !strings.Contains(err.Error(), "slot a") || !strings.Contains(err.Error(), "slot b") {
		t.Errorf("%v", err)
	}
	renewed := snapshot(p, env, 2)
	renewed.WriteTime = timestamppb.New(written.Add(time.Minute))
	push(t, w, renewed) // finds out
	expect(t, env, renewed)
}

// TestInvariant15_ForeignSnapshotRefused copies the keys of one environment to another, as a careless restore would.
func TestInvariant15_ForeignSnapshotRefused(t *testing.T) {
	env, copied, p := environment(), environment(), plan(t, "one")
	push(t, newWriter(t, etcd, env), snapshot(p, env, 7))
	got, err := etcd.Get(t.Context(), "/sluice/"+env+"/snapshot/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range got.Kvs {
		key := strings.Replace(string(kv.GetKey()), env, copied, 1)
		if _, err := etcd.Put(t.Context(), key, string(kv.GetValue())); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := etcdstore.Read(t.Context(), etcd, copied); !errors.Is(err, routing.ErrSnapshotForeign) {
		t.Errorf("%v", err)
	}
	if err := newWriter(t, etcd, copied).Push(t.Context(), snapshot(p, env, 8), 0); !errors.Is(err, routing.ErrSnapshotForeign) {
		t.Errorf("a foreign snapshot was stored: %v", err)
	}
	push(t, newWriter(t, etcd, copied), snapshot(p, copied, 1)) // what is foreign does not stand in the way
	expect(t, copied, snapshot(p, copied, 1))
}

func TestPush_NeverOlderNorWithoutTheLead(t *testing.T) {
	env, p := environment(), plan(t, "one")
	w := newWriter(t, etcd, env)
	push(t, w, snapshot(p, env, 7))
	if err := w.Push(t.Context(), snapshot(p, env, 6), 0); !errors.Is(err, etcdstore.ErrNewer) {
		t.Errorf("an older snapshot: %v", err)
	}
	push(t, w, routing.NewSnapshot(table(p, 2, 3), env, written)) // a greater epoch is newer
	leader := "/sluice/" + env + "/leader"
	if err := w.Push(t.Context(), routing.NewSnapshot(table(p, 2, 4), env, written), 12); !errors.Is(err, etcdstore.ErrNotLeader) {
		t.Errorf("nobody leads: %v", err)
	}
	got, err := etcd.Put(t.Context(), leader, "r1")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Push(t.Context(), routing.NewSnapshot(table(p, 2, 4), env, written), got.Header.GetRevision()-1); !errors.Is(err, etcdstore.ErrNotLeader) {
		t.Errorf("another leads: %v", err)
	}
	want := routing.NewSnapshot(table(p, 2, 4), env, written)
	if err := w.Push(t.Context(), want, got.Header.GetRevision()); err != nil {
		t.Error(err)
	}
	expect(t, env, want)
}

func TestReadAny_AsksOneAfterTheOther(t *testing.T) {
	env, p := environment(), plan(t, "one")
	push(t, newWriter(t, etcd, env), snapshot(p, env, 7))
	config := clientv3.Config{Endpoints: []string{"127.0.0.1:1", endpoint}, Logger: zap.NewNop()}
	found, err := etcdstore.ReadAny(t.Context(), config, env, time.Second)
	if err != nil || !proto.Equal(found.Snapshot, snapshot(p, env, 7)) || found.Endpoint != endpoint {
		t.Fatalf("%v %+v", err, found)
	}
	if found.Passed == nil || !strings.Contains(found.Passed.Error(), "127.0.0.1:1") {
		t.Errorf("the dead member is not told: %v", found.Passed)
	}
	config.Endpoints = config.Endpoints[:1]
	if _, err := etcdstore.ReadAny(t.Context(), config, env, 100*time.Millisecond); err == nil {
		t.Error("read from nowhere")
	}
	if _, err := etcdstore.ReadAny(t.Context(), clientv3.Config{}, env, 0); err == nil {
		t.Error("read without endpoints")
	}
}

// tamper changes a value behind the store's back; nil removes it.
func tamper(t *testing.T, key string, edit func([]byte) []byte) {
	t.Helper()
	got, err := etcd.Get(t.Context(), key)
	if err != nil || len(got.Kvs) != 1 {
		t.Fatalf("%s: %v, %d values", key, err, len(got.Kvs))
	}
	if value := edit(got.Kvs[0].GetValue()); value != nil {
		_, err = etcd.Put(t.Context(), key, string(value))
	} else {
		_, err = etcd.Delete(t.Context(), key)
	}
	if err != nil {
		t.Fatal(err)
	}
}
