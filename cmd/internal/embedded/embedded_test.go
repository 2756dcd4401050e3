package embedded_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sluice-pay/sluice/cmd/internal/embedded"
)

func start(t *testing.T, o embedded.Options) *embedded.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := embedded.Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What was written is there after a restart on the same directory, and the server says nothing while all is well.
func TestRestartKeepsData(t *testing.T) {
	var log bytes.Buffer
	o := embedded.Options{Dir: t.TempDir(), NoSync: true, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	s := start(t, o)
	if _, err := s.Client().Put(t.Context(), "k", "v"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	s = start(t, o)
	got, err := s.Client().Get(t.Context(), "k")
	if err != nil || len(got.Kvs) != 1 || string(got.Kvs[0].GetValue()) != "v" {
		t.Errorf("after the restart: %v, %v", got, err)
	}
	if s.Size() <= 0 {
		t.Errorf("size %d", s.Size())
	}
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	if log.Len() > 0 {
		t.Logf("etcd said:\n%s", log.String())
	}
	if strings.Contains(log.String(), "level=ERROR") {
		t.Error("a clean run logs errors")
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	o := embedded.Options{Dir: t.TempDir(), NoSync: true}
	s := start(t, o)
	defer s.Close()
	if _, err := embedded.Start(t.Context(), o); !errors.Is(err, embedded.ErrInUse) {
		t.Errorf("got %v, want ErrInUse", err)
	}
}

func TestListen(t *testing.T) {
	var listening net.ListenConfig
	l, err := listening.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	s := start(t, embedded.Options{Dir: t.TempDir(), NoSync: true, Listen: address})
	defer s.Close()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{address}, DialTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := client.Put(ctx, "k", "v"); err != nil {
		t.Errorf("put through the socket: %v", err)
	}
}

func TestStartGivesUp(t *testing.T) {
	if _, err := embedded.Start(t.Context(), embedded.Options{}); err == nil {
		t.Error("started without a directory")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := embedded.Start(ctx, embedded.Options{Dir: t.TempDir(), NoSync: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}
