package statemachine

import (
	"errors"
	"fmt"
	"strings"
)

// ErrName is wrapped by errors about a malformed business type, instrument or other name.
var ErrName = errors.New("invalid name")

// BusinessType is what a payment does. The last three belong to the channel and account of their original payment.
type BusinessType uint8

// The business types; the zero value is invalid on the edge.
const (
	BusinessUnspecified BusinessType = iota
	Collect
	Payout
	Deduct
	Authenticate
	Refund
	Cancel
	Query
	NumBusinessTypes // number of values, for tables
)

var businessNames = [NumBusinessTypes]string{"UNSPECIFIED", "COLLECT", "PAYOUT", "DEDUCT", "AUTHENTICATE", "REFUND", "CANCEL", "QUERY"} //nolint:gochecknoglobals // read-only table

// String returns the upper-case name of the API and the catalogue.
func (b BusinessType) String() string {
	if b < NumBusinessTypes {
		return businessNames[b]
	}
	return fmt.Sprintf("BUSINESS_TYPE_%d", uint8(b))
}

// FollowsOriginal reports whether the payment belongs to the channel and account of an original payment.
func (b BusinessType) FollowsOriginal() bool { return b == Refund || b == Cancel || b == Query }

// ParseBusinessType is the inverse of BusinessType.String; UNSPECIFIED is an error.
func ParseBusinessType(s string) (BusinessType, error) {
	for b := Collect; b < NumBusinessTypes; b++ {
		if businessNames[b] == s {
			return b, nil
		}
	}
	return 0, fmt.Errorf("%w: business type %q: want COLLECT, PAYOUT, DEDUCT, AUTHENTICATE, REFUND, CANCEL or QUERY", ErrName, s)
}

// Instrument is method + bank + card type. Bank and CardType are "-" where the method has none (a wallet).
type Instrument struct {
	Method   string // e.g. QUICKPAY
	Bank     string // e.g. ICBC
	CardType string // DEBIT, CREDIT or "-"
}

// NoBank stands for the absent bank or card type of an instrument.
const NoBank = "-"

// String renders METHOD:BANK:CARD, e.g. "QUICKPAY:ICBC:DEBIT" or "WALLET:-:-".
func (i Instrument) String() string { return i.Method + ":" + i.Bank + ":" + i.CardType }

// ParseInstrument is the inverse of Instrument.String.
func ParseInstrument(s string) (Instrument, error) {
	parts := strings.Split(s, ":")
	if len(parts) != 3 || !ValidName(parts[0]) || !ValidName(parts[1]) || !ValidName(parts[2]) {
		return Instrument{}, fmt.Errorf("%w: instrument %q: want METHOD:BANK:CARD, e.g. QUICKPAY:ICBC:DEBIT", ErrName, s)
	}
	return Instrument{Method: parts[0], Bank: parts[1], CardType: parts[2]}, nil
}

// Lane is settlement entity × business type × instrument: one row of the table, bounded by the catalogue.
type Lane struct {
	Entity     string
	Business   BusinessType
	Instrument Instrument
}

// String renders ENTITY/BUSINESS/INSTRUMENT.
func (l Lane) String() string {
	return l.Entity + "/" + l.Business.String() + "/" + l.Instrument.String()
}

// Compare orders lanes by entity, business type and instrument.
func (l Lane) Compare(m Lane) int {
	if c := strings.Compare(l.Entity, m.Entity); c != 0 {
		return c
	}
	if l.Business != m.Business {
		return int(l.Business) - int(m.Business)
	}
	return strings.Compare(l.Instrument.String(), m.Instrument.String())
}

// LaneCount is what one router decided for one lane in one second: its demand.
type LaneCount struct {
	Lane      Lane
	Decisions uint32 // answered with a channel
	Refused   uint32 // no usable channel
}

// GateCount is what one router counted for one not-healthy scope in one second.
type GateCount struct {
	Scope      Scope
	Generation uint64
	Step       uint32
	WouldBe    uint32 // payments that would have ranked the scope first had it been healthy
	Sent       uint32 // payments admitted to it
}

// LaneKind splits counts by what sent the attempt to an item.
type LaneKind uint8

// The kinds of traffic an item's evidence is split by.
const (
	KindNormal   LaneKind = iota // every scope that applies was healthy
	KindProbe                    // admitted by a probe token
	KindRamp                     // admitted by a ramp share
	NumLaneKinds                 // number of values, for tables
)

// String returns "normal", "probe" or "ramp".
func (k LaneKind) String() string {
	switch k {
	case KindProbe:
		return "probe"
	case KindRamp:
		return "ramp"
	case KindNormal, NumLaneKinds:
	}
	return "normal"
}

// SentCount is the number of decisions one router gave out for one item and kind in one second.
type SentCount struct {
	Item Scope
	Kind LaneKind
	N    uint32
}
