package catalogfile

import (
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/routing"
)

// Check reads a catalogue as Parse does and compiles it, so that dangling references and the like
// are reported together with everything else, each at its line and column. It returns the catalogue
// with its plan, or Errors.
func Check(name string, data []byte) (*configv1.Catalog, *routing.Plan, error) {
	c := &configv1.Catalog{}
	source, errs := decode(name, data, c)
	if source == nil {
		return nil, nil, errs.orNil()
	}
	plan, err := routing.CompilePlan(c, nil)
	errs = append(append(errs, source.compiled(err)...), source.cards("", c.ProtoReflect())...)
	if err := errs.orNil(); err != nil {
		return nil, nil, err
	}
	return c, plan, nil
}

// compiled places what the compiler found, without what was already reported at the same fields.
func (s *Source) compiled(err error) Errors {
	if err == nil {
		return nil
	}
	problems := routing.Problems(err)
	if len(problems) == 0 && len(s.bad) == 0 {
		return Errors{s.problem("", err.Error())}
	}
	var errs Errors
	for _, p := range problems {
		if s.reported(p.Path) {
			continue
		}
		if len(errs) > maxProblems {
			break
		}
		message := p.Message
		if p.Want != "" {
			message += "; want " + p.Want
		}
		errs = append(errs, s.problem(p.Path, message))
	}
	return errs
}
