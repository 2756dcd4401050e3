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
	exchangetest.Run(t, func(t *testing.T) monitor.Exchange { return openStore(t, Options{}) })
}

func TestClaims(t *testing.T) {
	claimstest.Run(t, func(t *testing.T) claimstest.Join {
		env := environment()
		return func(t *testing.T, name string, boot uint64) claimstest.Replica {
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
