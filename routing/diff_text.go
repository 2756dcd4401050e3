package routing

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// isClock says whether a message is written as one word: a duration or a time.
func isClock(m protoreflect.MessageDescriptor) bool {
	return m.FullName() == "google.protobuf.Duration" || m.FullName() == "google.protobuf.Timestamp"
}

// plainText renders a value as it stands in a catalogue file, a text without quotes.
func plainText(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch x := v.Interface().(type) {
	case string:
		return x
	case []byte:
		return base64.StdEncoding.EncodeToString(x)
	case protoreflect.EnumNumber:
		return enumText(f.Enum(), x)
	case protoreflect.Message:
		return messageText(x)
	default:
		return v.String()
	}
}

// enumText is the name of a value without the prefix that all of its enum have.
func enumText(e protoreflect.EnumDescriptor, n protoreflect.EnumNumber) string {
	v := e.Values().ByNumber(n)
	if v == nil {
		return strconv.Itoa(int(n))
	}
	zero := e.Values().ByNumber(0)
	if zero == nil {
		return string(v.Name())
	}
	return strings.TrimPrefix(string(v.Name()), strings.TrimSuffix(string(zero.Name()), "UNSPECIFIED"))
}

// messageText renders a message in one line, as YAML does: `{id: e-1, name: "Shop, Ltd"}`.
func messageText(m protoreflect.Message) string {
	switch x := m.Interface().(type) {
	case *durationpb.Duration:
		return x.AsDuration().String()
	case *timestamppb.Timestamp:
		return x.AsTime().Format(time.RFC3339Nano)
	}
	var parts []string
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); m.Has(f) {
			parts = append(parts, string(f.Name())+": "+fieldText(f, m.Get(f)))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func fieldText(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	var parts []string
	switch {
	case f.IsList():
		for i := range v.List().Len() {
			parts = append(parts, flowText(f, v.List().Get(i)))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case f.IsMap():
		v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
			parts = append(parts, quoted(k.String())+": "+flowText(f.MapValue(), v))
			return true
		})
		slices.Sort(parts)
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return flowText(f, v)
}

func flowText(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	if s, ok := v.Interface().(string); ok {
		return quoted(s)
	}
	return plainText(f, v)
}

// quoted quotes a text that could be mistaken within braces.
func quoted(s string) string {
	if s == "" || strings.ContainsAny(s, "{}[],:#\"'\n\t\\") || s != strings.TrimSpace(s) {
		return strconv.Quote(s)
	}
	return s
}
