package config

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

const (
	envPrefix      = "SLUICE_"
	configFlag     = "config"
	configVariable = envPrefix + "CONFIG"
)

// Sources are where a configuration comes from. Later ones outrank earlier ones: File, Environ, Flags.
type Sources struct {
	File    string         // path of the YAML file; empty = none, or the one that Flags or Environ name
	Environ []string       // NAME=VALUE as os.Environ returns them; an empty value counts as not set
	Flags   *pflag.FlagSet // with the flags of AddFlags; nil = none
}

// Value is the value in force of one setting.
type Value struct {
	Key   string `json:"key" yaml:"key"`
	Value string `json:"value" yaml:"value"` // lists are divided by commas
	From  string `json:"from" yaml:"from"`   // default, file NAME:LINE, $VARIABLE or --flag
}

// Loaded is a configuration and where its values come from.
type Loaded struct {
	Config

	File     string // that was read; empty = none
	Values   []Value
	Warnings []string // what is allowed and hardly meant
}

// AddFlags gives a command the flags of all settings, and --config.
func AddFlags(f *pflag.FlagSet) {
	f.StringP(configFlag, "c", "", "configuration `file` (YAML); environment variables SLUICE_* and flags outrank it")
	list := settings()
	for i := range list {
		s := &list[i]
		if s.list {
			f.StringSlice(s.flag(), nil, s.usage)
			continue
		}
		f.String(s.flag(), s.standard, s.usage)
	}
}

// Load reads the sources. The error is Errors, with all of them, or that of a file that cannot be read.
func Load(src Sources) (*Loaded, error) {
	env := environment(src.Environ)
	l := &Loaded{File: src.fileName(env)}
	layers := []map[string]given{defaults()}
	var problems Errors
	if l.File != "" {
		data, err := os.ReadFile(l.File)
		if err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
		values, wrong := parseFile(l.File, data)
		layers, problems = append(layers, values), wrong
	}
	return l.complete(src, env, layers, problems)
}

// Check judges the text of a configuration file alone, without environment and flags. The error is Errors.
func Check(fileName string, data []byte) (*Loaded, error) {
	values, problems := parseFile(fileName, data)
	return (&Loaded{File: fileName}).complete(Sources{}, nil, []map[string]given{defaults(), values}, problems)
}

func (l *Loaded) complete(src Sources, env map[string]string, layers []map[string]given, problems Errors) (*Loaded, error) {
	layers = append(layers, fromEnvironment(env), fromFlags(src.Flags))
	problems = append(problems, secretsInEnvironment(env)...)
	l.Warnings = append(l.Warnings, unknownVariables(env)...)
	j := judge{l: l, given: map[string]given{}}
	list := settings()
	for i := range list {
		s := &list[i]
		value := Value{Key: s.key, From: "default"}
		for _, layer := range layers {
			g, ok := layer[s.key]
			if !ok {
				continue
			}
			if err := s.parse(&l.Config, g.values); err != nil {
				problems = append(problems, problemsOf(s.key, g, err)...)
			}
			j.given[s.key] = g
			value.Value, value.From = strings.Join(g.values, ","), g.origin
		}
		l.Values = append(l.Values, value)
	}
	j.together(len(problems) == 0)
	if err := append(problems, j.problems...).orNil(); err != nil {
		return nil, err
	}
	return l, nil
}

// problemsOf makes a problem of each error that was joined.
func problemsOf(key string, g given, err error) Errors {
	errs := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		errs = joined.Unwrap()
	}
	var ps Errors
	for _, e := range errs {
		ps = append(ps, Error{Place: g.place, Key: key, Message: e.Error(), line: g.line, column: g.column})
	}
	return ps
}

// fileName is the file to read: the flag's, else the variable's, else the one given.
func (s *Sources) fileName(env map[string]string) string {
	if s.Flags != nil && s.Flags.Changed(configFlag) {
		if v, err := s.Flags.GetString(configFlag); err == nil {
			return v
		}
	}
	if v := env[configVariable]; v != "" && s.File == "" {
		return v
	}
	return s.File
}

func defaults() map[string]given {
	layer := map[string]given{}
	list := settings()
	for i := range list {
		if s := &list[i]; s.standard != "" {
			layer[s.key] = given{values: []string{s.standard}, place: "default", origin: "default"}
		}
	}
	host, err := os.Hostname()
	if err != nil {
		host = "sluice"
	}
	layer["replica"] = given{values: []string{host}, place: "the host's name, the default", origin: "default (host's name)"}
	return layer
}

// environment keeps the variables of the product that are not empty.
func environment(environ []string) map[string]string {
	env := map[string]string{}
	for _, e := range environ {
		if k, v, _ := strings.Cut(e, "="); strings.HasPrefix(k, envPrefix) && v != "" {
			env[k] = v
		}
	}
	return env
}

func fromEnvironment(env map[string]string) map[string]given {
	layer := map[string]given{}
	list := settings()
	for i := range list {
		s := &list[i]
		v, ok := env[s.variable()]
		if !ok {
			continue
		}
		g := given{values: []string{v}, place: "$" + s.variable(), origin: "$" + s.variable()}
		if s.list {
			g.values = strings.Split(v, ",")
		}
		layer[s.key] = g
	}
	return layer
}

func fromFlags(f *pflag.FlagSet) map[string]given {
	layer := map[string]given{}
	if f == nil {
		return layer
	}
	list := settings()
	for i := range list {
		s := &list[i]
		if !f.Changed(s.flag()) {
			continue
		}
		g := given{place: "--" + s.flag(), origin: "--" + s.flag()}
		if s.list {
			g.values, _ = f.GetStringSlice(s.flag()) // AddFlags made it one
		} else {
			g.values = []string{f.Lookup(s.flag()).Value.String()}
		}
		layer[s.key] = g
	}
	return layer
}
