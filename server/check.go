package server

import (
	"errors"
	"strconv"
	"strings"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// checkMessage holds a message to the rules of its proto and refuses card numbers in it. It is for RPCs that are not hot.
func (s *Server) checkMessage(m proto.Message) error {
	if !strings.HasPrefix(string(m.ProtoReflect().Descriptor().FullName()), "sluice.") {
		return nil // messages of other services have no rules of ours
	}
	if err := protovalidate.Validate(m); err != nil {
		return ruleFault(err)
	}
	if field := cardInMessage(m.ProtoReflect(), ""); field != "" {
		return cardRefused(field)
	}
	return nil
}

// ruleFault renders the violations of a message.
func ruleFault(err error) error {
	broken, ok := errors.AsType[*protovalidate.ValidationError](err)
	if !ok || len(broken.Violations) == 0 {
		return err
	}
	var f *fault
	for _, v := range broken.Violations {
		field, text := protovalidate.FieldPathString(v.Proto.GetField()), v.Proto.GetMessage()
		if field == "" {
			field = v.Proto.GetRuleId()
		}
		if f == nil {
			f = invalid(field, text)
			f.message, f.violations = field+": "+text, nil
		}
		f.violations = append(f.violations, violation{field, text})
	}
	return f
}

// cardInMessage returns the path of the first text that is shaped like a card number. Etags and page tokens are ours and may
// hold any digits, and so may ids that we gave out.
func cardInMessage(m protoreflect.Message, path string) string {
	found := ""
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		at := join(path, string(f.Name()))
		switch {
		case f.IsMap():
			v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
				if f.MapValue().Kind() == protoreflect.StringKind || f.MapValue().Message() != nil {
					found = cardInValue(f.MapValue(), v, at+"["+k.String()+"]")
				}
				return found == ""
			})
		case f.Kind() != protoreflect.StringKind && f.Message() == nil:
		case f.IsList():
			for i := 0; i < v.List().Len() && found == ""; i++ {
				found = cardInValue(f, v.List().Get(i), at+"["+strconv.Itoa(i)+"]")
			}
		default:
			found = cardInValue(f, v, at)
		}
		return found == ""
	})
	return found
}

func cardInValue(f protoreflect.FieldDescriptor, v protoreflect.Value, at string) string {
	if f.Message() != nil {
		return cardInMessage(v.Message(), at)
	}
	text := v.String()
	if !CardNumber(text) {
		return ""
	}
	switch f.Name() {
	case "etag", "page_token", "incident_id":
		return ""
	case "attempt_id":
		if !cardInAttempt(text) {
			return ""
		}
	case "decision_id":
		if !cardInDecision(text) {
			return ""
		}
	}
	return at
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
