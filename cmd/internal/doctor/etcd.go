package doctor

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/cmd/internal/config"
	"github.com/sluice-pay/sluice/cmd/internal/serve"
)

const (
	quotaWarn       = 0.6     // part of the quota at which somebody should act
	quotaFail       = 0.9     // part at which changes will soon be refused
	defaultQuota    = 2 << 30 // of an etcd that does not tell it, bytes
	oldestEtcdMajor = 3       // the oldest release line
	oldestEtcdMinor = 6       // that still gets fixes
	fullCluster     = 3       // members that survive the loss of one
	unsafeSlow      = 100 * time.Millisecond
)

// examineEtcd checks each member, then what the cluster as a whole lets this replica do.
func examineEtcd(ctx context.Context, l *config.Loaded, now time.Time) []Check {
	var list []Check
	var reached []string
	for _, endpoint := range l.Etcd.Endpoints {
		checks, ok := reachEtcd(ctx, l, endpoint, now)
		list = append(list, checks...)
		if ok {
			reached = append(reached, endpoint)
		}
	}
	if len(reached) == 0 {
		return list
	}
	client, err := serve.DialEtcd(l.Etcd, nil)
	if err != nil {
		return append(list, fail("etcd access", "check etcd.username and the password", "%v", err))
	}
	defer func() { _ = client.Close() }()
	for _, endpoint := range reached {
		list = append(list, member(ctx, client, endpoint)...)
	}
	list = append(list, cluster(ctx, client)...)
	return append(list, rights(ctx, client, l))
}

// reachEtcd connects to a member as a client does, step by step, so that the step that fails is told.
func reachEtcd(ctx context.Context, l *config.Loaded, endpoint string, now time.Time) ([]Check, bool) {
	name := "etcd " + config.HostPort(endpoint)
	conf, err := l.Etcd.TLS.Load(nil)
	if err != nil {
		return []Check{fail(name, "correct etcd.tls", "%v", err)}, false
	}
	if !l.Etcd.Secure() {
		conf = nil
	}
	checks, ok := reach(ctx, name, config.HostPort(endpoint), conf, now)
	if ok {
		checks = append(checks, httpClock(ctx, name+" clock", endpoint, conf))
	}
	return checks, ok
}

// reach opens a connection, and TLS on it if conf is not nil.
func reach(ctx context.Context, name, at string, conf *tls.Config, now time.Time) ([]Check, bool) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", at)
	if err != nil {
		return []Check{fail(name, "start it, or correct its address; look at the firewall between", "%v", err)}, false
	}
	defer func() { _ = conn.Close() }()
	if conf == nil {
		return nil, true
	}
	conf = conf.Clone()
	if conf.ServerName == "" {
		conf.ServerName, _, _ = net.SplitHostPort(at) // checked before
	}
	secured := tls.Client(conn, conf)
	if err := secured.HandshakeContext(ctx); err != nil {
		return []Check{fail(name, "check tls.ca and tls.server_name of its block, and its certificate", "TLS: %v", err)}, false
	}
	return []Check{lifetime(name+" certificate", "its certificate", secured.ConnectionState().PeerCertificates[0], now)}, true
}

// member asks a member for its version, and how full its store is.
func member(ctx context.Context, client *clientv3.Client, endpoint string) []Check {
	name := "etcd " + config.HostPort(endpoint)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	start := time.Now()
	s, err := client.Status(ctx, endpoint)
	if err != nil {
		return []Check{fail(name, "look at etcd's log; check user and client certificate", "no status: %v", err)}
	}
	took := time.Since(start)
	check := good(name, "version %s, answered in %s", s.Version, brief(took))
	var major, minor int
	switch _, err := fmt.Sscanf(s.Version, "%d.%d.", &major, &minor); {
	case err != nil || major != oldestEtcdMajor || minor < oldestEtcdMinor:
		check = warn(name, fmt.Sprintf("upgrade to %d.%d or later", oldestEtcdMajor, oldestEtcdMinor), "version %s gets no fixes any more", s.Version)
	case s.Leader == 0:
		check = fail(name, "bring a majority of the members up: without one nothing can be changed", "knows no leader")
	case took > unsafeSlow:
		check = warn(name, "look at its load and disk, and the network between", "version %s, answered in %s", s.Version, brief(took))
	}
	return []Check{check, quota(name+" space", s)}
}

func quota(name string, s *clientv3.StatusResponse) Check {
	limit := s.DbSizeQuota
	if limit <= 0 {
		limit = defaultQuota
	}
	part := float64(s.DbSize) / float64(limit)
	detail := fmt.Sprintf("%s of %s (%.0f %%), %s in use", mebibytes(s.DbSize), mebibytes(limit), 100*part, mebibytes(s.DbSizeInUse))
	const next = "compact and defragment it (etcdctl compact, etcdctl defrag), set --auto-compaction-retention=10m"
	switch {
	case len(s.Errors) > 0:
		return fail(name, next+", then etcdctl alarm disarm", "%s; alarms: %s", detail, strings.Join(s.Errors, ", "))
	case part >= quotaFail:
		return fail(name, next, "%s: at the quota changes are refused", detail)
	case part >= quotaWarn:
		return warn(name, next, "%s", detail)
	}
	return good(name, "%s", detail)
}

// cluster counts the members.
func cluster(ctx context.Context, client *clientv3.Client) []Check {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	m, err := client.MemberList(ctx)
	switch {
	case err != nil:
		return []Check{warn("etcd cluster", "bring a majority of its members up", "members not told: %v", err)}
	case len(m.Members) < fullCluster:
		return []Check{warn("etcd cluster", "run three members in production",
			"%d member(s): with the loss of one nothing can be changed; routing goes on", len(m.Members))}
	}
	return []Check{good("etcd cluster", "%d members", len(m.Members))}
}

// rights asks whether this replica's keys may be read and written, without writing, and what is there.
func rights(ctx context.Context, client *clientv3.Client, l *config.Loaded) Check {
	const name = "etcd access"
	keys, err := statepb.NewKeys(l.Environment)
	if err != nil {
		return fail(name, "correct environment", "%v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	got, err := client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(keys.Head()), "<", 0)). // never true: only the right to write is asked for
		Then(clientv3.OpPut(keys.Head(), "")).
		Else(clientv3.OpGet(keys.Head())).
		Commit()
	if err != nil {
		return fail(name, "give the user read and write on /sluice/"+l.Environment+"/, and see that a majority of members is up", "%v", err)
	}
	kvs := got.Responses[0].GetResponseRange().GetKvs()
	var head configv1.Head
	switch {
	case len(kvs) == 0 && l.Catalog == "":
		return fail(name, "name a catalogue file as catalog for the first start", "environment %s is new, and no catalogue is given", l.Environment)
	case len(kvs) == 0:
		return good(name, "environment %s is new; it may be written", l.Environment)
	case proto.Unmarshal(kvs[0].GetValue(), &head) != nil:
		return fail(name, "restore etcd from a backup", "%s is damaged", keys.Head())
	case head.GetCatalog() == 0 && l.Catalog == "":
		return fail(name, "name a catalogue file as catalog for the next start", "environment %s holds no catalogue, and none is given", l.Environment)
	}
	return good(name, "environment %s: epoch %d, %d changes, catalogue %d", l.Environment, head.GetEpoch(), head.GetSequence(), head.GetCatalog())
}
