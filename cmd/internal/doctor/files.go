package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"time"

	"github.com/sluice-pay/sluice/cmd/internal/config"
	"github.com/sluice-pay/sluice/routing/catalogfile"
)

// renewBefore is how long before its end a certificate should be replaced.
const renewBefore = 30 * 24 * time.Hour

// files checks the files that the configuration names.
func files(l *config.Loaded, now time.Time) []Check {
	list := []Check{catalogue(l), identities(l)}
	list = append(list, pair("TLS of gRPC", l.TLS.Cert, l.TLS.Key, now)...)
	list = append(list, authorities("clients' authorities", l.TLS.ClientCA, now)...)
	for _, s := range []struct {
		name     string
		tls      config.ClientTLS
		password string
	}{{"etcd", l.Etcd.TLS, l.Etcd.PasswordFile}, {"Redis", l.Redis.TLS, l.Redis.PasswordFile}} {
		list = append(list, authorities(s.name+" authorities", s.tls.CA, now)...)
		list = append(list, pair(s.name+" client", s.tls.Cert, s.tls.Key, now)...)
		list = append(list, secret(s.name+" password", s.password)...)
	}
	return list
}

func catalogue(l *config.Loaded) Check {
	const name = "catalogue"
	if l.Catalog == "" {
		return good(name, "no file: the one in the store is served")
	}
	data, err := os.ReadFile(l.Catalog)
	if err != nil {
		return fail(name, "put the file there, or name another as catalog", "%v", err)
	}
	c, plan, err := catalogfile.Check(l.Catalog, data)
	if problems, ok := errors.AsType[catalogfile.Errors](err); ok {
		return fail(name, "`sluice catalog validate "+l.Catalog+"` shows all", "%d problems, the first: %v", len(problems), problems[0])
	}
	if err != nil {
		return fail(name, "correct it", "%v", err)
	}
	return good(name, "%s: %d channels, %d lanes", l.Catalog, len(c.GetChannels()), len(plan.Fleet().Lanes))
}

func identities(l *config.Loaded) Check {
	const name = "identities"
	if l.Identities == "" {
		return good(name, "none: anybody on this machine may call")
	}
	ids, err := config.ReadIdentities(l.Identities)
	if err != nil {
		return fail(name, "correct the file", "%v", err)
	}
	return good(name, "%s: %d callers", l.Identities, len(ids))
}

// pair checks a certificate with its key.
func pair(name, cert, key string, now time.Time) []Check {
	if cert == "" {
		return nil
	}
	if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
		return []Check{fail(name, "put certificate and key that belong together at "+cert+" and "+key, "%v", err)}
	}
	list := []Check{expiry(name, cert, now)}
	if config.OpenToOthers(key) {
		list = append(list, warn(name, "chmod 600 "+key, "everybody on this machine can read the key %s", key))
	}
	return list
}

func authorities(name, file string, now time.Time) []Check {
	if file == "" {
		return nil
	}
	return []Check{expiry(name, file, now)}
}

// expiry tells when the first certificate in a file ends.
func expiry(name, file string, now time.Time) Check {
	data, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		return fail(name, "put the file there", "%v", err)
	}
	var first *x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fail(name, "replace "+file, "%s: %v", file, err)
		}
		if first == nil || c.NotAfter.Before(first.NotAfter) {
			first = c
		}
	}
	if first == nil {
		return fail(name, "replace "+file, "%s holds no certificate in PEM", file)
	}
	return lifetime(name, file, first, now)
}

// lifetime judges how long a certificate still lives.
func lifetime(name, where string, c *x509.Certificate, now time.Time) Check {
	left := c.NotAfter.Sub(now)
	day := c.NotAfter.UTC().Format(time.DateOnly)
	switch {
	case now.Before(c.NotBefore):
		return fail(name, "look at this machine's clock and at the certificate", "%s is valid from %s only", where, c.NotBefore.UTC().Format(time.RFC3339))
	case left <= 0:
		return fail(name, "replace the certificate", "%s expired %s ago, on %s", where, brief(left), day)
	case left < renewBefore:
		return warn(name, "replace the certificate", "%s expires in %s, on %s", where, brief(left), day)
	}
	return good(name, "%s is valid until %s", where, day)
}

func secret(name, file string) []Check {
	if file == "" {
		return nil
	}
	if _, err := config.ReadSecret(file); err != nil {
		return []Check{fail(name, "put the password, alone, into "+file, "%v", err)}
	}
	if config.OpenToOthers(file) {
		return []Check{warn(name, "chmod 600 "+file, "everybody on this machine can read %s", file)}
	}
	return []Check{good(name, "%s can be read", file)}
}
