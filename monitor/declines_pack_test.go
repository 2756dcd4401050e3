package monitor

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/sluice-pay/sluice/statemachine"
)

// A watcher restored from a checkpoint taken during a burst tells its end, and no second beginning.
func TestDeclinesCheckpoint(t *testing.T) {
	w := newDeclineWorld(3, everyBank(2, 0.06))
	w.change = declining(0.6, func(p paying) bool { return p.channel == "unionpay" })
	d := NewDeclines()
	if told, _ := w.run(d, firstSecond, faultFrom+120); !slices.Equal(told, []string{"DECLINE_BURST unionpay"}) {
		t.Fatalf("told %q", told)
	}
	saved := d.Checkpoint()
	restored := NewDeclines()
	if err := restored.Restore(saved); err != nil {
		t.Fatal(err)
	}
	if again := restored.Checkpoint(); !bytes.Equal(saved, again) {
		t.Errorf("a restored watcher's checkpoint differs: %d and %d bytes", len(saved), len(again))
	}
	if told, _ := w.run(restored, faultFrom+120, faultTo+600); !slices.Equal(told, []string{"DECLINE_BURST_OVER unionpay"}) {
		t.Errorf("told after the restart: %q", told)
	}
}

// What was learned is known after a restart: the next burst is told at once.
func TestDeclinesCheckpointKeepsBaselines(t *testing.T) {
	w := newDeclineWorld(4, everyBank(2, 0.06))
	w.change = declining(0.6, func(p paying) bool { return p.channel == "unionpay" })
	d, restored := NewDeclines(), NewDeclines()
	w.run(d, firstSecond, faultFrom)
	if err := restored.Restore(d.Checkpoint()); err != nil {
		t.Fatal(err)
	}
	if told, _ := w.run(restored, faultFrom, faultFrom+40); !slices.Equal(told, []string{"DECLINE_BURST unionpay"}) {
		t.Errorf("told %q", told)
	}
}

func TestDeclinesRestoreRefusesDamage(t *testing.T) {
	w := newDeclineWorld(5, everyBank(1, 0.06))
	d := NewDeclines()
	w.run(d, firstSecond, firstSecond+300)
	saved := d.Checkpoint()
	for cut := range saved {
		if err := d.Restore(saved[:cut]); !errors.Is(err, ErrPacked) {
			t.Fatalf("%d of %d bytes: %v", cut, len(saved), err)
		}
	}
	if !bytes.Equal(d.Checkpoint(), saved) {
		t.Error("a refused checkpoint changed the watcher")
	}
}

// A channel that left the catalogue is forgotten; the others go on as before.
func TestDeclinesForgetChannels(t *testing.T) {
	w := newDeclineWorld(6, everyBank(1, 0.06))
	d := NewDeclines()
	w.run(d, firstSecond, firstSecond+300)
	w.traffic = slices.DeleteFunc(w.traffic, func(p paying) bool { return p.channel == "cardlink" })
	w.run(d, firstSecond+300, firstSecond+1300)
	if _, known := d.channelAt["cardlink"]; known || len(d.channels) != 2 || len(d.cells) != 6 || len(d.accounts) != 2 {
		t.Errorf("%d channels, %d instruments, %d accounts are kept", len(d.channels), len(d.cells), len(d.accounts))
	}
	if _, ok := d.index[statemachine.InstrumentScope("unionpay", bankCard("ICBC"))]; !ok {
		t.Error("an instrument of another channel is forgotten")
	}
}

// The same seconds tell the same, whatever else a process did before.
func TestDeclinesAreDeterministic(t *testing.T) {
	tell := func() []string {
		w := newDeclineWorld(7, everyBank(2, 0.06))
		w.change = declining(0.5, func(p paying) bool { return p.bank == "ICBC" && p.channel != "cardlink" })
		_, all := w.run(NewDeclines(), firstSecond, faultTo)
		var texts []string
		for _, a := range all {
			texts = append(texts, a.Message)
		}
		return texts
	}
	if a, b := tell(), tell(); !slices.Equal(a, b) || len(a) == 0 {
		t.Errorf("first %q, then %q", a, b)
	}
}
