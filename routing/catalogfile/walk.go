package catalogfile

import (
	"fmt"
	"strconv"

	"github.com/goccy/go-yaml/ast"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxNodes bounds the values of a file after its aliases are unfolded.
const maxNodes = 4_000_000

// walker fills a message from a YAML tree along the message's descriptor.
type walker struct {
	doc   *document
	errs  Errors
	bad   []badPath
	nodes int
	depth int
}

// fail reports a problem whose value could not be set.
func (w *walker) fail(path string, at ast.Node, format string, args ...any) {
	w.report(badPath{path: path}, at, format, args...)
}

// recovered reports a problem after which the value that was meant is known.
func (w *walker) recovered(path string, at ast.Node, format string, args ...any) {
	w.report(badPath{path: path, recovered: true}, at, format, args...)
}

func (w *walker) report(bad badPath, at ast.Node, format string, args ...any) {
	if len(w.errs) > maxProblems {
		return
	}
	line, col := position(at)
	w.bad = append(w.bad, bad)
	w.errs = append(w.errs, Error{File: w.doc.file, Line: line, Col: col, Path: bad.path, Message: fmt.Sprintf(format, args...)})
}

// enter resolves a node, counts it, and says whether the walk may go on below it.
func (w *walker) enter(path string, n ast.Node) (ast.Node, bool) {
	w.nodes++
	switch {
	case w.nodes == maxNodes:
		w.fail(path, n, "aliases unfold to more than %d values", maxNodes)
		return nil, false
	case w.nodes > maxNodes || len(w.errs) > maxProblems:
		return nil, false
	case w.depth > maxDepth:
		w.fail(path, n, "nested more than %d levels deep", maxDepth)
		return nil, false
	}
	value, problem := w.doc.resolve(n)
	if problem != "" {
		w.fail(path, n, "%s", problem)
		return nil, false
	}
	return value, true
}

// message fills m from a mapping.
func (w *walker) message(path string, n ast.Node, m protoreflect.Message) {
	value, ok := w.mapping(path, n)
	if !ok {
		return
	}
	w.depth++
	defer func() { w.depth-- }()
	all, troubles := w.doc.entries(value)
	for _, t := range troubles {
		at := path
		if t.key != "" {
			at = join(path, t.key)
		}
		w.recovered(at, t.at, "%s", t.message)
	}
	given := map[string]bool{}
	for _, e := range all {
		given[e.key] = true
	}
	for _, e := range all {
		fieldPath := join(path, e.key)
		fd := m.Descriptor().Fields().ByName(protoreflect.Name(e.key))
		if fd == nil {
			fd = w.unknownKey(fieldPath, e, given, m.Descriptor())
		}
		if fd != nil {
			w.field(fieldPath, e.value, m, fd)
		}
	}
}

// unknownKey reports a key that the schema does not know. It returns the field that was probably
// meant, if the file does not give that one as well: its value is then read for further problems.
func (w *walker) unknownKey(path string, e entry, given map[string]bool, md protoreflect.MessageDescriptor) protoreflect.FieldDescriptor {
	names := fieldNames(md)
	w.recovered(path, e.keyAt, "unknown key %s%s", quote(e.key), didYouMean(e.key, names))
	meant := nearest(e.key, names)
	if meant == "" || given[meant] {
		return nil
	}
	given[meant] = true
	return md.Fields().ByName(protoreflect.Name(meant))
}

func fieldNames(md protoreflect.MessageDescriptor) []string {
	fields := md.Fields()
	names := make([]string, fields.Len())
	for i := range names {
		names[i] = string(fields.Get(i).Name())
	}
	return names
}

// field sets one field of m.
func (w *walker) field(path string, n ast.Node, m protoreflect.Message, fd protoreflect.FieldDescriptor) {
	if one := fd.ContainingOneof(); one != nil && !one.IsSynthetic() {
		if other := m.WhichOneof(one); other != nil && other != fd {
			w.fail(path, n, "excludes %s, which is given as well; keep one of them", other.Name())
			return
		}
	}
	switch {
	case fd.IsMap():
		w.mapField(path, n, m.Mutable(fd).Map(), fd)
	case fd.IsList():
		w.list(path, n, m.Mutable(fd).List(), fd)
	case isMessage(fd):
		w.messageField(path, n, m, fd)
	default:
		if v, ok := w.scalar(path, n, fd); ok {
			m.Set(fd, v)
		}
	}
}

func isMessage(fd protoreflect.FieldDescriptor) bool {
	return fd.Kind() == protoreflect.MessageKind || fd.Kind() == protoreflect.GroupKind
}

func (w *walker) messageField(path string, n ast.Node, m protoreflect.Message, fd protoreflect.FieldDescriptor) {
	if isWellKnown(fd.Message()) {
		if v, ok := w.wellKnown(path, n, m.NewField(fd).Message()); ok {
			m.Set(fd, v)
		}
		return
	}
	w.message(path, n, m.Mutable(fd).Message())
}

// list fills a list from a sequence. An element with a problem is kept as a zero value, so that
// the indices of the others stay those of the file.
func (w *walker) list(path string, n ast.Node, list protoreflect.List, fd protoreflect.FieldDescriptor) {
	value, ok := w.enter(path, n)
	if !ok {
		return
	}
	seq, ok := value.(*ast.SequenceNode)
	if !ok {
		w.fail(path, n, "want a list, like [a, b] or lines that begin with a dash; have %s%s", describe(value), leaveOut(value))
		return
	}
	for i, item := range seq.Values {
		itemPath := path + "[" + strconv.Itoa(i) + "]"
		v := list.NewElement()
		switch {
		case !isMessage(fd):
			if scalar, ok := w.scalar(itemPath, item, fd); ok {
				v = scalar
			}
		case isWellKnown(fd.Message()):
			w.wellKnown(itemPath, item, v.Message())
		default:
			w.message(itemPath, item, v.Message())
		}
		list.Append(v)
	}
}

func (w *walker) mapField(path string, n ast.Node, target protoreflect.Map, fd protoreflect.FieldDescriptor) {
	value, ok := w.mapping(path, n)
	if !ok {
		return
	}
	w.depth++
	defer func() { w.depth-- }()
	all, troubles := w.doc.entries(value)
	for _, t := range troubles {
		w.recovered(path, t.at, "key %s: %s", quote(t.key), t.message)
	}
	for _, e := range all {
		key, subscript, ok := mapKey(e.key, fd.MapKey())
		if !ok {
			w.fail(path, e.keyAt, "key %s: want %s", quote(e.key), wanted(fd.MapKey()))
			continue
		}
		itemPath := path + "[" + subscript + "]"
		v := target.NewValue()
		if !isMessage(fd.MapValue()) {
			if scalar, ok := w.scalar(itemPath, e.value, fd.MapValue()); ok {
				target.Set(key, scalar)
			}
			continue
		}
		if isWellKnown(fd.MapValue().Message()) {
			w.wellKnown(itemPath, e.value, v.Message())
		} else {
			w.message(itemPath, e.value, v.Message())
		}
		target.Set(key, v)
	}
}

// mapping resolves a node that has to be a mapping.
func (w *walker) mapping(path string, n ast.Node) (ast.Node, bool) {
	value, ok := w.enter(path, n)
	if !ok {
		return nil, false
	}
	switch value.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return value, true
	default:
		w.fail(path, n, "want keys with values, like {key: value} or indented lines; have %s%s", describe(value), leaveOut(value))
		return nil, false
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
