package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// writeSnapshot replaces a file at once: it is written beside, brought to disk and renamed, so that a reader sees the old or the
// new one, whatever happens.
func writeSnapshot(file string, data []byte) error {
	dir := filepath.Dir(file)
	f, err := os.CreateTemp(dir, "."+filepath.Base(file)+".*")
	if err != nil {
		return fmt.Errorf("write the snapshot: %w", err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write the snapshot: %w", err), os.Remove(f.Name()))
	}
	return syncDir(dir)
}

// syncDir brings a rename to disk.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // Where the file was just written.
	if err != nil {
		return fmt.Errorf("write the snapshot: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("write the snapshot: %w", err)
	}
	return nil
}
