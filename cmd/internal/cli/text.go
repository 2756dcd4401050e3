package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// fullPPM is all of something in parts per million.
const fullPPM = 1_000_000

// view is what a text depends on beside the messages.
type view struct {
	now   time.Time
	loc   *time.Location
	width int // columns; at least minWidth
	paint paint
}

// minWidth is the narrowest output that is laid out; a narrower terminal wraps by itself.
const minWidth = 40

// percent renders parts per million: `4 %`, `12.5 %`, `< 0.1 %`.
func percent(ppm uint32) string { return fraction(float64(ppm) / fullPPM) }

// fraction renders a part of one as percent.
func fraction(f float64) string {
	switch p := f * 100; {
	case p > 0 && p < 0.1:
		return "< 0.1 %"
	case p < 100 && p > 99.9:
		return "> 99.9 %"
	default:
		return number(p) + " %"
	}
}

// number renders a number with at most one decimal.
func number(f float64) string {
	return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64)
}

// plural renders `1 channel`, `2 channels`.
func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}

// span renders a duration with its two greatest units: `0s`, `4m12s`, `2h54m`, `3d4h`.
func span(d time.Duration) string {
	d = max(d, 0)
	two := func(a time.Duration, au string, b time.Duration, bu string) string {
		if rest := (d % a) / b; rest > 0 {
			return fmt.Sprintf("%d%s%d%s", d/a, au, rest, bu)
		}
		return fmt.Sprintf("%d%s", d/a, au)
	}
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return two(time.Minute, "m", time.Second, "s")
	case d < 24*time.Hour:
		return two(time.Hour, "h", time.Minute, "m")
	default:
		return two(24*time.Hour, "d", time.Hour, "h")
	}
}

// shortAge renders a data age, which matters below a second too: `0.3 s`, `12 s`, `4m12s`.
func shortAge(d time.Duration) string {
	if d < 10*time.Second {
		return number(max(d, 0).Seconds()) + " s"
	}
	return span(d)
}

// clock renders a time of the local clock, with its date unless that is today.
func (v view) clock(t time.Time) string {
	t, now := t.In(v.loc), v.now.In(v.loc)
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04:05")
	}
	return t.Format("2006-01-02 15:04:05")
}

// ago renders `03:02:11 (4m12s ago)`, empty for an absent time.
func (v view) ago(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return fmt.Sprintf("%s (%s ago)", v.clock(t.AsTime()), span(v.now.Sub(t.AsTime())))
}

// ahead renders `03:07:11 (in 48s)`, empty for an absent time.
func (v view) ahead(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	if left := t.AsTime().Sub(v.now).Round(time.Second); left > 0 {
		return fmt.Sprintf("%s (in %s)", v.clock(t.AsTime()), span(left))
	}
	return fmt.Sprintf("%s (due)", v.clock(t.AsTime()))
}

// clean makes text of others safe for a terminal and fit for one line: no control characters, no line breaks.
func clean(s string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		default:
			return r
		}
	}, s)), " ")
}

// displayWidth is the number of columns of a text: wide East Asian characters take two, colours none.
func displayWidth(s string) int {
	n, escape := 0, false
	for _, r := range s {
		switch {
		case escape:
			escape = r != 'm'
		case r == '\x1b':
			escape = true
		case wide(r):
			n += 2
		case unicode.Is(unicode.Mn, r):
		default:
			n++
		}
	}
	return n
}

// wide reports whether a character takes two columns: Hangul, CJK, full-width forms and pictographs.
func wide(r rune) bool {
	for _, block := range [...][2]rune{
		{0x1100, 0x115f}, {0x2e80, 0xa4cf}, {0xac00, 0xd7a3}, {0xf900, 0xfaff}, {0xfe30, 0xfe6f}, {0xff00, 0xff60}, {0x1f300, 0x1faff},
	} {
		if r >= block[0] && r <= block[1] {
			return true
		}
	}
	return false
}

// pad fills a text with blanks up to a width.
func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-displayWidth(s)))
}

// padLeft fills a text with blanks on its left.
func padLeft(s string, width int) string {
	return strings.Repeat(" ", max(0, width-displayWidth(s))) + s
}

// wrap breaks a text at blanks into indented lines of at most width columns; longer words stay whole.
func wrap(text string, indent, width int) string {
	var b strings.Builder
	margin, col := strings.Repeat(" ", indent), 0
	for word := range strings.FieldsSeq(text) {
		n := displayWidth(word)
		switch {
		case col == 0:
			b.WriteString(margin)
			col = indent
		case col+1+n > width:
			b.WriteString("\n" + margin)
			col = indent
		default:
			b.WriteByte(' ')
			col++
		}
		b.WriteString(word)
		col += n
	}
	if col > 0 {
		b.WriteByte('\n')
	}
	return b.String()
}
