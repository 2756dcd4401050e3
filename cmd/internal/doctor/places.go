package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"

	"github.com/sluice-pay/sluice/cmd/internal/config"
	"github.com/sluice-pay/sluice/cmd/internal/embedded"
)

// patience bounds each question to somebody else.
const patience = 3 * time.Second

// places checks that the addresses to listen on are free, or taken by a replica that runs already.
func places(ctx context.Context, l *config.Loaded) []Check {
	running := l.HTTP != "" && sluiceAnswers(ctx, l.HTTP)
	list := []Check{address(ctx, "listen "+l.Listen, l.Listen, running)}
	if l.HTTP != "" {
		list = append(list, address(ctx, "http "+l.HTTP, l.HTTP, running))
	}
	return list
}

func address(ctx context.Context, name, at string, running bool) Check {
	var listen net.ListenConfig
	lis, err := listen.Listen(ctx, "tcp", at)
	switch {
	case err == nil:
		_ = lis.Close() // it was free
		return good(name, "free")
	case running:
		return good(name, "taken by a replica that is running")
	}
	return fail(name, "stop what listens there (ss -ltnp), or choose another address", "%v", err)
}

// sluiceAnswers reports whether a running replica answers at an HTTP address.
func sluiceAnswers(ctx context.Context, at string) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	host, port, _ := net.SplitHostPort(at) // checked before
	if host == "" {
		host = "localhost"
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/metrics", nil)
	if err != nil {
		return false
	}
	reply, err := http.DefaultClient.Do(q)
	if err != nil {
		return false
	}
	defer func() { _ = reply.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(reply.Body, 1<<20))
	return err == nil && reply.StatusCode == http.StatusOK && strings.Contains(string(body), "\nsluice_")
}

// Space that the store in the process needs: a full one, its copy while it is defragmented, and its log.
const (
	spaceWanted = 4 * embedded.Quota
	spaceNeeded = embedded.Quota / 2
)

// dataDirectory checks the directory of the store in the process, and the room that it has.
func dataDirectory(l *config.Loaded) []Check {
	const name = "data_dir"
	lock, err := fileutil.TryLockFile(filepath.Join(l.DataDir, "etcd", "lock"), os.O_WRONLY, 0)
	switch {
	case errors.Is(err, fileutil.ErrLocked):
		return []Check{good(name, "%s in use by a replica that is running", l.DataDir), roomIn(l.DataDir)}
	case err == nil:
		_ = lock.Close() // it was free
	}
	dir, err := nearestDirectory(l.DataDir)
	if err != nil {
		return []Check{fail(name, "name a directory that can be made as data_dir", "%v", err)}
	}
	probe, err := os.CreateTemp(dir, ".sluice-doctor-*")
	if err != nil {
		return []Check{fail(name, "give the user that runs sluice the right to write to "+dir, "%v", err)}
	}
	err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	if err != nil {
		return []Check{fail(name, "look at the disk", "%v", err)}
	}
	return []Check{good(name, "%s can be written", dir), roomIn(dir)}
}

// nearestDirectory returns the directory, or the nearest one above it that exists.
func nearestDirectory(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err //nolint:wrapcheck // shown as it is
	}
	for {
		info, err := os.Stat(dir)
		switch {
		case err == nil && !info.IsDir():
			return "", fmt.Errorf("%s is no directory", dir)
		case err == nil:
			return dir, nil
		case !errors.Is(err, os.ErrNotExist) || filepath.Dir(dir) == dir:
			return "", err //nolint:wrapcheck // shown as it is
		}
		dir = filepath.Dir(dir)
	}
}

func roomIn(dir string) Check {
	const name = "data_dir space"
	free, known := freeSpace(dir)
	if !known {
		return good(name, "unknown on this system")
	}
	return room(name, free)
}

// room judges the bytes that are free for the store in the process.
func room(name string, free int64) Check {
	switch {
	case free < spaceNeeded:
		return fail(name, "make room: the store stops taking changes when the disk is full", "%s free", mebibytes(free))
	case free < spaceWanted:
		return warn(name, fmt.Sprintf("make room: the store may take %s, and as much again while it is defragmented", mebibytes(embedded.Quota)),
			"%s free", mebibytes(free))
	}
	return good(name, "%s free", mebibytes(free))
}
