package record

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// Suffix is how the names of recordings end.
const Suffix = ".sluicerec"

// Recording is one file, or all of a directory in order of time: replicas that led one after another record one each.
type Recording struct {
	files   []*part
	headers []Header
	last    int64           // newest second returned
	told    map[uint64]bool // sequences of the entries returned: every replica records each
	number  uint64          // of the newest catalogue returned
}

// part is one file with its next record.
type part struct {
	name   string
	file   *os.File
	reader *Reader
	next   Record
	more   bool
}

// FileTail is how one of the files ended.
type FileTail struct {
	File string
	Tail
}

// Open opens a recording, or all recordings in a directory. They must be of one environment.
func Open(path string) (*Recording, error) {
	names := []string{path}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	if info.IsDir() {
		if names, err = filepath.Glob(filepath.Join(path, "*"+Suffix)); err != nil {
			return nil, fmt.Errorf("recording: %w", err)
		}
		if len(names) == 0 {
			return nil, fmt.Errorf("%s: %w: no file *%s in it", path, ErrNotRecording, Suffix)
		}
	}
	r := &Recording{told: map[uint64]bool{}}
	for _, name := range names {
		if err := r.add(name); err != nil {
			return nil, errors.Join(err, r.Close())
		}
	}
	slices.SortStableFunc(r.files, func(a, b *part) int {
		return cmp.Or(a.reader.Header().Started.Compare(b.reader.Header().Started), cmp.Compare(a.name, b.name))
	})
	for _, p := range r.files {
		r.headers = append(r.headers, p.reader.Header())
	}
	return r, nil
}

func (r *Recording) add(name string) error {
	file, err := os.Open(name) //nolint:gosec // the user names it
	if err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	p := &part{name: name, file: file}
	r.files = append(r.files, p)
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	if p.reader, err = NewReader(name, file, info.Size()); err != nil {
		return err
	}
	if a, b := r.files[0].reader.Header().Environment, p.reader.Header().Environment; a != b {
		return fmt.Errorf("%s is of environment %q, %s of %q: one at a time", r.files[0].name, a, name, b)
	}
	return p.advance()
}

func (p *part) advance() error {
	next, err := p.reader.Next()
	if errors.Is(err, io.EOF) {
		p.next, p.more = Record{}, false
		return nil
	}
	p.next, p.more = next, err == nil
	return err
}

// Headers are those of the files, in order of time.
func (r *Recording) Headers() []Header { return r.headers }

// Next returns the records of all files in order of time, seconds and entries once; io.EOF after the last.
func (r *Recording) Next() (Record, error) {
	for {
		var first *part
		for _, p := range r.files {
			if p.more && (first == nil || p.next.At < first.next.At) {
				first = p
			}
		}
		if first == nil {
			return Record{}, io.EOF
		}
		rec := first.next
		if err := first.advance(); err != nil {
			return Record{}, err
		}
		if r.isNew(&rec) {
			return rec, nil
		}
	}
}

// isNew reports whether a record says something that no other file has said.
func (r *Recording) isNew(rec *Record) bool {
	switch {
	case rec.Second != nil:
		if rec.Second.Second <= r.last {
			return false
		}
		r.last = rec.Second.Second
	case rec.Entry != nil:
		if r.told[rec.Entry.Sequence] {
			return false
		}
		r.told[rec.Entry.Sequence] = true
	case rec.Catalog != nil:
		if rec.Catalog.Number <= r.number {
			return false
		}
		r.number = rec.Catalog.Number
	}
	return true
}

// Tails are how the files ended, after Next returned io.EOF.
func (r *Recording) Tails() []FileTail {
	var tails []FileTail
	for _, p := range r.files {
		if t := p.reader.Tail(); t != nil {
			tails = append(tails, FileTail{File: p.name, Tail: *t})
		}
	}
	return tails
}

// Close closes the files.
func (r *Recording) Close() error {
	var errs []error
	for _, p := range r.files {
		errs = append(errs, p.file.Close())
	}
	return errors.Join(errs...)
}
