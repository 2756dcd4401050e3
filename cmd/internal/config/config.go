package config

import (
	"log/slog"
	"time"
)

// Defaults of settings.
const (
	DefaultEnvironment = "default"
	DefaultListen      = "127.0.0.1:7600"
	DefaultHTTP        = "127.0.0.1:7601"
	DefaultDataDir     = "sluice-data"
	DefaultEtcdTimeout = 500 * time.Millisecond
	DefaultKeep        = 14 * 24 * time.Hour // of recordings
	DefaultMaxMiB      = 10 * 1024           // of recordings
	DefaultLogMiB      = 256                 // of a file of the decision log
)

// Config is the configuration of one replica.
type Config struct {
	Environment string     // name of the deployment, part of every storage key
	Replica     string     // name of this replica, stable over restarts
	Listen      string     // gRPC address
	HTTP        string     // address of metrics and health; empty = none
	AddressFile string     // written with the addresses in force; empty = none
	DataDir     string     // of the embedded etcd; unused with an external one
	Catalog     string     // catalogue file put in force at start; empty = the store's
	Identities  string     // file of who may call; empty = anybody who reaches the loopback address
	LogLevel    slog.Level // the least severe messages that are logged
	TLS         ServerTLS
	Etcd        Etcd
	Redis       Redis
	Recording   Recording
	DecisionLog DecisionLog
}

// ServerTLS names the files of the gRPC edge's TLS; all empty = plain text.
type ServerTLS struct {
	Cert, Key string
	ClientCA  string // authorities of client certificates, which are then required
}

// On reports whether the edge speaks TLS.
func (t ServerTLS) On() bool { return t != ServerTLS{} }

// ClientTLS names the files of TLS to a store, and the name its certificate must have.
type ClientTLS struct {
	CA         string // empty = the authorities that the machine trusts
	Cert, Key  string // of this client; empty = none
	ServerName string // empty = the host of the address
}

// Given reports whether anything of it is set.
func (t ClientTLS) Given() bool { return t != ClientTLS{} }

// Etcd says how an external etcd is reached; without endpoints an etcd runs in the process.
type Etcd struct {
	Endpoints    []string // URLs: http://host:port or https://host:port
	TLS          ClientTLS
	Username     string
	PasswordFile string
	Timeout      time.Duration // of one call
}

// External reports whether an external etcd is used.
func (e *Etcd) External() bool { return len(e.Endpoints) > 0 }

// Secure reports whether it is reached over TLS.
func (e *Etcd) Secure() bool { return e.External() && secure(e.Endpoints[0]) }

// Redis says how Redis is reached; without an address the exchange is in memory.
type Redis struct {
	Address      string // redis://host:port or rediss://host:port
	TLS          ClientTLS
	Username     string
	PasswordFile string
	DB           int
}

// Recording says where this replica records what it sees while it leads; without a directory it does not.
type Recording struct {
	Directory string
	Keep      time.Duration // files last written longer ago are removed
	MaxMiB    int           // of this replica's files together; the oldest are removed
}

// DecisionLog says which decisions are logged; without a sample none are.
type DecisionLog struct {
	SamplePPM int    // part of the payments, in parts per million
	Salt      string // which payments are sampled hangs on it; empty = the environment's name
	File      string // JSON lines are added to it; empty = the records go to the process's log
	MaxMiB    int    // the file is renamed to <file>.1 and begun anew when it is so large
}

// Used reports whether a Redis is configured.
func (r *Redis) Used() bool { return r.Address != "" }

// Secure reports whether it is reached over TLS.
func (r *Redis) Secure() bool { return secure(r.Address) }
