package doctor

import (
	"crypto/x509"
	"maps"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sluice-pay/sluice/cmd/internal/embedded"
)

func TestLifetime(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	for name, tc := range map[string]struct {
		from, to time.Duration
		want     Status
	}{
		"long":      {-day, 31 * day, OK},
		"soon":      {-day, 29 * day, Warn},
		"over":      {-2 * day, -time.Second, Fail},
		"not begun": {time.Hour, 90 * day, Fail},
	} {
		c := &x509.Certificate{NotBefore: now.Add(tc.from), NotAfter: now.Add(tc.to)}
		if got := lifetime("x", "x.pem", c, now); got.Status != tc.want || (got.Next == "") != (tc.want == OK) {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestQuota(t *testing.T) {
	for name, tc := range map[string]struct {
		size, limit int64
		alarms      []string
		want        Status
	}{
		"empty":         {1, 100, nil, OK},
		"filling":       {60, 100, nil, Warn},
		"nearly full":   {90, 100, nil, Fail},
		"alarm":         {1, 100, []string{"NOSPACE"}, Fail},
		"quota unknown": {1 << 30, 0, nil, OK},
	} {
		s := &clientv3.StatusResponse{DbSize: tc.size, DbSizeQuota: tc.limit, Errors: tc.alarms}
		if got := quota("x", s); got.Status != tc.want {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestRoom(t *testing.T) {
	for free, want := range map[int64]Status{0: Fail, embedded.Quota / 4: Fail, embedded.Quota: Warn, 3 * embedded.Quota: Warn, 5 * embedded.Quota: OK} {
		if got := room("x", free); got.Status != want || (got.Next == "") != (want == OK) {
			t.Errorf("%s: got %+v", mebibytes(free), got)
		}
	}
}

func TestOffset(t *testing.T) {
	if got := between(-time.Second, time.Second); got != 0 {
		t.Errorf("got %v", got)
	}
	for _, tc := range []struct {
		ahead time.Duration
		want  Status
	}{{0, OK}, {900 * time.Millisecond, OK}, {-1500 * time.Millisecond, Warn}, {59 * time.Second, Warn}, {-2 * time.Minute, Fail}} {
		if got := offset("x", tc.ahead); got.Status != tc.want {
			t.Errorf("%v: got %+v", tc.ahead, got)
		}
	}
}

func TestRedisFacts(t *testing.T) {
	facts := infoFacts("# Server\r\nredis_version:7.0.15\r\n\r\nrole:master\r\nused_memory:95\r\nmaxmemory:100\r\nmaxmemory_policy:noeviction\r\n")
	if got := redisState("x", facts, time.Millisecond); got.Status != OK {
		t.Errorf("got %+v", got)
	}
	if got := redisMemory("x", facts); got.Status != Fail {
		t.Errorf("nearly full: got %+v", got)
	}
	for key, tc := range map[string]struct {
		value string
		want  Status
	}{"role": {"slave", Fail}, "redis_version": {"5.0.1", Warn}, "loading": {"1", Warn}} {
		changed := maps.Clone(facts)
		changed[key] = tc.value
		if got := redisState("x", changed, time.Millisecond); got.Status != tc.want {
			t.Errorf("%s: got %+v", key, got)
		}
	}
	if got := redisMemory("x", map[string]string{"used_memory": "1", "maxmemory": "100", "maxmemory_policy": "allkeys-lru"}); got.Status != Warn {
		t.Errorf("evicting: got %+v", got)
	}
	if got := redisState("x", facts, time.Second); got.Status != Warn {
		t.Errorf("slow: got %+v", got)
	}
}
