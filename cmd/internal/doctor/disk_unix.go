//go:build unix

package doctor

import "golang.org/x/sys/unix"

// freeSpace is what an ordinary user may still write to the file system of a directory, in bytes.
func freeSpace(dir string) (int64, bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true //nolint:gosec,unconvert // the types differ between systems; disks are smaller
}
