package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/sluice-pay/sluice/cmd/internal/config"
)

func load(t *testing.T, text string, env []string, args ...string) (*config.Loaded, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f := pflag.NewFlagSet("t", pflag.ContinueOnError)
	config.AddFlags(f)
	if err := f.Parse(args); err != nil {
		t.Fatal(err)
	}
	return config.Load(config.Sources{File: file, Environ: env, Flags: f})
}

func from(l *config.Loaded, key string) string {
	i := slices.IndexFunc(l.Values, func(v config.Value) bool { return v.Key == key })
	if i < 0 {
		return "missing"
	}
	return l.Values[i].Value + " from " + l.Values[i].From
}

const full = `
environment: prod
replica: shanghai-1
listen: 0.0.0.0:7600
http: 127.0.0.1:7601
catalog: catalog.yaml
identities: /etc/sluice/identities.yaml
log_level: warn
tls: {cert: tls/server.pem, key: tls/server.key, client_ca: tls/clients.pem}
etcd:
  endpoints: [etcd-1:2379, "etcd-2:2379", https://etcd-3:2379/]
  tls:
    ca: tls/etcd-ca.pem
    cert: tls/etcd.pem
    key: tls/etcd.key
    server_name: etcd.internal
  username: sluice
  password_file: secrets/etcd
  timeout: 750ms
redis:
  address: redis.internal:6380
  tls: {ca: tls/redis-ca.pem}
  username: sluice
  password_file: /run/secrets/redis
  db: 3
`

// Every key of the file arrives where it belongs, and relative paths start at the file.
func TestFile(t *testing.T) {
	l, err := load(t, full, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(l.File)
	if l.Environment != "prod" || l.Replica != "shanghai-1" || l.Listen != "0.0.0.0:7600" || l.LogLevel.String() != "WARN" {
		t.Errorf("got %+v", l.Config)
	}
	if l.Catalog != filepath.Join(dir, "catalog.yaml") || l.Identities != "/etc/sluice/identities.yaml" {
		t.Errorf("paths: %s, %s", l.Catalog, l.Identities)
	}
	checkBlocks(t, l, dir)
}

func checkBlocks(t *testing.T, l *config.Loaded, dir string) {
	t.Helper()
	if want := (config.ServerTLS{Cert: dir + "/tls/server.pem", Key: dir + "/tls/server.key", ClientCA: dir + "/tls/clients.pem"}); l.TLS != want {
		t.Errorf("tls: %+v", l.TLS)
	}
	e := l.Etcd
	if !slices.Equal(e.Endpoints, []string{"https://etcd-1:2379", "https://etcd-2:2379", "https://etcd-3:2379"}) || !e.External() || !e.Secure() {
		t.Errorf("endpoints: %v", e.Endpoints)
	}
	if e.TLS.ServerName != "etcd.internal" || e.Username != "sluice" || e.PasswordFile != dir+"/secrets/etcd" || e.Timeout != 750*time.Millisecond {
		t.Errorf("etcd: %+v", e)
	}
	want := config.Redis{
		Address: "rediss://redis.internal:6380", TLS: config.ClientTLS{CA: dir + "/tls/redis-ca.pem"}, Username: "sluice",
		PasswordFile: "/run/secrets/redis", DB: 3,
	}
	if l.Redis != want || !l.Redis.Secure() || len(l.Warnings) != 0 {
		t.Errorf("redis: %+v; warnings %v", l.Redis, l.Warnings)
	}
}

// Flags outrank variables, these the file, and the file the defaults; each value tells where it comes from.
func TestPrecedence(t *testing.T) {
	l, err := load(t, "environment: a\nreplica: a\nlisten: 127.0.0.1:1\n",
		[]string{"SLUICE_REPLICA=b", "SLUICE_LISTEN=127.0.0.1:2", "SLUICE_HTTP=", "SLUICE_ETCD_ENDPOINTS=x:1,y:2", "HOME=/"},
		"--listen", "127.0.0.1:3", "--http", "none")
	if err != nil {
		t.Fatal(err)
	}
	if l.Environment != "a" || l.Replica != "b" || l.Listen != "127.0.0.1:3" || l.HTTP != "" || l.DataDir != config.DefaultDataDir {
		t.Errorf("got %+v", l.Config)
	}
	if !slices.Equal(l.Etcd.Endpoints, []string{"http://x:1", "http://y:2"}) {
		t.Errorf("endpoints %v", l.Etcd.Endpoints)
	}
	for key, want := range map[string]string{
		"environment": "a from file " + l.File + ":1", "replica": "b from $SLUICE_REPLICA", "listen": "127.0.0.1:3 from --listen",
		"data_dir": "sluice-data from default", "etcd.endpoints": "x:1,y:2 from $SLUICE_ETCD_ENDPOINTS", "tls.cert": " from default",
	} {
		if got := from(l, key); got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
}

// Without any source a replica runs on this machine alone.
func TestDefaults(t *testing.T) {
	l, err := config.Load(config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	if l.Listen != config.DefaultListen || l.HTTP != config.DefaultHTTP || l.Etcd.External() || l.Redis.Used() || l.TLS.On() || l.Replica == "" {
		t.Errorf("got %+v", l.Config)
	}
	if len(l.Warnings) > 0 {
		t.Errorf("warnings: %v", l.Warnings)
	}
}

// The variable SLUICE_CONFIG names the file unless --config does.
func TestConfigFile(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml")
	for file, text := range map[string]string{a: "environment: a\n", b: "environment: b\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := pflag.NewFlagSet("t", pflag.ContinueOnError)
	config.AddFlags(f)
	src := config.Sources{Environ: []string{"SLUICE_CONFIG=" + a}, Flags: f}
	if l, err := config.Load(src); err != nil || l.Environment != "a" {
		t.Errorf("variable: %v, %v", l, err)
	}
	if err := f.Parse([]string{"--config", b}); err != nil {
		t.Fatal(err)
	}
	if l, err := config.Load(src); err != nil || l.Environment != "b" {
		t.Errorf("flag: %v, %v", l, err)
	}
	if _, err := config.Load(config.Sources{File: filepath.Join(dir, "none.yaml")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestProblems(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		env  []string
		args []string
		want []string // each a place and a part of the message
	}{
		"all at once": {
			text: "environmnt: x\nreplica: a b\nlisten: nowhere\nlog_level: loud\netcd:\n  endpoints: [a, 'b:0', 'ftp://c:1', 'https://u:p@d:1']\n  password: secret\n  timeout: 1h\n",
			want: []string{
				":1:1: environmnt: unknown key; did you mean environment?", ":2:10: replica: \"a b\"", ":3:9: listen: \"nowhere\": want HOST:PORT",
				":4:12: log_level", ":6:14: etcd.endpoints: \"a\"", ":6:14: etcd.endpoints: \"b:0\"", ":6:14: etcd.endpoints: \"ftp://c:1\"",
				":6:14: etcd.endpoints: an address must not hold a user", ":7:3: etcd.password: secrets are never written here", ":8:12: etcd.timeout",
			},
		},
		"two stores":              {text: "data_dir: d\netcd: {endpoints: ['127.0.0.1:1']}\n", want: []string{":1:11: data_dir: is of the store in the process"}},
		"two stores, flag":        {text: "etcd: {endpoints: ['127.0.0.1:1']}\n", args: []string{"--data-dir", "d"}, want: []string{"--data-dir: data_dir: is of"}},
		"store without address":   {text: "etcd: {username: u}\n", want: []string{":1:18: etcd.username: is of use with etcd.endpoints only"}},
		"half a pair":             {text: "tls: {cert: a}\n", want: []string{":1:13: tls.cert: needs tls.key"}},
		"user without a password": {text: "etcd: {endpoints: ['127.0.0.1:1'], username: u}\n", want: []string{"etcd.username: needs etcd.password_file"}},
		"open to all":             {text: "listen: :7600\n", want: []string{":1:9: listen: \":7600\": without identities only a loopback"}},
		"one port twice":          {text: "listen: 127.0.0.1:1\nhttp: 127.0.0.1:1\n", want: []string{":2:7: http: \"127.0.0.1:1\": is the address of gRPC"}},
		"TLS over plain text":     {text: "etcd: {endpoints: ['http://127.0.0.1:1'], tls: {ca: x}}\n", want: []string{"etcd.endpoints: says http://, but etcd.tls is set"}},
		"mixed schemes":           {text: "etcd: {endpoints: ['http://127.0.0.1:1', 'https://127.0.0.1:2']}\n", want: []string{"are mixed"}},
		"named twice":             {text: "etcd: {endpoints: ['127.0.0.1:1', '127.0.0.1:1']}\n", want: []string{"named twice"}},
		"empty block":             {text: "etcd:\n  endpoints: [127.0.0.1:1]\n  tls: {}\n", want: []string{":3:8: etcd.tls: is empty"}},
		"no value":                {text: "identities:\n", want: []string{"identities: has no value"}},
		"list for one":            {text: "listen: [a, b]\n", want: []string{":1:9: listen: want a plain value"}},
		"value for a group":       {text: "etcd: 127.0.0.1:2379\n", want: []string{":1:7: etcd: want keys with values: endpoints"}},
		"anchor":                  {text: "environment: &a x\nreplica: *a\n", want: []string{":1:14: environment: anchors", ":2:10: replica: anchors"}},
		"no YAML":                 {text: "listen: [\n", want: []string{"sluice.yaml:"}},
		"key twice":               {text: "replica: a\nreplica: b\nx: y\n", want: []string{":2:1: replica: is given twice", ":3:1: x: unknown key"}},
		"two documents":           {text: "replica: a\n---\nreplica: b\n", want: []string{"one document"}},
		"a list":                  {text: "- a\n", want: []string{":1:1: want keys with values"}},
		"secret in a variable":    {env: []string{"SLUICE_ETCD_PASSWORD=x"}, want: []string{"$SLUICE_ETCD_PASSWORD: secrets are read from files only"}},
		"bad variable":            {env: []string{"SLUICE_LISTEN=x"}, want: []string{"$SLUICE_LISTEN: listen: \"x\": want HOST:PORT"}},
		"bad flag, overridden":    {text: "log_level: x\n", args: []string{"--log-level", "info"}, want: []string{":1:12: log_level: \"x\""}},
		"redis values":            {text: "redis: {address: '127.0.0.1:6379', db: -1}\n", want: []string{"redis.db: \"-1\": want a whole number"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, tc.text, tc.env, tc.args...)
			problems, ok := errors.AsType[config.Errors](err)
			if !ok || !errors.Is(err, config.ErrConfig) {
				t.Fatalf("got %v", err)
			}
			if len(problems) < len(tc.want) {
				t.Errorf("%d problems, want %d", len(problems), len(tc.want))
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v\nwant %s", err, want)
				}
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	l, err := load(t, "listen: :7600\nidentities: x\netcd: {endpoints: ['etcd:2379']}\n", []string{"SLUICE_ETCD_ENDPOINT=x", "SLUICE_ADDRESS=x", "SLUICE_PORT=tcp://1"})
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(l.Warnings, "\n")
	for _, want := range []string{"without TLS", "plain text", "did you mean $SLUICE_ETCD_ENDPOINTS", "judges only the results reported to itself"} {
		if !strings.Contains(got, want) {
			t.Errorf("no warning with %q in\n%s", want, got)
		}
	}
	if len(l.Warnings) != 4 {
		t.Errorf("warnings:\n%s", got)
	}
}

// Any text ends in a configuration or in problems, each with a place.
func FuzzCheck(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte("etcd: {endpoints: [&a b, *a]}\n? [x]\n: y\n"))
	f.Add([]byte("tls:\n - a\nredis: !!map {address: |\n  x}\n"))
	f.Add([]byte("\xef\xbb\xbfreplica: x\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := config.Check("f.yaml", data)
		if err == nil {
			if l.Environment == "" || l.Replica == "" || l.Listen == "" {
				t.Errorf("incomplete: %+v", l.Config)
			}
			return
		}
		problems, ok := errors.AsType[config.Errors](err)
		if !ok || len(problems) == 0 {
			t.Fatalf("got %T", err)
		}
		for _, p := range problems {
			if p.Message == "" || p.Place == "" {
				t.Errorf("no place or no message: %#v", p)
			}
		}
	})
}
