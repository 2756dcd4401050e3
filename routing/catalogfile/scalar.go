package catalogfile

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// scalar reads one value of the field's type. Types are not converted into each other: a number
// is not a text, and a text is not a number.
func (w *walker) scalar(path string, n ast.Node, fd protoreflect.FieldDescriptor) (protoreflect.Value, bool) {
	none := protoreflect.Value{}
	value, ok := w.enter(path, n)
	if !ok {
		return none, false
	}
	switch fd.Kind() { //nolint:exhaustive // The rest are numbers.
	case protoreflect.StringKind:
		return w.text(path, n, value, fd)
	case protoreflect.EnumKind:
		return w.enum(path, n, value, fd)
	case protoreflect.BytesKind:
		s, ok := textOf(value)
		b, err := base64.StdEncoding.DecodeString(s)
		if !ok || err != nil {
			return none, w.refuse(path, n, value, fd)
		}
		return protoreflect.ValueOfBytes(b), true
	case protoreflect.BoolKind:
		b, ok := value.(*ast.BoolNode)
		if !ok {
			return none, w.refuse(path, n, value, fd)
		}
		return protoreflect.ValueOfBool(b.Value), true
	default:
		v, ok := number(value, fd.Kind())
		if !ok {
			return none, w.refuse(path, n, value, fd)
		}
		return v, true
	}
}

func (w *walker) refuse(path string, n, value ast.Node, fd protoreflect.FieldDescriptor) bool {
	w.fail(path, n, "want %s, have %s%s", wanted(fd), describe(value), leaveOut(value))
	return false
}

func (w *walker) text(path string, n, value ast.Node, fd protoreflect.FieldDescriptor) (protoreflect.Value, bool) {
	if s, ok := textOf(value); ok {
		return protoreflect.ValueOfString(s), true
	}
	switch value.(type) {
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		raw := value.GetToken().Value
		w.recovered(path, n, "want a text, have %s; put it in quotes: %q", describe(value), raw)
		return protoreflect.ValueOfString(raw), true
	default:
		return protoreflect.Value{}, w.refuse(path, n, value, fd)
	}
}

func textOf(n ast.Node) (string, bool) {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value, true
	case *ast.LiteralNode:
		if v.Value == nil {
			return "", true
		}
		return v.Value.Value, true
	default:
		return "", false
	}
}

// enum reads the name of an enum value without its prefix.
func (w *walker) enum(path string, n, value ast.Node, fd protoreflect.FieldDescriptor) (protoreflect.Value, bool) {
	word, ok := textOf(value)
	if !ok {
		return protoreflect.Value{}, w.refuse(path, n, value, fd)
	}
	values := enumNames(fd.Enum())
	if number, ok := values[word]; ok {
		return protoreflect.ValueOfEnum(number), true
	}
	bare := strings.TrimPrefix(word, enumPrefix(fd.Enum()))
	if number, ok := values[bare]; ok {
		w.recovered(path, n, "unknown value %s; write it without its prefix: %s", quote(word), bare)
		return protoreflect.ValueOfEnum(number), true
	}
	names := sortedByNumber(values)
	hint := didYouMean(word, names)
	if meant := nearest(word, names); meant != "" {
		w.recovered(path, n, "unknown value %s%s", quote(word), hint)
		return protoreflect.ValueOfEnum(values[meant]), true
	}
	w.fail(path, n, "unknown value %s%s", quote(word), hint)
	return protoreflect.Value{}, false
}

// number reads a whole or a floating number that the kind can hold.
func number(n ast.Node, kind protoreflect.Kind) (v protoreflect.Value, ok bool) {
	switch kind {
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		i, ok := whole(n, 32)
		return protoreflect.ValueOfInt32(int32(i)), ok //nolint:gosec // whole parsed it into 32 bits.
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		i, ok := whole(n, 64)
		return protoreflect.ValueOfInt64(i), ok
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		u, ok := natural(n, 32)
		return protoreflect.ValueOfUint32(uint32(u)), ok //nolint:gosec // natural parsed it into 32 bits.
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		u, ok := natural(n, 64)
		return protoreflect.ValueOfUint64(u), ok
	case protoreflect.FloatKind:
		f, ok := decimal(n)
		return protoreflect.ValueOfFloat32(float32(f)), ok && math.Abs(f) <= math.MaxFloat32
	case protoreflect.DoubleKind:
		f, ok := decimal(n)
		return protoreflect.ValueOfFloat64(f), ok
	case protoreflect.BoolKind, protoreflect.EnumKind, protoreflect.StringKind, protoreflect.BytesKind,
		protoreflect.MessageKind, protoreflect.GroupKind:
		return protoreflect.Value{}, false
	}
	return protoreflect.Value{}, false
}

// digits gives the digits of a whole number as it is written. A leading zero is refused, because
// YAML readers disagree on whether 010 is eight or ten.
func digits(n ast.Node) (string, bool) {
	if _, ok := n.(*ast.IntegerNode); !ok {
		return "", false
	}
	raw := n.GetToken().Value
	unsigned := strings.TrimLeft(raw, "+-")
	if unsigned == "" || strings.Trim(unsigned, "0123456789_") != "" || unsigned[0] == '0' && len(unsigned) > 1 {
		return "", false
	}
	return strings.ReplaceAll(raw, "_", ""), true
}

func whole(n ast.Node, bits int) (int64, bool) {
	s, ok := digits(n)
	if !ok {
		return 0, false
	}
	i, err := strconv.ParseInt(s, 10, bits)
	return i, err == nil
}

func natural(n ast.Node, bits int) (uint64, bool) {
	s, ok := digits(n)
	if !ok {
		return 0, false
	}
	u, err := strconv.ParseUint(strings.TrimPrefix(s, "+"), 10, bits)
	return u, err == nil
}

func decimal(n ast.Node) (float64, bool) {
	s, ok := digits(n)
	if _, float := n.(*ast.FloatNode); float {
		s, ok = strings.ReplaceAll(n.GetToken().Value, "_", ""), true
	}
	if !ok {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && !math.IsInf(f, 0) && !math.IsNaN(f)
}

// mapKey reads the key of a map and returns how paths write it.
func mapKey(key string, fd protoreflect.FieldDescriptor) (k protoreflect.MapKey, subscript string, ok bool) {
	var v protoreflect.Value
	switch fd.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(key).MapKey(), strconv.Quote(key), true
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		i, err := strconv.ParseInt(key, 10, 32)
		v, ok = protoreflect.ValueOfInt32(int32(i)), err == nil
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		i, err := strconv.ParseInt(key, 10, 64)
		v, ok = protoreflect.ValueOfInt64(i), err == nil
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		u, err := strconv.ParseUint(key, 10, 32)
		v, ok = protoreflect.ValueOfUint32(uint32(u)), err == nil
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		u, err := strconv.ParseUint(key, 10, 64)
		v, ok = protoreflect.ValueOfUint64(u), err == nil
	case protoreflect.BoolKind:
		v, ok = protoreflect.ValueOfBool(key == "true"), key == "true" || key == "false"
	case protoreflect.EnumKind, protoreflect.BytesKind, protoreflect.FloatKind, protoreflect.DoubleKind,
		protoreflect.MessageKind, protoreflect.GroupKind: // not allowed as keys of a map
	}
	if !ok {
		return protoreflect.MapKey{}, "", false
	}
	return v.MapKey(), key, true
}
