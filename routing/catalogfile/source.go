package catalogfile

import (
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Source is a file that was read. It finds the line and column of a field path, so that what
// is found later, by the compiler of the catalogue for example, is reported where it is written.
type Source struct {
	doc *document
	bad []badPath // what was already reported
}

// badPath is a path with a problem; recovered says that a value was set nevertheless, the one
// that was probably meant, so that its users are not reported as well.
type badPath struct {
	path      string
	recovered bool
}

// File returns the name under which the file was read.
func (s *Source) File() string { return s.doc.file }

// At returns where the value of a field path such as `channels[3].capacity` or
// `channels[0].tags["team"]` is written. A list or a message is found at its key. If the path is
// not written in the file, the position is that of the nearest one around it; without any, 1, 1.
func (s *Source) At(path string) (line, col int) {
	at, _ := s.find(path)
	if at == nil {
		return 1, 1
	}
	return position(at)
}

// find returns the node that stands for a path, or for the nearest path around it, and the value
// of the path if it is written.
func (s *Source) find(path string) (at, value ast.Node) {
	at, value = s.doc.root, s.doc.root
	for _, step := range splitPath(path) {
		outer, problem := s.doc.resolve(value)
		if problem != "" {
			return at, nil
		}
		key, inner := s.doc.child(outer, step)
		if inner == nil {
			return at, nil
		}
		at, value = key, inner
		if target, problem := s.doc.resolve(value); problem != "" || isScalar(target) {
			at = value
		}
	}
	return at, value
}

// child returns the value of one step below n and the node that stands for it: its key, or the
// element of a list itself.
func (d *document) child(n ast.Node, step pathStep) (at, value ast.Node) {
	if step.isIndex {
		seq, ok := n.(*ast.SequenceNode)
		if !ok || step.index < 0 || step.index >= len(seq.Values) {
			return nil, nil
		}
		return seq.Values[step.index], seq.Values[step.index]
	}
	all, _ := d.entries(n)
	for _, e := range all {
		if e.key == step.key {
			return e.keyAt, e.value
		}
	}
	return nil, nil
}

func isScalar(n ast.Node) bool {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode:
		return false
	default:
		return true
	}
}

// pathStep is a key or an index.
type pathStep struct {
	key     string
	index   int
	isIndex bool
}

// splitPath takes `a.b[3].c["x.y"]` apart. What follows a malformed step is left out.
func splitPath(path string) []pathStep {
	var steps []pathStep
	for path != "" {
		switch path[0] {
		case '.':
			path = path[1:]
		case '[':
			step, rest, ok := subscript(path[1:])
			if !ok {
				return steps
			}
			steps, path = append(steps, step), rest
		default:
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			steps, path = append(steps, pathStep{key: path[:end]}), path[end:]
		}
	}
	return steps
}

func subscript(s string) (step pathStep, rest string, ok bool) {
	if quoted, err := strconv.QuotedPrefix(s); err == nil {
		key, err := strconv.Unquote(quoted)
		rest, closed := strings.CutPrefix(s[len(quoted):], "]")
		return pathStep{key: key}, rest, err == nil && closed
	}
	number, rest, closed := strings.Cut(s, "]")
	if !closed {
		return pathStep{}, "", false
	}
	index, err := strconv.Atoi(number)
	if err != nil { // the key of a map that is not a string
		return pathStep{key: number}, rest, true
	}
	return pathStep{index: index, isIndex: true}, rest, true
}

// reported says whether a problem at path only repeats one that was already found: at the path
// itself, around it, or below it where no value could be set.
func (s *Source) reported(path string) bool {
	for _, bad := range s.bad {
		if bad.path == path || within(path, bad.path) || !bad.recovered && within(bad.path, path) {
			return true
		}
	}
	return false
}

// within says whether path lies below outer.
func within(path, outer string) bool {
	rest, ok := strings.CutPrefix(path, outer)
	return ok && rest != "" && (outer == "" || rest[0] == '.' || rest[0] == '[')
}
