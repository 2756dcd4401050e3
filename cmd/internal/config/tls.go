package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Load reads the files and returns the TLS of the gRPC edge, nil for plain text. Files that are replaced later are in force at
// the next handshake; what cannot be read then is logged, and the old ones stay.
func (t ServerTLS) Load(logger *slog.Logger) (*tls.Config, error) {
	if !t.On() {
		return nil, nil //nolint:nilnil // plain text is no error
	}
	kept := &kept[*tls.Config]{files: nonEmpty(t.Cert, t.Key, t.ClientCA), logger: logger, load: t.read}
	first, err := kept.get()
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	first = first.Clone()
	first.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return kept.get() }
	return first, nil
}

func (t ServerTLS) read() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", t.Cert, t.Key, err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}}
	if t.ClientCA != "" {
		if c.ClientCAs, err = readPool(t.ClientCA); err != nil {
			return nil, err
		}
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return c, nil
}

// Load reads the files and returns the TLS to a store. A client certificate that is replaced later is in force at the next
// handshake; the authorities are read once.
func (t ClientTLS) Load(logger *slog.Logger) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	var err error
	if t.CA != "" {
		if c.RootCAs, err = readPool(t.CA); err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
	}
	if t.Cert != "" {
		kept := &kept[*tls.Certificate]{files: []string{t.Cert, t.Key}, logger: logger, load: t.read}
		if _, err := kept.get(); err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return kept.get() }
	}
	return c, nil
}

func (t ClientTLS) read() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", t.Cert, t.Key, err)
	}
	return &pair, nil
}

func readPool(path string) (*x509.CertPool, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("authorities: %s holds no certificate in PEM", path)
	}
	return pool, nil
}

// kept is what was made of files, and is made again when they change.
type kept[T any] struct {
	files  []string
	logger *slog.Logger
	load   func() (T, error)

	mu     sync.Mutex
	loaded bool
	stamps []stamp
	value  T
}

// stamp tells one content of a file from the next.
type stamp struct {
	modified time.Time
	size     int64
}

func (k *kept[T]) get() (T, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now, err := stampsOf(k.files)
	if k.loaded && (err != nil || same(now, k.stamps)) {
		return k.value, nil
	}
	v, loadErr := k.load()
	switch {
	case loadErr == nil:
		k.value, k.stamps, k.loaded = v, now, true
	case !k.loaded:
		return v, loadErr
	default:
		if k.logger != nil {
			k.logger.Error("replaced certificates cannot be read, the old ones stay in force", slog.Any("error", loadErr))
		}
		k.stamps = now // said once
	}
	return k.value, nil
}

func stampsOf(files []string) ([]stamp, error) {
	list := make([]stamp, len(files))
	var errs []error
	for i, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list[i] = stamp{info.ModTime(), info.Size()}
	}
	return list, errors.Join(errs...)
}

func same(a, b []stamp) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !a[i].modified.Equal(b[i].modified) || a[i].size != b[i].size {
			return false
		}
	}
	return true
}

func nonEmpty(list ...string) []string {
	var out []string
	for _, s := range list {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}
