package cli

// paint puts colour on text, or not.
type paint struct{ on bool }

// colour is the parameter of an ANSI escape sequence.
type colour string

const (
	plain  colour = ""
	bold   colour = "1"
	dim    colour = "2"
	red    colour = "31;1"
	green  colour = "32"
	yellow colour = "33"
	violet colour = "35"
)

func (p paint) text(c colour, s string) string {
	if !p.on || c == plain || s == "" {
		return s
	}
	return "\x1b[" + string(c) + "m" + s + "\x1b[0m"
}
