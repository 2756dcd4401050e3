package cli

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

func incident() *sluicev1.GetIncidentResponse {
	e := evidence(19, 21, 2, reason("BANK_SYSTEM_ERROR", 19))
	e.Scope, e.Explanation = stored(sbi), "nine of ten answers of SBI are system errors, the other banks answer as always"
	e.Considered = []*configv1.ConsideredScope{
		{Scope: stored("upi-gateway-a"), Answered: 421, Bad: 24, Why: "not failing without SBI"},
		{Scope: stored(sbi), Answered: 21, Bad: 19, Why: "chosen: the smallest scope that explains the failures"},
		{Scope: stored("domain=npci"), Answered: 1240, Bad: 31, Why: "explained by upi-gateway-a / SBI"},
	}
	status := cutStatus()
	status.Scope, status.State.Scope = scope(sbi), stored(sbi)
	return &sluicev1.GetIncidentResponse{
		Incident: &sluicev1.IncidentSummary{
			Incident: &configv1.Incident{
				Id: "5f0c3a9d2b41", Kind: configv1.IncidentKind_INCIDENT_KIND_CUT, Scope: stored(sbi), OpenTime: at(3, 1, 7), Evidence: e, Note: "SBI confirms, ticket 4711",
			},
			Scope: scope(sbi), Phase: configv1.Phase_PHASE_DISABLED,
		},
		Transitions: life()[:2], Status: status, Etag: "7",
	}
}

func closedIncident() *sluicev1.GetIncidentResponse {
	r := incident()
	r.Incident.Incident.CloseTime = at(3, 4, 30)
	r.Transitions = life()
	return r
}

func decision() *sluicev1.ExplainRouteResponse {
	return &sluicev1.ExplainRouteResponse{
		Request: &sluicev1.RouteRequest{
			Payment: &sluicev1.Payment{
				PaymentId: "pay-1", BusinessType: configv1.BusinessType_BUSINESS_TYPE_COLLECT, Method: "QUICKPAY", Bank: "ICBC",
				CardType: configv1.CardType_CARD_TYPE_DEBIT, Amount: 12000, Currency: "CNY",
			},
			Attempts: []*sluicev1.PreviousAttempt{{Channel: "nucc", Outcome: configv1.Outcome_OUTCOME_CHANNEL_FAILED, RawCode: "E17"}},
		},
		Decision: &sluicev1.RouteResponse{DecisionId: "AQAB", Channels: []*sluicev1.RankedChannel{{Channel: "alipay", Account: "a1", Kind: sluicev1.TrafficKind_TRAFFIC_KIND_RAMP}, {Channel: "wechat", Account: "w1"}}},
		Candidates: []*sluicev1.Candidate{
			{
				Channel: "alipay", Account: "a1", RankReason: sluicev1.RankReason_RANK_REASON_SPLIT, Priority: 1, Kind: sluicev1.TrafficKind_TRAFFIC_KIND_RAMP,
				Explanation: "drawn by the split of priority 1 (hash c196750630df0412)",
			},
			{Channel: "wechat", Account: "w1", RankReason: sluicev1.RankReason_RANK_REASON_PRIORITY, Priority: 2},
			{Channel: "bestpay", Account: "b1", DropReason: sluicev1.DropReason_DROP_REASON_CONCURRENCY_LIMITED, Vetoed: true, Explanation: "its concurrent payments are used up; may be usable from 2026-03-01T03:05:01Z"},
			{Channel: "unionpay-b", DropReason: sluicev1.DropReason_DROP_REASON_DISABLED, Scope: scope(icbc), IncidentId: "5f0c3a9d2b41", Until: at(3, 7, 11), Explanation: "automation has disabled a scope that applies"},
			{Channel: "nucc", DropReason: sluicev1.DropReason_DROP_REASON_ALREADY_TRIED, Explanation: "tried first"},
		},
		Second: at(3, 5, 0).GetSeconds(), TableRevision: 88214, Route: "collect-quickpay", Recomputed: true, DecisionId: "AQAB", Replica: "r1",
		Admission: &sluicev1.Admission{Vetoed: 1 << 2, Reasons: []uint64{0, 1 << 2, 0}},
		Others: []*sluicev1.KeptDecision{
			{DecisionId: "AQAC", Second: at(3, 4, 58).GetSeconds(), RefusalReason: "AMBIGUOUS_PREVIOUS_ATTEMPT", Attempts: 1},
			{DecisionId: "AQAD", Second: at(3, 4, 50).GetSeconds(), Channel: "nucc"},
			{DecisionId: "AQAE", Second: at(3, 4, 40).GetSeconds()},
		},
	}
}

func TestWhyTextTellsThatTheBankIsDown(t *testing.T) {
	down := decision()
	const told = "Its bank fails on every channel that carries it, since"
	if text := testView(200).decisionText(down, -1); strings.Contains(text, told) {
		t.Errorf("the bank is well:\n%s", text)
	}
	down.Decision.BankDownSince = at(3, 4, 0)
	if text := testView(200).decisionText(down, -1); !strings.Contains(text, told+" 03:04:00:") {
		t.Errorf("the bank is down:\n%s", text)
	}
}

func TestWhyText(t *testing.T) {
	refusal := decision()
	refusal.Decision, refusal.RefusalReason, refusal.Recomputed, refusal.Kept = nil, "BANK_DOWN_EVERYWHERE", false, "the table of revision 88214 is no longer kept"
	refusal.Candidates = refusal.GetCandidates()[3:]
	bare := &sluicev1.ExplainRouteResponse{
		DecisionId: "AQAB", Second: at(3, 5, 0).GetSeconds(), TableRevision: 88214, Replica: "r1", Admission: &sluicev1.Admission{},
		Kept: "another replica, or a client by itself, made the decision; the table of revision 88214 is kept (2 revisions are, 88213 to 88214)",
	}
	wide := channel("unionpay-b", cutStatus())
	found := statusesOf(&sluicev1.GetChannelResponse{Channel: wide, Policy: &configv1.Policy{Automation: configv1.AutomationLevel_AUTOMATION_LEVEL_OFF_ONLY}},
		&sluicev1.ListChannelsResponse{FailureDomains: []*sluicev1.ScopeStatus{heldDomain()}}, &sluicev1.Scope{Channel: "unionpay-b", Bank: "ICBC"})
	for name, text := range map[string]string{
		"why_incident":        testView(100).incidentText(incident()),
		"why_incident_closed": testView(70).incidentText(closedIncident()),
		"why_decision":        testView(100).decisionText(decision(), -1),
		"why_attempt":         testView(100).decisionText(decision(), 1),
		"why_id":              testView(100).decisionText(bare, -1),
		"why_refusal":         testView(100).decisionText(refusal, -1),
		"why_scope":           testView(100).askedText(found),
		"incidents": testView(120).incidentsText(&sluicev1.ListIncidentsResponse{
			Incidents: []*sluicev1.IncidentSummary{incident().GetIncident(), closedIncident().GetIncident()},
		}),
		"channels": testView(100).channelsText(badNight()),
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, text) })
	}
}

func TestStatusesOf_AbsentIsHealthyUnderAWiderCut(t *testing.T) {
	c := channel("alipay")
	c.GetScopes()[0].Phase, c.GetScopes()[0].SharePpm = configv1.Phase_PHASE_DISABLED, 0
	config := &configv1.Channel{Id: "alipay", Instruments: []*configv1.Instrument{{Method: "QUICKPAY"}}}
	found := statusesOf(&sluicev1.GetChannelResponse{Channel: c, Config: config}, &sluicev1.ListChannelsResponse{TableAge: durationpb.New(0)}, scope("alipay/method=QUICKPAY"))
	if len(found.statuses) != 1 || standingOf(found.statuses[0]).word != "HEALTHY" {
		t.Errorf("the scope is %v, want one healthy", found.statuses)
	}
	if len(found.wider) != 1 || standingOf(found.wider[0]).word != "DISABLED" {
		t.Errorf("wider scopes %v, want the channel, disabled", found.wider)
	}
}
