//go:build race

package client

// underRace says that the race detector watches, which makes everything ten times slower.
const underRace = true
