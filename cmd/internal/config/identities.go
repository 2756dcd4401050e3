package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"github.com/goccy/go-yaml"

	"github.com/sluice-pay/sluice/server"
)

// identityFile is the form of a file of identities: who may call, by the SHA-256 of a bearer token.
type identityFile struct {
	Identities []identityEntry `yaml:"identities"`
}

type identityEntry struct {
	Name        string   `yaml:"name"`
	Roles       []string `yaml:"roles"`
	TokenSHA256 string   `yaml:"token_sha256"`
}

// ReadIdentities reads a file of identities; unknown keys are errors, and all mistakes are reported at once.
func ReadIdentities(path string) ([]server.Identity, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("identities: %w", err)
	}
	var f identityFile
	if err := yaml.UnmarshalWithOptions(data, &f, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(f.Identities) == 0 {
		return nil, fmt.Errorf("%s: identities: want at least one", path)
	}
	var out []server.Identity
	var problems []error
	for i, entry := range f.Identities {
		id, errs := entry.identity()
		for _, other := range out {
			if other.Name == id.Name || other.TokenHash == id.TokenHash && len(errs) == 0 {
				errs = append(errs, fmt.Errorf(": shares its name or token with %q", other.Name))
			}
		}
		for _, err := range errs {
			problems = append(problems, fmt.Errorf("%s: identities[%d]%w", path, i, err))
		}
		out = append(out, id)
	}
	return out, errors.Join(problems...)
}

func (e *identityEntry) identity() (server.Identity, []error) {
	id := server.Identity{Name: e.Name}
	var problems []error
	if e.Name == "" || len(e.Name) > 200 {
		problems = append(problems, errors.New(".name: want 1 to 200 bytes"))
	}
	for _, r := range e.Roles {
		role, err := server.ParseRole(r)
		if err != nil {
			problems = append(problems, fmt.Errorf(".roles: %w", err))
		}
		id.Roles |= role
	}
	if len(e.Roles) == 0 {
		problems = append(problems, errors.New(".roles: want at least one of viewer, cashier, gateway, operator, approver, owner"))
	}
	raw, err := hex.DecodeString(e.TokenSHA256)
	if err != nil || copy(id.TokenHash[:], raw) != len(raw) || len(raw) != len(id.TokenHash) {
		problems = append(problems, errors.New(".token_sha256: want 64 hex digits, e.g. of `printf %s TOKEN | sha256sum`"))
	}
	return id, problems
}
