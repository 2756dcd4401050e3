package client

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/routing"
)

const (
	previousSuffix = ".previous"
	tempPattern    = ".*.tmp"
	// keepPause is the least time between two files: a catalogue that changes quickly is written as it is then.
	keepPause = time.Second
	// keepFresh is how often the file is written anew for its write time alone.
	keepFresh = time.Minute
)

// snapshotFile keeps the newest snapshot over restarts, and the one before it. A file is written beside its place, synced,
// and moved there, so that whatever crashes a whole one is left.
type snapshotFile struct {
	path    string
	whole   bool          // the file at path was written or read by this client, so that it may take the place of the previous one
	written routing.Stamp // of what lies in it
}

// load offers the file, and where it is missing, damaged or foreign the previous one. It returns what was wrong on the way.
func (f *snapshotFile) load(offer func(*configv1.Snapshot) error) (problems []error) {
	for _, path := range []string{f.path, f.path + previousSuffix} {
		err := loadOne(path, offer)
		if err == nil {
			f.whole = path == f.path
			return problems
		}
		if !errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, err)
		}
	}
	return problems
}

func loadOne(path string, offer func(*configv1.Snapshot) error) error {
	data, err := os.ReadFile(path) //nolint:gosec // the user's own file
	if err != nil {
		return fmt.Errorf("read the snapshot: %w", err)
	}
	s, err := routing.DecodeSnapshot(data)
	if err == nil {
		err = offer(s)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// save writes a snapshot.
func (f *snapshotFile) save(s *configv1.Snapshot) (err error) {
	data, err := routing.EncodeSnapshot(s)
	if err != nil {
		return err //nolint:wrapcheck // says it all
	}
	dir, base := filepath.Split(f.path)
	if dir == "" {
		dir = "."
	}
	temp, err := os.CreateTemp(dir, base+tempPattern) // readable by its owner only
	if err != nil {
		return fmt.Errorf("keep the snapshot: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp.Name())
		}
	}()
	_, err = temp.Write(data)
	if err == nil {
		err = temp.Sync()
	}
	if err := errors.Join(err, temp.Close()); err != nil {
		return fmt.Errorf("keep the snapshot: %w", err)
	}
	if f.whole {
		if err := os.Rename(f.path, f.path+previousSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("keep the previous snapshot: %w", err)
		}
	}
	if err := os.Rename(temp.Name(), f.path); err != nil {
		return fmt.Errorf("keep the snapshot: %w", err)
	}
	f.whole = true
	return syncDir(dir)
}

// syncDir makes renames outlive a crash of the machine, where the system can.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the user's own directory
	if err != nil {
		return fmt.Errorf("keep the snapshot: %w", err)
	}
	if err := errors.Join(ignoreUnsupported(d.Sync()), d.Close()); err != nil {
		return fmt.Errorf("keep the snapshot: %w", err)
	}
	return nil
}

// ignoreUnsupported drops what systems say that cannot sync a directory.
func ignoreUnsupported(err error) error {
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrInvalid) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

// load reads the file at the start.
func (c *Client) load() {
	if c.file == nil {
		return
	}
	problems := c.file.load(func(s *configv1.Snapshot) error {
		return c.take(SourceFile, routing.StampOf(s), func() (routing.Advance, error) { return c.mem.holder.Offer(s) })
	})
	_, c.file.written = c.mem.holder.Held()
	for _, err := range problems {
		c.cfg.Logger.LogAttrs(c.ctx, slog.LevelWarn, "a snapshot file cannot be used", slog.Any("error", err))
	}
}

// keep writes the file whenever a newer table came, and now and then for its write time, until the client closes; then once
// more if something is unwritten.
func (c *Client) keep() {
	pause := time.NewTimer(keepPause)
	defer pause.Stop()
	fresh := time.NewTicker(keepFresh)
	defer fresh.Stop()
	for {
		select {
		case <-c.ctx.Done():
			c.write()
			return
		case <-c.woken:
			c.write()
		case <-fresh.C:
			c.write()
		}
		pause.Reset(keepPause)
		select {
		case <-c.ctx.Done():
		case <-pause.C:
		}
	}
}

// write writes what is held if it says more than what was written.
func (c *Client) write() {
	table, held := c.mem.holder.Held()
	if table == nil || held.Over(c.file.written) == routing.AdvanceNone {
		return
	}
	if err := c.file.save(routing.NewSnapshot(table, c.cfg.Environment, held.Written)); err != nil {
		c.stats.unsaved.Add(1)
		c.cfg.Logger.LogAttrs(c.ctx, slog.LevelWarn, "the snapshot was not written", slog.Any("error", err))
		return
	}
	c.stats.saved.Add(1)
	c.file.written = held
}

// wake has the file written.
func (c *Client) wake() {
	select {
	case c.woken <- struct{}{}:
	default:
	}
}
