package cli

import (
	"strings"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// scopeHelp describes the SCOPE argument.
const scopeHelp = `SCOPE is a channel or a part of it, as ` + "`sluice now`" + ` prints it:
  alipay                              the whole channel
  alipay/bank=ICBC                    one bank on it, debit and credit
  alipay/bank=ICBC:DEBIT              one bank and card type on it
  alipay/method=QUICKPAY              one method on it
  alipay/method=QUICKPAY/bank=ICBC    one bank of one method on it
  alipay/instrument=QUICKPAY:ICBC:DEBIT
  alipay/business=COLLECT             one business type on it
  alipay/account=a1                   one merchant account on it
  domain=unionpay-network             a failure domain: every channel that depends on it`

// parseScope reads a SCOPE argument: the text of a scope, or the human form with bank=BANK[:CARD].
func parseScope(arg string) (*sluicev1.Scope, error) {
	head, bank, human := strings.Cut(arg, "/bank=")
	if !human {
		s, err := statemachine.ParseScope(arg)
		if err != nil {
			return nil, usageError{err}
		}
		return &sluicev1.Scope{Name: s.String()}, nil
	}
	channel, method, given := strings.Cut(head, "/method=")
	bank, card, carded := strings.Cut(bank, ":")
	if !statemachine.ValidName(channel) || !statemachine.ValidName(bank) || given && !statemachine.ValidName(method) {
		return nil, usagef("scope %q: want CHANNEL/bank=BANK, CHANNEL/bank=BANK:DEBIT or CHANNEL/method=METHOD/bank=BANK", arg)
	}
	s := &sluicev1.Scope{Channel: channel, Method: method, Bank: bank}
	if carded {
		s.CardType = configv1.CardType(configv1.CardType_value["CARD_TYPE_"+strings.ToUpper(card)])
		if s.GetCardType() == configv1.CardType_CARD_TYPE_UNSPECIFIED {
			return nil, usagef("scope %q: card type %q: want DEBIT, CREDIT or PREPAID", arg, card)
		}
	}
	return s, nil
}

// scopeArg renders a scope so that parseScope reads it back.
func scopeArg(s *sluicev1.Scope) string {
	if s.GetName() != "" {
		return s.GetName()
	}
	if s.GetBank() == "" || s.GetBank() == statemachine.NoBank {
		return scopeOf(s).String()
	}
	text := s.GetChannel()
	if s.GetMethod() != "" {
		text += "/method=" + s.GetMethod()
	}
	text += "/bank=" + s.GetBank()
	if s.GetCardType() != configv1.CardType_CARD_TYPE_UNSPECIFIED {
		text += ":" + cardName(s.GetCardType())
	}
	return text
}

// scopeOf returns the scope of a reply, the zero scope for none.
func scopeOf(s *sluicev1.Scope) statemachine.Scope {
	if parsed, err := statemachine.ParseScope(s.GetName()); err == nil {
		return parsed
	}
	switch {
	case s.GetFailureDomain() != "":
		return statemachine.DomainScope(s.GetFailureDomain())
	case s.GetBusinessType() != configv1.BusinessType_BUSINESS_TYPE_UNSPECIFIED:
		return statemachine.Scope{Kind: statemachine.ScopeBusiness, Channel: s.GetChannel(), Of: businessName(s.GetBusinessType())}
	case s.GetAccount() != "":
		return statemachine.AccountScope(s.GetChannel(), s.GetAccount())
	case s.GetBank() != "":
		card := statemachine.NoBank
		if s.GetCardType() != configv1.CardType_CARD_TYPE_UNSPECIFIED {
			card = cardName(s.GetCardType())
		}
		return statemachine.InstrumentScope(s.GetChannel(), statemachine.Instrument{Method: s.GetMethod(), Bank: s.GetBank(), CardType: card})
	case s.GetMethod() != "":
		return statemachine.MethodScope(s.GetChannel(), s.GetMethod())
	case s.GetChannel() != "":
		return statemachine.ChannelScope(s.GetChannel())
	}
	return statemachine.Scope{}
}

// storedScope returns the scope of a stored message, the zero scope for none or a damaged one.
func storedScope(s *configv1.Scope) statemachine.Scope {
	scope, err := statepb.ToScope(s)
	if err != nil {
		return statemachine.Scope{}
	}
	return scope
}

// people names a scope as one would say it: `alipay / ICBC debit`, `alipay / account a1`, `domain unionpay-network`.
func people(s statemachine.Scope) string {
	switch s.Kind {
	case statemachine.ScopeChannel:
		return s.Channel
	case statemachine.ScopeDomain:
		return "domain " + s.Of
	case statemachine.ScopeBusiness:
		return s.Channel + " / " + s.Of
	case statemachine.ScopeMethod:
		return s.Channel + " / method " + s.Of
	case statemachine.ScopeAccount:
		return s.Channel + " / account " + s.Of
	case statemachine.ScopeInstrument:
		return s.Channel + " / " + instrumentForPeople(s.Of)
	case statemachine.ScopeUnspecified:
	}
	return "(no scope)"
}

func instrumentForPeople(of string) string {
	i, err := statemachine.ParseInstrument(of)
	switch {
	case err != nil:
		return of
	case i.Bank == statemachine.NoBank:
		return i.Method
	case i.CardType == statemachine.NoBank:
		return i.Bank
	}
	return i.Bank + " " + strings.ToLower(i.CardType)
}

// sameScope reports whether a reply's scope is what an argument asks for: itself, or one of the cards of a bank.
func sameScope(asked, s *sluicev1.Scope) bool {
	got := scopeOf(s)
	if asked.GetName() != "" {
		return got.String() == asked.GetName()
	}
	i, err := statemachine.ParseInstrument(got.Of)
	if err != nil || got.Kind != statemachine.ScopeInstrument || got.Channel != asked.GetChannel() {
		return false
	}
	card := asked.GetCardType()
	return i.Bank == asked.GetBank() && (asked.GetMethod() == "" || i.Method == asked.GetMethod()) &&
		(card == configv1.CardType_CARD_TYPE_UNSPECIFIED || i.CardType == cardName(card))
}

func cardName(c configv1.CardType) string { return strings.TrimPrefix(c.String(), "CARD_TYPE_") }

func businessName(b configv1.BusinessType) string {
	return strings.TrimPrefix(b.String(), "BUSINESS_TYPE_")
}

func phaseName(p configv1.Phase) string { return strings.TrimPrefix(p.String(), "PHASE_") }

func kindName(k configv1.IncidentKind) string {
	return strings.TrimPrefix(k.String(), "INCIDENT_KIND_")
}
