package config

import (
	"fmt"
	"os"
	"strings"
)

// ReadSecret returns the secret that a file holds, without the line break at its end.
func ReadSecret(path string) (string, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return "", fmt.Errorf("secret: %w", err)
	}
	s := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if s == "" || len(s) > maxTextBytes || strings.Contains(s, "\n") {
		return "", fmt.Errorf("secret: %s: want one line of at most %d bytes, not empty", path, maxTextBytes)
	}
	return s, nil
}

// OpenToOthers reports whether others on this machine can read a file.
func OpenToOthers(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().Perm()&0o004 != 0
}
