package demo

import (
	_ "embed" // the sample catalogue is part of the binary

	"github.com/sluice-pay/sluice/cmd/internal/bankmix"
)

// CatalogName is the name under which problems of the sample catalogue are reported.
const CatalogName = "cmd/internal/demo/catalog.yaml"

//go:embed catalog.yaml
var catalogYAML string

// CatalogYAML returns the sample catalogue as it is written.
func CatalogYAML() []byte { return []byte(catalogYAML) }

// BankMixCSV returns the real mix of Indian banks: their volumes and decline rates. Its columns
// are described in upi-remitter-banks.md of package bankmix.
func BankMixCSV() []byte { return bankmix.CSV() }
