package config

import (
	"slices"
	"strconv"
	"strings"
)

// setting is one thing that can be configured.
type setting struct {
	key      string // dotted, as in the file
	usage    string
	standard string // its default as text; empty = none
	list     bool   // takes several values
	file     bool   // is a path: relative ones in the file start at the file's directory
	parse    func(c *Config, values []string) error
}

// flag is the name of the setting's flag.
func (s *setting) flag() string { return strings.NewReplacer(".", "-", "_", "-").Replace(s.key) }

// variable is the name of the setting's environment variable.
func (s *setting) variable() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))
}

// settings lists everything that can be configured, in the order in which it is shown.
func settings() []setting {
	return slices.Concat(processSettings(), storeSettings(), recordingSettings(), decisionLogSettings())
}

func processSettings() []setting {
	return []setting{
		{
			key: "environment", usage: "name of the deployment, part of every storage key", standard: DefaultEnvironment,
			parse: into(func(c *Config) *string { return &c.Environment }, name),
		},
		{
			key: "replica", usage: "name of this replica, stable over restarts (default: the host's name)",
			parse: into(func(c *Config) *string { return &c.Replica }, name),
		},
		{
			key: "listen", usage: "gRPC address", standard: DefaultListen,
			parse: into(func(c *Config) *string { return &c.Listen }, listenAddress),
		},
		{
			key: "http", usage: "address of /metrics, /healthz and /readyz, in plain text; none = none", standard: DefaultHTTP,
			parse: into(func(c *Config) *string { return &c.HTTP }, optionalAddress),
		},
		{
			key: "data_dir", usage: "directory of the store in the process", standard: DefaultDataDir, file: true,
			parse: into(func(c *Config) *string { return &c.DataDir }, path),
		},
		{
			key: "catalog", usage: "catalogue `file` to put in force at start; without it the store's is served", file: true,
			parse: into(func(c *Config) *string { return &c.Catalog }, path),
		},
		{
			key: "identities", usage: "`file` of who may call; without it only a loopback address is served, to anybody", file: true,
			parse: into(func(c *Config) *string { return &c.Identities }, path),
		},
		{
			key: "address_file", usage: "`file` to write the addresses in force to, as JSON", file: true,
			parse: into(func(c *Config) *string { return &c.AddressFile }, path),
		},
		{key: "log_level", usage: "debug, info, warn or error", standard: "info", parse: logLevel},
		{
			key: "tls.cert", usage: "PEM `file` of the gRPC edge's certificate", file: true,
			parse: into(func(c *Config) *string { return &c.TLS.Cert }, path),
		},
		{
			key: "tls.key", usage: "PEM `file` of its key", file: true,
			parse: into(func(c *Config) *string { return &c.TLS.Key }, path),
		},
		{
			key: "tls.client_ca", usage: "PEM `file` of the authorities of clients' certificates, which are then required", file: true,
			parse: into(func(c *Config) *string { return &c.TLS.ClientCA }, path),
		},
	}
}

func recordingSettings() []setting {
	return []setting{
		{
			key: "recording.directory", usage: "directory to record sealed seconds and changes in, for sluice backtest; without it nothing is recorded", file: true,
			parse: into(func(c *Config) *string { return &c.Recording.Directory }, path),
		},
		{key: "recording.keep", usage: "how long recordings are kept, 1h to 8760h", standard: DefaultKeep.String(), parse: recordingKeep},
		{
			key: "recording.max_mib", usage: "how many MiB this replica's recordings may take, 64 to 1048576; the oldest are removed", standard: strconv.Itoa(DefaultMaxMiB),
			parse: recordingMax,
		},
	}
}

func decisionLogSettings() []setting {
	return []setting{
		{
			key: "decision_log.sample_ppm", usage: "part of the payments whose decisions are logged, in parts per million, 0 to 1000000; the same payments on every replica", standard: "0",
			parse: decisionLogSample,
		},
		{
			key: "decision_log.salt", usage: "text that other payments are sampled with (default: the environment)",
			parse: into(func(c *Config) *string { return &c.DecisionLog.Salt }, name),
		},
		{
			key: "decision_log.file", usage: "`file` that decisions are added to as lines of JSON; without it they go to the process's log", file: true,
			parse: into(func(c *Config) *string { return &c.DecisionLog.File }, path),
		},
		{
			key: "decision_log.max_mib", usage: "how many MiB that file may have, 1 to 1048576, before it is renamed to <file>.1 and begun anew", standard: strconv.Itoa(DefaultLogMiB),
			parse: decisionLogMax,
		},
	}
}

func storeSettings() []setting {
	etcd := []setting{{
		key: "etcd.endpoints", usage: "addresses of an external etcd, HOST:PORT or URLs; without them one runs in the process", list: true,
		parse: func(c *Config, values []string) error { return addresses(&c.Etcd.Endpoints, values, "http", "https") },
	}}
	etcd = append(etcd, accessSettings("etcd", func(c *Config) access { return access{&c.Etcd.TLS, &c.Etcd.Username, &c.Etcd.PasswordFile} })...)
	etcd = append(etcd, setting{
		key: "etcd.timeout", usage: "how long one call to etcd may take, 50ms to 10s", standard: DefaultEtcdTimeout.String(), parse: etcdTimeout,
	})
	redis := []setting{{
		key: "redis.address", usage: "address of Redis, HOST:PORT or a redis:// or rediss:// URL; without it the exchange is in memory",
		parse: into(func(c *Config) *string { return &c.Redis.Address }, func(s string) (string, error) { return storeAddress(s, "redis", "rediss") }),
	}}
	redis = append(redis, accessSettings("redis", func(c *Config) access { return access{&c.Redis.TLS, &c.Redis.Username, &c.Redis.PasswordFile} })...)
	redis = append(redis, setting{key: "redis.db", usage: "number of the Redis database, 0 to 1023", standard: "0", parse: redisDB})
	return append(etcd, redis...)
}

// access is how a store lets this process in.
type access struct {
	tls                    *ClientTLS
	username, passwordFile *string
}

// accessSettings are what both stores have.
func accessSettings(store string, of func(*Config) access) []setting {
	return []setting{
		{
			key: store + ".tls.ca", usage: "PEM `file` of the authorities of " + store + "'s certificate (default: the machine's)", file: true,
			parse: into(func(c *Config) *string { return &of(c).tls.CA }, path),
		},
		{
			key: store + ".tls.cert", usage: "PEM `file` of this client's certificate", file: true,
			parse: into(func(c *Config) *string { return &of(c).tls.Cert }, path),
		},
		{
			key: store + ".tls.key", usage: "PEM `file` of its key", file: true,
			parse: into(func(c *Config) *string { return &of(c).tls.Key }, path),
		},
		{
			key: store + ".tls.server_name", usage: "name that " + store + "'s certificate must have (default: the host of the address)",
			parse: into(func(c *Config) *string { return &of(c).tls.ServerName }, hostName),
		},
		{
			key: store + ".username", usage: "user of " + store,
			parse: into(func(c *Config) *string { return of(c).username }, plainText),
		},
		{
			key: store + ".password_file", usage: "`file` that holds the password, alone", file: true,
			parse: into(func(c *Config) *string { return of(c).passwordFile }, path),
		},
	}
}
