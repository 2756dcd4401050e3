package catalogfile

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	// maxBytes bounds a file. 20,000 channels written generously stay below it.
	maxBytes = 32 << 20
	// maxDepth bounds nesting and chains of aliases, above all what an alias inside its own
	// anchor would unfold.
	maxDepth = 100
)

// document is one YAML document and the names its aliases use.
type document struct {
	file    string
	root    ast.Node // nil when the document is empty
	anchors map[string]*ast.AnchorNode
	errs    Errors // anchors that were defined twice
}

// newDocument returns a document with the anchors below root; root may be nil.
func newDocument(file string, root ast.Node) *document {
	d := &document{file: file, root: root, anchors: map[string]*ast.AnchorNode{}}
	if root != nil {
		ast.Walk(anchorCollector{d}, root)
	}
	return d
}

// syntaxError is what the YAML parser returns for a malformed file.
type syntaxError interface {
	error
	GetToken() *token.Token
	GetMessage() string
}

// parseDocument reads the only document of data.
func parseDocument(file string, data []byte) (*document, Errors) {
	if len(data) > maxBytes {
		return nil, Errors{{File: file, Line: 1, Col: 1, Message: fmt.Sprintf("the file has %d bytes, at most %d are read", len(data), maxBytes)}}
	}
	if at := tooDeep(data); at > 0 {
		return nil, Errors{{File: file, Line: at, Col: 1, Message: fmt.Sprintf("nested more than %d brackets deep", maxBrackets)}}
	}
	parsed, err := parseYAML(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	if err != nil {
		return nil, Errors{syntaxProblem(file, err)}
	}
	var root ast.Node
	for i, doc := range parsed.Docs {
		if i > 0 {
			line, col := 1, 1
			if doc.Start != nil {
				line, col = doc.Start.Position.Line, doc.Start.Position.Column
			} else if doc.Body != nil {
				line, col = position(doc.Body)
			}
			return nil, Errors{{File: file, Line: line, Col: col, Message: "a second document begins here; the file must hold one document"}}
		}
		root = doc.Body
	}
	if root != nil && root.Type() == ast.CommentType {
		root = nil
	}
	return newDocument(file, root), nil
}

// parseYAML calls the parser. Its panics on malformed input, should it have any left, are
// errors of the input.
func parseYAML(data []byte) (file *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("not YAML that can be read: %v", r)
		}
	}()
	return parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey()) // duplicates are reported by us, all of them
}

func syntaxProblem(file string, err error) Error {
	out := Error{File: file, Line: 1, Col: 1, Message: err.Error()}
	if syn, ok := errors.AsType[syntaxError](err); ok {
		out.Message = "not well-formed YAML: " + syn.GetMessage()
		if tk := syn.GetToken(); tk != nil && tk.Position != nil {
			out.Line, out.Col = max(tk.Position.Line, 1), max(tk.Position.Column, 1)
		}
	}
	return out
}

// maxBrackets bounds brackets that are open at once, before the recursive parser sees them.
// Brackets in strings and comments count as well; a real file is far from it.
const maxBrackets = 1000

// tooDeep returns the line on which too many brackets are open, or 0.
func tooDeep(data []byte) int {
	depth, line := 0, 1
	for _, c := range data {
		switch c {
		case '\n':
			line++
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(depth-1, 0)
		}
		if depth > maxBrackets {
			return line
		}
	}
	return 0
}

// anchorCollector visits the nodes of a document in order.
type anchorCollector struct{ doc *document }

// Visit implements ast.Visitor.
func (c anchorCollector) Visit(n ast.Node) ast.Visitor {
	anchor, ok := n.(*ast.AnchorNode)
	if !ok || anchor.Name == nil {
		return c
	}
	name := anchor.Name.GetToken().Value
	if _, twice := c.doc.anchors[name]; twice {
		line, col := position(n)
		c.doc.errs = append(c.doc.errs, Error{File: c.doc.file, Line: line, Col: col, Message: fmt.Sprintf("anchor &%s is defined twice; give one of them another name", name)})
		return c
	}
	c.doc.anchors[name] = anchor
	return c
}

// resolve follows anchors and aliases to the node that holds the value. A non-empty problem
// says why there is none.
func (d *document) resolve(n ast.Node) (value ast.Node, problem string) {
	for range maxDepth {
		switch v := n.(type) {
		case nil:
			return nil, "is empty"
		case *ast.AnchorNode:
			n = v.Value
		case *ast.AliasNode:
			name := v.Value.GetToken().Value
			anchor, ok := d.anchors[name]
			if !ok || !before(anchor, v) {
				return nil, fmt.Sprintf("alias *%s names no anchor above it", name)
			}
			n = anchor.Value
		case *ast.TagNode:
			return nil, fmt.Sprintf("tags such as %s are not used here; write the plain value", v.GetToken().Value)
		default:
			return n, ""
		}
	}
	return nil, "aliases refer to each other in a circle"
}

func before(a, b ast.Node) bool {
	aLine, aCol := position(a)
	bLine, bCol := position(b)
	return aLine < bLine || aLine == bLine && aCol < bCol
}

// position is where a node begins.
func position(n ast.Node) (line, col int) {
	switch v := n.(type) {
	case *ast.MappingNode:
		if !v.IsFlowStyle && len(v.Values) > 0 {
			return position(v.Values[0])
		}
	case *ast.MappingValueNode:
		return position(v.Key)
	case *ast.LiteralNode:
		return tokenPosition(v.Start)
	}
	return tokenPosition(n.GetToken())
}

func tokenPosition(tk *token.Token) (line, col int) {
	if tk == nil || tk.Position == nil {
		return 1, 1
	}
	return max(tk.Position.Line, 1), max(tk.Position.Column, 1)
}
