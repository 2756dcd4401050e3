package record_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-pay/sluice/cmd/internal/record"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

func started() time.Time { return time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC) }

func header() record.Header {
	return record.Header{Environment: "test", Replica: "r-1", Started: started()}
}

func newWriter(t rapid.TB, to io.Writer) *record.Writer {
	w, err := record.NewWriter(to, header())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func must(t rapid.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// readAll returns the records of a file, how it ended and the error that ended the reading.
func readAll(data []byte) ([]record.Record, *record.Tail, error) {
	r, err := record.NewReader("f", bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, nil, err
	}
	var all []record.Record
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all, r.Tail(), nil
		}
		if err != nil {
			return all, nil, err
		}
		all = append(all, rec)
	}
}

func scopes() []statemachine.Scope {
	return []statemachine.Scope{
		statemachine.ChannelScope("alipay"), statemachine.AccountScope("alipay", "a-1"), statemachine.BusinessScope("alipay", statemachine.Collect),
		statemachine.InstrumentScope("alipay", statemachine.Instrument{Method: "QUICKPAY", Bank: "ICBC", CardType: "DEBIT"}),
	}
}

func drawTally(t *rapid.T) monitor.Tally {
	n := rapid.Uint32Range(0, 40)
	return monitor.Tally{
		Outcomes: [statemachine.NumOutcomes]uint32{statemachine.Succeeded: n.Draw(t, "ok"), statemachine.ChannelFailed: n.Draw(t, "failed")},
		Bad:      n.Draw(t, "bad"), BadPayers: n.Draw(t, "payers"), Half: n.Draw(t, "half"), CodedBad: n.Draw(t, "coded"),
		Reporters: rapid.Uint64().Draw(t, "reporters"),
	}
}

func drawSecond(t *rapid.T, second int64) monitor.SecondCounts {
	s := monitor.SecondCounts{Second: second, Revision: rapid.Int64Range(0, 1<<40).Draw(t, "revision"), Reporters: rapid.Uint64().Draw(t, "reporters")}
	for _, scope := range scopes()[:rapid.IntRange(0, 4).Draw(t, "items")] {
		item := monitor.ItemCounts{Item: scope, LatencyMillis: rapid.Uint64Range(0, 1e6).Draw(t, "latency")}
		for k := range item.Evidence {
			item.Evidence[k] = drawTally(t)
		}
		item.Totals[statemachine.Succeeded] = rapid.Int32Range(-50, 50).Draw(t, "total")
		item.Ages[rapid.IntRange(0, monitor.NumAgeBuckets-1).Draw(t, "bucket")] = 3
		item.Sent[statemachine.KindRamp] = rapid.Uint32Range(0, 9).Draw(t, "sent")
		item.Reasons = []statemachine.ReasonCount{{Reason: rapid.StringN(0, 20, 40).Draw(t, "reason"), N: 2}}
		s.Items = append(s.Items, item)
	}
	if rapid.Bool().Draw(t, "gates") {
		s.Gates = []monitor.GateSum{{GateCount: statemachine.GateCount{Scope: scopes()[0], Generation: 7, Step: 2, WouldBe: 9, Sent: 1}, Routers: 2}}
	}
	return s
}

// What goes in comes out, in order, however it falls into blocks.
func TestRandomSecondsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var file bytes.Buffer
		w := newWriter(t, &file)
		var want []monitor.SecondCounts
		second := started().Unix()
		for range rapid.IntRange(0, 12).Draw(t, "seconds") {
			second += rapid.Int64Range(1, 3).Draw(t, "gap")
			s := drawSecond(t, second)
			want = append(want, s)
			must(t, w.Second(&s))
			if rapid.Bool().Draw(t, "flush") {
				must(t, w.Flush())
			}
		}
		must(t, w.Close())
		if w.Size() != int64(file.Len()) {
			t.Fatalf("size %d, written %d", w.Size(), file.Len())
		}
		got, tail, err := readAll(file.Bytes())
		must(t, err)
		if !tail.Closed || len(got) != len(want) {
			t.Fatalf("%d of %d seconds, closed %v", len(got), len(want), tail.Closed)
		}
		for i := range got {
			if !reflect.DeepEqual(*got[i].Second, want[i]) {
				t.Fatalf("second %d:\n got %+v\nwant %+v", i, *got[i].Second, want[i])
			}
		}
	})
}

func sampleEntry() monitor.JournalEntry {
	scope := scopes()[3]
	before, after := statemachine.NewState(scope), statemachine.NewState(scope)
	after.Off = statemachine.Override{Author: "ana", Reason: "bank called", Since: statemachine.At(started()), Until: statemachine.At(started().Add(time.Hour))}
	return monitor.JournalEntry{
		Sequence: 9, At: statemachine.At(started().Add(5 * time.Second)), Cause: statemachine.Operator, Author: "ana", Reason: "bank called", Revision: 44,
		Moves: []monitor.Move{{Before: before, After: after, Cause: statemachine.Operator, Reason: "bank called"}},
	}
}

// A file holds all that a replay needs: catalogue, states, open incidents, entries with author, reason, before and after.
func TestWorldComesBack(t *testing.T) {
	var file bytes.Buffer
	w := newWriter(t, &file)
	st := statemachine.NewState(scopes()[0])
	st.Phase, st.Share, st.Generation = statemachine.Ramping, 250_000, 3
	open := statemachine.Incident{ID: "i-1", Kind: statemachine.Observed, Scope: scopes()[3], Opened: statemachine.At(started()), Answer: "level"}
	closed := open
	closed.ID, closed.Closed = "i-0", open.Opened
	view := monitor.View{
		Head: monitor.Head{Catalog: 4}, Catalog: []byte("catalogue"), States: []monitor.VersionedState{{State: st}},
		Incidents: []statemachine.Incident{open, closed},
	}
	must(t, w.Begin(&view))
	entry := sampleEntry()
	must(t, w.Entry(&entry))
	must(t, w.Close())
	got, _, err := readAll(file.Bytes())
	must(t, err)
	if len(got) != 4 || got[0].Catalog.Number != 4 || string(got[0].Catalog.Data) != "catalogue" || *got[1].State != st {
		t.Fatalf("got %+v", got)
	}
	if got[2].Incident.ID != "i-1" || got[2].Incident.Kind != statemachine.Observed {
		t.Errorf("incident %+v", got[2].Incident)
	}
	e := *got[3].Entry
	e.Hash = entry.Hash // of the ledger, not kept
	if !reflect.DeepEqual(e, entry) {
		t.Errorf("got %+v\nwant %+v", e, entry)
	}
}

// sample returns a file of three blocks of one second each, and where its frames end.
func sample(t *testing.T) (data []byte, ends []int) {
	t.Helper()
	var file bytes.Buffer
	w := newWriter(t, &file)
	for i := range 3 {
		ends = append(ends, file.Len())
		s := monitor.SecondCounts{Second: started().Unix() + int64(i), Items: []monitor.ItemCounts{{Item: scopes()[0]}}}
		must(t, w.Second(&s))
		must(t, w.Flush())
	}
	ends = append(ends, file.Len())
	must(t, w.Close())
	return file.Bytes(), append(ends, file.Len())
}

// Wherever a crash tears the file, the whole blocks before it are read and the rest is reported.
func TestTornTail(t *testing.T) {
	data, ends := sample(t)
	for cut := ends[0]; cut < len(data); cut++ {
		whole := 0
		for _, end := range ends[1:4] {
			if cut >= end {
				whole++
			}
		}
		got, tail, err := readAll(data[:cut])
		if err != nil || len(got) != whole {
			t.Fatalf("cut at %d: %d records, want %d: %v", cut, len(got), whole, err)
		}
		if tail.Closed || tail.Offset+tail.Lost != int64(cut) || tail.Reason == "" {
			t.Fatalf("cut at %d: tail %+v", cut, tail)
		}
	}
	_, tail, err := readAll(append(bytes.Clone(data[:ends[2]]), make([]byte, 4096)...))
	if err != nil || tail.Lost != 4096 || tail.Offset != int64(ends[2]) {
		t.Errorf("zeros after a crash: %+v, %v", tail, err)
	}
}

// Damage before the end is refused with its place, whichever byte it hits.
func TestDamageIsRefused(t *testing.T) {
	data, ends := sample(t)
	for at := range ends[2] {
		broken := bytes.Clone(data)
		broken[at] ^= 0x40
		got, tail, err := readAll(broken)
		if err == nil {
			t.Fatalf("byte %d changed: read %d records, tail %+v", at, len(got), tail)
		}
		if !strings.Contains(err.Error(), "offset ") {
			t.Fatalf("byte %d: no place in %v", at, err)
		}
	}
}

func TestForeignFilesAreRefused(t *testing.T) {
	data, _ := sample(t)
	newer := bytes.Clone(data)
	newer[9] = 2
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"empty":           {nil, record.ErrNotRecording},
		"text":            {[]byte("scenario: x, and some more text"), record.ErrNotRecording},
		"another version": {newer, record.ErrVersion},
		"other layout":    {bytes.Replace(data, []byte(`"layout":1`), []byte(`"layout":9`), 1), record.ErrDamaged},
	} {
		if _, _, err := readAll(c.data); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReader(f *testing.F) {
	var file bytes.Buffer
	w, err := record.NewWriter(&file, header())
	if err != nil {
		f.Fatal(err)
	}
	e := sampleEntry()
	if err := errors.Join(w.Entry(&e), w.Close()); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Fuzz(func(_ *testing.T, data []byte) { _, _, _ = readAll(data) })
}
