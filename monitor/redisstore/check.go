package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrUnfit is wrapped by the error of Check for each thing about a Redis that must be changed.
var ErrUnfit = errors.New("redis is not fit")

// Info is what Check found.
type Info struct {
	Version string // of the server
	Role    string // master or slave
	Policy  string // of eviction
	Used    int64  // bytes of memory
	Limit   int64  // bytes, 0 = none
}

// Check asks Redis what it is. Its error names everything that must be changed and wraps ErrUnfit; ErrUnavailable without
// an answer.
func (s *Store) Check(ctx context.Context) (Info, error) {
	var text string
	err := s.do(ctx, func(ctx context.Context) error {
		var err error
		text, err = s.client.Info(ctx).Result()
		return err
	})
	if err != nil {
		return Info{}, fmt.Errorf("check redis: %w", err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	info := Info{Version: fields["redis_version"], Role: fields["role"], Policy: fields["maxmemory_policy"]}
	info.Used, _ = strconv.ParseInt(fields["used_memory"], 10, 64) // 0 if it does not say
	info.Limit, _ = strconv.ParseInt(fields["maxmemory"], 10, 64)
	return info, info.fit()
}

// fit says what must be changed.
func (i Info) fit() error {
	var errs []error
	major, _, _ := strings.Cut(i.Version, ".")
	if n, err := strconv.Atoi(major); err == nil && n < 7 {
		errs = append(errs, fmt.Errorf("%w: version %s: want 7.0 or newer, which knows SET with NX and GET", ErrUnfit, i.Version))
	}
	if i.Role != "" && i.Role != "master" {
		errs = append(errs, fmt.Errorf("%w: role %s: want the primary, a replica refuses writes", ErrUnfit, i.Role))
	}
	if i.Policy != "" && i.Policy != "noeviction" {
		errs = append(errs, fmt.Errorf("%w: maxmemory-policy %s: want noeviction, else evidence and claims vanish silently", ErrUnfit, i.Policy))
	}
	return errors.Join(errs...)
}
