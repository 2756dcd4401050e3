package server

import (
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/api/sluice/v1/routepb"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// requestMessage is the message a request of package routing was read from, without what decides nothing (the BIN).
func requestMessage(q *routing.Request) *sluicev1.RouteRequest {
	m := &sluicev1.RouteRequest{
		Payment: &sluicev1.Payment{
			PaymentId: q.PaymentID, Merchant: q.Merchant, SettlementEntity: q.Entity, BusinessType: configv1.BusinessType(q.Business),
			Method: q.Instrument.Method, Bank: routepb.FromBank(q.Instrument), CardType: routepb.FromCard(q.Instrument.CardType),
			Amount: q.Amount, Currency: q.Currency, UserTier: q.UserTier, EnrolledChannels: slices.Clone(q.Enrolled), PayerKey: q.PayerKey,
		},
		Exclude: slices.Clone(q.Exclude), MaxChannels: uint32(q.MaxChannels), //nolint:gosec // checked when it came in
	}
	if q.Deadline != 0 {
		m.Payment.Deadline = timestamppb.New(time.UnixMilli(q.Deadline))
	}
	if q.Original != (routing.Original{}) {
		m.Payment.Original = &sluicev1.OriginalPayment{Channel: q.Original.Channel, Account: q.Original.Account, AttemptId: q.Original.Attempt}
	}
	for i := range q.Attempts {
		a := &q.Attempts[i]
		m.Attempts = append(m.Attempts, &sluicev1.PreviousAttempt{
			Channel: a.Channel, Account: a.Account, AttemptId: a.Attempt, Outcome: outcomeMessage(a.Outcome), RawCode: a.Code,
		})
	}
	return m
}

func outcomeMessage(o statemachine.Outcome) configv1.Outcome { return configv1.Outcome(o) }
