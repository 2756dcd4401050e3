package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	defaultAddress = "127.0.0.1:7600"
	// maxReply bounds a reply: a page of a thousand channels with all their scopes fits.
	maxReply = 64 << 20
)

// connectionFlags say how the server is reached.
type connectionFlags struct {
	address, token, ca, cert, key string
	insecure                      bool
	timeout                       time.Duration
}

// connection gives a command the flags of the connection.
func (a *app) connection(cmd *cobra.Command) {
	a.conn.register(cmd)
	cmd.Flags().StringVar(&a.context, "context", "", "`NAME` of a context of 'sluice context set' (default $SLUICE_CONTEXT, else the one in use)")
	complete(cmd, "context", a.completeContexts)
}

func (c *connectionFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.address, "address", "", "`HOST:PORT` of the server (default $SLUICE_ADDRESS, else that of the context, else "+defaultAddress+")")
	f.StringVar(&c.token, "token", "", "bearer token; others on this machine can see it here\n(default $SLUICE_TOKEN, else the context's token file, else ~/.config/sluice/token)")
	f.StringVar(&c.ca, "ca", "", "PEM `FILE` with the authorities that the server's certificate is checked against")
	f.StringVar(&c.cert, "cert", "", "PEM `FILE` with the client's certificate")
	f.StringVar(&c.key, "key", "", "PEM `FILE` with the key of --cert")
	f.BoolVar(&c.insecure, "insecure", false, "plaintext to a server that is not on this machine")
	f.DurationVar(&c.timeout, "timeout", 5*time.Second, "how long to wait for an answer")
}

// given lists the connection flags of the command line, for commands shown to be run later. A token is never among them.
func given(cmd *cobra.Command) []string {
	var list []string
	cmd.Flags().Visit(func(f *pflag.Flag) {
		switch f.Name {
		case "address", "ca", "cert", "key", "context":
			list = append(list, "--"+f.Name, f.Value.String())
		case "insecure":
			list = append(list, "--insecure")
		}
	})
	return list
}

// connect opens the connection; nothing is sent yet. Commands get ctx with a deadline from (*app).waiting.
func (a *app) connect() (*grpc.ClientConn, error) {
	if a.conn.timeout <= 0 {
		return nil, usagef("--timeout %s: want more than 0", a.conn.timeout)
	}
	place, tokenFile, err := a.place()
	if err != nil {
		return nil, err
	}
	address := place.address
	local, err := onThisMachine(address)
	if err != nil {
		return nil, err
	}
	transport, err := place.transport(local)
	if err != nil {
		return nil, err
	}
	token, err := a.bearer(tokenFile)
	if err != nil {
		return nil, err
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithUserAgent("sluice-cli/" + a.Version),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReply)),
	}
	if token != "" {
		options = append(options, grpc.WithPerRPCCredentials(bearerToken(token)))
	}
	conn, err := grpc.NewClient(address, append(options, a.dialing...)...)
	if err != nil {
		return nil, usagef("--address %s: %w", address, err)
	}
	return conn, nil
}

// waiting bounds a call by --timeout.
func (a *app) waiting(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, a.conn.timeout)
}

// onThisMachine reports whether an address is a loopback one or a Unix socket.
func onThisMachine(address string) (bool, error) {
	if strings.HasPrefix(address, "unix:") {
		return true, nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "" {
		return false, usagef("address %q: want HOST:PORT, e.g. %s", address, defaultAddress)
	}
	ip := net.ParseIP(host)
	return host == "" || host == "localhost" || ip != nil && ip.IsLoopback(), nil
}

// transport chooses plaintext on this machine and TLS elsewhere, unless the flags say more.
func (c *connectionFlags) transport(local bool) (credentials.TransportCredentials, error) {
	wantsTLS := c.ca != "" || c.cert != "" || c.key != ""
	switch {
	case c.insecure && wantsTLS:
		return nil, usagef("--insecure goes with none of --ca, --cert and --key")
	case (c.cert == "") != (c.key == ""):
		return nil, usagef("--cert and --key go together")
	case c.insecure || local && !wantsTLS:
		return insecure.NewCredentials(), nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.ca != "" {
		pem, err := os.ReadFile(c.ca)
		if err != nil {
			return nil, usagef("--ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, usagef("--ca %s: no certificate in it; want PEM", c.ca)
		}
	}
	if c.cert != "" {
		pair, err := tls.LoadX509KeyPair(c.cert, c.key)
		if err != nil {
			return nil, usagef("--cert %s, --key %s: %w", c.cert, c.key, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return credentials.NewTLS(config), nil
}

// bearer finds the token: flag, environment, the file of the context, the file of the user; empty = none.
func (a *app) bearer(ofContext string) (string, error) {
	for _, t := range []struct{ from, token string }{{"--token", a.conn.token}, {"SLUICE_TOKEN", a.Env("SLUICE_TOKEN")}} {
		if t.token != "" {
			return checkToken(t.from, t.token)
		}
	}
	if ofContext != "" {
		token, err := a.readToken(ofContext)
		if errors.Is(err, fs.ErrNotExist) {
			return "", usagef("the context's token file %s does not exist", ofContext)
		}
		return token, err
	}
	directory := a.directory()
	if directory == "" {
		return "", nil
	}
	token, err := a.readToken(filepath.Join(directory, "token"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return token, err
}

// readToken reads a file with a token and warns of one that others can read.
func (a *app) readToken(file string) (string, error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		fmt.Fprintf(a.Err, "sluice: others can read %s; chmod 600 it\n", file)
	}
	data, err := os.ReadFile(file) //nolint:gosec // The file of the one who runs the command.
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	return checkToken(file, string(data))
}

// checkToken refuses what cannot be sent in a header, without showing it.
func checkToken(from, token string) (string, error) {
	token = strings.TrimSpace(token)
	for _, r := range token {
		if r <= ' ' || r > '~' {
			return "", usagef("%s: a token has printable ASCII characters only, without blanks", from)
		}
	}
	return token, nil
}

// bearerToken sends itself with every call. Plaintext is chosen by connectionFlags.transport, never here.
type bearerToken string

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (t bearerToken) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(t)}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (bearerToken) RequireTransportSecurity() bool { return false }
