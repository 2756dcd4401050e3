package doctor

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/sluice-pay/sluice/cmd/internal/config"
)

// The oldest Redis that the exchange is tested against, and the time in which an operation of its must end.
const (
	oldestRedisMajor = 6
	redisBudget      = 50 * time.Millisecond
)

// examineRedis checks that Redis can be reached, may be written, keeps what it is given, and what its clock says.
func examineRedis(ctx context.Context, l *config.Loaded, now time.Time) []Check {
	name := "Redis " + config.HostPort(l.Redis.Address)
	var conf *tls.Config
	if l.Redis.Secure() {
		var err error
		if conf, err = l.Redis.TLS.Load(nil); err != nil {
			return []Check{fail(name, "correct redis.tls", "%v", err)}
		}
	}
	list, ok := reach(ctx, name, config.HostPort(l.Redis.Address), conf, now)
	if !ok {
		return list
	}
	password := ""
	if l.Redis.PasswordFile != "" {
		var err error
		if password, err = config.ReadSecret(l.Redis.PasswordFile); err != nil {
			return list // told with the files
		}
	}
	client := redis.NewClient(&redis.Options{
		Addr: config.HostPort(l.Redis.Address), Username: l.Redis.Username, Password: password, DB: l.Redis.DB, TLSConfig: conf,
		DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience, MaxRetries: -1, ContextTimeoutEnabled: true, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return append(list, askRedis(ctx, name, client)...)
}

func askRedis(ctx context.Context, name string, client *redis.Client) []Check {
	if err := client.Ping(ctx).Err(); err != nil {
		return []Check{fail(name, "check redis.username, the password and redis.db", "%v", err)}
	}
	start := time.Now()
	at, err := client.Time(ctx).Result()
	way := time.Since(start)
	if err != nil {
		return []Check{fail(name, "allow the user TIME: replicas agree on seconds by it", "%v", err)}
	}
	clock := offset(name+" clock", between(at.Sub(start.Add(way)), at.Sub(start)))
	info, err := client.Info(ctx).Result()
	if err != nil {
		return []Check{warn(name, "allow the user INFO for this check", "answered in %s; version and memory not told: %v", brief(way), err), clock}
	}
	facts := infoFacts(info)
	return []Check{redisState(name, facts, way), redisMemory(name+" memory", facts), clock}
}

// infoFacts reads the reply of INFO.
func infoFacts(text string) map[string]string {
	facts := map[string]string{}
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			facts[k] = v
		}
	}
	return facts
}

func redisState(name string, facts map[string]string, way time.Duration) Check {
	version := facts["redis_version"]
	var major int
	switch _, err := fmt.Sscanf(version, "%d.", &major); {
	case facts["role"] != "" && facts["role"] != "master":
		return fail(name, "name the primary as redis.address", "is a replica of another and takes no writes")
	case facts["loading"] == "1":
		return warn(name, "wait until it has read its data", "is loading its data")
	case err != nil || major < oldestRedisMajor:
		return warn(name, fmt.Sprintf("upgrade to %d or later", oldestRedisMajor), "version %q is older than what is tested", version)
	case way > redisBudget:
		return warn(name, "look at its load, and the network between", "version %s, answered in %s; an operation has %s", version, brief(way), brief(redisBudget))
	}
	return good(name, "version %s, answered in %s", version, brief(way))
}

// redisMemory warns where Redis may throw away what replicas rely on, or is full.
func redisMemory(name string, facts map[string]string) Check {
	var used, most int64
	_, usedErr := fmt.Sscan(facts["used_memory"], &used)
	_, mostErr := fmt.Sscan(facts["maxmemory"], &most)
	policy := facts["maxmemory_policy"]
	switch {
	case usedErr != nil || mostErr != nil:
		return good(name, "not told")
	case most == 0:
		return good(name, "%s used, no limit", mebibytes(used))
	case policy != "noeviction":
		return warn(name, "set maxmemory-policy noeviction", "policy %s may throw away seconds that replicas have not read", policy)
	case float64(used) > quotaFail*float64(most):
		return fail(name, "raise maxmemory", "%s of %s used", mebibytes(used), mebibytes(most))
	case float64(used) > quotaWarn*float64(most):
		return warn(name, "raise maxmemory", "%s of %s used", mebibytes(used), mebibytes(most))
	}
	return good(name, "%s of %s used", mebibytes(used), mebibytes(most))
}
