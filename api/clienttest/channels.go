package clienttest

import (
	"slices"

	"github.com/sluice-pay/sluice/api/client"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// Script says what the next attempts on a channel come to, in order; the last stays. A channel without a script pays.
func (s *Server) Script(channel string, results ...client.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scripts[channel] = slices.Clone(results)
}

// Attempt plays the channel that an answer gave: it returns what the attempt comes to by the channel's script. Only the first
// channel of an answer may be attempted.
func (s *Server) Attempt(reply *sluicev1.RouteResponse) client.Result {
	s.tb.Helper()
	if len(reply.GetChannels()) == 0 {
		s.tb.Fatal("clienttest: Attempt: want an answer with a channel")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	channel := reply.GetChannels()[0].GetChannel()
	script := s.scripts[channel]
	switch len(script) {
	case 0:
		return client.Result{Outcome: configv1.Outcome_OUTCOME_SUCCEEDED}
	case 1:
		return script[0]
	}
	s.scripts[channel] = script[1:]
	return script[0]
}

// ReportOf is the report of an attempt on the first channel of an answer.
func ReportOf(m *sluicev1.RouteRequest, reply *sluicev1.RouteResponse, result client.Result) *sluicev1.Report {
	p := m.GetPayment()
	r := &sluicev1.Report{
		PaymentId: p.GetPaymentId(), DecisionId: reply.GetDecisionId(), Method: p.GetMethod(), Bank: p.GetBank(), CardType: p.GetCardType(),
		BusinessType: p.GetBusinessType(), Outcome: result.Outcome, RawCode: result.RawCode, Amount: p.GetAmount(), Currency: p.GetCurrency(),
		PayerKey: p.GetPayerKey(), Finality: sluicev1.Finality_FINALITY_PROVISIONAL, Source: sluicev1.ReportSource_REPORT_SOURCE_REPLY,
	}
	if len(reply.GetChannels()) > 0 {
		c := reply.GetChannels()[0]
		r.AttemptId, r.Channel, r.Account = c.GetAttemptId(), c.GetChannel(), c.GetAccount()
	}
	return r
}

// FailNext makes the next calls of Route fail with these errors, one each; make them with status.Error. nil = that call does not
// fail.
func (s *Server) FailNext(errs ...error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures = append(s.failures, errs...)
}

// Grant gives probe tokens of a scope to local-first clients, with the acknowledgements of their reporters. tokens is how many
// were given so far in the scope's generation; they may be used for the given number of seconds.
func (s *Server) Grant(scope string, tokens uint64, seconds int64, lift bool) {
	s.tb.Helper()
	at := s.stateOf(scope)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grants = append(s.grants, &sluicev1.ProbeGrant{
		Scope: at.message, Generation: at.generation, Tokens: tokens, LastSecond: s.now().Unix() + seconds, Lift: lift,
	})
}
