package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// judge checks what only the whole configuration can tell.
type judge struct {
	l        *Loaded
	given    map[string]given // the value in force of each setting
	problems Errors
}

func (j *judge) fail(key, format string, args ...any) {
	g := j.given[key]
	j.problems = append(j.problems, Error{Place: g.place, Key: key, Message: fmt.Sprintf(format, args...), line: g.line, column: g.column})
}

func (j *judge) warn(format string, args ...any) {
	j.l.Warnings = append(j.l.Warnings, fmt.Sprintf(format, args...))
}

// explicit reports whether somebody set a setting.
func (j *judge) explicit(key string) bool {
	g, ok := j.given[key]
	return ok && !strings.HasPrefix(g.origin, "default")
}

// anyOf returns the first setting below a prefix that somebody set.
func (j *judge) anyOf(prefix string) string {
	for _, key := range slices.Sorted(maps.Keys(j.given)) {
		if strings.HasPrefix(key, prefix) && j.explicit(key) {
			return key
		}
	}
	return ""
}

// together checks settings against each other; sound says that each alone is right.
func (j *judge) together(sound bool) {
	c := &j.l.Config
	j.pair("tls.cert", "tls.key")
	if key := "tls.client_ca"; j.explicit(key) && !j.explicit("tls.cert") {
		j.fail(key, "is of use with tls.cert and tls.key only")
	}
	j.store(block{name: "etcd", key: "etcd.endpoints", plain: "http", secured: "https"}, c.Etcd.Endpoints, c.Etcd.TLS)
	redis := []string{c.Redis.Address}
	j.store(block{name: "redis", key: "redis.address", plain: "redis", secured: "rediss"}, redis, c.Redis.TLS)
	if c.Redis.Used() {
		c.Redis.Address = redis[0]
	}
	if c.Etcd.External() && j.explicit("data_dir") {
		j.fail("data_dir", "is of the store in the process, but etcd.endpoints names an external one: keep one of the two")
	}
	for _, key := range []string{"recording.keep", "recording.max_mib"} {
		if j.explicit(key) && c.Recording.Directory == "" {
			j.fail(key, "is of use with recording.directory only")
		}
	}
	if sound {
		j.decisionLog(c)
		j.edges(c)
	}
	if c.Etcd.External() && !c.Redis.Used() {
		j.warn("etcd is external, Redis is not used: each replica judges only the results reported to itself; run one replica, or name Redis")
	}
}

// decisionLog checks that what is set of the decision log is of use.
func (j *judge) decisionLog(c *Config) {
	for _, key := range []string{"decision_log.salt", "decision_log.file", "decision_log.max_mib"} {
		if j.explicit(key) && c.DecisionLog.SamplePPM == 0 {
			j.fail(key, "is of use with decision_log.sample_ppm above 0 only")
		}
	}
	if j.explicit("decision_log.max_mib") && c.DecisionLog.File == "" && c.DecisionLog.SamplePPM > 0 {
		j.fail("decision_log.max_mib", "is of use with decision_log.file only")
	}
	if c.DecisionLog.SamplePPM > 0 && c.DecisionLog.Salt == "" {
		c.DecisionLog.Salt = c.Environment
	}
}

// edges checks where requests are taken.
func (j *judge) edges(c *Config) {
	if c.HTTP != "" && c.HTTP == c.Listen && !strings.HasSuffix(c.HTTP, ":0") {
		j.fail("http", "%q: is the address of gRPC already; want another port", c.HTTP)
	}
	if Loopback(c.Listen) {
		return
	}
	if c.Identities == "" {
		j.fail("listen", "%q: without identities only a loopback address is served; name a file of them as identities", c.Listen)
	}
	if !c.TLS.On() {
		j.warn("listen %s is reached from other machines without TLS: tokens travel in the clear; set tls.cert and tls.key", c.Listen)
	}
}

func (j *judge) pair(a, b string) {
	switch {
	case j.explicit(a) && !j.explicit(b):
		j.fail(a, "needs %s beside it", b)
	case j.explicit(b) && !j.explicit(a):
		j.fail(b, "needs %s beside it", a)
	}
}

// block is the part of a configuration that says how a store is reached.
type block struct{ name, key, plain, secured string }

// store checks the block of a store and completes the schemes of its addresses.
func (j *judge) store(b block, addresses []string, tls ClientTLS) {
	j.pair(b.name+".tls.cert", b.name+".tls.key")
	if _, named := j.given[b.key]; !named {
		if other := j.anyOf(b.name + "."); other != "" {
			j.fail(other, "is of use with %s only, which names no address", b.key)
		}
		return
	}
	if b.name == "etcd" || j.explicit(b.name+".username") { // Redis has passwords without users
		j.pair(b.name+".username", b.name+".password_file")
	}
	scheme := j.scheme(b, addresses)
	switch {
	case scheme == "" && tls.Given():
		scheme = b.secured
	case scheme == "":
		scheme = b.plain
	case scheme == b.plain && tls.Given():
		j.fail(b.key, "says %s://, but %s.tls is set: want %s://, or no scheme", b.plain, b.name, b.secured)
	}
	for i, a := range addresses {
		addresses[i] = scheme + "://" + HostPort(a)
		if scheme == b.plain && !Loopback(HostPort(a)) {
			j.warn("%s %s is reached over plain text; set %s.tls", b.name, HostPort(a), b.name)
		}
	}
}

// scheme is the one that all addresses with a scheme have; empty if none has.
func (j *judge) scheme(b block, addresses []string) string {
	written := ""
	for _, a := range addresses {
		s, _, ok := strings.Cut(a, "://")
		if !ok {
			continue
		}
		if written != "" && s != written {
			j.fail(b.key, "%s:// and %s:// are mixed: want one of them for all", written, s)
		}
		written = s
	}
	return written
}

// secretsInEnvironment refuses secrets as values of variables.
func secretsInEnvironment(env map[string]string) Errors {
	var ps Errors
	for _, store := range []string{"ETCD", "REDIS"} {
		variable := envPrefix + store + "_PASSWORD"
		if _, ok := env[variable]; ok {
			ps = append(ps, Error{Place: "$" + variable, Message: "secrets are read from files only: set " + variable + "_FILE"})
		}
	}
	return ps
}

// unknownVariables warns of variables that look like misspelt settings. Others are left alone: orchestrators set some of
// their own, and the clients of the API have theirs.
func unknownVariables(env map[string]string) []string {
	known := []string{configVariable}
	list := settings()
	for i := range list {
		known = append(known, list[i].variable())
	}
	var warnings []string
	for _, v := range slices.Sorted(maps.Keys(env)) {
		if slices.Contains(known, v) {
			continue
		}
		if near := nearest(v, known); near != "" {
			warnings = append(warnings, fmt.Sprintf("$%s is no setting; did you mean $%s?", v, near))
		}
	}
	return warnings
}
