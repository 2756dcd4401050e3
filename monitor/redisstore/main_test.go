package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	shared       *server // of the one Redis of this test binary, nil = there is none
	noServer     string  // why not
	environments atomic.Uint64
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sluice-redis-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, "start redis-server:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	path := os.Getenv("SLUICE_REDIS_SERVER")
	if path == "" {
		path, err = exec.LookPath("redis-server")
	}
	switch {
	case err != nil:
		noServer = "redis-server is neither named by SLUICE_REDIS_SERVER nor in PATH"
		if strings.Contains(os.Getenv("SLUICE_REQUIRE"), "redis-server") {
			fmt.Fprintln(os.Stderr, noServer)
			return 1
		}
	default:
		if shared, err = startServer(path, dir); err != nil {
			fmt.Fprintln(os.Stderr, "start redis-server:", err)
			return 1
		}
		defer shared.stop()
	}
	return m.Run()
}

// server is a real redis-server.
type server struct {
	process *exec.Cmd
	address string
	admin   *redis.Client // patient, for what tests do to the server
}

func startServer(path, dir string, arguments ...string) (*server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	l.Close()
	log, err := os.Create(filepath.Join(dir, "redis-"+port+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	args := append([]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", dir, "--enable-debug-command", "yes"}, arguments...)
	s := &server{process: exec.Command(path, args...), address: address}
	s.process.Stdout, s.process.Stderr = log, log
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	s.admin = redis.NewClient(&redis.Options{Addr: address, DialTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for s.admin.Ping(ctx).Err() != nil {
		if ctx.Err() != nil {
			s.stop()
			return nil, errors.New("it does not answer")
		}
	}
	return s, nil
}

func (s *server) stop() {
	s.admin.Close()
	s.process.Process.Kill()
	s.process.Wait()
}

// redisServer returns the shared server, or skips the test.
func redisServer(tb testing.TB) *server {
	tb.Helper()
	if shared == nil {
		tb.Skip(noServer)
	}
	return shared
}

// environment gives every test keys of its own.
func environment() string { return fmt.Sprintf("test%d", environments.Add(1)) }

// patient is a budget for tests that are not about budgets: the machine may be busy.
const patient = 10 * time.Second

func openStore(tb testing.TB, o Options) *Store {
	tb.Helper()
	if o.Address == "" {
		o.Address = redisServer(tb).address
	}
	if o.Environment == "" {
		o.Environment = environment()
	}
	if o.Replica == "" {
		o.Replica = "r1"
	}
	if o.Boot == 0 {
		o.Boot = 1
	}
	if o.Budget == 0 {
		o.Budget = patient
	}
	s, err := Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

func admin(tb testing.TB, args ...any) {
	tb.Helper()
	if err := redisServer(tb).admin.Do(context.Background(), args...).Err(); err != nil {
		tb.Fatalf("%v: %v", args, err)
	}
}
