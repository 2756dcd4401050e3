package catalogfile

import (
	"errors"
	"strings"

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
	var found []badPath
	for _, v := range invalid.Violations {
		path := protovalidate.FieldPathString(v.Proto.GetField())
		if s.reported(path) {
			continue
		}
		if len(errs) > maxProblems {
			break
		}
		errs = append(errs, s.problem(path, s.ruleMessage(path, v)))
		found = append(found, badPath{path: path, recovered: v.Proto.GetRuleId() != "required"})
	}
	s.bad = append(s.bad, found...)
	return errs
}

// problem places a message where its path is written.
func (s *Source) problem(path, message string) Error {
	line, col := s.At(path)
	return Error{File: s.doc.file, Line: line, Col: col, Path: path, Message: message}
}

// ruleMessage says in words what a rule wants, and what stands in the file instead.
func (s *Source) ruleMessage(path string, v *protovalidate.Violation) string {
	message := v.Proto.GetMessage()
	switch v.Proto.GetRuleId() {
	case "required":
		return "must be given"
	case "string.pattern":
		if words := patternWords(v.RuleValue.String()); words != "" {
			message = "want " + words
		}
	case "enum.not_in":
		if v.FieldDescriptor != nil && v.FieldDescriptor.Enum() != nil {
			message = "want one of " + strings.Join(allowedNames(v.FieldDescriptor.Enum(), v.RuleValue.List()), ", ")
		}
	}
	if v.Proto.GetForKey() {
		return "its key " + message
	}
	return message + s.have(path)
}

// allowedNames lists the values of an enum that are not among the forbidden ones.
func allowedNames(ed protoreflect.EnumDescriptor, forbidden protoreflect.List) []string {
	names := enumNames(ed)
	for i := range forbidden.Len() {
		for name, number := range names {
			if int64(number) == forbidden.Get(i).Int() {
				delete(names, name)
			}
		}
	}
	return sortedByNumber(names)
}

// have tells what is written at a path, if that is one word or nothing.
func (s *Source) have(path string) string {
	_, node := s.find(path)
	if node == nil {
		return ", have none"
	}
	value, problem := s.doc.resolve(node)
	switch text, isText := textOf(value); {
	case problem != "" || !isScalar(value):
		return ""
	case isText:
		return ", have " + quote(text)
	default:
		return ", have " + clip(value.GetToken().Value)
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
