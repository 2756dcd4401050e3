package catalogfile

import (
	"errors"
	"fmt"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// validate returns what the rules of the schema say against m, without what s already reported.
func (s *Source) validate(m proto.Message) Errors {
	err := protovalidate.Validate(m)
	if err == nil {
		return nil
	}
	invalid, ok := errors.AsType[*protovalidate.ValidationError](err)
	if !ok {
		return Errors{s.problem("", "the rules of the schema cannot be checked: "+err.Error())}
	}
	var errs Errors
	for _, v := range invalid.Violations {
		path := protovalidate.FieldPathString(v.Proto.GetField())
		if s.reported(path) {
			continue
		}
		errs = append(errs, s.problem(path, ruleMessage(v)))
	}
	for _, e := range errs {
		s.bad = append(s.bad, badPath{path: e.Path, recovered: true})
	}
	return errs
}

// problem places a message where its path is written.
func (s *Source) problem(path, message string) Error {
	line, col := s.At(path)
	return Error{File: s.doc.file, Line: line, Col: col, Path: path, Message: message}
}

// ruleMessage says in words what a rule wants, with the value it met.
func ruleMessage(v *protovalidate.Violation) string {
	message := v.Proto.GetMessage()
	if v.Proto.GetRuleId() == "string.pattern" && v.RuleValue.IsValid() {
		if words := patternWords(v.RuleValue.String()); words != "" {
			message = "want " + words
		}
	}
	if v.FieldDescriptor == nil || v.FieldDescriptor.IsMap() || !v.FieldValue.IsValid() {
		return message
	}
	return message + have(v.FieldDescriptor, v.FieldValue)
}

// have tells the value of a field that is written as one word; lists and messages speak for
// themselves at their line.
func have(fd protoreflect.FieldDescriptor, value protoreflect.Value) string {
	switch v := value.Interface().(type) {
	case string:
		return ", have " + quote(v)
	case bool, int32, int64, uint32, uint64, float32, float64:
		return fmt.Sprintf(", have %v", v)
	case protoreflect.EnumNumber:
		if v == 0 {
			return ", have nothing"
		}
		if fd.Enum() == nil || fd.Enum().Values().ByNumber(v) == nil {
			return fmt.Sprintf(", have %d", v)
		}
		for name, number := range enumNames(fd.Enum()) {
			if number == v {
				return ", have " + name
			}
		}
		return ""
	default:
		return ""
	}
}

// patternWords describes the patterns of the schema. A pattern that is not listed is shown as
// it is; a test holds the list to the schema.
func patternWords(pattern string) string {
	switch pattern {
	case `^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`:
		return "an id of 1 to 64 letters, digits, '.', '_' or '-' that begins with a letter or a digit"
	case `^[A-Z]{3}$`:
		return "an ISO 4217 code of three capital letters, like CNY"
	case `^[!-~]{1,64}$`:
		return "1 to 64 printable ASCII characters without blanks"
	case `^([01][0-9]|2[0-3]):[0-5][0-9]$`:
		return `a time of day from "00:00" to "23:59"`
	case `^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$`:
		return `a time of day from "00:00" to "24:00"`
	case `^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$`:
		return "a date like 2026-10-01"
	default:
		return ""
	}
}
