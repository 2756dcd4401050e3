package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	segmentDigits = 8
	maxSegment    = 4 << 20  // bytes of one file, about; a file is deleted when all of it was delivered
	readableFile  = 64 << 20 // a larger one is none of ours
)

var (
	errSpillFull  = errors.New("the spill files are full")
	errSpillInUse = errors.New("another process uses these spill files")
)

// spill is a queue of batches in files. It belongs to one goroutine.
type spill struct {
	base     string
	most     int64
	lock     *os.File
	segments []*segment // oldest first
	out      *os.File   // of the last segment, nil = the next write begins one
	bytes    int64      // of all files
	last     uint64     // number of the newest segment there was
	reader   *spillReader
	reading  *segment
	buf      []byte
}

// segment is one spill file.
type segment struct {
	path    string
	size    int64
	reports uint32 // written into it, or found when it was opened
	read    bool   // all of it was read

	outstanding int // batches read from it that are not settled; guarded by the queue
}

// found is what an earlier process left.
type found struct {
	reports int // readable, and known to be lost
	torn    int // files whose end is damaged
}

// openSpill takes the files of a base name for this process, those of an earlier one included.
func openSpill(base string, most int64) (*spill, found, error) {
	lock, err := lockFile(base + ".lock")
	if err != nil {
		return nil, found{}, fmt.Errorf("%s: %w", base, err)
	}
	s := &spill{base: base, most: most, lock: lock}
	f, err := s.adopt()
	if err != nil {
		return nil, f, errors.Join(err, lock.Close())
	}
	return s, f, nil
}

// adopt finds the files of an earlier process.
func (s *spill) adopt() (f found, err error) {
	entries, err := os.ReadDir(filepath.Dir(s.base))
	if err != nil {
		return f, fmt.Errorf("spill files: %w", err)
	}
	for _, e := range entries { // sorted by name, thus oldest first
		number, ok := s.number(e)
		if !ok {
			continue
		}
		g := &segment{path: filepath.Join(filepath.Dir(s.base), e.Name())}
		data, err := readSegment(g.path)
		if err != nil {
			return f, err
		}
		r := newSpillReader(data)
		for b, _ := r.next(); b != nil; b, _ = r.next() {
		}
		g.size, g.reports = int64(len(data)), r.seen
		if r.torn() {
			f.torn++
		}
		f.reports += int(r.seen)
		s.bytes += g.size
		s.last = max(s.last, number)
		s.segments = append(s.segments, g)
	}
	return f, nil
}

// number is the running number in the name of a spill file of ours.
func (s *spill) number(e fs.DirEntry) (uint64, bool) {
	tail, ok := strings.CutPrefix(e.Name(), filepath.Base(s.base)+".")
	if !ok || len(tail) != segmentDigits || !e.Type().IsRegular() {
		return 0, false
	}
	n, err := strconv.ParseUint(tail, 10, 64)
	return n, err == nil
}

func readSegment(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("spill file: %w", err)
	}
	if info.Size() > readableFile {
		return nil, fmt.Errorf("spill file %s has %d bytes: move it away, it is none of this program's", path, info.Size())
	}
	data, err := os.ReadFile(path) //nolint:gosec // the configuration's name and a number
	if err != nil {
		return nil, fmt.Errorf("spill file: %w", err)
	}
	return data, nil
}

// write keeps a batch. When it returns nil, the batch outlives this process; after an error it is not kept.
func (s *spill) write(b *batch) error {
	if s.bytes+int64(recordHead+len(b.frames)+len(spillMark)) > s.most {
		return errSpillFull
	}
	if s.out == nil {
		if err := s.begin(); err != nil {
			return err
		}
	}
	g := s.segments[len(s.segments)-1]
	s.buf = appendRecord(s.buf[:0], b, g.reports)
	if _, err := s.out.Write(s.buf); err != nil {
		// What was written of it is taken back; if that fails too, nothing more is written behind it.
		if s.out.Truncate(g.size) != nil || s.seek(g.size) != nil {
			s.end()
		}
		return fmt.Errorf("spill file: %w", err)
	}
	g.size += int64(len(s.buf))
	g.reports += uint32(b.len()) //nolint:gosec // at most mostBatch
	s.bytes += int64(len(s.buf))
	if g.size >= maxSegment {
		s.end()
	}
	return nil
}

func (s *spill) seek(at int64) error {
	_, err := s.out.Seek(at, 0)
	return err //nolint:wrapcheck // only whether
}

// begin begins a file. It never opens one that exists, nor follows a link.
func (s *spill) begin() error {
	path := fmt.Sprintf("%s.%0*d", s.base, segmentDigits, s.last+1)
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // as above
	if err != nil {
		return fmt.Errorf("spill file: %w", err)
	}
	if _, err := out.WriteString(spillMark); err != nil {
		return errors.Join(fmt.Errorf("spill file: %w", err), out.Close(), os.Remove(path))
	}
	s.last++
	s.out = out
	s.segments = append(s.segments, &segment{path: path, size: int64(len(spillMark))})
	s.bytes += int64(len(spillMark))
	return nil
}

// end writes no more into the current file.
func (s *spill) end() {
	if s.out == nil {
		return
	}
	_ = s.out.Sync() // outliving the process does not hang on it, outliving the machine does
	_ = s.out.Close()
	s.out = nil
}

// next reads the oldest batch that was not read yet, nil if there is none, and how many reports before it were lost.
func (s *spill) next() (b *batch, lost int, err error) {
	for {
		if s.reader == nil {
			i := slices.IndexFunc(s.segments, func(g *segment) bool { return !g.read })
			if i < 0 {
				return nil, lost, nil
			}
			g := s.segments[i]
			if i == len(s.segments)-1 {
				s.end()
			}
			data, err := readSegment(g.path)
			if err != nil {
				g.read = true
				return nil, lost + int(g.reports), err
			}
			s.reader, s.reading = newSpillReader(data), g
		}
		b, n := s.reader.next()
		lost += n
		if b != nil {
			b.from = s.reading
		} else {
			lost += int(max(s.reading.reports, s.reader.seen) - s.reader.seen)
		}
		if b == nil || s.reader.seen >= s.reading.reports {
			s.reading.read = true
			s.reader, s.reading = nil, nil
		}
		if b != nil {
			return b, lost, nil
		}
	}
}

// tidy deletes the files that were read and delivered.
func (s *spill) tidy(settled func(*segment) bool) error {
	var wrong []error
	s.segments = slices.DeleteFunc(s.segments, func(g *segment) bool {
		if !g.read || !settled(g) {
			return false
		}
		if err := os.Remove(g.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			wrong = append(wrong, fmt.Errorf("spill file: %w", err))
			return false
		}
		s.bytes -= g.size
		return true
	})
	return errors.Join(wrong...)
}

// close leaves the files to the next process.
func (s *spill) close() error {
	s.end()
	return s.lock.Close() //nolint:wrapcheck // of the lock alone
}
