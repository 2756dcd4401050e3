package routing

import (
	"testing"

	"pgregory.net/rapid"
)

// TestVetoReasonsAreDecided: the reason of a veto alone decides what a healthy candidate is dropped for, the id carries it, and
// the decision made again from the id is the same.
func TestVetoReasonsAreDecided(t *testing.T) {
	table := mustTable(t, newCatalog(newChannel("a"), newChannel("b"), newChannel("c")))
	want := [numVetoReasons]DropReason{DropRateLimited, DropRateLimited, DropConcurrencyLimited, DropQuotaExhausted, DropThrottled}
	for why := range numVetoReasons {
		a := Admission{Lifted: -1}
		a.Veto(1, VetoThrottle)
		a.Veto(1, why) // the last word counts
		var d Decision
		if err := Decide(table, newRequest(), noon, a, &d); err != nil {
			t.Fatal(err)
		}
		if d.Candidates[0].Index != 0 || len(d.Dropped) != 1 || d.Dropped[0].Drop != want[why] || d.Dropped[0].Index != 1 {
			t.Errorf("reason %d: candidates %+v, dropped %+v, want the second dropped as %s", why, d.Candidates, d.Dropped, want[why])
		}
		id, err := ParseDecisionID(d.ID.String())
		if err != nil || id != d.ID || id.Admission.Why(1) != why {
			t.Errorf("reason %d: the id says %+v, %v", why, id, err)
		}
	}
}

// TestMerchantLimitedIsARefusal of the whole payment, and stays behind what a previous attempt or the catalogue says.
func TestMerchantLimitedIsARefusal(t *testing.T) {
	table := mustTable(t, newCatalog(newChannel("a")))
	var d Decision
	err := Decide(table, newRequest(), noon, Admission{Lifted: -1, MerchantLimited: true}, &d)
	r, ok := err.(*Refusal) //nolint:errorlint // bare
	if !ok || r.Reason != MerchantLimited || r.DeferUntil != noon+1 || !d.ID.Admission.MerchantLimited {
		t.Fatalf("got %v, %+v", err, d.ID)
	}
	q := newRequest(func(r *Request) { r.Instrument.Bank = "XYZ" })
	err = Decide(table, q, noon, Admission{Lifted: -1, MerchantLimited: true}, &d)
	if r, ok := err.(*Refusal); !ok || r.Reason != UnsupportedPayment || d.ID.Admission.MerchantLimited { //nolint:errorlint // bare
		t.Fatalf("got %v, %+v", err, d.ID)
	}
}

// TestAdmissionIsCanonical: whatever an admission says beyond the candidates leaves no trace in the id, and what the id keeps
// decides the same again.
func TestAdmissionIsCanonical(t *testing.T) {
	table := mustTable(t, newCatalog(newChannel("a"), newChannel("b"), newChannel("c")))
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.Uint64()
		a := Admission{
			Vetoed: word.Draw(t, "vetoed"), Reasons: [3]uint64{word.Draw(t, "0"), word.Draw(t, "1"), word.Draw(t, "2")},
			Lifted: rapid.Int8Range(-1, 63).Draw(t, "lifted"), MerchantLimited: rapid.Bool().Draw(t, "limited"),
		}
		var first, again Decision
		err := Decide(table, newRequest(), noon, a, &first)
		id, parsed := ParseDecisionID(first.ID.String())
		if parsed != nil || id != first.ID || id.Admission.Vetoed>>3 != 0 || (id.Admission.Reasons[0]|id.Admission.Reasons[1]|id.Admission.Reasons[2])&^id.Admission.Vetoed != 0 {
			t.Fatalf("id %+v, %v", id, parsed)
		}
		if err2 := Decide(table, newRequest(), noon, id.Admission, &again); (err == nil) != (err2 == nil) || again.ID != first.ID {
			t.Fatalf("made again: %v and %v", err, err2)
		}
		for i := range first.Dropped {
			if first.Dropped[i] != again.Dropped[i] {
				t.Fatalf("dropped %+v, again %+v", first.Dropped[i], again.Dropped[i])
			}
		}
	})
}
