//go:build unix

package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// windowSize asks the terminal behind a file for its size; ok is false where it is none.
func windowSize(f *os.File) (cols, rows int, ok bool) {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0, false
	}
	if size.Col == 0 || size.Row == 0 {
		return 80, 24, true // a terminal that does not know
	}
	return int(size.Col), int(size.Row), true
}
