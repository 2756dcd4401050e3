package catalogfile

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
)

// TestWriteRoundTrip writes any catalogue and reads it back, whatever its rules say of it.
func TestWriteRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &configv1.Catalog{}
		draw(t, c.ProtoReflect(), 0)
		text, err := Write(c)
		if err != nil {
			t.Fatal(err)
		}
		doc, errs := parseDocument("w.yaml", text)
		if len(errs) > 0 {
			t.Fatalf("%v\n%s", errs, text)
		}
		back := &configv1.Catalog{}
		w := &walker{doc: doc}
		w.message("", doc.root, back.ProtoReflect())
		if len(w.errs) > 0 {
			t.Fatalf("%v\n%s", w.errs, text)
		}
		if !proto.Equal(c, back) {
			t.Fatalf("got %v\nwant %v\n%s", back, c, text)
		}
	})
}

func TestWriteRefusesWhatNoFileCanSay(t *testing.T) {
	c := &configv1.Catalog{Channels: []*configv1.Channel{{BusinessTypes: []configv1.BusinessType{0}}}}
	if _, err := Write(c); err == nil || !strings.Contains(err.Error(), "business_types") {
		t.Errorf("got %v", err)
	}
}

// draw fills a message: each field is left out or gets a value of its type.
func draw(t *rapid.T, m protoreflect.Message, depth int) {
	if isWellKnown(m.Descriptor()) {
		fields := m.Descriptor().Fields()
		m.Set(fields.ByName("seconds"), protoreflect.ValueOfInt64(rapid.Int64Range(0, 4e9).Draw(t, "seconds")))
		m.Set(fields.ByName("nanos"), protoreflect.ValueOfInt32(rapid.Int32Range(0, 999_999_999).Draw(t, "nanos")))
		return
	}
	for i := range m.Descriptor().Fields().Len() {
		fd := m.Descriptor().Fields().Get(i)
		if rapid.IntRange(0, 1+depth).Draw(t, "given") != 0 {
			continue
		}
		switch {
		case fd.IsMap():
			for _, key := range rapid.SliceOfNDistinct(text(), 0, 3, rapid.ID[string]).Draw(t, "keys") {
				m.Mutable(fd).Map().Set(protoreflect.ValueOfString(key).MapKey(), scalarValue(t, fd.MapValue()))
			}
		case fd.IsList():
			list := m.Mutable(fd).List()
			for range rapid.IntRange(0, 3).Draw(t, "length") {
				if isMessage(fd) {
					draw(t, list.AppendMutable().Message(), depth+1)
				} else {
					list.Append(scalarValue(t, fd))
				}
			}
		case isMessage(fd):
			draw(t, m.Mutable(fd).Message(), depth+1)
		default:
			m.Set(fd, scalarValue(t, fd))
		}
	}
}

func text() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.String(),
		rapid.StringMatching(`[A-Za-z0-9._ /:#'"\\-]{0,12}`),
		rapid.SampledFrom([]string{"true", "NULL", "~", "00", "1e5", "-", "? x", "a: b", "a #b", "x ", "<<", "*a", "&a", "!t", "é\u2028", "\t", "0x1F", ".inf", "a-"}),
	)
}

func scalarValue(t *rapid.T, fd protoreflect.FieldDescriptor) protoreflect.Value {
	switch fd.Kind() { //nolint:exhaustive // The kinds that catalogues have.
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(text().Draw(t, "text"))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(rapid.Bool().Draw(t, "bool"))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(rapid.Uint32().Draw(t, "uint32"))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(rapid.Int64().Draw(t, "int64"))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(rapid.Float64().Draw(t, "double"))
	case protoreflect.EnumKind:
		values := fd.Enum().Values()
		return protoreflect.ValueOfEnum(values.Get(rapid.IntRange(1, values.Len()-1).Draw(t, "enum")).Number())
	default:
		t.Fatalf("no generator for %s", fd.Kind())
		return protoreflect.Value{}
	}
}
