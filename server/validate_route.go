package server

import (
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
)

// checkRoute returns the first field of a request that breaks the rules of the protos, nil if none does. It allocates nothing
// for a good request.
func checkRoute(m *sluicev1.RouteRequest) *routing.FieldError {
	p := m.GetPayment()
	if p == nil {
		return bad("payment", "the payment")
	}
	if err := checkPayment(p); err != nil {
		return err
	}
	if err := checkMoney(p); err != nil {
		return err
	}
	return checkLists(m)
}

func checkPayment(p *sluicev1.Payment) *routing.FieldError {
	switch {
	case !printable(p.GetPaymentId(), maxPaymentID):
		return bad("payment.payment_id", wantPayment)
	case !name(p.GetMerchant()):
		return bad("payment.merchant", wantName)
	case !name(p.GetSettlementEntity()):
		return bad("payment.settlement_entity", wantName)
	case !business(p.GetBusinessType()):
		return bad("payment.business_type", wantBusiness)
	case !nameOrNone(p.GetMethod()):
		return bad("payment.method", wantName)
	case p.GetMethod() == "" && !followsOriginal(p.GetBusinessType()):
		return bad("payment.method", "a method, e.g. QUICKPAY")
	case !nameOrNone(p.GetBank()):
		return bad("payment.bank", wantName)
	case !cardType(p.GetCardType()):
		return bad("payment.card_type", wantCard)
	case !nameOrNone(p.GetUserTier()):
		return bad("payment.user_tier", wantName)
	case !bin(p.GetBin()):
		return bad("payment.bin", "the first 6 to 8 digits of the card")
	}
	return checkOriginal(p)
}

func checkOriginal(p *sluicev1.Payment) *routing.FieldError {
	o := p.GetOriginal()
	switch {
	case followsOriginal(p.GetBusinessType()) != (o != nil):
		return bad("payment.original", "the original payment for REFUND, CANCEL and QUERY, and for nothing else")
	case o == nil:
	case !name(o.GetChannel()):
		return bad("payment.original.channel", wantName)
	case !name(o.GetAccount()):
		return bad("payment.original.account", wantName)
	case !printableOrNone(o.GetAttemptId(), maxAttemptID):
		return bad("payment.original.attempt_id", wantAttempt)
	}
	return nil
}

func checkMoney(p *sluicev1.Payment) *routing.FieldError {
	switch {
	case p.GetAmount() < 0:
		return bad("payment.amount", wantAmount)
	case p.GetAmount() == 0 && !mayBeFree(p.GetBusinessType()):
		return bad("payment.amount", "more than 0 minor units")
	case !currencyOrNone(p.GetCurrency()), p.GetCurrency() == "" && p.GetAmount() != 0:
		return bad("payment.currency", wantCurrency)
	}
	return nil
}

// mayBeFree reports whether a payment of the business type may have no amount.
func mayBeFree(b configv1.BusinessType) bool {
	switch b { //nolint:exhaustive // the others need an amount
	case configv1.BusinessType_BUSINESS_TYPE_AUTHENTICATE, configv1.BusinessType_BUSINESS_TYPE_CANCEL, configv1.BusinessType_BUSINESS_TYPE_QUERY:
		return true
	}
	return false
}

func checkLists(m *sluicev1.RouteRequest) *routing.FieldError {
	switch {
	case len(m.GetPayment().GetEnrolledChannels()) > routing.MaxEnrolled:
		return bad("payment.enrolled_channels", "at most 256 channels")
	case len(m.GetAttempts()) > routing.MaxAttempts:
		return bad("attempts", "at most 64 attempts")
	case len(m.GetExclude()) > routing.MaxExclude:
		return bad("exclude", "at most 64 channels")
	case m.GetMaxChannels() > routing.MaxCandidates:
		return bad("max_channels", "0 to 64")
	}
	for i, a := range m.GetAttempts() {
		if err := checkAttempt(a, i); err != nil {
			return err
		}
	}
	for i, c := range m.GetExclude() {
		if !name(c) {
			return badAt("exclude", i, "", wantName)
		}
	}
	for i, c := range m.GetPayment().GetEnrolledChannels() {
		if !name(c) {
			return badAt("payment.enrolled_channels", i, "", wantName)
		}
	}
	return nil
}

func checkAttempt(a *sluicev1.PreviousAttempt, i int) *routing.FieldError {
	switch {
	case !name(a.GetChannel()):
		return badAt("attempts", i, ".channel", wantName)
	case !outcome(a.GetOutcome()):
		return badAt("attempts", i, ".outcome", wantOutcome)
	case !printableOrNone(a.GetRawCode(), maxCode):
		return badAt("attempts", i, ".raw_code", wantCode)
	case !nameOrNone(a.GetAccount()):
		return badAt("attempts", i, ".account", wantName)
	case !printableOrNone(a.GetAttemptId(), maxAttemptID):
		return badAt("attempts", i, ".attempt_id", wantAttempt)
	}
	return nil
}

// cardInRoute returns the field of a valid request that is shaped like a card number, empty if none is.
func cardInRoute(m *sluicev1.RouteRequest) string {
	p := m.GetPayment()
	switch {
	case CardNumber(p.GetPaymentId()):
		return "payment.payment_id"
	case CardNumber(p.GetMerchant()):
		return "payment.merchant"
	case CardNumber(p.GetSettlementEntity()):
		return "payment.settlement_entity"
	case CardNumber(p.GetMethod()), CardNumber(p.GetBank()):
		return "payment.method"
	case CardNumber(p.GetUserTier()):
		return "payment.user_tier"
	case cardInAttempt(p.GetOriginal().GetAttemptId()):
		return "payment.original.attempt_id"
	case CardNumber(p.GetOriginal().GetChannel()), CardNumber(p.GetOriginal().GetAccount()):
		return "payment.original"
	}
	for i, a := range m.GetAttempts() {
		if cardInAttempt(a.GetAttemptId()) || CardNumber(a.GetRawCode()) || CardNumber(a.GetAccount()) || CardNumber(a.GetChannel()) {
			return badAt("attempts", i, "", "").Field
		}
	}
	return cardInNames(m.GetExclude(), p.GetEnrolledChannels())
}

func cardInNames(exclude, enrolled []string) string {
	for i, c := range exclude {
		if CardNumber(c) {
			return badAt("exclude", i, "", "").Field
		}
	}
	for i, c := range enrolled {
		if CardNumber(c) {
			return badAt("payment.enrolled_channels", i, "", "").Field
		}
	}
	return ""
}

// cardInAttempt is CardNumber for an attempt id: one of our own may hold any digits.
func cardInAttempt(id string) bool {
	if !CardNumber(id) {
		return false
	}
	_, _, err := routing.ParseAttemptID(id)
	return err != nil
}

// cardInDecision is CardNumber for a decision id: one of our own may hold any digits.
func cardInDecision(id string) bool {
	if !CardNumber(id) {
		return false
	}
	_, err := routing.ParseDecisionID(id)
	return err != nil
}
