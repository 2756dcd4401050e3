package backtest

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

const clock = "15:04:05"

// Text writes the report for people.
func (r *Report) Text(to io.Writer) error {
	var b strings.Builder
	r.Recording.text(&b)
	b.WriteString("\n")
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "cuts\tlowered\trefused\tclosed\tavoided\tmoved well\tnet\tlook false\tunclear\t")
	for _, o := range append([]Outcome{r.Automation, r.People}, r.Policies...) {
		fmt.Fprintf(table, "%d\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t  %s\n", o.Cuts, o.Degraded, known(o.Refused, o.Net), span(time.Duration(o.ClosedFor)*time.Second),
			amount(o.Avoided), amount(o.MovedWell), amount(o.Net), known(o.False, o.Net), known(o.Unclear, o.Net), o.Name)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("lay out the report: %w", err)
	}
	text := trimLines(b.String())
	b.Reset()
	for _, o := range append([]Outcome{r.Automation, r.People}, r.Policies...) {
		o.text(&b, r.Recording.From)
	}
	if _, err := io.WriteString(to, text+b.String()+footnote); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

const footnote = `
avoided: failures spared, after those of the alternatives · moved well: payments kept off a scope that was well · net: avoided less moved well
A replay is open-loop: the traffic that really flowed is judged. Where the recording had a scope closed, nothing is known but its probes.
`

func (s *Summary) text(b *strings.Builder) {
	fmt.Fprintf(b, "%s, recorded by %s: %s to %s UTC, %s", s.Environment, strings.Join(s.Replicas, ", "), s.From.Format("2006-01-02 "+clock),
		s.To.Format(s.layout(s.To)), plural(s.Seconds, "second"))
	if s.Missing > 0 {
		fmt.Fprintf(b, " (%d missing)", s.Missing)
	}
	fmt.Fprintf(b, " in %s\n", plural(int64(s.Files), "file"))
	for _, p := range s.Problems {
		fmt.Fprintf(b, "! %s\n", p)
	}
}

// layout shows the date where it is not the first day's.
func (s *Summary) layout(t time.Time) string {
	if t.Format(time.DateOnly) == s.From.Format(time.DateOnly) {
		return clock
	}
	return "2006-01-02 " + clock
}

func (o *Outcome) text(b *strings.Builder, from time.Time) {
	if len(o.Closures) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", o.Name)
	for i := range o.Closures {
		c := &o.Closures[i]
		layout := (&Summary{From: from}).layout(c.At)
		length := span(time.Duration(c.Seconds) * time.Second)
		if c.Until == nil {
			length += ", not over"
		}
		fmt.Fprintf(b, "  %s  %-8s  %s  %s%s\n", c.At.Format(layout), c.Kind, c.Scope, length, c.again())
		fmt.Fprintf(b, "            %s\n", c.because())
		if c.Net == nil {
			continue
		}
		fmt.Fprintf(b, "            avoided %s of %s failures, moved %s while well; %s\n", amount(c.Avoided), amount(c.Failed), amount(c.MovedWell), c.judged())
		fmt.Fprintf(b, "            recorded: %s\n", c.Recorded)
	}
}

func (c *Cut) again() string {
	if c.Relapses == 0 {
		return ""
	}
	return ", closed again " + plural(int64(c.Relapses), "time")
}

func (c *Cut) because() string {
	if c.Author != "" {
		return c.Author + ": " + c.Why
	}
	return c.Why
}

func (c *Cut) judged() string {
	rates := ""
	if c.Rate != nil && c.Baseline != nil {
		rates = fmt.Sprintf(": failed %s while closed, %s else", percent(*c.Rate), percent(*c.Baseline))
	}
	if c.Judgement == JudgedFalse {
		return "LOOKS FALSE" + rates
	}
	return c.Judgement + rates
}

// Text writes the report for people.
func (r *ObservedReport) Text(to io.Writer) error {
	var b strings.Builder
	r.Recording.text(&b)
	fmt.Fprintf(&b, "\nautomation at level observe: %s, %d of them closed by people as well; people closed %d more\n",
		plural(int64(len(r.Both)+len(r.OnlyAutomation)), "incident"), len(r.Both), len(r.OnlyPeople))
	if n, lead, failed := r.faster(); n > 0 {
		fmt.Fprintf(&b, "automation was first in %d of %d, by %s in the middle; %s payments failed meanwhile\n", n, len(r.Both), span(lead), number(failed))
	}
	section := func(title string, list []Observed) {
		if len(list) == 0 {
			return
		}
		fmt.Fprintf(&b, "\n%s\n", title)
		for i := range list {
			list[i].text(&b, &r.Recording)
		}
	}
	section("Both", r.Both)
	section("Only automation: people closed nothing", r.OnlyAutomation)
	section("Only people: automation saw no reason", r.OnlyPeople)
	if _, err := io.WriteString(to, b.String()); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

func (o *Observed) text(b *strings.Builder, s *Summary) {
	at := o.Automation
	if at == nil || o.People != nil && o.People.Before(*at) {
		at = o.People
	}
	fmt.Fprintf(b, "  %s  %s", at.Format(s.layout(*at)), o.Scope)
	lead := time.Duration(o.Lead) * time.Second
	switch {
	case o.Automation != nil && o.People != nil:
		fmt.Fprintf(b, "  %s first, by %s; %s failed in between\n", o.First, span(lead), number(o.Failed))
	case o.Automation != nil:
		fmt.Fprintf(b, "  %s failed %s\n", number(o.Failed), o.lasted(s))
	default:
		b.WriteString("\n")
	}
	if o.Automation != nil {
		fmt.Fprintf(b, "            automation %s: %s%s\n", o.Automation.Format(clock), o.Why, o.held())
	}
	if o.People != nil {
		where := ""
		if o.PeopleScope != "" {
			where = " closed " + o.PeopleScope
		}
		fmt.Fprintf(b, "            %s %s%s: %s%s\n", o.Author, o.People.Format(clock), where, o.Said, o.reopened())
	}
}

// held says why automation did not act, where that is not its level.
func (o *Observed) held() string {
	if o.Answer == "" || strings.Contains(o.Answer, statemachine.WithheldByLevel) {
		return ""
	}
	return " (" + o.Answer + ")"
}

func (o *Observed) lasted(s *Summary) string {
	if o.Over == nil {
		return "until the end of the recording"
	}
	return "until it was over at " + o.Over.Format(s.layout(*o.Over))
}

func (o *Observed) reopened() string {
	switch {
	case o.PeopleUntil == nil:
		return "; not opened again"
	case o.Back == nil:
		return "; opened " + o.PeopleUntil.Format(clock)
	case *o.Back < 0:
		return fmt.Sprintf("; opened %s, %s before automation saw it end", o.PeopleUntil.Format(clock), span(time.Duration(-*o.Back)*time.Second))
	}
	return fmt.Sprintf("; opened %s, %s after automation saw it end", o.PeopleUntil.Format(clock), span(time.Duration(*o.Back)*time.Second))
}

// faster is in how many incidents automation was first, the median lead and the payments that failed meanwhile.
func (r *ObservedReport) faster() (n int, median time.Duration, failed float64) {
	var leads []int64
	for i := range r.Both {
		if r.Both[i].First == "automation" {
			leads = append(leads, r.Both[i].Lead)
			failed += r.Both[i].Failed
		}
	}
	if len(leads) == 0 {
		return 0, 0, 0
	}
	return len(leads), time.Duration(middle(leads)) * time.Second, failed
}
