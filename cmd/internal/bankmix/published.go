package bankmix

import (
	_ "embed" // the published figures are part of the binary
	"strings"
)

//go:embed upi-remitter-banks.csv
var published string

// CSV returns the published figures as they came; upi-remitter-banks.md tells their source and columns.
func CSV() []byte { return []byte(published) }

// Published returns the mix of the last month of the published figures.
func Published() (Mix, error) { return Latest(strings.NewReader(published)) }
