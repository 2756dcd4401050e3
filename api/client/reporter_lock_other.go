//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package client

import (
	"fmt"
	"os"
)

// lockFile takes no lock here: whoever runs two processes on one file must name two.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("spill lock: %w", err)
	}
	return f, nil
}
