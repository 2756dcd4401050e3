package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxFileBytes bounds a configuration file.
const maxFileBytes = 1 << 20

// given is a value of a setting before it is parsed.
type given struct {
	values       []string
	place        string // for problems
	origin       string // for people: where it comes from
	line, column int
}

// reader reads a file into values by key.
type reader struct {
	name     string
	known    map[string]*setting
	groups   []string // keys that hold others
	values   map[string]given
	problems Errors
}

// parseFile reads a configuration file. Relative paths in it start at its directory.
func parseFile(name string, data []byte) (map[string]given, Errors) {
	r := &reader{name: name, known: map[string]*setting{}, values: map[string]given{}}
	list := settings()
	for i := range list {
		r.known[list[i].key] = &list[i]
		for at, c := range list[i].key {
			if c == '.' && !slices.Contains(r.groups, list[i].key[:at]) {
				r.groups = append(r.groups, list[i].key[:at])
			}
		}
	}
	if len(data) > maxFileBytes {
		r.fail(nil, "", "the file has %d bytes, at most %d are read", len(data), maxFileBytes)
		return nil, r.problems
	}
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntax(err)
		return nil, r.problems
	}
	for i, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case i > 0:
			r.fail(doc.Body, "", "a file holds one document")
		default:
			r.mapping("", doc.Body)
		}
	}
	return r.values, r.problems
}

// syntax reports a file that is not YAML.
func (r *reader) syntax(err error) {
	p := Error{Place: r.name, Message: err.Error(), line: 1, column: 1}
	if e, ok := err.(interface {
		GetToken() *token.Token
		GetMessage() string
	}); ok && e.GetToken() != nil && e.GetToken().Position != nil {
		p.line, p.column = e.GetToken().Position.Line, e.GetToken().Position.Column
		p.Place = fmt.Sprintf("%s:%d:%d", r.name, p.line, p.column)
		p.Message = e.GetMessage()
	}
	r.problems = append(r.problems, p)
}

func position(node ast.Node) (line, column int) {
	if m, ok := node.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		node = m.Values[0].Key
	}
	if m, ok := node.(*ast.MappingValueNode); ok {
		node = m.Key
	}
	if node == nil || node.GetToken() == nil || node.GetToken().Position == nil {
		return 1, 1
	}
	at := node.GetToken().Position
	return at.Line, at.Column
}

func (r *reader) place(line, column int) string { return fmt.Sprintf("%s:%d:%d", r.name, line, column) }

func (r *reader) fail(node ast.Node, key, format string, args ...any) {
	line, column := position(node)
	r.problems = append(r.problems, Error{
		Place: r.place(line, column), Key: key, Message: fmt.Sprintf(format, args...), line: line, column: column,
	})
}

// mapping reads the keys below prefix.
func (r *reader) mapping(prefix string, node ast.Node) {
	var entries []*ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		entries = n.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{n}
	default:
		r.fail(node, prefix, "want keys with values: %s", strings.Join(r.below(prefix), ", "))
		return
	}
	if len(entries) == 0 {
		r.fail(node, prefix, "is empty: remove it, or give some of %s", strings.Join(r.below(prefix), ", "))
	}
	seen := map[string]bool{}
	for _, e := range entries {
		word := e.Key.GetToken().Value
		if seen[word] {
			r.fail(e.Key, word, "is given twice")
			continue
		}
		seen[word] = true
		r.entry(prefix, e)
	}
}

func (r *reader) entry(prefix string, e *ast.MappingValueNode) {
	word := e.Key.GetToken().Value
	key := word
	if prefix != "" {
		key = prefix + "." + word
	}
	s, ok := r.known[key]
	switch {
	case ok:
		r.value(s, e.Value)
	case slices.Contains(r.groups, key):
		r.mapping(key, e.Value)
	case word == "password" || word == "token" || word == "secret":
		r.fail(e.Key, key, "secrets are never written here: put it into a file and name that as password_file")
	default:
		hint := ""
		if near := nearest(word, r.below(prefix)); near != "" {
			hint = fmt.Sprintf(" did you mean %s?", near)
		}
		r.fail(e.Key, key, "unknown key;%s want one of %s", hint, strings.Join(r.below(prefix), ", "))
	}
}

// below lists the words that may stand below a prefix.
func (r *reader) below(prefix string) []string {
	var words []string
	for key := range r.known {
		rest := key
		if prefix != "" {
			var ok bool
			if rest, ok = strings.CutPrefix(key, prefix+"."); !ok {
				continue
			}
		}
		word, _, _ := strings.Cut(rest, ".")
		words = append(words, word)
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// value reads the value of a setting: a scalar, or a list where one may be.
func (r *reader) value(s *setting, node ast.Node) {
	line, column := position(node)
	place := r.place(line, column)
	g := given{place: place, origin: "file " + r.name + ":" + strconv.Itoa(line), line: line, column: column}
	if seq, ok := node.(*ast.SequenceNode); ok && s.list {
		for _, item := range seq.Values {
			if text, ok := r.scalar(s.key, item); ok {
				g.values = append(g.values, text)
			}
		}
		if len(g.values) == len(seq.Values) {
			r.values[s.key] = g
		}
		return
	}
	text, ok := r.scalar(s.key, node)
	if !ok {
		return
	}
	if s.file && text != "" && !filepath.IsAbs(text) {
		text = filepath.Join(filepath.Dir(r.name), text)
	}
	g.values = []string{text}
	r.values[s.key] = g
}

func (r *reader) scalar(key string, node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	case *ast.NullNode:
		r.fail(node, key, "has no value: give one, or remove the key")
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		r.fail(node, key, "anchors, aliases and tags are not read here: write the value")
	default:
		r.fail(node, key, "want a plain value; quotes help where one holds a colon")
	}
	return "", false
}

// nearest returns the word with the fewest edits to get there, if they are few.
func nearest(word string, words []string) string {
	best, least := "", 3
	for _, w := range words {
		if d := distance(word, w); d < least && d < len(w) {
			best, least = w, d
		}
	}
	return best
}

// distance is the number of insertions, deletions and replacements between two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
