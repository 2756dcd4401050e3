package backtest

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// number renders a number with at most one decimal.
func number(f float64) string { return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64) }

// amount renders payments, a dash where nothing is known.
func amount(f *float64) string {
	if f == nil {
		return "–"
	}
	return strconv.FormatFloat(math.Round(*f)+0, 'f', -1, 64)
}

// known renders a count, a dash where the amounts beside it are not known either.
func known(n int, beside *float64) string {
	if beside == nil {
		return "–"
	}
	return strconv.Itoa(n)
}

func percent(f float64) string { return number(f*100) + " %" }

func plural(n int64, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.FormatInt(n, 10) + " " + word + "s"
}

// span renders a duration with its two greatest units.
func span(d time.Duration) string {
	d = d.Round(time.Second)
	h, m, s := d/time.Hour, d%time.Hour/time.Minute, d%time.Minute/time.Second
	switch {
	case h >= 24:
		return fmt.Sprintf("%dd%dh", h/24, h%24)
	case h > 0:
		return fmt.Sprintf("%dh%dm", h, m)
	case m > 0 && s > 0:
		return fmt.Sprintf("%dm%ds", m, s)
	case m > 0:
		return fmt.Sprintf("%dm", m)
	}
	return fmt.Sprintf("%ds", s)
}

// middle is the median, the lower one of two.
func middle(list []int64) int64 {
	list = slices.Sorted(slices.Values(list))
	return list[(len(list)-1)/2]
}

// trimLines takes blanks off the ends of lines.
func trimLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}
