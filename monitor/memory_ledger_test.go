package monitor_test

import (
	"testing"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/monitor/ledgertest"
)

func memory(l monitor.Ledger) *monitor.MemoryLedger {
	m, ok := l.(*monitor.MemoryLedger)
	if !ok {
		panic("not a memory ledger")
	}
	return m
}

func TestMemoryLedger(t *testing.T) {
	ledgertest.Run(t, func(*testing.T) ledgertest.Fixture {
		l := monitor.NewMemoryLedger("a")
		tamperer := &monitor.Tamperer{Ledger: l}
		return ledgertest.Fixture{
			Ledger: l,
			Peer:   func(_ *testing.T, replica string) monitor.Ledger { return l.Peer(replica) },
			Lead:   func(_ *testing.T, l monitor.Ledger) { memory(l).Lead() },
			Resign: func(_ *testing.T, l monitor.Ledger) { memory(l).Resign() },
			Tamper: func(_ *testing.T, sequence uint64, edit func([]byte) []byte) { tamperer.Edit(sequence, edit) },
		}
	})
}

// The same calls give the same revisions and hashes, so that a simulation can be repeated.
func TestMemoryLedgerIsDeterministic(t *testing.T) {
	run := func() monitor.Head {
		l := monitor.NewMemoryLedger("a")
		l.Lead()
		for n := range 5 {
			v, err := l.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := l.Commit(t.Context(), ledgertest.SampleChange(v.Revision, n, n+1)); err != nil {
				t.Fatal(err)
			}
		}
		v, err := l.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return v.Head
	}
	if a, b := run(), run(); a != b {
		t.Errorf("two runs: %+v and %+v", a, b)
	}
}
