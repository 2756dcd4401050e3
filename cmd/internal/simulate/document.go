package simulate

import (
	"errors"
	"fmt"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a scenario file; a real one is far from them. The parser is recursive, so brackets are counted first.
const (
	maxBytes    = 4 << 20
	maxBrackets = 1000
)

// document parses a file that holds one YAML document.
func document(name string, data []byte) (*ast.File, *ScenarioError) {
	if len(data) > maxBytes {
		return nil, &ScenarioError{File: name, Message: fmt.Sprintf("the file has %d bytes, at most %d are read", len(data), maxBytes)}
	}
	if at, deep := tooDeep(data); deep {
		return nil, &ScenarioError{File: name, At: at, Message: fmt.Sprintf("nested more than %d brackets deep", maxBrackets)}
	}
	file, err := parseYAML(data)
	if err != nil {
		return nil, malformed(name, err)
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		return nil, &ScenarioError{File: name, Message: "want one YAML document"}
	}
	return file, nil
}

// parseYAML calls the parser. Its panics on malformed input, should it have any, are errors of the input.
func parseYAML(data []byte) (file *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("not YAML that can be read: %v", r)
		}
	}()
	return parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey()) // repeated keys are reported with the other problems
}

// syntaxError is what the parser returns for a malformed file.
type syntaxError interface {
	error
	GetToken() *token.Token
	GetMessage() string
}

func malformed(name string, err error) *ScenarioError {
	out := &ScenarioError{File: name, Message: "not well-formed YAML: " + err.Error()}
	if syntax, ok := errors.AsType[syntaxError](err); ok {
		out.Message = "not well-formed YAML: " + syntax.GetMessage()
		if t := syntax.GetToken(); t != nil && t.Position != nil {
			out.At = Position{Line: t.Position.Line, Column: t.Position.Column}
		}
	}
	return out
}

// tooDeep says where too many brackets are open at once.
func tooDeep(data []byte) (Position, bool) {
	depth, at := 0, Position{Line: 1}
	for _, c := range data {
		at.Column++
		switch c {
		case '\n':
			at = Position{Line: at.Line + 1}
		case '[', '{':
			if depth++; depth > maxBrackets {
				return at, true
			}
		case ']', '}':
			depth = max(0, depth-1)
		}
	}
	return Position{}, false
}
