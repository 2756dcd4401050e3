//go:build !unix

package cli

import "os"

// windowSize assumes the smallest common size where the system tells none.
func windowSize(f *os.File) (cols, rows int, ok bool) {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return 0, 0, false
	}
	return 80, 24, true
}
