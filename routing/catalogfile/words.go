package catalogfile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// enumPrefix is what the values of an enum begin with: BUSINESS_TYPE_ for BusinessType.
func enumPrefix(ed protoreflect.EnumDescriptor) string {
	var b strings.Builder
	for i, r := range string(ed.Name()) {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToUpper(b.String()) + "_"
}

// enumNames maps names without prefix to numbers. The unspecified value has no name: to not give
// it, one leaves the key out.
func enumNames(ed protoreflect.EnumDescriptor) map[string]protoreflect.EnumNumber {
	prefix, values := enumPrefix(ed), ed.Values()
	names := make(map[string]protoreflect.EnumNumber, values.Len())
	for i := range values.Len() {
		if v := values.Get(i); v.Number() != 0 {
			names[strings.TrimPrefix(string(v.Name()), prefix)] = v.Number()
		}
	}
	return names
}

func sortedByNumber(numbers map[string]protoreflect.EnumNumber) []string {
	names := slices.Sorted(maps.Keys(numbers))
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(numbers[a], numbers[b]) })
	return names
}

// wanted says what a field takes.
func wanted(fd protoreflect.FieldDescriptor) string {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return "a text"
	case protoreflect.BytesKind:
		return "bytes in base64"
	case protoreflect.BoolKind:
		return "true or false"
	case protoreflect.EnumKind:
		return "one of " + strings.Join(sortedByNumber(enumNames(fd.Enum())), ", ")
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return "a number"
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return "a whole number from 0 to 4294967295"
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return "a whole number from 0 to 18446744073709551615"
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return "a whole number from -2147483648 to 2147483647"
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return "a whole number from -9223372036854775808 to 9223372036854775807"
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return "keys with values"
	}
	return "a value"
}

// describe says what a node is, with the beginning of its text.
func describe(n ast.Node) string {
	switch v := n.(type) {
	case *ast.NullNode:
		return "nothing"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "keys with values"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode, *ast.LiteralNode:
		s, _ := textOf(n)
		return "the text " + quote(s)
	case *ast.BoolNode:
		return v.GetToken().Value
	default:
		return "the number " + clip(n.GetToken().Value)
	}
}

// leaveOut is the advice for a key without a value.
func leaveOut(n ast.Node) string {
	if _, null := n.(*ast.NullNode); null {
		return "; leave the key out if there is none"
	}
	return ""
}

func quote(s string) string { return fmt.Sprintf("%q", clip(s)) }

// clip shortens what a message repeats from the file.
func clip(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
