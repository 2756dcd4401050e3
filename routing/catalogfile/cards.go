package catalogfile

import (
	"strconv"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-pay/sluice/routing"
)

// wantNoCard says what a text must not be.
const wantNoCard = "is shaped like a card number, which a server refuses; write something else"

// cards reports the texts that are shaped like a card number: none may come into a catalogue, which is published in snapshots.
func (s *Source) cards(path string, m protoreflect.Message) Errors {
	var errs Errors
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		at := join(path, string(f.Name()))
		switch {
		case f.IsList():
			for i := range v.List().Len() {
				errs = append(errs, s.cardsIn(at+"["+strconv.Itoa(i)+"]", f, v.List().Get(i))...)
			}
		case f.IsMap():
			v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
				errs = append(errs, s.cardsIn(at+"["+k.String()+"]", f.MapValue(), v)...)
				return true
			})
		default:
			errs = append(errs, s.cardsIn(at, f, v)...)
		}
		return len(errs) <= maxProblems
	})
	return errs
}

func (s *Source) cardsIn(path string, f protoreflect.FieldDescriptor, v protoreflect.Value) Errors {
	switch {
	case f.Message() != nil:
		return s.cards(path, v.Message())
	case f.Kind() == protoreflect.StringKind && routing.CardNumber(v.String()):
		return Errors{s.problem(path, wantNoCard)}
	}
	return nil
}
