package catalogfile

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
)

// Write returns the catalogue as YAML that Parse reads back to an equal message. It fails on
// what no file can say: an unspecified or unknown enum value in a list.
func Write(c *configv1.Catalog) ([]byte, error) { return Encode(c) }

// Encode is Write for any message that Decode reads.
func Encode(m proto.Message) ([]byte, error) {
	e := &encoder{}
	e.message(m.ProtoReflect(), 0)
	if e.err != nil {
		return nil, e.err
	}
	if e.out.Len() == 0 {
		return []byte("{}\n"), nil
	}
	return e.out.Bytes(), nil
}

// encoder writes block style: a key per line, lists of words in one line.
type encoder struct {
	out bytes.Buffer
	err error // the first one
}

func (e *encoder) fail(fd protoreflect.FieldDescriptor, err error) string {
	if e.err == nil {
		e.err = fmt.Errorf("%s: %w", fd.FullName(), err)
	}
	return ""
}

func (e *encoder) line(indent int, format string, args ...any) {
	e.out.WriteString(strings.Repeat("  ", indent))
	fmt.Fprintf(&e.out, format, args...)
	e.out.WriteByte('\n')
}

// message writes the fields of m that are set, in the order of the schema.
func (e *encoder) message(m protoreflect.Message, indent int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		if fd := fields.Get(i); m.Has(fd) {
			e.field(fd, m.Get(fd), indent)
		}
	}
}

func (e *encoder) field(fd protoreflect.FieldDescriptor, v protoreflect.Value, indent int) {
	switch {
	case fd.IsMap():
		e.line(indent, "%s:", fd.Name())
		e.entries(fd, v.Map(), indent+1)
	case fd.IsList() && isBlock(fd):
		e.line(indent, "%s:", fd.Name())
		for i := range v.List().Len() {
			e.element(v.List().Get(i).Message(), indent+1)
		}
	case fd.IsList():
		words := make([]string, v.List().Len())
		for i := range words {
			words[i] = e.word(fd, v.List().Get(i))
		}
		e.line(indent, "%s: [%s]", fd.Name(), strings.Join(words, ", "))
	case isBlock(fd):
		e.nested(string(fd.Name()), v.Message(), indent)
	default:
		e.line(indent, "%s: %s", fd.Name(), e.word(fd, v))
	}
}

// isBlock says whether a value takes lines of its own.
func isBlock(fd protoreflect.FieldDescriptor) bool {
	return isMessage(fd) && !isWellKnown(fd.Message())
}

func (e *encoder) nested(key string, m protoreflect.Message, indent int) {
	before := e.out.Len()
	e.line(indent, "%s:", key)
	start := e.out.Len()
	e.message(m, indent+1)
	if e.out.Len() == start { // present and empty
		e.out.Truncate(before)
		e.line(indent, "%s: {}", key)
	}
}

// element writes one message of a list: its first key after the dash.
func (e *encoder) element(m protoreflect.Message, indent int) {
	start := e.out.Len()
	e.message(m, indent+1)
	if e.out.Len() == start {
		e.line(indent, "- {}")
		return
	}
	e.out.Bytes()[start+2*indent] = '-'
}

func (e *encoder) entries(fd protoreflect.FieldDescriptor, m protoreflect.Map, indent int) {
	lines := make(map[string]protoreflect.Value, m.Len())
	var keys []string
	m.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		key := quoted(k.String())
		keys, lines[key] = append(keys, key), v
		return true
	})
	slices.Sort(keys)
	for _, key := range keys {
		if isBlock(fd.MapValue()) {
			e.nested(key, lines[key].Message(), indent)
			continue
		}
		e.line(indent, "%s: %s", key, e.word(fd.MapValue(), lines[key]))
	}
}

// word writes a value that fits into a line.
func (e *encoder) word(fd protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch x := v.Interface().(type) {
	case string:
		return quoted(x)
	case float64:
		return float(x)
	case float32:
		return float(float64(x))
	case protoreflect.EnumNumber:
		for name, number := range enumNames(fd.Enum()) {
			if number == x {
				return name
			}
		}
		return e.fail(fd, fmt.Errorf("%s has no value %d that a file can hold", fd.Enum().Name(), x))
	case protoreflect.Message:
		text, err := formatClock(x)
		if err != nil {
			return e.fail(fd, err)
		}
		return text
	case []byte:
		return strconv.Quote(base64.StdEncoding.EncodeToString(x))
	default:
		return v.String()
	}
}

func float(f float64) string {
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if math.Abs(f) >= 1e15 && !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// quoted writes a text plainly where nothing can mistake it, else in double quotes.
func quoted(s string) string {
	if isPlain(s) {
		return s
	}
	return strconv.Quote(s)
}

func isPlain(s string) bool {
	if s == "" || !isLetter(s[0]) || s[len(s)-1] == ' ' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !isLetter(c) && (c < '0' || c > '9') && !strings.ContainsRune("._-/ ", rune(c)) {
			return false
		}
	}
	switch strings.ToLower(s) {
	case "null", "true", "false", "yes", "no", "on", "off", "y", "n", "inf", "nan":
		return false
	default:
		return true
	}
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
