package campaign

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// ErrStore is wrapped where a file of results cannot be used.
var ErrStore = errors.New("bad file of results")

// Store is a file of results, a line a unit. A line that a crash tore is dropped when the file is opened.
type Store struct {
	file    *os.File
	policy  string
	results []*Result
	held    map[Unit]bool
}

// Open opens or creates a file of results of one policy; results of another are an error.
func Open(path, policy string) (*Store, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644) //nolint:gosec // a report, for everyone to read
	if err != nil {
		return nil, fmt.Errorf("open the results: %w", err)
	}
	s := &Store{file: file, policy: policy, held: map[Unit]bool{}}
	if err := s.load(path); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return s, nil
}

func (s *Store) load(path string) error {
	data, err := io.ReadAll(s.file)
	if err != nil {
		return fmt.Errorf("read the results: %w", err)
	}
	whole := data[:bytes.LastIndexByte(data, '\n')+1]
	results, err := Parse(path, whole)
	if err != nil {
		return err
	}
	for i, r := range results {
		if r.Policy != s.policy {
			return fmt.Errorf("%w: %s:%d: holds results of policy %q, not %q: name another file", ErrStore, path, i+1, r.Policy, s.policy)
		}
		s.results = append(s.results, r)
		s.held[r.Unit] = true
	}
	if err := s.file.Truncate(int64(len(whole))); err != nil {
		return fmt.Errorf("drop a torn line: %w", err)
	}
	if _, err := s.file.Seek(0, io.SeekEnd); err != nil {
		return fmt.Errorf("open the results: %w", err)
	}
	return nil
}

// Parse reads results, a line each; name is what errors call them.
func Parse(name string, data []byte) ([]*Result, error) {
	var out []*Result
	n := 0
	for line := range bytes.Lines(data) {
		n++
		r := &Result{}
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(r); err != nil {
			return nil, fmt.Errorf("%w: %s:%d: %w", ErrStore, name, n, err)
		}
		if r.Class == "" || r.Seconds <= 0 {
			return nil, fmt.Errorf("%w: %s:%d: want the result of a unit", ErrStore, name, n)
		}
		out = append(out, r)
	}
	return out, nil
}

// Holds reports whether a unit's result is there.
func (s *Store) Holds(u Unit) bool { return s.held[u] }

// Results returns every result, in the order they came.
func (s *Store) Results() []*Result { return s.results }

// Put appends a result.
func (s *Store) Put(r *Result) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("result of %v: %w", r.Unit, err)
	}
	if _, err := s.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("keep the result of %v: %w", r.Unit, err)
	}
	s.results = append(s.results, r)
	s.held[r.Unit] = true
	return nil
}

// Close closes the file.
func (s *Store) Close() error {
	if err := s.file.Close(); err != nil {
		return fmt.Errorf("close the results: %w", err)
	}
	return nil
}
