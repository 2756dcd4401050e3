package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// decisionText tells why a payment was routed as it was: the decision, then the candidates in order, kept or dropped and why.
func (v view) decisionText(r *sluicev1.ExplainRouteResponse) string {
	var b strings.Builder
	if r.GetRequest() == nil {
		return wrap("Of this decision its id alone is kept. "+v.decisionSource(r), 0, v.width) + wrap(admission(r.GetAdmission()), 0, v.width)
	}
	b.WriteString(wrap(decisionHead(r), 0, v.width))
	b.WriteString(wrap(v.decisionSource(r), 0, v.width))
	if since := r.GetDecision().GetBankDownSince(); since != nil {
		b.WriteString(wrap(fmt.Sprintf("Its bank fails on every channel that carries it, since %s: nothing is cut for it, the payer needs another card.", v.clock(since.AsTime())), 0, v.width))
	}
	if tries := r.GetRequest().GetAttempts(); len(tries) > 0 {
		var made []string
		for _, t := range tries {
			made = append(made, strings.TrimSpace(fmt.Sprintf("%s %s %s", t.GetChannel(), outcomeName(t.GetOutcome()), clean(t.GetRawCode()))))
		}
		b.WriteString(wrap("Tried before: "+strings.Join(made, ", ")+".", 0, v.width))
	}
	b.WriteString("\n" + v.paint.text(bold, "Candidates, in order") + "\n")
	if len(r.GetCandidates()) == 0 {
		return b.String() + "  none\n"
	}
	b.WriteString(v.candidates(r))
	return b.String()
}

func decisionHead(r *sluicev1.ExplainRouteResponse) string {
	p := r.GetRequest().GetPayment()
	what := strings.Join(strings.Fields(fmt.Sprintf("%s %s %s", businessName(p.GetBusinessType()), p.GetMethod(), p.GetBank())), " ")
	if card := cardName(p.GetCardType()); p.GetCardType() != 0 {
		what += " " + strings.ToLower(card)
	}
	if p.GetAmount() > 0 {
		what += fmt.Sprintf(", %d minor units of %s", p.GetAmount(), clean(p.GetCurrency()))
	}
	head := fmt.Sprintf("Payment %s (%s)", clean(p.GetPaymentId()), what)
	if why := r.GetRefusalReason(); why != "" {
		return head + " was refused: " + clean(why) + "."
	}
	d := r.GetDecision()
	if len(d.GetChannels()) == 0 {
		return head + " has no decision."
	}
	first := d.GetChannels()[0]
	head += fmt.Sprintf(" goes to %s, account %s", first.GetChannel(), first.GetAccount())
	if first.GetKind() == sluicev1.TrafficKind_TRAFFIC_KIND_PROBE || first.GetKind() == sluicev1.TrafficKind_TRAFFIC_KIND_RAMP {
		head += " (" + strings.ToLower(strings.TrimPrefix(first.GetKind().String(), "TRAFFIC_KIND_")) + ")"
	}
	if d.GetDecisionId() != "" {
		head += ", decision " + clean(d.GetDecisionId())
	}
	return head + "."
}

// decisionSource says when and by which table it was decided, and whether that could be recomputed.
func (v view) decisionSource(r *sluicev1.ExplainRouteResponse) string {
	at := time.Unix(r.GetSecond(), 0)
	text := fmt.Sprintf("Decided at %s (%s ago)", v.clock(at), span(v.now.Sub(at)))
	if r.GetRoute() != "" {
		text += " by route " + clean(r.GetRoute())
	}
	text += fmt.Sprintf(", table revision %d.", r.GetTableRevision())
	switch {
	case r.GetRecomputed():
		text += " Recomputed from what is kept: the same answer, byte for byte."
	case r.GetKept() != "":
		text += " Not recomputed: " + strings.TrimSuffix(clean(r.GetKept()), ".") + "."
	}
	return text
}

// admission says what live counters did to a decision.
func admission(a *sluicev1.Admission) string {
	text := "Live counters (ramps, rates) let every candidate through."
	if a.GetVetoed() != 0 {
		var ranks []string
		for i := range 64 {
			if a.GetVetoed()>>i&1 == 1 {
				ranks = append(ranks, strconv.Itoa(i+1))
			}
		}
		text = "Live counters (ramps, rates) did not admit the candidates ranked " + strings.Join(ranks, ", ") + "."
	}
	if a != nil && a.Lifted != nil {
		text += fmt.Sprintf(" The candidate ranked %d was lifted to first place as a probe.", a.GetLifted()+1)
	}
	return text
}

func (v view) candidates(r *sluicev1.ExplainRouteResponse) string {
	t := table{right: map[int]bool{0: true}}
	rank := 0
	for _, c := range r.GetCandidates() {
		place, verdict, why := "-", "dropped", v.dropped(c)
		if c.GetDropReason() == sluicev1.DropReason_DROP_REASON_UNSPECIFIED {
			rank++
			place, verdict, why = strconv.Itoa(rank), "kept", kept(c)
		}
		t.add("  "+place, c.GetChannel(), c.GetAccount(), verdict, why)
	}
	return t.String()
}

// kept says what decided the place of a candidate.
func kept(c *sluicev1.Candidate) string {
	var parts []string
	if reason := lower(c.GetRankReason().String(), "RANK_REASON_"); c.GetRankReason() != 0 {
		parts = append(parts, "by "+reason)
	}
	parts = append(parts, fmt.Sprintf("priority %d", c.GetPriority()))
	if c.GetScorePpm() > 0 {
		parts = append(parts, "score "+percent(c.GetScorePpm()))
	}
	if c.GetKind() > sluicev1.TrafficKind_TRAFFIC_KIND_NORMAL {
		parts = append(parts, "as "+lower(c.GetKind().String(), "TRAFFIC_KIND_"))
	}
	if c.GetVetoed() {
		parts = append(parts, "not admitted by live counters")
	}
	return withExplanation(strings.Join(parts, ", "), c)
}

// dropped says why a candidate was not usable, which state was the cause, and until when.
func (v view) dropped(c *sluicev1.Candidate) string {
	text := lower(c.GetDropReason().String(), "DROP_REASON_")
	if scope := scopeOf(c.GetScope()); scope != (statemachine.Scope{}) {
		text += ": " + people(scope)
	}
	if c.GetIncidentId() != "" {
		text += ", incident " + clean(c.GetIncidentId())
	}
	if c.GetUntil() != nil {
		text += ", until " + v.ahead(c.GetUntil())
	}
	return withExplanation(text, c)
}

func withExplanation(text string, c *sluicev1.Candidate) string {
	if e := clean(c.GetExplanation()); e != "" {
		return text + " (" + e + ")"
	}
	return text
}

// lower turns an enum's name into words: `DROP_REASON_RAMP_SHARE` into `ramp share`.
func lower(name, prefix string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, prefix)), "_", " ")
}
