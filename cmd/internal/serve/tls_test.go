package serve_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/cmd/internal/config"
	"github.com/sluice-pay/sluice/cmd/internal/embedded"
	"github.com/sluice-pay/sluice/cmd/internal/serve"
)

// authority signs certificates for a test.
type authority struct {
	dir    string
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	serial int64
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.cert, a.key = a.issue(t, name, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue writes <name>.pem and <name>.key.
func (a *authority) issue(t *testing.T, name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	a.serial++
	c.SerialNumber, c.Subject = big.NewInt(a.serial), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, a.path(name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, a.path(name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

// leaf issues a certificate for both sides of a connection on this machine, known as host.
func (a *authority) leaf(t *testing.T, name, host string) {
	t.Helper()
	a.issue(t, name, &x509.Certificate{
		DNSNames: []string{host}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// startSecureEtcd starts an etcd that wants client certificates, and a user once enableAuth has been called.
func startSecureEtcd(t *testing.T, a *authority) (address string) {
	t.Helper()
	address = freeAddress(t)
	c := embed.NewConfig()
	c.Dir = t.TempDir()
	c.ListenPeerUrls, c.ListenClientUrls = nil, []url.URL{{Scheme: "https", Host: address}}
	c.AdvertiseClientUrls = c.ListenClientUrls
	c.ClientTLSInfo = transport.TLSInfo{
		CertFile: a.path("etcd.pem"), KeyFile: a.path("etcd.key"), TrustedCAFile: a.path("ca.pem"), ClientCertAuth: true,
	}
	c.UnsafeNoFsync = true
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(embedded.NewLogger(nil))
	s, err := embed.StartEtcd(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	<-s.Server.ReadyNotify()
	return address
}

// enableAuth makes user sluice, who may do everything below its environment and nothing else.
func enableAuth(t *testing.T, e config.Etcd, environment string) {
	t.Helper()
	client, err := serve.DialEtcd(e, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	prefix := "/sluice/" + environment + "/"
	for _, step := range []func() error{
		func() error { _, err := client.UserAdd(ctx, "root", "root-password"); return err },
		func() error { _, err := client.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := client.UserAdd(ctx, "sluice", "right"); return err },
		func() error { _, err := client.RoleAdd(ctx, "sluice"); return err },
		func() error {
			_, err := client.RoleGrantPermission(ctx, "sluice", prefix, clientv3.GetPrefixRangeEnd(prefix), clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := client.UserGrantRole(ctx, "sluice", "sluice"); return err },
		func() error { _, err := client.AuthEnable(ctx); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
}

// A replica uses an etcd behind mutual TLS and a password, and says at once when the password is wrong.
func TestSecureEtcd(t *testing.T) {
	a := newAuthority(t, "ca")
	a.leaf(t, "etcd", "etcd.internal")
	a.leaf(t, "client", "client.internal")
	address := startSecureEtcd(t, a)
	e := config.Etcd{
		Endpoints: []string{"https://" + address}, Timeout: config.DefaultEtcdTimeout,
		TLS: config.ClientTLS{CA: a.path("ca.pem"), Cert: a.path("client.pem"), Key: a.path("client.key"), ServerName: "etcd.internal"},
	}
	enableAuth(t, e, "test")
	write(t, a.path("right"), []byte("right\n"))
	write(t, a.path("wrong"), []byte("wrong\n"))
	e.Username, e.PasswordFile = "sluice", a.path("right")
	o := serve.Options{Environment: "test", Replica: "a", Etcd: e, Catalog: catalog(t)}
	r := run(t, o)
	if err := r.order(t.Context(), sluicev1.Action_ACTION_OFF, "off"); err != nil {
		t.Error(err)
	}
	until(t, "the order", r.routesTo(false))
	if err := r.stop(); err != nil {
		t.Error(err)
	}

	o.Etcd.PasswordFile = a.path("wrong")
	start := time.Now()
	if err := serve.Run(t.Context(), o); err == nil {
		t.Error("a wrong password was accepted")
	} else if took := time.Since(start); took > 10*time.Second {
		t.Errorf("a wrong password was told after %v only: %v", took, err)
	}
	o.Etcd.PasswordFile, o.Environment = a.path("right"), "other"
	if err := serve.Run(t.Context(), o); err == nil {
		t.Error("keys of another environment could be written")
	}

	for name, change := range map[string]func(*config.Etcd){
		"other authority": func(e *config.Etcd) {
			e.TLS.CA = newAuthority(t, "ca").path("ca.pem")
		},
		"other name":     func(e *config.Etcd) { e.TLS.ServerName = "elsewhere.internal" },
		"no certificate": func(e *config.Etcd) { e.TLS.Cert, e.TLS.Key = "", "" },
	} {
		bad := e
		bad.Username, bad.PasswordFile = "", ""
		change(&bad)
		client, err := serve.DialEtcd(bad, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if _, err := client.Get(ctx, "/sluice/test/head"); err == nil || status.Code(err) == codes.PermissionDenied {
			t.Errorf("%s: got %v, want no connection", name, err)
		}
		cancel()
		client.Close()
	}
}

// The gRPC edge speaks TLS, wants a client's certificate if authorities are named, and takes over replaced certificates.
func TestEdgeTLS(t *testing.T) {
	a := newAuthority(t, "ca")
	a.leaf(t, "edge", "one.internal")
	a.leaf(t, "client", "client.internal")
	tlsOf := config.ServerTLS{Cert: a.path("edge.pem"), Key: a.path("edge.key"), ClientCA: a.path("ca.pem")}
	conf, err := tlsOf.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := config.ClientTLS{CA: a.path("ca.pem"), Cert: a.path("client.pem"), Key: a.path("client.key"), ServerName: "one.internal"}
	r := run(t, serve.Options{Replica: "a", DataDir: t.TempDir(), NoSync: true, Catalog: catalog(t), TLS: conf}, withTLS(t, client))
	if err := r.routesTo(true)(t.Context()); err != nil {
		t.Error(err)
	}
	bare := client
	bare.Cert, bare.Key = "", ""
	r.connect(t, withTLS(t, bare))
	if err := r.routesTo(true)(t.Context()); status.Code(err) != codes.Unavailable {
		t.Errorf("without a client's certificate: %v", err)
	}
	r.connect(t)
	if err := r.routesTo(true)(t.Context()); status.Code(err) != codes.Unavailable {
		t.Errorf("plain text: %v", err)
	}

	a.leaf(t, "edge", "two.internal")
	client.ServerName = "two.internal"
	r.connect(t, withTLS(t, client))
	if err := r.routesTo(true)(t.Context()); err != nil {
		t.Errorf("after the certificate was replaced: %v", err)
	}
	write(t, a.path("edge.pem"), []byte("rubbish"))
	r.connect(t, withTLS(t, client))
	if err := r.routesTo(true)(t.Context()); err != nil {
		t.Errorf("after the certificate was spoilt: %v", err)
	}
}
