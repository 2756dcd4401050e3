package client

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

func testBatch(tb testing.TB, ids ...string) *batch {
	tb.Helper()
	b := &batch{}
	for _, id := range ids {
		m := testReport(id)
		if err := b.add(m, proto.Size(m)); err != nil {
			tb.Fatal(err)
		}
	}
	return b
}

func idsOf(tb testing.TB, b *batch) (ids []string) {
	tb.Helper()
	for i := range b.len() {
		m, err := b.report(i)
		if err != nil {
			tb.Fatal(err)
		}
		ids = append(ids, m.GetAttemptId())
	}
	return ids
}

func openTestSpill(tb testing.TB, base string, most int64) (*spill, found) {
	tb.Helper()
	s, f, err := openSpill(base, most)
	if err != nil {
		tb.Fatal(err)
	}
	return s, f
}

// readAll reads what a spill holds, and how many reports were lost.
func readAll(tb testing.TB, s *spill) (ids []string, lost int) {
	tb.Helper()
	for {
		b, n, err := s.next()
		if err != nil {
			tb.Fatal(err)
		}
		lost += n
		if b == nil {
			return ids, lost
		}
		ids = append(ids, idsOf(tb, b)...)
	}
}

func TestSpill_IsReadInOrderByTheNextProcess(t *testing.T) {
	base := filepath.Join(t.TempDir(), "reports")
	var want []string
	for life := range 3 {
		s, _ := openTestSpill(t, base, 1<<20)
		for i := range 4 {
			id := fmt.Sprintf("a-%d-%d", life, i)
			if err := s.write(testBatch(t, id, id+"'")); err != nil {
				t.Fatal(err)
			}
			want = append(want, id, id+"'")
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
	}
	s, f := openTestSpill(t, base, 1<<20)
	got, lost := readAll(t, s)
	if !slices.Equal(got, want) || lost != 0 || f.reports != len(want) || f.torn != 0 {
		t.Errorf("%v, %d lost, %+v", got, lost, f)
	}
	if err := s.tidy(func(*segment) bool { return true }); err != nil || s.bytes != 0 {
		t.Errorf("%v, %d bytes left", err, s.bytes)
	}
	if left, _ := filepath.Glob(base + ".0*"); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	_ = s.close()
}

// A file is cut off at every byte, as the end of a process may leave it: what was written before is read.
func TestSpill_TornTail(t *testing.T) {
	dir := t.TempDir()
	s, _ := openTestSpill(t, filepath.Join(dir, "whole"), 1<<20)
	var ends []int64
	for i := range 3 {
		if err := s.write(testBatch(t, strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, s.segments[0].size)
	}
	path := s.segments[0].path
	_ = s.close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range whole {
		base := filepath.Join(dir, "torn")
		if err := os.WriteFile(base+".00000001", whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		s, f := openTestSpill(t, base, 1<<20)
		want := slices.IndexFunc(ends, func(end int64) bool { return int64(cut) < end })
		if got, lost := readAll(t, s); len(got) != want || lost != 0 || f.reports != want {
			t.Fatalf("cut at %d: %v, %d lost, %+v", cut, got, lost, f)
		}
		clean := cut == 0 || cut == len(spillMark) || slices.Contains(ends, int64(cut))
		if (f.torn == 0) != clean {
			t.Fatalf("cut at %d: %+v", cut, f)
		}
		if err := s.write(testBatch(t, "new")); err != nil { // behind no damage
			t.Fatal(err)
		}
		if got, _ := readAll(t, s); !slices.Equal(got, []string{"new"}) {
			t.Fatalf("cut at %d: then %v", cut, got)
		}
		_ = s.tidy(func(*segment) bool { return true })
		_ = s.close()
	}
}

// drawRecords draws a file, where its records are, and the reports in each.
func drawRecords(tb testing.TB, rt *rapid.T) (data []byte, places [][2]int, want [][]string) {
	tb.Helper()
	data = append(data, spillMark...)
	total := uint32(0)
	for i := range rapid.IntRange(1, 6).Draw(rt, "records") {
		var ids []string
		for j := range rapid.IntRange(1, 4).Draw(rt, "reports") {
			ids = append(ids, fmt.Sprintf("%d-%d", i, j))
		}
		begin := len(data)
		data = appendRecord(data, testBatch(tb, ids...), total)
		total += uint32(len(ids))
		places, want = append(places, [2]int{begin, len(data)}), append(want, ids)
	}
	return data, places, want
}

// Whatever bytes are changed in the middle, no report is made up, those of whole records are read, and the lost ones are known.
func TestSpill_DamageIsPassedOverAndCounted(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		data, places, want := drawRecords(t, rt)
		damaged := make([]bool, len(want))
		for range rapid.IntRange(0, 3).Draw(rt, "changes") {
			at := rapid.IntRange(len(spillMark), len(data)-1).Draw(rt, "at")
			data[at] ^= byte(rapid.IntRange(1, 255).Draw(rt, "by"))
			for i, p := range places {
				damaged[i] = damaged[i] || at >= p[0] && at < p[1]
			}
		}
		lost, last := 0, -1
		var good []string
		for i := range want {
			if !damaged[i] {
				good, last = append(good, want[i]...), i
			}
		}
		for i := range max(last, 0) {
			if damaged[i] {
				lost += len(want[i])
			}
		}
		r := newSpillReader(data)
		var got []string
		gone := 0
		for b, n := r.next(); b != nil; b, n = r.next() {
			gone += n
			got = append(got, idsOf(t, b)...)
		}
		// Two changes may undo one another: then more is read than expected, never less, and never anything else.
		if len(got) < len(good) || len(got) == len(good) && (!slices.Equal(got, good) || gone != lost) {
			rt.Fatalf("%v and %d lost, want %v and %d", got, gone, good, lost)
		}
	})
}

func TestSpill_BoundsAndFailures(t *testing.T) {
	base := filepath.Join(t.TempDir(), "reports")
	s, _ := openTestSpill(t, base, 1000)
	n := 0
	for ; n < 100; n++ {
		if err := s.write(testBatch(t, strconv.Itoa(n))); err != nil {
			if !errors.Is(err, errSpillFull) {
				t.Fatal(err)
			}
			break
		}
	}
	if n == 0 || n == 100 || s.bytes > 1000 {
		t.Errorf("%d reports in %d bytes", n, s.bytes)
	}
	// A write that fails half way leaves nothing behind that would hide what follows.
	s.most = 1 << 20
	s.out.Close()
	if err := s.write(testBatch(t, "fails")); err == nil {
		t.Error("written into a closed file")
	}
	if err := s.write(testBatch(t, "follows")); err != nil {
		t.Errorf("after a failure: %v", err)
	}
	got, lost := readAll(t, s)
	if len(got) != n+1 || got[n] != "follows" || lost != 0 {
		t.Errorf("%v, %d lost", got, lost)
	}
	_ = s.close()

	if err := os.WriteFile(base+".00000009", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(base+".00000009", readableFile+1); err != nil {
		t.Fatal(err)
	}
	if _, _, err := openSpill(base, 1000); err == nil {
		t.Error("a file of 64 MiB is read")
	}
}

// A name that is taken, by whatever, is never written through.
func TestSpill_FollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	base, victim := filepath.Join(dir, "reports"), filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := openTestSpill(t, base, 1<<20)
	if err := os.Symlink(victim, base+".00000001"); err != nil {
		t.Skip(err)
	}
	if err := s.write(testBatch(t, "a")); !errors.Is(err, os.ErrExist) {
		t.Errorf("%v", err)
	}
	if text, _ := os.ReadFile(victim); string(text) != "precious" {
		t.Errorf("overwritten with %q", text)
	}
	_ = s.close()
}

func FuzzSpillReader(f *testing.F) {
	good := appendRecord([]byte(spillMark), testBatch(f, "a", "b"), 0)
	f.Add(good)
	f.Add(appendRecord(bytes.Clone(good), testBatch(f, "c"), 2))
	f.Add(good[:len(good)-3])
	f.Add([]byte(spillMark))
	f.Fuzz(func(t *testing.T, data []byte) {
		check := func(data []byte) {
			r := newSpillReader(data)
			for b, lost := r.next(); b != nil; b, lost = r.next() {
				if lost < 0 || b.len() == 0 || len(idsOf(t, b)) != b.len() { // every report decodes
					t.Fatalf("a batch of %d, %d lost", b.len(), lost)
				}
			}
		}
		check(data)
		// The same as the batch of a whole record: what lies under the checksums is read too.
		if len(data) <= maxRecord {
			check(appendRecord([]byte(spillMark), &batch{frames: data, ends: []int32{int32(len(data))}}, 0))
		}
	})
}

// BenchmarkReport measures a hand-over while a collector keeps up.
func BenchmarkReport(b *testing.B) {
	for _, parallel := range []bool{false, true} {
		b.Run(map[bool]string{false: "one", true: "many"}[parallel], func(b *testing.B) {
			f := &drainCollector{}
			r := testReporter(b, f, ReporterConfig{MaxReports: 1 << 20, MaxBytes: 1 << 30, Wait: true})
			b.ReportAllocs()
			if parallel {
				b.RunParallel(func(p *testing.PB) {
					m := testReport("attempt-0123456789abcdef0123456789abcdef/0")
					for p.Next() {
						_ = r.Report(b.Context(), m)
					}
				})
			} else {
				m := testReport("attempt-0123456789abcdef0123456789abcdef/0")
				for b.Loop() {
					_ = r.Report(b.Context(), m)
				}
			}
			b.StopTimer()
			if s := r.Stats(); s.Dropped.Total() > 0 {
				b.Errorf("%+v", s)
			}
			_ = r.Close(within(b, 0))
		})
	}
}
