package client

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"
	"unicode/utf8"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// Defaults of ReporterConfig.
const (
	DefaultMaxReports   = 100_000
	DefaultMaxBytes     = 32 << 20
	DefaultMaxBatch     = 500
	DefaultMaxDelay     = 20 * time.Millisecond
	DefaultSpillBytes   = 256 << 20
	DefaultSpillAfter   = 5 * time.Second
	DefaultFlushTimeout = 5 * time.Second
	DefaultMinBackoff   = 100 * time.Millisecond
	DefaultMaxBackoff   = 10 * time.Second
)

// Bounds of ReporterConfig.
const (
	mostBatch     = 1000     // of the API
	mostNameRunes = 64       // of the API
	leastBytes    = 64 << 10 // of memory and of the file
	maxReport     = 16 << 10 // bytes of one report; a valid one has less than 2 KiB
	fullBatch     = 256 << 10
)

// Errors of a Reporter.
var (
	ErrReporterFull   = errors.New("the reporter is full")              // the report was dropped: neither memory nor file has room
	ErrReporterClosed = errors.New("the reporter is closed")            // the report was dropped
	ErrReport         = errors.New("invalid report")                    // the report was dropped: it could never be delivered
	ErrUndelivered    = errors.New("reports were dropped at the close") // they were neither published nor kept in a file
)

// ReporterConfig says how a Reporter works. The zero value works; a gateway should name its instance and give a file.
type ReporterConfig struct {
	// Name of this instance, where several report with one token; empty = the token's identity. At most 64 characters.
	Name string

	MaxReports int           // held in memory; 0 = DefaultMaxReports
	MaxBytes   int           // of them, at least 64 KiB; 0 = DefaultMaxBytes
	MaxBatch   int           // reports sent at once, at most 1,000; 0 = DefaultMaxBatch
	MaxDelay   time.Duration // most a report waits for others to be sent with it; 0 = DefaultMaxDelay, below 0 = not at all
	Wait       bool          // a full reporter makes Report wait, until its context ends; otherwise the report is dropped

	// File is where reports go that memory has no room for, that could not be delivered for SpillAfter, or that are left at the
	// close; the next reporter with the same file delivers them. It is the beginning of the names of several files, in a
	// directory that exists; one process at a time can use it. Empty = no file: what memory has no room for is dropped.
	File       string
	SpillBytes int64         // most bytes of those files, at least 64 KiB; 0 = DefaultSpillBytes
	SpillAfter time.Duration // without a sign of life from the replicas; 0 = DefaultSpillAfter

	FlushTimeout time.Duration // most Client.Close waits for delivery; 0 = DefaultFlushTimeout
	MinBackoff   time.Duration // before a stream that broke is opened again, half of it by chance; 0 = DefaultMinBackoff
	MaxBackoff   time.Duration // it doubles up to this; 0 = DefaultMaxBackoff

	// OnRejected is told every report that a replica refused, once, when its batch is settled. It is called by the reporter's
	// own goroutine: it must be quick, and not call Flush or Close. nil = they are only counted and logged.
	OnRejected func(Rejection)
}

// Rejection is a report that a replica refused: it counts nowhere, and sending it again would not help.
type Rejection struct {
	Report      *sluicev1.Report
	Field       string // that is wrong, e.g. "channel"
	Description string // what would be right
	Reason      string // of ErrorReason without its prefix, e.g. "UNKNOWN_CHANNEL"
}

// complete fills in what was left out and reports everything that is wrong.
func (c *ReporterConfig) complete() error {
	var problems []error
	wrong := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("%w: "+format, append([]any{ErrConfig}, args...)...))
	}
	if utf8.RuneCountInString(c.Name) > mostNameRunes || !utf8.ValidString(c.Name) {
		wrong("Name: want at most %d characters of UTF-8", mostNameRunes)
	}
	number(&c.MaxReports, DefaultMaxReports, 1, 1<<30, "MaxReports", wrong)
	number(&c.MaxBytes, DefaultMaxBytes, leastBytes, 1<<40, "MaxBytes", wrong)
	number(&c.MaxBatch, DefaultMaxBatch, 1, mostBatch, "MaxBatch", wrong)
	number(&c.SpillBytes, DefaultSpillBytes, leastBytes, 1<<40, "SpillBytes", wrong)
	number(&c.SpillAfter, DefaultSpillAfter, 1, maxTimeout, "SpillAfter", wrong)
	number(&c.FlushTimeout, DefaultFlushTimeout, 1, maxTimeout, "FlushTimeout", wrong)
	number(&c.MinBackoff, DefaultMinBackoff, time.Millisecond, maxTimeout, "MinBackoff", wrong)
	number(&c.MaxBackoff, max(DefaultMaxBackoff, c.MinBackoff), c.MinBackoff, maxTimeout, "MaxBackoff", wrong)
	if c.MaxDelay < 0 {
		c.MaxDelay = 0
	} else {
		number(&c.MaxDelay, DefaultMaxDelay, 1, time.Minute, "MaxDelay", wrong)
	}
	c.MaxBatch = min(c.MaxBatch, c.MaxReports)
	if c.File != "" {
		if info, err := os.Stat(filepath.Dir(c.File)); err != nil {
			wrong("File %s: its directory cannot be used: %w", c.File, err)
		} else if !info.IsDir() {
			wrong("File %s: %s is no directory", c.File, filepath.Dir(c.File))
		}
	}
	return errors.Join(problems...)
}

// number sets what was left out and checks what was given.
func number[N ~int | ~int64](at *N, left, least, most N, name string, wrong func(string, ...any)) {
	if *at == 0 {
		*at = left
	}
	if *at < least || *at > most {
		wrong("%s %v: want %v to %v", name, *at, least, most)
	}
}

// ReporterStats are the books of a Reporter since it began. At every moment
// Attempts + Replayed = Applied + Dropped.Total() + Held + Spilled.
type ReporterStats struct {
	Attempts uint64        `json:"attempts"` // reports handed over
	Replayed uint64        `json:"replayed"` // found in the file of an earlier process
	Applied  uint64        `json:"applied"`  // published: counted once, however often they were sent
	Dropped  ReporterDrops `json:"dropped"`
	Held     uint64        `json:"held"`    // in memory, sent ones that are not yet published among them
	Spilled  uint64        `json:"spilled"` // in the file alone

	HeldBytes  uint64 `json:"held_bytes"`
	SpillBytes uint64 `json:"spill_bytes"` // of the files
	Sent       uint64 `json:"sent"`        // reports given to a stream, repetitions included
	Resent     uint64 `json:"resent"`      // of those, given to another stream before
	Streams    uint64 `json:"streams"`     // opened
	Torn       uint64 `json:"torn"`        // files of an earlier process whose end was cut off: what it wrote last is lost
	SpillFails uint64 `json:"spill_fails"` // writes and reads of the file that failed

	Decisions        uint64 `json:"decisions"`         // seconds of local decisions that a replica took
	DecisionsLost    uint64 `json:"decisions_lost"`    // that were on their way when a stream broke: they are not sent twice
	DecisionsRefused uint64 `json:"decisions_refused"` // that a replica refused

	LastError string `json:"last_error,omitempty"` // why the last stream broke, empty after it was replaced
}

// ReporterDrops are reports that count nowhere, by reason.
type ReporterDrops struct {
	Full        uint64 `json:"full"`        // neither memory nor file had room
	Invalid     uint64 `json:"invalid"`     // could not be encoded, had no attempt id, or was too large
	Closed      uint64 `json:"closed"`      // handed over after the close, or left at the close without a file
	Rejected    uint64 `json:"rejected"`    // refused by a replica; see ReporterConfig.OnRejected
	Late        uint64 `json:"late"`        // older than what replicas tell apart, so that they did not count it (again)
	Damaged     uint64 `json:"damaged"`     // lost in a damaged file
	Unexplained uint64 `json:"unexplained"` // acknowledged by a replica that did not say as what
}

// Total is the number of reports dropped.
func (d ReporterDrops) Total() uint64 {
	return d.Full + d.Invalid + d.Closed + d.Rejected + d.Late + d.Damaged + d.Unexplained
}

// logRejection logs what was refused, without the ids of the payment.
func logRejection(l *slog.Logger, j *Rejection) {
	l.Warn("a report was refused", slog.String("field", j.Field), slog.String("description", j.Description), slog.String("reason", j.Reason),
		slog.String("channel", j.Report.GetChannel()))
}
