package server

import (
	"fmt"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/api/sluice/v1/routepb"
	"github.com/sluice-pay/sluice/routing"
)

// mostDiffBytes bounds the changes that one reply tells.
const mostDiffBytes = 4 << 20

// diffMessage renders what a catalogue changes.
func diffMessage(d *routing.CatalogDiff) *sluicev1.CatalogDiff {
	m := &sluicev1.CatalogDiff{Warnings: d.Warnings}
	size := 0
	for i, c := range d.Changes {
		if size += len(c.Path) + len(c.Before) + len(c.After); size > mostDiffBytes {
			m.Warnings = append(m.Warnings, fmt.Sprintf("%d further changes are not listed", len(d.Changes)-i))
			break
		}
		m.Changes = append(m.Changes, &sluicev1.CatalogChange{Path: c.Path, Before: c.Before, After: c.After})
	}
	t := d.Traffic
	if t == nil || t.Sample == 0 {
		return m
	}
	m.Sample, m.MovedPpm, m.SampleStartTime = t.Sample, partOf(t.Moved, t.Sample), routepb.FromSecond(t.Since)
	for i := range t.Shifts {
		s := &t.Shifts[i]
		m.Shifts = append(m.Shifts, &sluicev1.CatalogShift{
			Bank: s.Bank, FromChannel: s.From, ToChannel: s.To, Decisions: s.Decisions,
			SharePpm: partOf(s.Decisions, t.Sample), BankSharePpm: partOf(s.Decisions, s.OfBank),
		})
	}
	return m
}

// partOf is a part in parts per million, rounded to the nearest; what is there is never 0.
func partOf(n, of uint64) uint32 {
	const ppm = 1_000_000
	if n == 0 || of == 0 {
		return 0
	}
	return uint32(max(1, (n*ppm+of/2)/of)) //nolint:gosec // at most a million
}
