package simulate

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrScenario is wrapped by every error about the content of a scenario file.
var ErrScenario = errors.New("invalid scenario")

// ErrNotSupported is wrapped by errors about what the format knows and this build cannot simulate.
var ErrNotSupported = errors.New("not supported yet")

// Position is a place in a scenario file; lines and columns start at 1, zero means unknown.
type Position struct {
	Line, Column int
}

// ScenarioError is one thing wrong with a scenario, with its place and what would be right.
type ScenarioError struct {
	File    string
	At      Position
	Path    string // e.g. truth[2].outcomes
	Message string
	Cause   error // a sentinel beside ErrScenario, or nil
}

// Error renders FILE:LINE:COLUMN: PATH: MESSAGE.
func (p ScenarioError) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.At.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.At.Line, p.At.Column)
	}
	if p.Path != "" {
		b.WriteString(": " + p.Path)
	}
	b.WriteString(": " + p.Message)
	return b.String()
}

// Unwrap returns ErrScenario and the cause, if there is one.
func (p ScenarioError) Unwrap() []error {
	if p.Cause == nil {
		return []error{ErrScenario}
	}
	return []error{ErrScenario, p.Cause}
}

// ScenarioErrors is everything wrong with a scenario, in the order of the file.
type ScenarioErrors []ScenarioError

// Error renders one problem a line.
func (ps ScenarioErrors) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems, so that errors.Is finds their sentinels.
func (ps ScenarioErrors) Unwrap() []error {
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errs
}

// sorted returns the problems as an error, nil if there are none.
func (ps ScenarioErrors) sorted() error {
	if len(ps) == 0 {
		return nil
	}
	slices.SortStableFunc(ps, func(a, b ScenarioError) int {
		if c := cmp.Compare(a.At.Line, b.At.Line); c != 0 {
			return c
		}
		return cmp.Compare(a.At.Column, b.At.Column)
	})
	return ps
}
