package monitor

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/sluice-pay/sluice/statemachine"
)

func noise(seed uint64, n int) []byte {
	random := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

func savedLedger(t *testing.T) *MemoryLedger {
	t.Helper()
	l := NewMemoryLedger("r1")
	l.Lead()
	return l
}

func savedIn(t *testing.T, store Checkpoints, s Saved) {
	t.Helper()
	if _, err := s.SaveIn(t.Context(), store, "d"); err != nil {
		t.Fatal(err)
	}
}

func TestSavedComesBackInAsManyPartsAsItTakes(t *testing.T) {
	l := savedLedger(t)
	for i, n := range []int{0, 1, savedPlain, savedPlain + 1, MaxCheckpointPart, 3 * MaxCheckpointPart, 5000} {
		want := Saved{At: 77, Second: int64(1000 + i), Data: noise(uint64(i), n)}
		savedIn(t, l, want)
		got, size, err := LoadSaved(t.Context(), l, "d")
		if err != nil || got.At != want.At || got.Second != want.Second || !bytes.Equal(got.Data, want.Data) || size < n {
			t.Errorf("%d bytes: got second %d, %d bytes of %d stored (%v)", n, got.Second, len(got.Data), size, err)
		}
	}
	if got, _, err := LoadSaved(t.Context(), l, "other"); got != nil || err != nil {
		t.Errorf("a name without a checkpoint: %v, %v", got, err)
	}
}

func TestSavedIsCompressedAndBounded(t *testing.T) {
	l := savedLedger(t)
	size, err := Saved{Data: make([]byte, 8<<20)}.SaveIn(t.Context(), l, "d")
	if err != nil || size > 100<<10 {
		t.Errorf("8 MiB of zeros take %d bytes (%v)", size, err)
	}
	if _, err := (Saved{Data: noise(1, 20<<20)}).SaveIn(t.Context(), l, "d"); !errors.Is(err, ErrTooLarge) {
		t.Errorf("20 MiB of noise: %v, want ErrTooLarge", err)
	}
}

// cutOff is a store that breaks off after some parts.
type cutOff struct {
	*MemoryLedger

	left int
}

var errBroken = errors.New("broken off")

func (c *cutOff) SaveCheckpoint(ctx context.Context, name string, at statemachine.Instant, data []byte) error {
	if c.left--; c.left < 0 {
		return errBroken
	}
	return c.MemoryLedger.SaveCheckpoint(ctx, name, at, data)
}

// A checkpoint that was not stored to its end leaves the one before in force, wherever it broke off.
func TestSavedBrokenOffLeavesTheOneBefore(t *testing.T) {
	for left := range 4 {
		l := savedLedger(t)
		savedIn(t, l, Saved{Second: 1, Data: noise(1, 3*MaxCheckpointPart)})
		savedIn(t, l, Saved{Second: 2, Data: noise(2, 3*MaxCheckpointPart)})
		if _, err := (Saved{Second: 3, Data: noise(3, 3*MaxCheckpointPart)}).SaveIn(t.Context(), &cutOff{l, left}, "d"); !errors.Is(err, errBroken) {
			t.Fatalf("after %d parts: %v", left, err)
		}
		got, _, err := LoadSaved(t.Context(), l, "d")
		if err != nil || got.Second != 2 || !bytes.Equal(got.Data, noise(2, 3*MaxCheckpointPart)) {
			t.Errorf("broken off after %d parts: %v, want the checkpoint before", left, err)
		}
	}
}

// Every byte altered, every part removed, cut short or of another checkpoint is noticed.
func TestSavedTornOrDamagedIsRefused(t *testing.T) {
	stored := func(seed uint64) map[string][]byte {
		l := savedLedger(t)
		savedIn(t, l, Saved{Second: 1, Data: noise(seed, 2*MaxCheckpointPart)})
		return l.store.saved
	}
	one, other := stored(1), stored(2)
	if len(one) < 3 {
		t.Fatalf("%d parts, want three at least", len(one))
	}
	load := func(parts map[string][]byte) error {
		l := savedLedger(t)
		l.store.saved = parts
		_, _, err := LoadSaved(t.Context(), l, "d")
		return err
	}
	with := func(name string, b []byte) map[string][]byte {
		parts := map[string][]byte{}
		maps.Copy(parts, one)
		if parts[name] = b; b == nil {
			delete(parts, name)
		}
		return parts
	}
	for name, b := range one {
		flipped, earlier := bytes.Clone(b), bytes.Clone(b)
		flipped[len(b)/2] ^= 4
		earlier[3] ^= 4
		bad := map[string][]byte{"altered": flipped, "cut short": b[:len(b)-1], "headless": b[:20], "another's": other[name], "longer": append(bytes.Clone(b), 0)}
		if name == "d" {
			bad["of another second"] = earlier
		} else {
			bad["removed"] = nil
			bad["swapped"] = one["d"]
		}
		for what, p := range bad {
			if err := load(with(name, p)); !errors.Is(err, ErrPacked) {
				t.Errorf("%s %s: %v, want ErrPacked", name, what, err)
			}
		}
	}
	if err := load(one); err != nil {
		t.Errorf("unharmed: %v", err)
	}
}

func FuzzParseSavedPart(f *testing.F) {
	parts, err := Saved{At: 5, Second: 6, Data: []byte("learned")}.parts(1000)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(parts[0].pack())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseSavedPart(b)
		if err != nil {
			if !errors.Is(err, ErrPacked) {
				t.Errorf("%v does not wrap ErrPacked", err)
			}
			return
		}
		if again, err := parseSavedPart(s.pack()); err != nil || !bytes.Equal(again.chunk, s.chunk) || again.index != s.index {
			t.Errorf("packed again: %+v, %v", again, err)
		}
	})
}

// A late row counts in totals, and is evidence of nothing.
func TestAddLateEntersTotalsAlone(t *testing.T) {
	c := NewCounters(CountersOptions{})
	item := statemachine.ChannelScope("first")
	if err := c.SetItems([]statemachine.Scope{item}); err != nil {
		t.Fatal(err)
	}
	c.Close(99)
	late := ItemCounts{Item: item, LatencyMillis: 400}
	late.Evidence[statemachine.KindNormal] = Tally{Bad: 3, BadPayers: 3}
	late.Totals[statemachine.ChannelFailed], late.Latency[2], late.Ages[0], late.Sent[0] = 3, 3, 3, 9
	unknown := late
	unknown.Item = statemachine.ChannelScope("gone")
	c.AddLate(100, &SecondCounts{Second: 97, Items: []ItemCounts{late, unknown}, Gates: []GateSum{{}}})
	want := ItemCounts{Item: item, LatencyMillis: 400}
	want.Totals[statemachine.ChannelFailed], want.Latency[2] = 3, 3
	got := c.Close(100)
	if len(got) != 1 || len(got[0].Items) != 1 || got[0].Items[0].Totals != want.Totals || got[0].Items[0].Latency != want.Latency ||
		got[0].Items[0].LatencyMillis != 400 || got[0].Items[0].Evidence != want.Evidence || got[0].Items[0].Ages != want.Ages || got[0].Items[0].Sent != want.Sent {
		t.Errorf("got %+v, want the totals of one item alone", got)
	}
}
