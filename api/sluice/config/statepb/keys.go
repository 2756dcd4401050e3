package statepb

import (
	"fmt"

	"github.com/sluice-pay/sluice/statemachine"
)

// Keys names the keys of one environment, all under /sluice/<environment>/.
type Keys struct{ root string }

// NewKeys returns the keys of an environment: 1 to 64 of letters, digits, '.', '_' or '-'.
func NewKeys(environment string) (Keys, error) {
	if !statemachine.ValidName(environment) {
		return Keys{}, fmt.Errorf("%w: environment %q: want 1 to 64 of letters, digits, '.', '_' or '-'", statemachine.ErrName, environment)
	}
	return Keys{root: "/sluice/" + environment + "/"}, nil
}

// Root is the prefix of every key of the environment.
func (k Keys) Root() string { return k.root }

// Head is the key that every change compares and rewrites.
func (k Keys) Head() string { return k.root + "head" }

// Scores is the key of the published scores.
func (k Keys) Scores() string { return k.root + "scores" }

// Leader is the key whose creator leads.
func (k Keys) Leader() string { return k.root + "leader" }

// States is the prefix of the states.
func (k Keys) States() string { return k.root + "state/" }

// State is the key of a scope's state.
func (k Keys) State(s statemachine.Scope) string { return k.States() + s.String() }

// Incidents is the prefix of the incidents.
func (k Keys) Incidents() string { return k.root + "incident/" }

// Incident is the key of an incident.
func (k Keys) Incident(id string) string { return k.Incidents() + id }

// Catalog is the key of a catalogue; numbers are padded so that keys sort like numbers.
func (k Keys) Catalog(number uint64) string { return fmt.Sprintf("%scatalog/%020d", k.root, number) }

// CatalogInfos is the prefix of what is kept about the catalogues.
func (k Keys) CatalogInfos() string { return k.root + "catalog-info/" }

// CatalogInfo is the key of what is kept about a catalogue.
func (k Keys) CatalogInfo(number uint64) string {
	return fmt.Sprintf("%s%020d", k.CatalogInfos(), number)
}

// Journals is the prefix of the journal entries.
func (k Keys) Journals() string { return k.root + "journal/" }

// Journal is the key of a journal entry; sequences are padded so that keys sort like numbers.
func (k Keys) Journal(sequence uint64) string { return fmt.Sprintf("%s%020d", k.Journals(), sequence) }

// JournalBase is the key of what stands for the entries that were exported and removed.
func (k Keys) JournalBase() string { return k.root + "journal-base" }

// Request is the key that remembers a request id.
func (k Keys) Request(id string) string { return k.root + "request/" + id }

// Checkpoint is the key of a named checkpoint of what was learned.
func (k Keys) Checkpoint(name string) string { return k.root + "checkpoint/" + name }

// Snapshots is the prefix of the snapshot's manifest and chunks.
func (k Keys) Snapshots() string { return k.root + "snapshot/" }
