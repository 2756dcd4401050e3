package cli

import (
	"fmt"
	"strings"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// scopeBlock renders one scope: a line with state, share, since and by whom, then the evidence, the orders, what comes next
// and the incident, each on lines of its own.
func (v view) scopeBlock(s *sluicev1.ScopeStatus, words, names int) string {
	st, scope := standingOf(s), scopeOf(s.GetScope())
	head := v.paint.text(st.colour, st.icon+" "+pad(st.word, words)) + "  " +
		v.paint.text(bold, pad(people(scope), names)) + "  " + padLeft(percent(s.GetSharePpm()), 6)
	if since := sinceOf(s); since != nil {
		head += fmt.Sprintf("  %s, since %s", span(v.now.Sub(since.AsTime())), v.clock(since.AsTime()))
	}
	if by := byOf(s); by != "" {
		head += ", by " + by
	}
	var b strings.Builder
	b.WriteString(v.breakHead(head))
	for _, line := range v.details(s) {
		b.WriteString(wrap(line, 4, v.width))
	}
	b.WriteString(v.paint.text(dim, strings.TrimRight(wrap(handles(s, scope), 4, v.width), "\n")) + "\n")
	return b.String()
}

// breakHead puts the time and the author on a line of their own where the first line would not fit.
func (v view) breakHead(head string) string {
	if displayWidth(head) <= v.width {
		return head + "\n"
	}
	at := strings.LastIndex(head, " %")
	if at < 0 || at+2 >= len(head) {
		return head + "\n"
	}
	return head[:at+2] + "\n" + wrap(head[at+2:], 4, v.width)
}

// details are the sentences about a scope: what was seen, why, who ordered what, how far it is, what comes next.
func (v view) details(s *sluicev1.ScopeStatus) []string {
	var lines []string
	if line := evidenceLine(s.GetEvidence()); line != "" {
		if h := standingOf(s).harm; h == harmProbing || h == harmPartial {
			line = "because of: " + line // what was seen then, not what is seen now
		}
		lines = append(lines, line)
	}
	if reason := clean(s.GetReason()); reason != "" && !saidAlready(s, reason) {
		lines = append(lines, "why: "+reason)
	}
	if answer := s.GetState().GetAnswer(); answer != "" {
		lines = append(lines, "automation does not act: "+answerForPeople(answer))
	}
	lines = append(lines, v.orders(s.GetState())...)
	if t := s.GetTraffic(); t.GetAnswered() > 0 && s.GetSharePpm() > 0 {
		lines = append(lines, fmt.Sprintf("last %s: %s, %s payments/s",
			span(t.GetWindow().AsDuration()), seen(t.GetBad(), t.GetAnswered(), "failed"), number(t.GetPaymentsPerSecond())))
	}
	if line := progressLine(s); line != "" {
		lines = append(lines, line)
	}
	return append(lines, v.nextLine(s)) // an empty one wraps to nothing
}

// saidAlready reports whether a reason only repeats the evidence or the words of an order.
func saidAlready(s *sluicev1.ScopeStatus, reason string) bool {
	for _, said := range []string{s.GetEvidence().GetExplanation(), orderOf(s.GetState()).GetReason()} {
		if said = clean(said); said != "" && strings.Contains(reason, said) {
			return true
		}
	}
	return false
}

// nextLine says what comes next and when; empty = nothing. When an order ends is told with the order.
func (v view) nextLine(s *sluicev1.ScopeStatus) string {
	next, at := clean(s.GetNext()), v.ahead(s.GetNextTime())
	if orderOf(s.GetState()) != nil {
		at = ""
	}
	switch {
	case next == "" && at == "":
		return ""
	case at == "":
		return "next: " + next
	case next == "":
		return "next: " + at
	}
	return fmt.Sprintf("next: %s, not before %s", next, at)
}

// progressLine says how far a probing phase or a ramp step is.
func progressLine(s *sluicev1.ScopeStatus) string {
	p := s.GetProgress()
	if p == nil {
		return ""
	}
	line := fmt.Sprintf("step %d: %s of %s results in, %s bad", s.GetState().GetStep(), number(p.GetAnswered()), number(p.GetNeeded()), number(p.GetBad()))
	if p.GetSent() > 0 || p.GetWouldBe() > 0 {
		line += fmt.Sprintf("; sent %d of %d payments, %d settled", p.GetSent(), p.GetWouldBe(), p.GetSettled())
	}
	return line
}

// handles are what one copies into the next command.
func handles(s *sluicev1.ScopeStatus, scope statemachine.Scope) string {
	text := "scope " + scope.String()
	if id := s.GetState().GetIncident(); id != "" {
		text += " · incident " + clean(id)
	}
	return text
}

// answerForPeople says in words why automation does not act; a guard's name is kept, since one needs it to override it.
func answerForPeople(answer string) string {
	switch answer {
	case statemachine.GuardLastUsable:
		return "nothing else usable would be left (LAST_USABLE)"
	case statemachine.GuardCapacity:
		return "what is left cannot carry the demand (CAPACITY)"
	case statemachine.GuardBudget:
		return "too many cuts in the last minute (CUT_BUDGET)"
	case statemachine.GuardCommonMode:
		return "the fault looks like our own (COMMON_MODE)"
	case statemachine.GuardSingleReporter:
		return "only one gateway instance sees it (SINGLE_REPORTER)"
	case statemachine.WithheldByLevel:
		return "its policy says observe"
	case statemachine.WithheldByHold:
		return "an operator holds it"
	case statemachine.WithheldByOnNow:
		return "an operator switched it on"
	}
	return clean(answer)
}
