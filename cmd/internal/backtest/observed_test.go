package backtest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-pay/sluice/cmd/internal/backtest"
	"github.com/sluice-pay/sluice/cmd/internal/record"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing/catalogfile"
	"github.com/sluice-pay/sluice/statemachine"
)

const shop = `
name: shop
entities: [{id: e-1}]
default_policy: {automation: OBSERVE}
channels:
  - {id: alipay, provider: a, business_types: [COLLECT], instruments: [{method: WALLET}], accounts: [{id: al, entity: e-1}], currencies: [CNY]}
  - {id: wechat, provider: w, business_types: [COLLECT], instruments: [{method: WALLET}], accounts: [{id: we, entity: e-1}], currencies: [CNY]}
  - {id: cards, provider: c, business_types: [COLLECT], instruments: [{method: WALLET}], accounts: [{id: ca, entity: e-1}], currencies: [CNY]}
routes:
  - {id: r, business_type: COLLECT, method: WALLET, members: [{channel: alipay, split: 50}, {channel: wechat, split: 30}, {channel: cards, split: 20}]}
`

// clockAt is a moment of the hand-made day, in seconds after eight.
func clockAt(second int) time.Time {
	return time.Date(2026, 3, 2, 8, 0, second, 0, time.UTC)
}

// diary writes a recording by hand: an hour of one payment a second on three channels.
type diary struct {
	t        *testing.T
	w        *record.Writer
	sequence uint64
	orders   map[int]func()
	failing  map[string][2]int // by channel, in seconds
}

func (d *diary) entry(second int, e monitor.JournalEntry) {
	d.sequence++
	e.Sequence, e.At = d.sequence, statemachine.At(clockAt(second))
	if err := d.w.Entry(&e); err != nil {
		d.t.Fatal(err)
	}
}

// observed opens an incident, or closes it.
func (d *diary) observed(second int, id, channel string, closed bool) {
	i := statemachine.Incident{
		ID: id, Kind: statemachine.Observed, Scope: statemachine.ChannelScope(channel), Opened: statemachine.At(clockAt(second)),
		Answer: statemachine.WithheldByLevel, Evidence: statemachine.Evidence{Scope: statemachine.ChannelScope(channel), Explanation: channel + ": 9 of 10 failed"},
	}
	if closed {
		i.Opened, i.Closed = statemachine.At(clockAt(d.failing[channel][0]+5)), statemachine.At(clockAt(second))
	}
	d.entry(second, monitor.JournalEntry{Cause: statemachine.Automation, Author: "automation/r-1", Reason: "seen", Incidents: []statemachine.Incident{i}})
}

// off closes a channel by hand, or opens it again.
func (d *diary) off(second int, channel, author, reason string, closed bool) {
	open, off := statemachine.NewState(statemachine.ChannelScope(channel)), statemachine.NewState(statemachine.ChannelScope(channel))
	off.Off = statemachine.Override{Author: author, Reason: reason, Since: statemachine.At(clockAt(second)), Until: statemachine.At(clockAt(second + 3600))}
	m := monitor.Move{Before: open, After: off, Cause: statemachine.Operator, Reason: reason}
	if !closed {
		m.Before, m.After = off, open
	}
	d.entry(second, monitor.JournalEntry{Cause: statemachine.Operator, Author: author, Reason: reason, Moves: []monitor.Move{m}})
}

func (d *diary) second(at int) {
	s := monitor.SecondCounts{Second: clockAt(at).Unix(), Revision: 1, Reporters: 1}
	for _, channel := range []string{"alipay", "cards", "wechat"} {
		item := monitor.ItemCounts{Item: statemachine.ChannelScope(channel)}
		t := &item.Evidence[statemachine.KindNormal]
		if f := d.failing[channel]; at >= f[0] && at < f[1] {
			t.Outcomes[statemachine.ChannelFailed], t.Bad, t.BadPayers, t.CodedBad = 1, 1, 1, 1
		} else {
			t.Outcomes[statemachine.Succeeded] = 1
		}
		for o, n := range t.Outcomes {
			item.Totals[o] = int32(n)
		}
		item.Sent[statemachine.KindNormal] = 1
		item.Ages[0] = 1 // answered at once
		s.Items = append(s.Items, item)
	}
	if err := d.w.Second(&s); err != nil {
		d.t.Fatal(err)
	}
}

// handmade writes the recording of a morning: alipay fails and people come four minutes after automation, wechat fails and
// people were first, cards fails and nobody comes, and alipay is closed once more for reasons of a contract.
func handmade(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "morning.sluicerec")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w, err := record.NewWriter(file, record.Header{Environment: "production", Replica: "r-1", Started: clockAt(0)})
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := catalogfile.Parse("shop.yaml", []byte(shop))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := proto.Marshal(catalog)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Begin(&monitor.View{Head: monitor.Head{Catalog: 1}, Catalog: raw}); err != nil {
		t.Fatal(err)
	}
	d := &diary{t: t, w: w, failing: map[string][2]int{"alipay": {300, 900}, "wechat": {1200, 1500}, "cards": {2000, 2100}}}
	d.orders = map[int]func(){
		305: func() { d.observed(305, "i-1", "alipay", false) }, 545: func() { d.off(545, "alipay", "ana", "the bank called", true) },
		905: func() { d.observed(905, "i-1", "alipay", true) }, 1085: func() { d.off(1085, "alipay", "ana", "well again", false) },
		1203: func() { d.off(1203, "wechat", "bo", "users complain", true) }, 1205: func() { d.observed(1205, "i-2", "wechat", false) },
		1505: func() { d.observed(1505, "i-2", "wechat", true) }, 1445: func() { d.off(1445, "wechat", "bo", "a try", false) },
		2005: func() { d.observed(2005, "i-3", "cards", false) }, 2105: func() { d.observed(2105, "i-3", "cards", true) },
		3000: func() { d.off(3000, "alipay", "ana", "contract", true) },
	}
	for at := range 3600 {
		if order := d.orders[at]; order != nil {
			order()
		}
		d.second(at)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestObserved(t *testing.T) {
	name := handmade(t)
	text, err := execute(t, backtest.NewCommand(), "--recording", name, "--observed")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "observed.txt", text)
	out, err := execute(t, backtest.NewCommand(), "--recording", name, "--observed", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var r backtest.ObservedReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Both) != 2 || len(r.OnlyAutomation) != 1 || len(r.OnlyPeople) != 1 {
		t.Fatalf("got %+v", r)
	}
	checkPairs(t, r.Both)
	if only := r.OnlyAutomation[0]; only.Scope != "cards" || only.Failed != 95 {
		t.Errorf("only automation: %+v", only)
	}
	if only := r.OnlyPeople[0]; only.Scope != "alipay" || only.Author != "ana" || only.Said != "contract" {
		t.Errorf("only people: %+v", only)
	}
}

func checkPairs(t *testing.T, both []backtest.Observed) {
	t.Helper()
	for i, want := range []struct {
		first  string
		lead   int64
		failed float64
		back   int64
	}{{"automation", 240, 240, 180}, {"people", 2, 2, -60}} {
		if got := both[i]; got.First != want.first || got.Lead != want.lead || got.Failed != want.failed || *got.Back != want.back {
			t.Errorf("%s: first %s by %d s, %v failed, back %d", got.Scope, got.First, got.Lead, got.Failed, *got.Back)
		}
	}
}

// What a policy would have done stands beside what people did.
func TestReplayBesidePeople(t *testing.T) {
	name := handmade(t)
	text, err := execute(t, backtest.NewCommand(), "--recording", name, "--policy", "windows="+write(t, "w.yaml", windows))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "people.txt", windowsOnly(text))
	for _, p := range replayed(t, "--recording", name).Policies {
		if p.Cuts != 3 || p.False != 0 {
			t.Errorf("%s: %d cuts, %d look false, want one for each of the three faults", p.Name, p.Cuts, p.False)
		}
	}
}

// windowsOnly leaves out what the catalogue's own policy does, whose figures follow the tuning of the sequential detector.
func windowsOnly(text string) string {
	var out []string
	for part := range strings.SplitSeq(text, "\n\n") {
		if strings.HasPrefix(part, "catalogue\n") {
			continue
		}
		var lines []string
		for line := range strings.SplitSeq(part, "\n") {
			if !strings.HasSuffix(line, "  catalogue") {
				lines = append(lines, line)
			}
		}
		out = append(out, strings.Join(lines, "\n"))
	}
	return strings.Join(out, "\n\n")
}
