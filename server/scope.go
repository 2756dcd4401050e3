package server

import (
	"strconv"
	"strings"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/api/sluice/v1/routepb"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// scopesOf returns the scopes that a selector means, sorted: one, or for a bank every instrument of it that the channel has.
// They exist in the catalogue, or carry a state from an earlier one, so that an order on it can be taken away.
func scopesOf(m *sluicev1.Scope, sight *Sight) ([]statemachine.Scope, error) {
	if m.GetName() == "" {
		return partsOf(m, sight)
	}
	s, err := statemachine.ParseScope(m.GetName())
	if err != nil {
		return nil, invalid("scope.name", "CHANNEL, CHANNEL/business=…, /method=…, /account=…, /instrument=METHOD:BANK:CARD or domain=…")
	}
	full := routepb.FromScope(s)
	given := &sluicev1.Scope{
		Name: m.GetName(), Channel: m.GetChannel(), BusinessType: m.GetBusinessType(), Method: m.GetMethod(), Bank: m.GetBank(),
		CardType: m.GetCardType(), Account: m.GetAccount(), FailureDomain: m.GetFailureDomain(),
	}
	if !partsFit(given, full) {
		return nil, invalid("scope", "the name or the parts, or both alike")
	}
	return known([]statemachine.Scope{s}, sight)
}

// partsFit reports whether every part given beside a name is that of the name.
func partsFit(given, full *sluicev1.Scope) bool {
	fits := func(a, b string) bool { return a == "" || a == b }
	return fits(given.GetChannel(), full.GetChannel()) && fits(given.GetMethod(), full.GetMethod()) && fits(given.GetBank(), full.GetBank()) &&
		fits(given.GetAccount(), full.GetAccount()) && fits(given.GetFailureDomain(), full.GetFailureDomain()) &&
		(given.GetBusinessType() == 0 || given.GetBusinessType() == full.GetBusinessType()) &&
		(given.GetCardType() == 0 || given.GetCardType() == full.GetCardType())
}

func partsOf(m *sluicev1.Scope, sight *Sight) ([]statemachine.Scope, error) {
	channel := m.GetChannel()
	switch {
	case m.GetFailureDomain() != "":
		return known([]statemachine.Scope{statemachine.DomainScope(m.GetFailureDomain())}, sight)
	case m.GetBusinessType() != 0:
		return known([]statemachine.Scope{statemachine.BusinessScope(channel, businessOf(m.GetBusinessType()))}, sight)
	case m.GetAccount() != "":
		return known([]statemachine.Scope{statemachine.AccountScope(channel, m.GetAccount())}, sight)
	case m.GetBank() == "" && m.GetMethod() != "":
		return known([]statemachine.Scope{statemachine.MethodScope(channel, m.GetMethod())}, sight)
	case m.GetBank() == "":
		return known([]statemachine.Scope{statemachine.ChannelScope(channel)}, sight)
	}
	card := ""
	if m.GetCardType() != 0 {
		card = routing.CardName(m.GetCardType())
	}
	var scopes []statemachine.Scope
	for _, i := range sight.Table.Plan().Instruments(channel, m.GetBank(), card, m.GetMethod()) {
		scopes = append(scopes, statemachine.InstrumentScope(channel, i))
	}
	if len(scopes) == 0 {
		return nil, unknownScope(statemachine.ChannelScope(channel), sight, strings.TrimSpace("no instrument of bank "+m.GetBank()+" "+card))
	}
	return scopes, nil
}

// known refuses scopes that neither the catalogue nor a state knows.
func known(scopes []statemachine.Scope, sight *Sight) ([]statemachine.Scope, error) {
	for _, s := range scopes {
		if _, ok := sight.Fleet.States[s]; !ok && !sight.Table.Plan().Has(s) {
			return nil, unknownScope(s, sight, "no such scope: "+s.String())
		}
	}
	return scopes, nil
}

func unknownScope(s statemachine.Scope, sight *Sight, message string) error {
	if s.Channel != "" && !sight.Table.Plan().Has(statemachine.ChannelScope(s.Channel)) {
		return unknownChannel(s.Channel)
	}
	return notFound(sluicev1.ErrorReason_ERROR_REASON_UNKNOWN_SCOPE, message+" in the catalogue")
}

func unknownChannel(id string) error {
	return notFound(sluicev1.ErrorReason_ERROR_REASON_UNKNOWN_CHANNEL, "the catalogue has no channel "+strconv.Quote(id))
}
