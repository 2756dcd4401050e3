package routepb

import (
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
)

// ReadRequest turns a message into q and allocates nothing where q's attempts have room. The strings are the message's.
// Numbers that no field may have become others that Request.Validate refuses.
func ReadRequest(m *sluicev1.RouteRequest, q *routing.Request) {
	p := m.GetPayment()
	attempts := q.Attempts[:0]
	for _, a := range m.GetAttempts() {
		attempts = append(attempts, routing.Attempt{
			Channel: a.GetChannel(), Account: a.GetAccount(), Attempt: a.GetAttemptId(),
			Outcome: ToOutcome(a.GetOutcome()), Code: a.GetRawCode(),
		})
	}
	*q = routing.Request{
		PaymentID: p.GetPaymentId(), Merchant: p.GetMerchant(), Entity: p.GetSettlementEntity(),
		Business: ToBusiness(p.GetBusinessType()), Instrument: ToInstrument(p.GetMethod(), p.GetBank(), p.GetCardType()),
		Amount: p.GetAmount(), Currency: p.GetCurrency(), UserTier: p.GetUserTier(), Enrolled: p.GetEnrolledChannels(),
		PayerKey: p.GetPayerKey(), Attempts: attempts, Exclude: m.GetExclude(),
		MaxChannels: int(min(m.GetMaxChannels(), routing.MaxCandidates+1)),
		Original: routing.Original{
			Channel: p.GetOriginal().GetChannel(), Account: p.GetOriginal().GetAccount(), Attempt: p.GetOriginal().GetAttemptId(),
		},
	}
	if p.GetDeadline() != nil {
		q.Deadline = max(1, p.GetDeadline().AsTime().UnixMilli()) // a deadline before 1970 has passed as well
	}
}
