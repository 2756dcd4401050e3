package catalogfile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one problem of a file.
type Error struct {
	// File is the name the file was given when it was read.
	File string
	// Line and Col count from 1; Col counts characters, not bytes.
	Line, Col int
	// Path is the field path, such as `channels[3].capacity.payments_per_second`; empty for
	// problems of the file as a whole.
	Path string
	// Message says what is wrong and what would be right.
	Message string
}

// Error returns `file:line:col: path: message`.
func (e Error) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s", e.File, e.Line, e.Col, e.Path, e.Message)
}

// Errors holds every problem found in a file, in the order of the file. It is never empty
// when it is returned as an error.
type Errors []Error

// Error returns one problem per line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the single problems to errors.As.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i, one := range e {
		out[i] = one
	}
	return out
}

// maxProblems bounds a report: a file of another kind need not be listed line by line.
const maxProblems = 1000

// orNil sorts the problems, drops repetitions and what is too much, and returns nil when there are none.
func (e Errors) orNil() error {
	if len(e) == 0 {
		return nil
	}
	slices.SortFunc(e, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
	e = slices.Compact(e)
	if len(e) > maxProblems {
		last := e[maxProblems-1]
		e = append(e[:maxProblems], Error{File: last.File, Line: last.Line, Col: last.Col, Message: "too many problems; the rest is not listed"})
	}
	return e
}
