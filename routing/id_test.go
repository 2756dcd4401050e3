package routing

import (
	"errors"
	"math"
	"testing"

	"github.com/sluice-pay/sluice/statemachine"
)

func TestDecisionIDs(t *testing.T) {
	for _, id := range []DecisionID{
		{Admission: Admission{Lifted: -1}},
		{Epoch: 3, Revision: 1234567, Second: noon, Admission: Admission{Vetoed: 5, Lifted: 2}, Hash: 0xfedcba9876543210},
		{Epoch: math.MaxUint64, Revision: math.MaxInt64, Second: math.MaxInt64, Admission: Admission{Vetoed: math.MaxUint64, Lifted: 63}, Hash: math.MaxUint64},
		{
			Epoch: math.MaxUint64, Revision: math.MaxInt64, Second: math.MinInt64, Hash: math.MaxUint64,
			Admission: Admission{Vetoed: math.MaxUint64, Reasons: [3]uint64{math.MaxUint64, math.MaxUint64, math.MaxUint64}, Lifted: 63, MerchantLimited: true},
		},
		{Admission: Admission{Vetoed: 3, Reasons: [3]uint64{1, 2, 0}, Lifted: -1}},
		{Admission: Admission{Lifted: -1, MerchantLimited: true}},
		{Revision: math.MinInt64, Second: math.MinInt64, Admission: Admission{Lifted: -1}},
	} {
		attempt := string(id.AppendAttempt(nil, 7))
		got, rank, err := ParseAttemptID(attempt)
		if err != nil || got != id || rank != 7 || len(attempt) > MaxAttemptID || len(id.String()) > 128 {
			t.Errorf("%s: got %+v, %d, %v", attempt, got, rank, err)
		}
	}
	id := DecisionID{Epoch: 1, Revision: 9, Second: noon, Admission: Admission{Lifted: -1}, Hash: 1}.String()
	for _, bad := range []string{"", "x", id + "A", id[:len(id)-1], id + "=", "A" + id[1:], id + "/", id + "/64", id + "/-1", id + "/01", id + "/+1", id + "/0/0"} {
		if _, _, err := ParseAttemptID(bad); !errors.Is(err, ErrDecisionID) {
			t.Errorf("%q: got %v, want ErrDecisionID", bad, err)
		}
	}
}

// TestEveryFieldChangesTheID: two requests that differ in one field do not share an id.
func TestEveryFieldChangesTheID(t *testing.T) {
	edits := map[string]func(*Request){
		"payment": func(r *Request) { r.PaymentID = "pay-2" }, "merchant": func(r *Request) { r.Merchant = "m-2" },
		"entity": func(r *Request) { r.Entity = "e-2" }, "business": func(r *Request) { r.Business = statemachine.Deduct },
		"method": func(r *Request) { r.Instrument.Method = "NETBANK" }, "bank": func(r *Request) { r.Instrument.Bank = "CCB" },
		"card": func(r *Request) { r.Instrument.CardType = "CREDIT" }, "amount": func(r *Request) { r.Amount++ },
		"currency": func(r *Request) { r.Currency = "USD" }, "tier": func(r *Request) { r.UserTier = "VIP" },
		"deadline": func(r *Request) { r.Deadline = noon * 2000 }, "enrolled": func(r *Request) { r.Enrolled = []string{"a"} },
		"payer": func(r *Request) { r.PayerKey = 1 }, "exclude": func(r *Request) { r.Exclude = []string{"a"} }, "most": func(r *Request) { r.MaxChannels = 1 },
		"refund": func(r *Request) {
			r.Business, r.Original = statemachine.Refund, Original{Channel: "a", Account: "main"}
		},
		"refund2": func(r *Request) {
			r.Business, r.Original = statemachine.Refund, Original{Channel: "a", Account: "main", Attempt: "x"}
		},
		"attempt": func(r *Request) { r.Attempts = []Attempt{{Channel: "a", Outcome: 5}} },
		"outcome": func(r *Request) { r.Attempts = []Attempt{{Channel: "a", Outcome: 6}} },
		"code":    func(r *Request) { r.Attempts = []Attempt{{Channel: "a", Outcome: 5, Code: "91"}} },
		"account": func(r *Request) { r.Attempts = []Attempt{{Channel: "a", Outcome: 5, Account: "91"}} },
		"nothing": func(*Request) {},
	}
	table := mustTable(t, newCatalog(newChannel("a"), newChannel("b")))
	seen := map[DecisionID]string{}
	for name, edit := range edits {
		var d, again Decision
		_ = Decide(table, newRequest(edit), noon, Admission{Lifted: -1}, &d)
		_ = Decide(table, newRequest(edit), noon, Admission{Lifted: -1}, &again)
		if other, twice := seen[d.ID]; twice || d.ID != again.ID {
			t.Errorf("%s and %s share %s; again %s", name, other, d.ID, again.ID)
		}
		seen[d.ID] = name
	}
}

func TestLongRequestsHash(t *testing.T) {
	long := make([]byte, 5000)
	for i := range long {
		long[i] = 'x'
	}
	var s scratch
	h := func(text string) uint64 {
		s.n = 0
		s.text(text)
		s.number(math.MaxUint64)
		s.word(7)
		return s.sum()
	}
	seen := map[uint64]int{}
	for n := range len(long) {
		if m, twice := seen[h(string(long[:n]))]; twice {
			t.Fatalf("%d and %d bytes hash alike", n, m)
		}
		seen[h(string(long[:n]))] = n
	}
}

func FuzzParseDecisionID(f *testing.F) {
	f.Add(DecisionID{Epoch: 1, Revision: 9, Second: noon, Admission: Admission{Vetoed: 3, Lifted: 1}, Hash: 77}.String())
	f.Add("")
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseDecisionID(s)
		if err != nil {
			if !errors.Is(err, ErrDecisionID) {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if got := id.String(); got != s {
			t.Fatalf("%q reads as %+v, which is %q", s, id, got)
		}
	})
}
