package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/sluice-pay/sluice/cmd/internal/campaign"
)

// archive keeps results in a directory, a file for each contestant, so that a comparison that was stopped goes on where
// it was. Whoever changes code or settings names another directory. The nil archive keeps nothing.
type archive struct {
	mu     sync.Mutex
	stores map[string]*campaign.Store // by contestant
}

// openArchive opens the files of contestants; without a directory there is no archive.
func openArchive(dir string, contestants []contestant) (*archive, error) {
	if dir == "" {
		return nil, nil //nolint:nilnil // the nil archive keeps nothing
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // reports, for everyone to read
		return nil, fmt.Errorf("make the directory of results: %w", err)
	}
	a := &archive{stores: map[string]*campaign.Store{}}
	for i := range contestants {
		id := contestants[i].id()
		store, err := campaign.Open(filepath.Join(dir, fileName(id)), id)
		if err != nil {
			return nil, errors.Join(err, a.close())
		}
		a.stores[id] = store
	}
	return a, nil
}

// fileName is the id in letters, digits and dashes.
func fileName(id string) string {
	other := regexp.MustCompile(`[^a-z0-9]+`)
	return strings.Trim(other.ReplaceAllString(strings.ToLower(id), "-"), "-") + ".jsonl"
}

// get returns the result of a job, nil if it is not kept.
func (a *archive) get(j *job) *campaign.Result {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	store := a.stores[j.contestant.id()]
	if !store.Holds(j.unit) {
		return nil
	}
	for _, r := range store.Results() {
		if r.Unit == j.unit {
			return r
		}
	}
	return nil
}

func (a *archive) put(j *job, r *campaign.Result) error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stores[j.contestant.id()].Put(r) //nolint:wrapcheck // it says which
}

func (a *archive) close() error {
	if a == nil {
		return nil
	}
	var errs []error
	for _, s := range a.stores {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
