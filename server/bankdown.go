package server

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/api/sluice/v1/routepb"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// BanksDown are the banks that fail on every channel that carries them, ready to be told in replies. Nothing is closed for
// them, and decisions do not know them. It is read by many and never changed; the zero value knows none.
type BanksDown struct {
	banks  []monitor.DownBank       // sorted by bank
	stamps []*timestamppb.Timestamp // since when, shared by the replies
}

// NewBanksDown takes what the pipeline found, sorted by bank, and keeps it.
func NewBanksDown(banks []monitor.DownBank) BanksDown {
	b := BanksDown{banks: banks}
	for _, d := range banks {
		b.stamps = append(b.stamps, &timestamppb.Timestamp{Seconds: d.Since})
	}
	return b
}

// List returns the banks, sorted by name. The caller does not change it.
func (b BanksDown) List() []monitor.DownBank { return b.banks }

// since returns since when a bank is down, nil if it is not.
func (b BanksDown) since(bank string) *timestamppb.Timestamp {
	if len(b.banks) == 0 || bank == "" || bank == statemachine.NoBank {
		return nil
	}
	at, found := slices.BinarySearchFunc(b.banks, bank, func(d monitor.DownBank, bank string) int { return strings.Compare(d.Bank, bank) })
	if !found {
		return nil
	}
	return b.stamps[at]
}

// bankDownSince returns since when a bank is down as this replica sees it now, nil if it is not.
func (s *Server) bankDownSince(bank string) *timestamppb.Timestamp {
	sight := s.cfg.World.Sight()
	if sight == nil {
		return nil
	}
	return sight.BanksDown.since(bank)
}

// blamed is the reason of a refusal, given since when the payment's bank is down: where channels failed for this payment or
// are closed, and the bank would fail on them if they were not, another card is the way to pay. It is not where catalogue,
// request or hours allow none.
func blamed(reason routing.RefusalReason, d *routing.Decision, since *timestamppb.Timestamp) routing.RefusalReason {
	if reason == routing.NoUsableChannel && since != nil && (routepb.AnyClosed(d) || anyTried(d)) {
		return routing.BankDownEverywhere
	}
	return reason
}

// anyTried reports whether a channel is left out because the payment was tried on it.
func anyTried(d *routing.Decision) bool {
	return slices.ContainsFunc(d.Dropped, func(c routing.Candidate) bool { return c.Drop == routing.DropTried })
}

// tellBankDown marks an option whose bank is down: one that could be offered otherwise becomes BANK_DOWN.
func tellBankDown(m *sluicev1.PaymentOption, since *timestamppb.Timestamp) {
	if since == nil || m.GetAvailability() == sluicev1.Availability_AVAILABILITY_UNSUPPORTED {
		return
	}
	m.BankDownSince = since
	if m.GetAvailability() != sluicev1.Availability_AVAILABILITY_DOWN {
		m.Availability = sluicev1.Availability_AVAILABILITY_BANK_DOWN
	}
}
