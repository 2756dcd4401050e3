package routing

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files")

// TestExplanations compares explanations with golden files; -rewrite makes them anew.
func TestExplanations(t *testing.T) {
	states := func(edit ...func(*statemachine.State)) []statemachine.State {
		cut := off(statemachine.InstrumentScope("b", icbc))
		cut.Incident, cut.CoolUntil = "inc-7", (noon+20)*1000
		ramp := inPhase(statemachine.ChannelScope("c"), statemachine.Ramping, 250_000)
		all := []statemachine.State{cut, ramp}
		for _, f := range edit {
			f(&all[1])
		}
		return all
	}
	tests := []struct {
		name      string
		states    []statemachine.State
		request   func(*Request)
		admission Admission
	}{
		{"split", nil, func(*Request) {}, Admission{Lifted: -1}},
		{"cut-and-ramp", states(), func(r *Request) { r.MaxChannels = 1 }, Admission{Lifted: -1}},
		{"vetoed", states(), func(r *Request) { r.Exclude = []string{"a"} }, Admission{Vetoed: 0xff, Lifted: -1}},
		{"switched-off", states(func(s *statemachine.State) { s.Off = byOperator }), func(r *Request) { r.Amount = 1 }, Admission{Lifted: -1}},
		{"lifted", states(func(s *statemachine.State) { s.Phase, s.Share = statemachine.Probing, 0 }), func(*Request) {}, Admission{Lifted: 2}},
		{"in-doubt", nil, func(r *Request) { r.Attempts = []Attempt{{Channel: "b", Outcome: statemachine.TimedOut}} }, Admission{Lifted: -1}},
		{"original", states(), func(r *Request) {
			r.Business, r.Original = statemachine.Refund, Original{Channel: "b", Account: "main"}
		}, Admission{Lifted: -1}},
		{"unsupported", nil, func(r *Request) { r.Instrument.Bank = "XYZ" }, Admission{Lifted: -1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newChannel("a", func(c *configv1.Channel) {
				c.Instruments[0].Limits = []*configv1.AmountLimit{{Currency: "CNY", Min: 100}}
			})
			c := newCatalog(a, newChannel("b"), newChannel("c"), newChannel("d", func(c *configv1.Channel) { c.Accounts[0].Entity = "e-2" }))
			for i, m := range c.GetRoutes()[0].GetMembers() {
				m.Priority, m.Split = uint32(i/2), uint32(60-10*i)
			}
			e := Explain(mustTable(t, c, tt.states...), newRequest(tt.request), noon, tt.admission)
			golden(t, filepath.Join("testdata", "explain-"+tt.name+".txt"), e.String())
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestListOptions(t *testing.T) {
	a := newChannel("a", func(c *configv1.Channel) { c.Instruments[0].Banks = []string{"ICBC", "CCB", "CMB", "ABC"} })
	a.Instruments[0].Limits = []*configv1.AmountLimit{{Currency: "CNY", Max: 50_000}}
	b := newChannel("b", func(c *configv1.Channel) { c.Instruments[0].Banks = []string{"ICBC"} })
	instrument := func(bank string) statemachine.Instrument {
		return statemachine.Instrument{Method: "QUICKPAY", Bank: bank, CardType: "DEBIT"}
	}
	cut := off(statemachine.InstrumentScope("a", instrument("CCB")))
	cut.CoolUntil = (noon + 20) * 1000
	table := mustTable(t, newCatalog(a, b), cut, off(statemachine.InstrumentScope("a", instrument("ICBC"))),
		inPhase(statemachine.InstrumentScope("a", instrument("ABC")), statemachine.Ramping, 100_000))
	list := func(edit ...func(*Request)) string {
		q := newRequest(edit...)
		q.Instrument = statemachine.Instrument{CardType: "DEBIT"}
		var out []string
		for _, o := range ListOptions(table, q, noon) {
			out = append(out, fmt.Sprint(o.Instrument.Bank, " ", o.Status, " ", o.Reason, " ", o.Until, " ", o.Usable, "/", o.Supporting))
		}
		return strings.Join(out, "\n")
	}
	want := strings.Join([]string{
		"ABC AVAILABLE RAMP_SHARE 0 1/1", fmt.Sprint("CCB DOWN DISABLED ", noon+20, " 0/1"), "CMB AVAILABLE UNSPECIFIED 0 1/1", "ICBC AVAILABLE UNSPECIFIED 0 1/2",
	}, "\n")
	if got := list(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	want = strings.ReplaceAll("ABC x\nCCB x\nCMB x\n", "x", "UNSUPPORTED AMOUNT_TOO_LARGE 0 0/0") + "ICBC AVAILABLE UNSPECIFIED 0 1/1"
	if got := list(func(r *Request) { r.Amount = 50_001 }); got != want {
		t.Errorf("large amount: got\n%s\nwant\n%s", got, want)
	}
}
