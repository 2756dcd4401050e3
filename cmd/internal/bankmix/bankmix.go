// Package bankmix reads the real mix of payments by the payer's bank: how much of the traffic each bank
// has and how often its payments are declined. The demo and the simulator draw their traffic from it.
package bankmix

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bank is one bank in one month.
type Bank struct {
	// ID is the short id that catalogues use, such as `SBI`.
	ID string
	// Name is the bank's name as it is published.
	Name string
	// Month is the first moment of the month, UTC.
	Month time.Time
	// Volume is the payments of the month, in millions.
	Volume float64
	// Approved, Declined (on the payer's side) and Failed (a bank's or the network's system) are
	// parts of all payments, each from 0 to 1, together 1 within the rounding of the source.
	Approved, Declined, Failed float64
}

// Mix is the banks of one month, the greatest volume first.
type Mix []Bank

// ErrMix is wrapped by every error of Read.
var ErrMix = errors.New("bad bank mix")

// Error is one problem of the file.
type Error struct {
	// Line counts from 1; the header is line 1.
	Line int
	// Column is the name of the column, empty when the whole line is meant.
	Column string
	// Message says what is wrong and what would be right.
	Message string
}

// Error returns `line 12: volume_million: message`.
func (e *Error) Error() string {
	if e.Column == "" {
		return fmt.Sprintf("line %d: %s", e.Line, e.Message)
	}
	return fmt.Sprintf("line %d: %s: %s", e.Line, e.Column, e.Message)
}

// Unwrap returns ErrMix.
func (e *Error) Unwrap() error { return ErrMix }

const header = "month,remitter_bank,volume_million,approved_pct,business_decline_pct,technical_decline_pct"

// Read reads all rows of the file and returns the mix of each month, the oldest first. All
// problems are reported together, joined, as *Error.
func Read(r io.Reader) ([]Mix, error) {
	lines := csv.NewReader(r)
	lines.ReuseRecord = true
	first, err := lines.Read()
	if err != nil || strings.Join(first, ",") != header {
		return nil, &Error{Line: 1, Message: "want the header " + header}
	}
	var banks []Bank
	var problems []error
	seen := map[string]int{}
	for {
		record, err := lines.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, errors.Join(append(problems, malformed(err))...)
		}
		line, _ := lines.FieldPos(0)
		bank, found := parseRow(line, record)
		problems = append(problems, found...)
		key := record[0] + " " + bank.ID
		if before, twice := seen[key]; twice && len(found) == 0 {
			problems = append(problems, &Error{Line: line, Column: "remitter_bank", Message: fmt.Sprintf("%s stands on line %d already for this month", bank.ID, before)})
		}
		seen[key] = line
		banks = append(banks, bank)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if len(banks) == 0 {
		return nil, &Error{Line: 2, Message: "want at least one bank"}
	}
	return byMonth(banks), nil
}

// Latest reads the file and returns the mix of its last month.
func Latest(r io.Reader) (Mix, error) {
	months, err := Read(r)
	if err != nil {
		return nil, err
	}
	return months[len(months)-1], nil
}

func malformed(err error) error {
	if parse, ok := errors.AsType[*csv.ParseError](err); ok {
		return &Error{Line: parse.Line, Message: parse.Err.Error()}
	}
	return fmt.Errorf("%w: %w", ErrMix, err)
}

func byMonth(banks []Bank) []Mix {
	slices.SortFunc(banks, func(a, b Bank) int {
		return cmp.Or(a.Month.Compare(b.Month), cmp.Compare(b.Volume, a.Volume), cmp.Compare(a.ID, b.ID))
	})
	var months []Mix
	for i, b := range banks {
		if i == 0 || !b.Month.Equal(banks[i-1].Month) {
			months = append(months, nil)
		}
		last := len(months) - 1
		months[last] = append(months[last], b)
	}
	return months
}

// row reads the cells of one line.
type row struct {
	line     int
	problems []error
}

func (r *row) fail(column, format string, args ...any) {
	r.problems = append(r.problems, &Error{Line: r.line, Column: column, Message: fmt.Sprintf(format, args...)})
}

func parseRow(line int, cells []string) (Bank, []error) {
	r := &row{line: line}
	b := Bank{Name: strings.Clone(cells[1])}
	month, err := time.Parse("2006-01", cells[0])
	if err != nil {
		r.fail("month", "want YYYY-MM, have %q", cells[0])
	}
	b.Month = month
	if b.ID = ID(b.Name); b.ID == "" {
		r.fail("remitter_bank", "want the name of a bank, have %q", b.Name)
	}
	b.Volume = r.number("volume_million", cells[2], 1e6)
	if b.Volume == 0 && len(r.problems) == 0 {
		r.fail("volume_million", "want more than 0")
	}
	b.Approved = r.number("approved_pct", cells[3], 100) / 100
	b.Declined = r.number("business_decline_pct", cells[4], 100) / 100
	b.Failed = r.number("technical_decline_pct", cells[5], 100) / 100
	// Three figures rounded to a hundredth are off by 0.015 at most; some months round to a tenth.
	if sum := b.Approved + b.Declined + b.Failed; len(r.problems) == 0 && math.Abs(sum-1) > 0.002 {
		r.fail("", "the three percentages add up to %.2f, want 100 within 0.2", 100*sum)
	}
	return b, r.problems
}

func (r *row) number(column, cell string, most float64) float64 {
	f, err := strconv.ParseFloat(cell, 64)
	if err != nil || !(f >= 0 && f <= most) {
		r.fail(column, "want a number from 0 to %g, have %q", most, cell)
		return 0
	}
	return f
}

// Top returns the n banks with the greatest volume, all of them if there are fewer.
func (m Mix) Top(n int) Mix { return slices.Clone(m[:max(min(n, len(m)), 0)]) }

// Find returns the bank with an id.
func (m Mix) Find(id string) (Bank, bool) {
	i := slices.IndexFunc(m, func(b Bank) bool { return b.ID == id })
	if i < 0 {
		return Bank{}, false
	}
	return m[i], true
}

// Total is the volume of all banks of the mix, in millions a month.
func (m Mix) Total() float64 {
	total := 0.0
	for _, b := range m {
		total += b.Volume
	}
	return total
}

// Share is a bank's part of the mix's volume, from 0 to 1; 0 if the mix does not have it.
func (m Mix) Share(id string) float64 {
	b, ok := m.Find(id)
	if !ok {
		return 0
	}
	return b.Volume / m.Total()
}
