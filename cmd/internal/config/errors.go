package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrConfig is wrapped by every problem of a configuration.
var ErrConfig = errors.New("invalid configuration")

// Error is one thing wrong with a configuration.
type Error struct {
	// Place is where the value was given: FILE:LINE:COLUMN, $VARIABLE, --flag or "default".
	Place string
	// Key is the setting, such as etcd.tls.ca; empty for problems of a file as a whole.
	Key string
	// Message says what is wrong and what would be right.
	Message string

	line, column int // in the file, 0 elsewhere
}

// Error returns `place: key: message`.
func (p Error) Error() string {
	parts := []string{p.Message}
	if p.Key != "" {
		parts = append([]string{p.Key}, parts...)
	}
	if p.Place != "" {
		parts = append([]string{p.Place}, parts...)
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns ErrConfig.
func (Error) Unwrap() error { return ErrConfig }

// Errors is everything wrong with a configuration: first what is wrong in the file, in its order.
type Errors []Error

// Error returns one problem a line, under a heading if there are several.
func (ps Errors) Error() string {
	if len(ps) == 1 {
		return ps[0].Error()
	}
	lines := make([]string, 0, len(ps)+1)
	lines = append(lines, fmt.Sprintf("the configuration has %d problems:", len(ps)))
	for _, p := range ps {
		lines = append(lines, "  "+p.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems, so that errors.As finds one of them.
func (ps Errors) Unwrap() []error {
	list := make([]error, len(ps))
	for i, p := range ps {
		list[i] = p
	}
	return list
}

// orNil sorts the problems and returns nil if there are none.
func (ps Errors) orNil() error {
	if len(ps) == 0 {
		return nil
	}
	outside := func(p Error) int { // what is not in the file comes after it
		if p.line == 0 {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(ps, func(a, b Error) int {
		return cmp.Or(cmp.Compare(outside(a), outside(b)), cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	return slices.Compact(ps)
}
