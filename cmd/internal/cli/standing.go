package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// harm orders what is not healthy by what it costs now, worst first.
type harm int

const (
	harmFailing harm = iota // payments fail and automation does not act
	harmClosed              // closed: its users have fewer ways to pay
	harmProbing             // closed but for single probes
	harmPartial             // open for a part
	harmOrdered             // fully open, but automation's hands are tied
	harmWatched             // well again, its incident not yet closed
	harmNone                // healthy
)

// standing is how a scope is doing in a word.
type standing struct {
	icon, word string
	colour     colour
	harm       harm
}

// standingOf finds the word for a scope. What people ordered is told apart from what automation did.
func standingOf(s *sluicev1.ScopeStatus) standing {
	st := s.GetState()
	open := st.GetIncident() != ""
	withheld := st.GetKind() == configv1.IncidentKind_INCIDENT_KIND_OBSERVED || st.GetKind() == configv1.IncidentKind_INCIDENT_KIND_REFUSED
	switch {
	case st.GetSuspend() != nil:
		return standing{"⊘", "SUSPENDED", violet, harmClosed}
	case st.GetOff() != nil:
		return standing{"✖", "OFF", violet, harmClosed}
	case open && withheld:
		return standing{"⚠", "FAILING", red, harmFailing}
	case s.GetPhase() == configv1.Phase_PHASE_DISABLED:
		return standing{"✖", "DISABLED", red, harmClosed}
	case s.GetPhase() == configv1.Phase_PHASE_PROBING:
		return standing{"◌", "PROBING", yellow, harmProbing}
	case s.GetPhase() == configv1.Phase_PHASE_RAMPING && st.GetKind() == configv1.IncidentKind_INCIDENT_KIND_DEGRADED:
		return standing{"◐", "LOWERED", yellow, harmPartial}
	case s.GetPhase() == configv1.Phase_PHASE_RAMPING:
		return standing{"◐", "RAMPING", yellow, harmPartial}
	case st.GetOnNow() != nil:
		return standing{"▶", "ON NOW", violet, harmOrdered}
	case st.GetHold() != nil:
		return standing{"■", "HELD", violet, harmOrdered}
	case open:
		return standing{"•", "WATCHED", green, harmWatched}
	}
	return standing{"✔", "HEALTHY", green, harmNone}
}

// failingPerMinute is the number of bad results of the last minute, by traffic where it is known.
func failingPerMinute(s *sluicev1.ScopeStatus) float64 {
	t := s.GetTraffic()
	if w := t.GetWindow().AsDuration(); w > 0 {
		return t.GetBad() / w.Minutes()
	}
	return 0
}

// displaced estimates the payments per minute that go elsewhere: the part that is closed of what was seen when it was cut.
func displaced(s *sluicev1.ScopeStatus) float64 {
	e := s.GetEvidence()
	if n := e.GetToSecond() - e.GetFromSecond() + 1; n > 0 {
		return e.GetAnswered() * 60 / float64(n) * (1 - float64(s.GetSharePpm())/fullPPM)
	}
	return 0
}

// byHarm sorts worst first: by class, then payments failing now, then payments displaced, then the wider scope, then name.
func byHarm(list []*sluicev1.ScopeStatus) {
	slices.SortStableFunc(list, func(a, b *sluicev1.ScopeStatus) int {
		x, y := scopeOf(a.GetScope()), scopeOf(b.GetScope())
		return cmp.Or(
			cmp.Compare(standingOf(a).harm, standingOf(b).harm),
			cmp.Compare(failingPerMinute(b), failingPerMinute(a)),
			cmp.Compare(displaced(b), displaced(a)),
			cmp.Compare(x.Kind, y.Kind),
			x.Compare(y),
		)
	})
}

// orderOf is the strongest order over a scope, nil if there is none.
func orderOf(st *configv1.ScopeState) *configv1.Override {
	for _, o := range []*configv1.Override{st.GetSuspend(), st.GetOff(), st.GetOnNow(), st.GetHold()} {
		if o != nil {
			return o
		}
	}
	return nil
}

// sinceOf is when the effective state began: that of the order where one decides, that of the failures where automation does
// not act, else that of the phase.
func sinceOf(s *sluicev1.ScopeStatus) *timestamppb.Timestamp {
	st := s.GetState()
	switch standingOf(s).word {
	case "SUSPENDED", "OFF", "ON NOW", "HELD":
		return orderOf(st).GetSince()
	case "FAILING":
		if from := s.GetEvidence().GetFromSecond(); from > 0 {
			return &timestamppb.Timestamp{Seconds: from}
		}
		return nil
	}
	return st.GetSince()
}

// byOf says who brought a scope to where it is.
func byOf(s *sluicev1.ScopeStatus) string {
	st := s.GetState()
	switch standingOf(s).word {
	case "SUSPENDED", "OFF", "ON NOW", "HELD":
		return clean(orderOf(st).GetAuthor())
	case "FAILING", "HEALTHY":
		return ""
	}
	switch st.GetCutBy() {
	case configv1.Cause_CAUSE_AUTOMATION:
		return "automation"
	case configv1.Cause_CAUSE_OPERATOR:
		return "an operator's order"
	case configv1.Cause_CAUSE_EXPIRY:
		return "an order that ran out"
	case configv1.Cause_CAUSE_UNSPECIFIED:
	}
	return ""
}

// orders describes all orders over a scope, strongest first.
func (v view) orders(st *configv1.ScopeState) []string {
	var list []string
	for _, o := range []struct {
		word  string
		order *configv1.Override
	}{{"suspended", st.GetSuspend()}, {"off", st.GetOff()}, {"on now", st.GetOnNow()}, {"held", st.GetHold()}} {
		if o.order == nil {
			continue
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%s by %s since %s", o.word, clean(o.order.GetAuthor()), v.clock(o.order.GetSince().AsTime()))
		if until := o.order.GetUntil(); until != nil {
			fmt.Fprintf(&b, ", until %s", v.ahead(until))
		} else {
			b.WriteString(", without an end")
		}
		fmt.Fprintf(&b, ": %q", clean(o.order.GetReason()))
		list = append(list, b.String())
	}
	return list
}
