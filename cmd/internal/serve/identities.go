package serve

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"github.com/goccy/go-yaml"

	"github.com/sluice-pay/sluice/server"
)

// identityFile is the form of --identities: who may call, by the SHA-256 of a bearer token.
type identityFile struct {
	Identities []struct {
		Name        string   `yaml:"name"`
		Roles       []string `yaml:"roles"`
		TokenSHA256 string   `yaml:"token_sha256"`
	} `yaml:"identities"`
}

// readIdentities reads the file of identities; unknown keys are errors, and all mistakes are reported at once.
func readIdentities(path string) ([]server.Identity, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("identities: %w", err)
	}
	var f identityFile
	if err := yaml.UnmarshalWithOptions(data, &f, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var out []server.Identity
	var problems []error
	for i, id := range f.Identities {
		one := server.Identity{Name: id.Name}
		for _, r := range id.Roles {
			role, err := server.ParseRole(r)
			if err != nil {
				problems = append(problems, fmt.Errorf("%s: identities[%d].roles: %w", path, i, err))
			}
			one.Roles |= role
		}
		if n, err := hex.Decode(one.TokenHash[:], []byte(id.TokenSHA256)); err != nil || n != len(one.TokenHash) {
			problems = append(problems, fmt.Errorf("%s: identities[%d].token_sha256: want 64 hex digits, e.g. of `printf %%s TOKEN | sha256sum`", path, i))
		}
		out = append(out, one)
	}
	return out, errors.Join(problems...)
}
