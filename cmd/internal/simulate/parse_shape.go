package simulate

import (
	"time"

	"github.com/goccy/go-yaml/ast"
)

// parseShapes reads one shape, or a list of shapes whose factors are multiplied.
func parseShapes(v value) Shape {
	if _, several := v.node.(*ast.SequenceNode); !several {
		return parseShape(v)
	}
	var all []Shape
	v.list(func(v value) { all = append(all, parseShape(v)) })
	if len(all) == 0 {
		v.fail("want a shape, or a list of shapes whose factors are multiplied")
		return Shape{}
	}
	first := all[0]
	first.Also = all[1:]
	return first
}

func parseShape(v value) Shape {
	sh := Shape{}
	kind := ""
	given := map[string]bool{}
	mark := func(key string, read func(value)) func(value) {
		return func(v value) { given[key] = true; read(v) }
	}
	if !v.object(fields{
		"kind":      func(v value) { v.str(&kind) },
		"amplitude": mark("amplitude", func(v value) { v.number(&sh.Amplitude, 0, 1) }),
		"peak":      mark("peak", func(v value) { v.timeOfDay(&sh.Peak) }),
		"every":     mark("every", func(v value) { v.duration(&sh.Every, time.Second, longest) }),
		"length":    mark("length", func(v value) { v.duration(&sh.Length, time.Millisecond, longest) }),
		"factor":    mark("factor", func(v value) { v.number(&sh.Factor, 0, 1000) }),
		"from":      mark("from", func(v value) { v.duration(&sh.From, 0, longest) }),
		"to":        mark("to", func(v value) { v.duration(&sh.To, 0, longest) }),
	}) {
		return sh
	}
	needs := map[string][]string{
		"constant": {}, "diurnal": {"amplitude", "peak"}, "bursts": {"every", "length", "factor"},
		"ramp": {"factor"}, "window": {"from", "to"},
	}
	wanted, ok := needs[kind]
	if !ok {
		v.fail("kind %q: want constant, diurnal, bursts, ramp or window", kind)
		return sh
	}
	kinds := map[string]ShapeKind{
		"constant": ShapeConstant, "diurnal": ShapeDiurnal, "bursts": ShapeBursts, "ramp": ShapeRamp, "window": ShapeWindow,
	}
	sh.Kind = kinds[kind]
	for _, key := range wanted {
		if !given[key] {
			v.fail("a %s shape needs %s", kind, key)
		}
		delete(given, key)
	}
	for _, key := range []string{"amplitude", "peak", "every", "length", "factor", "from", "to"} {
		if given[key] {
			v.fail("a %s shape has no %s", kind, key)
		}
	}
	if sh.Kind == ShapeBursts && sh.Length >= sh.Every {
		v.fail("length must be below every")
	}
	if sh.Kind == ShapeWindow && sh.To <= sh.From {
		v.fail("to must be after from")
	}
	return sh
}

// timeOfDay reads HH:MM.
func (v value) timeOfDay(into *time.Duration) {
	s, ok := v.text()
	if !ok {
		return
	}
	t, err := time.Parse("15:04", s)
	if err != nil {
		v.fail("%q: want a time of day such as \"20:00\"", s)
		return
	}
	*into = time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
}
