package simulate

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// decoder reads a YAML tree strictly and collects every problem with its place.
type decoder struct {
	file     string
	problems ScenarioErrors
}

// value is one node with the path that leads to it.
type value struct {
	d    *decoder
	node ast.Node
	path string
	at   Position
}

// fields says what to do with each key an object may have.
type fields map[string]func(value)

func (v value) fail(format string, args ...any) {
	v.d.problems = append(v.d.problems, ScenarioError{File: v.d.file, At: v.at, Path: v.path, Message: fmt.Sprintf(format, args...)})
}

func (v value) unsupported(what string) {
	v.d.problems = append(v.d.problems, ScenarioError{
		File: v.d.file, At: v.at, Path: v.path, Message: what + " is " + ErrNotSupported.Error(), Cause: ErrNotSupported,
	})
}

func (v value) child(name string, node ast.Node) value {
	path := name
	if v.path != "" && !strings.HasPrefix(name, "[") {
		path = "." + name
	}
	return value{d: v.d, node: node, path: v.path + path, at: place(node)}
}

func place(node ast.Node) Position {
	if m, ok := node.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		node = m.Values[0].Key
	}
	if m, ok := node.(*ast.MappingValueNode); ok {
		node = m.Key
	}
	token := node.GetToken()
	if token == nil || token.Position == nil {
		return Position{}
	}
	return Position{Line: token.Position.Line, Column: token.Position.Column}
}

// object calls the function of each key; unknown keys and repeated ones are problems.
func (v value) object(known fields) bool {
	var entries []*ast.MappingValueNode
	switch n := v.node.(type) {
	case *ast.MappingNode:
		entries = n.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{n}
	default:
		v.fail("want a mapping with keys %s", names(known))
		return false
	}
	given := map[string]bool{}
	for _, entry := range entries {
		name := entry.Key.GetToken().Value
		key := v.child(name, entry.Key)
		read, ok := known[name]
		switch {
		case !ok:
			key.fail("unknown key; want one of %s", names(known))
		case given[name]:
			key.fail("given twice")
		default:
			read(v.child(name, entry.Value))
		}
		given[name] = true
	}
	return true
}

// pairs calls each for every key of a free mapping.
func (v value) pairs(each func(key string, item value)) {
	switch n := v.node.(type) {
	case *ast.MappingNode:
		given := map[string]bool{}
		for _, entry := range n.Values {
			name := entry.Key.GetToken().Value
			if given[name] {
				v.child(name, entry.Key).fail("given twice")
				continue
			}
			given[name] = true
			each(name, v.child(name, entry.Value))
		}
	case *ast.MappingValueNode:
		each(n.Key.GetToken().Value, v.child(n.Key.GetToken().Value, n.Value))
	default:
		v.fail("want a mapping")
	}
}

func names(known fields) string {
	return strings.Join(slices.Sorted(maps.Keys(known)), ", ")
}

// list calls each for every item.
func (v value) list(each func(value)) {
	seq, ok := v.node.(*ast.SequenceNode)
	if !ok {
		v.fail("want a list")
		return
	}
	for i, item := range seq.Values {
		each(v.child("["+strconv.Itoa(i)+"]", item))
	}
}

// text returns a scalar as it is written.
func (v value) text() (string, bool) {
	switch n := v.node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	v.fail("want a plain value")
	return "", false
}

func (v value) str(into *string) {
	if s, ok := v.text(); ok {
		*into = s
	}
}

// number reads a finite number within bounds.
func (v value) number(into *float64, least, most float64) {
	s, ok := v.text()
	if !ok {
		return
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
	if err != nil || math.IsNaN(f) || f < least || f > most {
		v.fail("%q: want a number from %v to %v", s, least, most)
		return
	}
	*into = f
}

// whole reads an integer within bounds.
func whole[T ~int | ~int64 | ~uint64](v value, into *T, least, most T) {
	s, ok := v.text()
	if !ok {
		return
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 10, 64)
	if err != nil || n < int64(least) || T(n) > most {
		v.fail("%q: want a whole number from %d to %d", s, least, most)
		return
	}
	*into = T(n)
}

func (v value) flag(into *bool) {
	switch s, _ := v.text(); s {
	case "true":
		*into = true
	case "false":
		*into = false
	default:
		v.fail("want true or false")
	}
}

// duration reads a Go duration such as 100ms, 30m or 2h.
func (v value) duration(into *time.Duration, least, most time.Duration) {
	s, ok := v.text()
	if !ok {
		return
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < least || d > most {
		v.fail("%q: want a duration such as 100ms, 30m or 2h, from %v to %v", s, least, most)
		return
	}
	*into = d
}

func (v value) moment(into *time.Time) {
	s, ok := v.text()
	if !ok {
		return
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Nanosecond() != 0 {
		v.fail("%q: want a whole second such as 2026-03-02T08:00:00Z", s)
		return
	}
	*into = t.UTC()
}
