package routing

import (
	"errors"
	"fmt"
)

// ErrCatalog is wrapped by every Problem.
var ErrCatalog = errors.New("invalid catalogue")

// Problem is one thing that is wrong with a catalogue. CompilePlan joins all of them, so that they can be mended at once.
type Problem struct { //nolint:errname // the word of the catalogue's tools
	Path    string // field of the catalogue, e.g. "channels[3].accounts[0].entity"
	Message string // what is wrong
	Want    string // what would be right; empty where the message says it
}

// Error renders path, message and what would be right.
func (p *Problem) Error() string {
	if p.Want == "" {
		return p.Path + ": " + p.Message
	}
	return p.Path + ": " + p.Message + ": want " + p.Want
}

// Unwrap returns ErrCatalog.
func (p *Problem) Unwrap() error { return ErrCatalog }

// Problems returns the problems in an error of CompilePlan, in the order of the catalogue.
func Problems(err error) []*Problem {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []*Problem
		for _, e := range joined.Unwrap() {
			all = append(all, Problems(e)...)
		}
		return all
	}
	if p, ok := errors.AsType[*Problem](err); ok {
		return []*Problem{p}
	}
	return nil
}

// problems collects what is wrong.
type problems struct{ errs []error }

// add reports a problem; want may be empty.
func (ps *problems) add(path, message, want string) {
	ps.errs = append(ps.errs, &Problem{Path: path, Message: message, Want: want})
}

// addf is add with a formatted message.
func (ps *problems) addf(path, want, format string, args ...any) {
	ps.add(path, fmt.Sprintf(format, args...), want)
}

func (ps *problems) err() error { return errors.Join(ps.errs...) }
