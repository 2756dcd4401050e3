package catalogfile

import (
	"github.com/goccy/go-yaml/ast"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
)

// Parse reads a catalogue and checks it against the rules of its schema. What only the whole
// catalogue can tell, such as a reference to a channel that does not exist, is for Check. name
// is the file's name in messages. The error is Errors, with every problem of the file.
func Parse(name string, data []byte) (*configv1.Catalog, error) {
	c := &configv1.Catalog{}
	if err := Decode(name, data, c); err != nil {
		return nil, err
	}
	return c, nil
}

// Decode reads one YAML document into m, an empty message, and checks it against the rules of
// its schema: a policy for example. The error is Errors; m is then of no use.
func Decode(name string, data []byte, m proto.Message) error {
	_, errs := decode(name, data, m)
	return errs.orNil()
}

// DecodeNode is Decode for a part of a larger document that was parsed by github.com/goccy/go-yaml,
// such as the value of `catalog:` in a scenario. Lines and columns are those of the document;
// paths begin at the node. Aliases may refer to anchors inside the node only.
func DecodeNode(name string, node ast.Node, m proto.Message) error {
	_, errs := decodeNode(name, node, m)
	return errs.orNil()
}

// decode reads data into m. The source is nil when the file is not YAML at all.
func decode(name string, data []byte, m proto.Message) (*Source, Errors) {
	doc, errs := parseDocument(name, data)
	if len(errs) > 0 {
		return nil, errs
	}
	return doc.decode(m)
}

func decodeNode(name string, node ast.Node, m proto.Message) (*Source, Errors) {
	return newDocument(name, node).decode(m)
}

func (d *document) decode(m proto.Message) (*Source, Errors) {
	s := &Source{doc: d}
	if d.root == nil {
		return nil, Errors{s.problem("", "the file is empty")}
	}
	w := &walker{doc: d, errs: d.errs}
	w.message("", d.root, m.ProtoReflect())
	s.bad = w.bad
	if len(w.errs) > maxProblems || w.nodes >= maxNodes {
		return s, w.errs
	}
	return s, append(w.errs, s.validate(m)...)
}
