package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

const (
	maxTextBytes = 4096
	maxDB        = 1023
	none         = "none" // the way to say that an address is not wanted
)

// into returns the parser of a single text.
func into(target func(*Config) *string, check func(string) (string, error)) func(*Config, []string) error {
	return func(c *Config, values []string) error {
		if len(values) != 1 {
			return errors.New("want one value, not a list")
		}
		v, err := check(values[0])
		if err != nil {
			return err
		}
		*target(c) = v
		return nil
	}
}

func name(s string) (string, error) {
	if !statemachine.ValidName(s) {
		return "", fmt.Errorf("%q: want 1 to 64 of letters, digits, '.', '_' or '-'", s)
	}
	return s, nil
}

func plainText(s string) (string, error) {
	if s == "" || len(s) > maxTextBytes || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", fmt.Errorf("%q: want a text of one line, not empty", s)
	}
	return s, nil
}

func path(s string) (string, error) {
	if _, err := plainText(s); err != nil {
		return "", fmt.Errorf("%q: want a path", s)
	}
	return s, nil
}

func hostName(s string) (string, error) {
	if s == "" || len(s) > 253 || strings.ContainsAny(s, " /@:[]\t\n") && net.ParseIP(s) == nil {
		return "", fmt.Errorf("%q: want the name of a host, without a port", s)
	}
	return s, nil
}

// listenAddress checks where to listen: an empty host is all interfaces, port 0 any free one.
func listenAddress(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err == nil && host != "" {
		_, err = hostName(host)
	}
	if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil {
		return "", fmt.Errorf("%q: want HOST:PORT, e.g. %s", s, DefaultListen)
	}
	return s, nil
}

func optionalAddress(s string) (string, error) {
	if s == "" || s == none {
		return "", nil
	}
	s, err := listenAddress(s)
	if err != nil {
		return "", fmt.Errorf("%w, or none", err)
	}
	return s, nil
}

// addresses reads the addresses of a store. Those without a scheme keep none: what is right for them is known when everything
// has been read.
func addresses(target *[]string, values []string, plain, secured string) error {
	if len(values) == 0 {
		return errors.New("want at least one address")
	}
	list := make([]string, 0, len(values))
	var problems []error
	for _, v := range values {
		v = strings.TrimSpace(v)
		a, err := storeAddress(v, plain, secured)
		switch {
		case err != nil:
			problems = append(problems, err)
		case slices.Contains(list, a):
			problems = append(problems, fmt.Errorf("%q is named twice", a))
		}
		list = append(list, a)
	}
	*target = list
	return errors.Join(problems...)
}

func storeAddress(s, plain, secured string) (string, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		scheme, rest = "", s
	}
	if strings.Contains(rest, "@") {
		return "", fmt.Errorf("an address must not hold a user or a password: use username and password_file (%s:// is fine)", secured)
	}
	u, err := url.Parse("any://" + rest)
	if err != nil || scheme != "" && scheme != plain && scheme != secured || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("%q: want HOST:PORT, %s://HOST:PORT or %s://HOST:PORT", s, plain, secured)
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if _, bad := hostName(u.Hostname()); err != nil || port == 0 || bad != nil {
		return "", fmt.Errorf("%q: want HOST:PORT, %s://HOST:PORT or %s://HOST:PORT", s, plain, secured)
	}
	if scheme == "" {
		return u.Host, nil
	}
	return scheme + "://" + u.Host, nil
}

// secure reports whether an address asks for TLS.
func secure(address string) bool {
	return strings.HasPrefix(address, "https://") || strings.HasPrefix(address, "rediss://")
}

// HostPort is the address of a store without its scheme.
func HostPort(address string) string {
	_, rest, ok := strings.Cut(address, "://")
	if !ok {
		return address
	}
	return rest
}

// Loopback reports whether an address, HOST:PORT, can be reached from this machine only.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func logLevel(c *Config, values []string) error {
	if len(values) != 1 || !slices.Contains([]string{"debug", "info", "warn", "error"}, values[0]) {
		return fmt.Errorf("%q: want debug, info, warn or error", strings.Join(values, ","))
	}
	return c.LogLevel.UnmarshalText([]byte(values[0])) //nolint:wrapcheck // it is one of the four
}

func etcdTimeout(c *Config, values []string) error {
	d, err := time.ParseDuration(strings.Join(values, ","))
	if err != nil || d < 50*time.Millisecond || d > 10*time.Second {
		return fmt.Errorf("%q: want a duration from 50ms to 10s", strings.Join(values, ","))
	}
	c.Etcd.Timeout = d
	return nil
}

func recordingKeep(c *Config, values []string) error {
	d, err := time.ParseDuration(strings.Join(values, ","))
	if err != nil || d < time.Hour || d > 365*24*time.Hour {
		return fmt.Errorf("%q: want a duration from 1h to 8760h", strings.Join(values, ","))
	}
	c.Recording.Keep = d
	return nil
}

func recordingMax(c *Config, values []string) error {
	n, err := strconv.Atoi(strings.Join(values, ","))
	if err != nil || n < 64 || n > 1<<20 {
		return fmt.Errorf("%q: want a whole number of MiB from 64 to 1048576", strings.Join(values, ","))
	}
	c.Recording.MaxMiB = n
	return nil
}

func decisionLogSample(c *Config, values []string) error {
	n, err := strconv.Atoi(strings.Join(values, ","))
	if err != nil || n < 0 || n > 1_000_000 {
		return fmt.Errorf("%q: want parts per million, a whole number from 0 to 1000000", strings.Join(values, ","))
	}
	c.DecisionLog.SamplePPM = n
	return nil
}

func decisionLogMax(c *Config, values []string) error {
	n, err := strconv.Atoi(strings.Join(values, ","))
	if err != nil || n < 1 || n > 1<<20 {
		return fmt.Errorf("%q: want a whole number of MiB from 1 to 1048576", strings.Join(values, ","))
	}
	c.DecisionLog.MaxMiB = n
	return nil
}

func redisDB(c *Config, values []string) error {
	n, err := strconv.Atoi(strings.Join(values, ","))
	if err != nil || n < 0 || n > maxDB {
		return fmt.Errorf("%q: want a whole number from 0 to %d", strings.Join(values, ","), maxDB)
	}
	c.Redis.DB = n
	return nil
}
