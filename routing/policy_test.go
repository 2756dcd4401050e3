package routing

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// TestDocumentedDefaults: a policy that spells out every default that the schema's comments name is the default policy.
func TestDocumentedDefaults(t *testing.T) {
	defaults := documentedDefaults(t)
	policy := &configv1.Policy{Detector: configv1.Detector_DETECTOR_SEQUENTIAL}
	spelled := spellOut(t, policy.ProtoReflect(), defaults)
	if least := 30; spelled < least {
		t.Fatalf("only %d fields have a documented default, want at least %d", spelled, least)
	}
	want := statemachine.DefaultPolicy()
	if got := policyOver(want, policy); got != want {
		t.Errorf("as the comments of policy.proto say:\n%+v\nin truth:\n%+v", got, want)
	}
}

// documentedDefaults reads the schema: by message and field, what follows the word "default".
func documentedDefaults(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../api/sluice/config/v1/policy.proto")
	if err != nil {
		t.Fatal(err)
	}
	message := regexp.MustCompile(`^message (\w+) \{`)
	field := regexp.MustCompile(`^  (?:optional )?[\w.]+ (\w+) = \d+`)
	value := regexp.MustCompile(`[Dd]efault ([A-Z_]{2,}|\d[\d.,]*(?: (?:ms|s|min|h)\b)?)`)
	out, of, comment := map[string]string{}, "", ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		if words, ok := strings.CutPrefix(line, "  // "); ok {
			comment += " " + words
			continue
		}
		if m := message.FindStringSubmatch(line); m != nil {
			of = m[1]
		}
		if m := field.FindStringSubmatch(line); m != nil {
			if v := value.FindStringSubmatch(comment); v != nil {
				out[of+"."+m[1]] = strings.TrimRight(v[1], ".,")
			}
		}
		comment = ""
	}
	return out
}

// spellOut sets every field of a message that has a documented default, and those of the messages in it but feedback, which is
// no part of the state machine's policy. It returns how many there are.
func spellOut(t *testing.T, m protoreflect.Message, defaults map[string]string) (spelled int) {
	t.Helper()
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		text, documented := defaults[string(m.Descriptor().Name())+"."+string(f.Name())]
		switch {
		case documented:
			m.Set(f, defaultOf(t, f, text))
			spelled++
		case f.Kind() == protoreflect.MessageKind && f.Message().Name() != "Duration" && f.Name() != "feedback":
			spelled += spellOut(t, m.Mutable(f).Message(), defaults)
		}
	}
	return spelled
}

func defaultOf(t *testing.T, f protoreflect.FieldDescriptor, text string) protoreflect.Value {
	t.Helper()
	number := strings.ReplaceAll(text, ",", "")
	var v protoreflect.Value
	var err error
	switch f.Kind() { //nolint:exhaustive // the kinds of this schema
	case protoreflect.DoubleKind:
		var x float64
		x, err = strconv.ParseFloat(number, 64)
		v = protoreflect.ValueOfFloat64(x)
	case protoreflect.Uint32Kind:
		var x uint64
		x, err = strconv.ParseUint(number, 10, 32)
		v = protoreflect.ValueOfUint32(uint32(x))
	case protoreflect.Int64Kind:
		var x int64
		x, err = strconv.ParseInt(number, 10, 64)
		v = protoreflect.ValueOfInt64(x)
	case protoreflect.EnumKind:
		v = protoreflect.ValueOfEnum(f.Enum().Values().ByName(protoreflect.Name("AUTOMATION_LEVEL_" + text)).Number())
	case protoreflect.MessageKind:
		var x time.Duration
		x, err = time.ParseDuration(strings.ReplaceAll(strings.ReplaceAll(number, " ", ""), "min", "m"))
		v = protoreflect.ValueOfMessage(durationpb.New(x).ProtoReflect())
	default:
		t.Fatalf("%s: a default of kind %v", f.FullName(), f.Kind())
	}
	if err != nil {
		t.Fatalf("%s: default %q: %v", f.FullName(), text, err)
	}
	return v
}
