package redisstore

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/sluice-pay/sluice/statemachine"
)

// ErrOptions is wrapped by the errors of Open.
var ErrOptions = errors.New("invalid Redis options")

const (
	defaultBudget       = 50 * time.Millisecond
	defaultClaimSeconds = 3600
	poolTimeout         = 20 * time.Millisecond
	poolSize            = 32
	minIdle             = 8
	bufferSize          = 64 << 10 // bytes of a connection's buffers: pipelines of a thousand commands
)

// Secret is a text that is never shown: not by fmt, not by slog, not as JSON.
type Secret string

// String returns three stars.
func (Secret) String() string { return "***" }

// GoString returns three stars.
func (Secret) GoString() string { return "***" }

// LogValue returns three stars.
func (Secret) LogValue() slog.Value { return slog.StringValue("***") }

// MarshalText returns three stars.
func (Secret) MarshalText() ([]byte, error) { return []byte("***"), nil }

// Options say where Redis is and who asks. Address, Environment and Replica are required.
type Options struct {
	Address      string        // host:port, or the path of a Unix socket
	Username     string        // empty = the default user
	Password     Secret        // empty = none
	TLS          *tls.Config   // nil = plain text
	Database     int           // 0 to 15, as Redis is configured
	Environment  string        // first part of every key
	Replica      string        // name of this replica
	Boot         uint64        // greater at every start of the replica
	Budget       time.Duration // of one operation; 0 = 50 ms
	ClaimSeconds int64         // how long claims are kept, seconds; 0 = 3600. Longer than monitor.CountersOptions.ClaimWindow
}

// check fills in defaults and says what is wrong.
func (o Options) check() (Options, error) {
	switch {
	case o.Address == "":
		return o, fmt.Errorf("%w: address is empty: want host:port or the path of a socket", ErrOptions)
	case !statemachine.ValidName(o.Environment):
		return o, fmt.Errorf("%w: environment %q: want 1 to 64 of letters, digits, '.', '_' or '-'", ErrOptions, o.Environment)
	case !statemachine.ValidName(o.Replica):
		return o, fmt.Errorf("%w: replica %q: want 1 to 64 of letters, digits, '.', '_' or '-'", ErrOptions, o.Replica)
	case o.Database < 0:
		return o, fmt.Errorf("%w: database %d: want 0 or more", ErrOptions, o.Database)
	case o.Budget < 0:
		return o, fmt.Errorf("%w: budget %s: want more than 0", ErrOptions, o.Budget)
	case o.ClaimSeconds < 0 || o.ClaimSeconds > 0 && o.ClaimSeconds < keptSeconds:
		return o, fmt.Errorf("%w: claims kept %d s: want %d or more", ErrOptions, o.ClaimSeconds, keptSeconds)
	}
	if o.Budget == 0 {
		o.Budget = defaultBudget
	}
	if o.ClaimSeconds == 0 {
		o.ClaimSeconds = defaultClaimSeconds
	}
	return o, nil
}

// client returns the settings of the client: nothing is repeated by itself, and nothing outlasts the budget.
func (o Options) client() *redis.Options {
	return &redis.Options{
		Addr: o.Address, Username: o.Username, Password: string(o.Password), TLSConfig: o.TLS, DB: o.Database,
		ContextTimeoutEnabled: true, // without it a deadline is ignored
		MaxRetries:            -1,   // none: a write that timed out may have happened
		DialTimeout:           o.Budget, ReadTimeout: o.Budget, WriteTimeout: o.Budget,
		DialerRetries: 1, // five by default, 100 ms apart
		PoolTimeout:   min(poolTimeout, o.Budget), PoolSize: poolSize, MinIdleConns: minIdle,
		PipelinePoolSize: -1, // pipelines use the connections that are open already
		ReadBufferSize:   bufferSize, WriteBufferSize: bufferSize,
		DisableIdentity:          true, // one round trip less in the handshake, and none that may time out alone
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}
