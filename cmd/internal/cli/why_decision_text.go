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
// asked is the attempt that was asked for, -1 for the decision as a whole.
func (v view) decisionText(r *sluicev1.ExplainRouteResponse, asked int) string {
	var b strings.Builder
	say := func(text string) { b.WriteString(wrap(text, 0, v.width)) }
	if r.GetRequest() == nil {
		say("Of this decision its id alone is kept. " + v.decisionSource(r))
		say(admission(r.GetAdmission()))
		return b.String()
	}
	say(decisionHead(r))
	say(v.decisionSource(r))
	if since := r.GetDecision().GetBankDownSince(); since != nil {
		say(fmt.Sprintf("Its bank fails on every channel that carries it, since %s: nothing is cut for it, the payer needs another card.", v.clock(since.AsTime())))
	}
	if tries := r.GetRequest().GetAttempts(); len(tries) > 0 {
		var made []string
		for _, t := range tries {
			made = append(made, strings.TrimSpace(fmt.Sprintf("%s %s %s", t.GetChannel(), outcomeName(t.GetOutcome()), clean(t.GetRawCode()))))
		}
		say("Tried before: " + strings.Join(made, ", ") + ".")
	}
	if a := r.GetAdmission(); a.GetMerchantLimited() || a != nil && (a.Lifted != nil || len(r.GetCandidates()) == 0 && !r.GetRecomputed()) {
		say(admission(a)) // vetoes are told by candidate where these are known
	}
	if channels := r.GetDecision().GetChannels(); asked > 0 && asked < len(channels) {
		say(fmt.Sprintf("The attempt asked for is that of candidate %d, %s; only the first of a decision may be attempted.", asked+1, channels[asked].GetChannel()))
	}
	if len(r.GetCandidates()) > 0 {
		b.WriteString("\n" + v.paint.text(bold, "Candidates, in order") + "\n")
		b.WriteString(v.candidates(r))
	} else if r.GetRecomputed() {
		b.WriteString("\nNo channel was a candidate.\n")
	}
	b.WriteString(v.others(r.GetOthers()))
	return b.String()
}

// others lists the other decisions for the payment.
func (v view) others(list []*sluicev1.KeptDecision) string {
	if len(list) == 0 {
		return ""
	}
	var t table
	for _, o := range list {
		what := "not kept what it gave"
		switch {
		case o.GetRefusalReason() != "":
			what = "refused: " + clean(o.GetRefusalReason())
		case o.GetChannel() != "":
			what = o.GetChannel()
		}
		after := "first decision"
		if n := int(o.GetAttempts()); n > 0 {
			after = "after " + plural(n, "attempt")
		}
		t.add("  "+v.clock(time.Unix(o.GetSecond(), 0)), clean(o.GetDecisionId()), after, what)
	}
	return "\n" + v.paint.text(bold, "Other decisions for this payment, newest first") + "\n" + t.String()
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
		head += " was refused: " + clean(why)
		if id := r.GetDecisionId(); id != "" {
			head += ", decision " + clean(id)
		}
		return head + "."
	}
	d := r.GetDecision()
	if len(d.GetChannels()) == 0 {
		return head + ", decision " + clean(r.GetDecisionId()) + "."
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
	text += fmt.Sprintf(", table revision %d", r.GetTableRevision())
	if r.GetReplica() != "" && r.GetRequest() != nil {
		text += ", on replica " + clean(r.GetReplica())
	}
	text += "."
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
	if a.GetMerchantLimited() {
		return "The merchant is above its rate: the payment as a whole was refused."
	}
	text := "No candidate was closed by a state or vetoed by live counters."
	if a.GetVetoed() != 0 {
		var ranks []string
		for i := range 64 {
			if a.GetVetoed()>>i&1 == 1 {
				ranks = append(ranks, strconv.Itoa(i+1)+vetoOf(a, i))
			}
		}
		text = "Closed by a state, or vetoed by live counters: the candidates ranked " + strings.Join(ranks, ", ") + " before admission."
	}
	if a != nil && a.Lifted != nil {
		text += fmt.Sprintf(" The candidate ranked %d was lifted to first place as a probe.", a.GetLifted()+1)
	}
	return text
}

// vetoOf says which counter vetoed a candidate; empty for its state, which the candidates tell.
func vetoOf(a *sluicev1.Admission, candidate int) string {
	reason := 0
	for k, plane := range a.GetReasons() {
		reason |= int(plane>>candidate&1) << k
	}
	words := [...]string{"", " (rate)", " (concurrency)", " (quota)", " (throttled)"}
	if reason < len(words) {
		return words[reason]
	}
	return ""
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

// kept says what decided the place of a candidate: the server's own sentence, which has the figures, or what the fields tell.
func kept(c *sluicev1.Candidate) string {
	text := clean(c.GetExplanation())
	if text == "" {
		text = fmt.Sprintf("priority %d", c.GetPriority())
		if c.GetRankReason() != 0 {
			text = "by " + lower(c.GetRankReason().String(), "RANK_REASON_") + ", " + text
		}
	}
	if c.GetScorePpm() > 0 {
		text += ", score " + percent(c.GetScorePpm())
	}
	if c.GetKind() > sluicev1.TrafficKind_TRAFFIC_KIND_NORMAL {
		text += ", as " + lower(c.GetKind().String(), "TRAFFIC_KIND_")
	}
	if c.GetVetoed() {
		text += ", not admitted by live counters"
	}
	return text
}

// dropped says why a candidate was not usable, which state was the cause, and until when. The server's sentence says the same
// where a state was the cause.
func (v view) dropped(c *sluicev1.Candidate) string {
	text := lower(c.GetDropReason().String(), "DROP_REASON_")
	scope := scopeOf(c.GetScope())
	if scope != (statemachine.Scope{}) {
		text += ": " + people(scope)
	} else if e := clean(c.GetExplanation()); e != "" {
		sentence, _, _ := strings.Cut(e, "; may be usable from ")
		text += ": " + sentence
	}
	if c.GetIncidentId() != "" {
		text += ", incident " + clean(c.GetIncidentId())
	}
	if c.GetUntil() != nil {
		text += ", until " + v.ahead(c.GetUntil())
	}
	return text
}

// lower turns an enum's name into words: `DROP_REASON_RAMP_SHARE` into `ramp share`.
func lower(name, prefix string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, prefix)), "_", " ")
}
