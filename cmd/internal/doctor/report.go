package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// Status is how a check ended.
type Status string

// The statuses, in rising order of trouble.
const (
	OK   Status = "ok"
	Warn Status = "warn" // it runs, but somebody should act
	Fail Status = "fail" // a replica would not start, or could not do its work
)

// Check is the result of one check.
type Check struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Detail string `json:"detail"`
	Next   string `json:"next,omitempty"` // what to do; empty when all is well
}

// Report is the result of all checks, in the order in which they were made.
type Report struct {
	Checks []Check `json:"checks"`
	Failed int     `json:"failed"`
	Warned int     `json:"warned"`
}

func (r *Report) add(checks ...Check) {
	for _, c := range checks {
		c.Detail = strings.ReplaceAll(strings.TrimSpace(c.Detail), "\n", "; ") // one line a check
		switch c.Status {
		case Fail:
			r.Failed++
		case Warn:
			r.Warned++
		case OK:
			c.Next = ""
		}
		r.Checks = append(r.Checks, c)
	}
}

// text writes a line a check, and what to do at its end.
func (r *Report) text(to io.Writer) {
	width := 0
	for _, c := range r.Checks {
		width = max(width, len(c.Name))
	}
	for _, c := range r.Checks {
		fmt.Fprintf(to, "%-4s  %-*s  %s", c.Status, width, c.Name, c.Detail)
		if c.Next != "" {
			fmt.Fprintf(to, " → %s", c.Next)
		}
		fmt.Fprintln(to)
	}
}

func (r *Report) json(to io.Writer) error {
	e := json.NewEncoder(to)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r) //nolint:wrapcheck // nothing to add
}

func good(name, format string, args ...any) Check {
	return Check{Name: name, Status: OK, Detail: fmt.Sprintf(format, args...)}
}

func warn(name, next, format string, args ...any) Check {
	return Check{Name: name, Status: Warn, Detail: fmt.Sprintf(format, args...), Next: next}
}

func fail(name, next, format string, args ...any) Check {
	return Check{Name: name, Status: Fail, Detail: fmt.Sprintf(format, args...), Next: next}
}

// brief writes a duration as people say it: 12 days, 3 hours, 40 ms.
func brief(d time.Duration) string {
	switch d = d.Abs(); {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	case d >= time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}

// mebibytes writes a size.
func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
