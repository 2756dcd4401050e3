package redisstore

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/monitor/claimstest"
	"github.com/sluice-pay/sluice/monitor/exchangetest"
)

func TestExchange(t *testing.T) {
	exchangetest.Run(t, func(t *testing.T) monitor.Exchange {
		t.Helper()
		return openStore(t, Options{})
	})
}

func TestClaims(t *testing.T) {
	claimstest.Run(t, func(*testing.T) claimstest.Join {
		env := environment()
		return func(t *testing.T, name string, boot uint64) claimstest.Replica {
			t.Helper()
			s := openStore(t, Options{Environment: env, Replica: name, Boot: boot})
			return claimstest.Replica{Name: name, Boot: boot, Claims: s, Exchange: s}
		}
	})
}

func TestOptionsOfTheClient(t *testing.T) {
	s, err := Open(Options{Address: "127.0.0.1:1", Environment: "e", Replica: "r", Username: "u", Password: "p", Database: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	o := s.client.Options()
	const budget = 50 * time.Millisecond
	for what, good := range map[string]bool{
		"a deadline holds":                  o.ContextTimeoutEnabled,
		"nothing is repeated by itself":     o.MaxRetries == 0, // as the client keeps -1
		"a dial is not repeated":            o.DialerRetries == 1,
		"timeouts of 50 ms":                 o.DialTimeout == budget && o.ReadTimeout == budget && o.WriteTimeout == budget,
		"20 ms for a connection":            o.PoolTimeout == 20*time.Millisecond,
		"32 connections, 8 of them open":    o.PoolSize == 32 && o.MinIdleConns == 8,
		"no CLIENT SETINFO":                 o.DisableIdentity,
		"no maintenance notifications":      o.MaintNotificationsConfig.Mode == maintnotifications.ModeDisabled,
		"user, password, database":          o.Username == "u" && o.Password == "p" && o.DB == 3,
		"no TLS that was not asked for":     o.TLSConfig == nil,
		"an operation has 50 ms by default": s.o.Budget == budget,
	} {
		if !good {
			t.Errorf("not true: %s", what)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	good := Options{Address: "127.0.0.1:1", Environment: "e", Replica: "r"}
	for name, spoil := range map[string]func(*Options){
		"address":     func(o *Options) { o.Address = "" },
		"environment": func(o *Options) { o.Environment = "a:b" },
		"replica":     func(o *Options) { o.Replica = "" },
		"database":    func(o *Options) { o.Database = -1 },
		"budget":      func(o *Options) { o.Budget = -1 },
		"claims":      func(o *Options) { o.ClaimSeconds = 10 },
	} {
		o := good
		spoil(&o)
		if s, err := Open(o); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v, %v; want ErrOptions", name, s, err)
		}
	}
	o := good
	o.Password = "hush"
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(format, o); len(text) == 0 || strings.Contains(text, "hush") {
			t.Errorf("%s shows the password: %s", format, text)
		}
	}
}

func TestOffset(t *testing.T) {
	s := openStore(t, Options{})
	offset, err := s.Offset(t.Context())
	if err != nil || offset.Abs() > patient {
		t.Errorf("offset %s, %v: want about 0 on one machine", offset, err)
	}
}

func TestUserAndPassword(t *testing.T) {
	admin(t, "ACL", "SETUSER", "gate", "reset", "on", ">secret", "~*", "+@all")
	t.Cleanup(func() { admin(t, "ACL", "DELUSER", "gate") })
	good := openStore(t, Options{Username: "gate", Password: "secret", Database: 2})
	if err := good.Publish(t.Context(), exchangetest.Row("r1", 1, 1)); err != nil {
		t.Error(err)
	}
	if rows, err := openStore(t, Options{Environment: good.o.Environment}).Read(t.Context(), 1); err != nil || len(rows) != 0 {
		t.Errorf("another database says %v, %v", rows, err)
	}
	bad := openStore(t, Options{Username: "gate", Password: "wrong"})
	if err := bad.Publish(t.Context(), exchangetest.Row("r1", 1, 1)); err == nil || strings.Contains(err.Error(), "wrong") && strings.Contains(err.Error(), "secret") {
		t.Errorf("a wrong password: %v", err)
	}
}

func TestCheck(t *testing.T) {
	s := openStore(t, Options{})
	if info, err := s.Check(t.Context()); err != nil || info.Version == "" || info.Role != "master" || info.Used == 0 {
		t.Errorf("a good Redis: %+v, %v", info, err)
	}
	admin(t, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	t.Cleanup(func() { admin(t, "CONFIG", "SET", "maxmemory-policy", "noeviction") })
	if _, err := s.Check(t.Context()); !errors.Is(err, ErrUnfit) || !strings.Contains(err.Error(), "noeviction") {
		t.Errorf("one that evicts: %v", err)
	}
	for _, info := range []Info{{Version: "6.2.14"}, {Version: "7.0.1", Role: "slave"}} {
		if err := info.fit(); !errors.Is(err, ErrUnfit) {
			t.Errorf("%+v: %v", info, err)
		}
	}
}

func TestALateWriteDoesNotReplaceANewerOne(t *testing.T) {
	s := openStore(t, Options{})
	old := openStore(t, Options{Environment: s.o.Environment}) // the same life: its version is behind
	for _, bad := range []uint32{1, 2} {
		if err := s.Publish(t.Context(), exchangetest.Row("r1", 5, bad)); err != nil {
			t.Fatal(err)
		}
	}
	if err := old.Publish(t.Context(), exchangetest.Row("r1", 5, 7)); err != nil {
		t.Fatal(err)
	}
	rows, err := s.Read(t.Context(), 5)
	if err != nil || len(rows) != 1 || rows[0].Counts.Items[0].Reasons[0].N != 2 {
		t.Errorf("rows %+v, %v; want the second version", rows, err)
	}
}

func TestADamagedRowIsAnError(t *testing.T) {
	s := openStore(t, Options{})
	if err := s.Publish(t.Context(), exchangetest.Row("r1", 5, 1)); err != nil {
		t.Fatal(err)
	}
	foreign := string(exchangetest.Row("r3", 6, 1).Pack(nil))
	for _, value := range []string{"", "garbage", foreign} {
		admin(t, "HSET", s.key("second", 5), "r2", value)
		if rows, err := s.Read(t.Context(), 5); !errors.Is(err, monitor.ErrPacked) {
			t.Errorf("with %.10q: %d rows, %v; want ErrPacked", value, len(rows), err)
		}
	}
}

func TestAForeignClaimIsUnverified(t *testing.T) {
	s := openStore(t, Options{})
	admin(t, "SET", s.o.Environment+":claim:0000000000000001", "somebody else's")
	answers, err := s.Claim(t.Context(), 5, 6, []monitor.Claim{{Attempt: 1}, {Attempt: 2}})
	if !errors.Is(err, monitor.ErrClaim) || answers[0].Verdict != monitor.Unverified || answers[1].Verdict != monitor.Won {
		t.Errorf("answers %+v, %v; want the first alone unverified", answers, err)
	}
}
