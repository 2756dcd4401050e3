package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// savedContext is one server and how it is reached. It names the file of a token, never a token.
type savedContext struct {
	Name      string `json:"name"                yaml:"name"`
	Address   string `json:"address"             yaml:"address"`
	TokenFile string `json:"tokenFile,omitempty" yaml:"token_file,omitempty"`
	CA        string `json:"ca,omitempty"        yaml:"ca,omitempty"`
	Cert      string `json:"cert,omitempty"      yaml:"cert,omitempty"`
	Key       string `json:"key,omitempty"       yaml:"key,omitempty"`
	Insecure  bool   `json:"insecure,omitempty"  yaml:"insecure,omitempty"`
}

// savedContexts is ~/.config/sluice/contexts.yaml.
type savedContexts struct {
	Current  string         `json:"current"  yaml:"current,omitempty"`
	Contexts []savedContext `json:"contexts" yaml:"contexts"` // sorted by name
}

// directory is where the files of the user are; empty without a home.
func (a *app) directory() string {
	home := a.Env("HOME")
	if home == "" {
		return ""
	}
	return filepath.Join(home, ".config", "sluice")
}

// loadContexts reads the file; there are none if it does not exist.
func (a *app) loadContexts() (*savedContexts, error) {
	saved := &savedContexts{Contexts: []savedContext{}}
	directory := a.directory()
	if directory == "" {
		return saved, nil
	}
	file := filepath.Join(directory, "contexts.yaml")
	data, err := os.ReadFile(file) //nolint:gosec // The file of the one who runs the command.
	if errors.Is(err, fs.ErrNotExist) {
		return saved, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the contexts: %w", err)
	}
	if err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(saved); err != nil && !errors.Is(err, io.EOF) {
		return nil, usagef("%s: %w", file, err)
	}
	return saved, nil
}

// save replaces the file at once or not at all.
func (a *app) save(saved *savedContexts) error {
	directory := a.directory()
	if directory == "" {
		return usagef("contexts are kept in ~/.config/sluice: HOME is not set")
	}
	slices.SortFunc(saved.Contexts, func(x, y savedContext) int { return strings.Compare(x.Name, y.Name) })
	data, err := yaml.Marshal(saved)
	if err != nil {
		return fmt.Errorf("write the contexts: %w", err)
	}
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return fmt.Errorf("write the contexts: %w", err)
	}
	temporary, err := os.CreateTemp(directory, "contexts-*.yaml") // mode 0600
	if err != nil {
		return fmt.Errorf("write the contexts: %w", err)
	}
	defer os.Remove(temporary.Name()) //nolint:errcheck // It is gone if all went well.
	_, err = temporary.Write(data)
	if err = errors.Join(err, temporary.Close()); err == nil {
		err = os.Rename(temporary.Name(), filepath.Join(directory, "contexts.yaml"))
	}
	if err != nil {
		return fmt.Errorf("write the contexts: %w", err)
	}
	return nil
}

// find returns a context by its name. Its error lists those there are.
func (s *savedContexts) find(name string) (*savedContext, error) {
	i := slices.IndexFunc(s.Contexts, func(c savedContext) bool { return c.Name == name })
	if i >= 0 {
		return &s.Contexts[i], nil
	}
	if len(s.Contexts) == 0 {
		return nil, usagef("there is no context %q, and no other; `sluice context set NAME --address HOST:PORT` makes one", name)
	}
	return nil, usagef("there is no context %q; there are %s", name, strings.Join(s.names(), ", "))
}

func (s *savedContexts) names() []string {
	names := make([]string, len(s.Contexts))
	for i, c := range s.Contexts {
		names[i] = c.Name
	}
	return names
}

// chosen is the context in force, nil for none: that of --context; else, unless an address is given, that of SLUICE_CONTEXT or
// the one in use. An address of its own leaves the context out, so that its token goes nowhere else.
func (a *app) chosen() (*savedContext, error) {
	name := a.context
	if name == "" && (a.conn.address != "" || a.Env("SLUICE_ADDRESS") != "") {
		return nil, nil //nolint:nilnil // None is an answer.
	}
	if name == "" {
		name = a.Env("SLUICE_CONTEXT")
	}
	saved, err := a.loadContexts()
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = saved.Current
	}
	if name == "" {
		return nil, nil //nolint:nilnil // None is an answer.
	}
	return saved.find(name)
}

// place is how the server is reached: flags, then environment, then context, each of them by itself.
func (a *app) place() (place connectionFlags, tokenFile string, err error) {
	place = a.conn
	if place.address == "" {
		place.address = a.Env("SLUICE_ADDRESS")
	}
	c, err := a.chosen()
	if err != nil {
		return place, "", err
	}
	if c != nil {
		if place.address == "" {
			place.address = c.Address
		}
		if !place.insecure && place.ca == "" && place.cert == "" && place.key == "" {
			place.ca, place.cert, place.key, place.insecure = c.CA, c.Cert, c.Key, c.Insecure
		}
		tokenFile = c.TokenFile
	}
	if place.address == "" {
		place.address = defaultAddress
	}
	return place, tokenFile, nil
}

// target is the address in force, for people.
func (a *app) target() string {
	place, _, err := a.place()
	if err != nil {
		return defaultAddress
	}
	return place.address
}
