package server

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-pay/sluice/api/sluice/v1/routepb"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// DecisionRecord is one record of the decision log. The names of its fields are stable.
type DecisionRecord struct {
	Time        string              `json:"time"` // RFC 3339, the second it was made in
	Environment string              `json:"environment"`
	Replica     string              `json:"replica"`
	SamplePPM   uint32              `json:"sample_ppm"` // the sample it is part of
	DecisionID  string              `json:"decision_id"`
	AttemptID   string              `json:"attempt_id,omitempty"` // of the channel that was given; results are reported under it
	Epoch       uint64              `json:"epoch"`
	Revision    int64               `json:"table_revision"`
	Payment     RecordedPayment     `json:"payment"`
	Attempts    []RecordedAttempt   `json:"attempts,omitempty"` // made before
	Exclude     []string            `json:"exclude,omitempty"`
	Route       string              `json:"route,omitempty"`
	Strategy    string              `json:"strategy,omitempty"`
	Mask        string              `json:"mask"`             // what live counters vetoed: 64 bits over the candidates' indices, in hex
	Lifted      *int                `json:"lifted,omitempty"` // index of the candidate a probe lifted
	Limited     bool                `json:"merchant_limited,omitempty"`
	Channel     string              `json:"channel,omitempty"` // that was given
	Account     string              `json:"account,omitempty"`
	Kind        string              `json:"kind,omitempty"`    // NORMAL, PROBE or RAMP; probes were no choice of the policy
	Propensity  float64             `json:"propensity"`        // of what was done: of channel and account, or of the refusal
	Refusal     string              `json:"refusal,omitempty"` // why none was given
	Candidates  []RecordedCandidate `json:"candidates"`
}

// RecordedPayment is what routing knows of a payment; its payer key is left out.
type RecordedPayment struct {
	ID       string `json:"payment_id"`
	Merchant string `json:"merchant"`
	Entity   string `json:"settlement_entity"`
	Business string `json:"business_type"`
	Method   string `json:"method,omitempty"`
	Bank     string `json:"bank,omitempty"`
	CardType string `json:"card_type,omitempty"`
	Amount   int64  `json:"amount"`
	Currency string `json:"currency,omitempty"`
	UserTier string `json:"user_tier,omitempty"`
}

// RecordedAttempt is an attempt that was made before.
type RecordedAttempt struct {
	Channel string `json:"channel"`
	Account string `json:"account,omitempty"`
	Outcome string `json:"outcome"`
	Code    string `json:"raw_code,omitempty"`
}

// RecordedCandidate is a candidate, the usable ones first, in order.
type RecordedCandidate struct {
	Channel    string            `json:"channel"`
	Account    string            `json:"account,omitempty"`
	Index      *int              `json:"index,omitempty"` // in the ranking, the bit of the mask; absent = dropped before
	Rank       *int              `json:"rank,omitempty"`  // place in the answer from 0; absent = not usable
	Reason     string            `json:"reason,omitempty"`
	Drop       string            `json:"drop,omitempty"`
	Kind       string            `json:"kind"`
	Priority   uint16            `json:"priority"`
	Hash       string            `json:"hash,omitempty"`
	Vetoed     bool              `json:"vetoed,omitempty"`
	Scope      string            `json:"scope,omitempty"` // whose state weighs on it
	Phase      string            `json:"phase,omitempty"` // of that scope
	SharePPM   uint32            `json:"share_ppm,omitempty"`
	ScorePPM   uint32            `json:"score_ppm,omitempty"`
	Criterion  string            `json:"criterion,omitempty"` // that decided its place
	Criteria   map[string]string `json:"criteria,omitempty"`  // what each criterion saw
	Propensity float64           `json:"propensity"`
}

// recordOf makes the record of a kept decision by making it again.
func recordOf(k *routing.Kept, t *routing.Table) *DecisionRecord {
	q, id := &k.Request, k.ID
	e := routing.Explain(t, q, id.Second, id.Admission)
	r := &DecisionRecord{
		Time: time.Unix(id.Second, 0).UTC().Format(time.RFC3339), DecisionID: id.String(), Epoch: id.Epoch, Revision: id.Revision,
		Payment: RecordedPayment{
			ID: Redact(q.PaymentID), Merchant: Redact(q.Merchant), Entity: q.Entity, Business: q.Business.String(), Method: q.Instrument.Method,
			Bank: routepb.FromBank(q.Instrument), CardType: cardTypeOf(q.Instrument), Amount: q.Amount, Currency: q.Currency, UserTier: q.UserTier,
		},
		Exclude: q.Exclude, Route: e.Route, Mask: hexText(id.Admission.Vetoed), Limited: id.Admission.MerchantLimited,
	}
	for i := range q.Attempts {
		a := &q.Attempts[i]
		r.Attempts = append(r.Attempts, RecordedAttempt{Channel: a.Channel, Account: a.Account, Outcome: a.Outcome.String(), Code: Redact(a.Code)})
	}
	if l := int(id.Admission.Lifted); l >= 0 {
		r.Lifted = &l
	}
	r.Propensity = 1 // of a refusal that was no matter of chance
	chances := routing.Propensities(t, q, id.Second, id.Admission)
	r.Candidates = make([]RecordedCandidate, len(e.Candidates))
	for i := range e.Candidates {
		r.Candidates[i] = candidateRecord(&e.Candidates[i], chances)
		if s := e.Candidates[i].Strategy; s != "" {
			r.Strategy = s
		}
	}
	if e.Err != nil {
		for _, p := range chances {
			r.Propensity -= p
		}
		r.Propensity = rounded(max(0, r.Propensity))
		var d routing.Decision
		r.Refusal = refusalWord(routing.Decide(t, q, id.Second, id.Admission, &d), &d, nil)
		return r
	}
	first := &r.Candidates[0]
	r.AttemptID = string(id.AppendAttempt(nil, 0))
	r.Channel, r.Account, r.Kind, r.Propensity = first.Channel, first.Account, first.Kind, first.Propensity
	return r
}

func candidateRecord(c *routing.ExplainedCandidate, chances []float64) RecordedCandidate {
	r := RecordedCandidate{
		Channel: c.Channel, Account: c.Account, Kind: strings.ToUpper(c.Kind.String()), Priority: c.Priority, Vetoed: c.Vetoed, ScorePPM: uint32(c.Score), Criterion: c.Decided,
	}
	if c.Hash != 0 {
		r.Hash = hexText(c.Hash)
	}
	if c.Drop != routing.DropNone {
		r.Drop = c.Drop.String()
	} else {
		r.Reason = c.Why.String()
	}
	if c.Rank >= 0 {
		rank := c.Rank
		r.Rank = &rank
	}
	if i := int(c.Index); i >= 0 {
		r.Index = &i
		if i < len(chances) {
			r.Propensity = rounded(chances[i])
		}
	}
	if c.State.Scope != (statemachine.Scope{}) {
		phase, share := c.State.Effective()
		r.Scope, r.Phase, r.SharePPM = c.State.Scope.String(), phase.String(), uint32(share)
	}
	for _, v := range c.Values {
		if r.Criteria == nil {
			r.Criteria = make(map[string]string, len(c.Values))
		}
		r.Criteria[v.Criterion] = v.Value
	}
	return r
}

// rounded leaves out digits that are none of the policy's.
func rounded(p float64) float64 { return math.Round(p*1e9) / 1e9 }

func hexText(v uint64) string { return strconv.FormatUint(v, 16) }

// cardTypeOf returns a card type as records have it, empty for none.
func cardTypeOf(i statemachine.Instrument) string {
	if i.CardType == statemachine.NoBank {
		return ""
	}
	return i.CardType
}
