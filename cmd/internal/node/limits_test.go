package node

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// given is an attempt that was given out.
type given struct {
	attempt, payment, channel, account string
}

// askFor routes one payment and returns the attempt.
func askFor(t *testing.T, n *Node, payment string, second int64) given {
	t.Helper()
	q := routing.Request{
		PaymentID: payment, Merchant: "m-1", Entity: "e-1", Business: statemachine.Collect, Amount: 100, Currency: "CNY",
		Instrument: statemachine.Instrument{Method: "QUICKPAY", Bank: "ICBC", CardType: "DEBIT"},
	}
	var d routing.Decision
	if err := n.Router().Route(&q, second, &d); err != nil {
		t.Fatalf("route: %v", err)
	}
	return given{string(d.AppendAttemptID(nil, 0)), payment, d.Candidates[0].Channel, d.Candidates[0].Account}
}

// tell reports an attempt's outcome to a replica.
func tell(t *testing.T, n *Node, g given, outcome configv1.Outcome, second int64) {
	t.Helper()
	if _, err := n.Ingest().Report(&sluicev1.Report{
		AttemptId: g.attempt, PaymentId: g.payment, Channel: g.channel, Account: g.account, Method: "QUICKPAY", Bank: "ICBC",
		CardType: configv1.CardType_CARD_TYPE_DEBIT, BusinessType: configv1.BusinessType_BUSINESS_TYPE_COLLECT, Outcome: outcome,
		Amount: 100, Currency: "CNY",
	}, 1, second); err != nil {
		t.Fatalf("report: %v", err)
	}
}

// shopWith adds lines to the first channel of the shop, and others to the catalogue.
func shopWith(channel, catalogue string) string {
	return strings.Replace(shop, "    code_table: plain\n  - {<<: *cards, id: second}", "    code_table: plain\n"+channel+"  - {<<: *cards, id: second, capacity: {}, windows: {}}", 1) + catalogue
}

// A full channel is skipped until results, whichever they are, free its slots; those that never come free them as well.
func TestLoneReplicaFreesSlots(t *testing.T) {
	b := newBench(t)
	b.start(catalogOf(t, shopWith("    capacity: {concurrent: 5, slot_time: 10s}\n", "")))
	b.seconds(3)
	var under []given
	for i := range 7 {
		g := askFor(t, b.node, fmt.Sprint("p-", i), b.now.Unix())
		if want := i < 5; (g.channel == "first") != want {
			t.Fatalf("payment %d went to %s", i, g.channel)
		}
		under = append(under, g)
	}
	b.seconds(2)
	for i, o := range []configv1.Outcome{configv1.Outcome_OUTCOME_SUCCEEDED, configv1.Outcome_OUTCOME_CHANNEL_FAILED, configv1.Outcome_OUTCOME_PENDING} {
		tell(t, b.node, under[i], o, b.now.Unix())
	}
	tell(t, b.node, under[0], configv1.Outcome_OUTCOME_SUCCEEDED, b.now.Unix()) // a repeated report frees nothing more
	for i, want := range []string{"first", "first", "second"} {
		if g := askFor(t, b.node, fmt.Sprint("q-", i), b.now.Unix()); g.channel != want {
			t.Errorf("after two definite results payment %d went to %s, want %s", i, g.channel, want)
		}
	}
	b.seconds(8)
	if g := askFor(t, b.node, "r-1", b.now.Unix()); g.channel != "second" {
		t.Error("slots are free before their time")
	}
	b.seconds(12)
	for i := range 6 {
		if g := askFor(t, b.node, fmt.Sprint("s-", i), b.now.Unix()); (g.channel == "first") != (i < 5) {
			t.Errorf("after the slot time payment %d went to %s", i, g.channel)
		}
	}
}

// Three replicas never have more under way than the limit, results free slots wherever they arrive, and all of the limit is used.
func TestReplicasShareLimits(t *testing.T) {
	c := newTrio(t, shopWith("    capacity: {concurrent: 30, payments_per_second: 25, slot_time: 20s}\n", ""))
	c.seconds(8, 0, "00")
	under, most, sum := []given{}, 0, 0
	for s := range 60 {
		sent := 0
		for i := range 60 {
			if i%3 == 0 && len(under) > 20 {
				tell(t, c.nodes[(i/3+s)%3], under[0], configv1.Outcome_OUTCOME_SUCCEEDED, c.now.Unix())
				under = under[1:]
			}
			g := askFor(t, c.nodes[i%3], fmt.Sprintf("p-%d-%d", s, i), c.now.Unix())
			if g.channel == "first" {
				under = append(under, g)
				sent++
			} else {
				tell(t, c.nodes[i%3], g, configv1.Outcome_OUTCOME_SUCCEEDED, c.now.Unix())
			}
			if len(under) > 30 {
				t.Fatalf("second %d: %d under way, limit 30", s, len(under))
			}
			if sent > 25 {
				t.Fatalf("second %d: %d sent, limit 25", s, sent)
			}
		}
		if s >= 20 {
			sum += sent
			most = max(most, len(under))
		}
		c.seconds(1, 0, "00")
	}
	if most < 28 || sum < 40*17 {
		t.Errorf("at most %d of 30 under way, %d sent in 40 s: the limit is not used", most, sum)
	}
	c.agree(50)
}

// What is used of a quota is known after a restart, and forgotten at local midnight.
func TestQuotaSurvivesARestart(t *testing.T) {
	b, k := newKeptBench(t)
	text := shopWith("", "quotas: [{id: daily, members: [{channel: first}], period: DAY, time_zone: Asia/Shanghai, count: 10}]\n")
	b.now = time.Date(2026, 3, 2, 15, 50, 0, 0, time.UTC) // ten minutes to midnight
	b.node = New(Config{Replica: "r1", Boot: 1, Ledger: k, Exchange: b.exchange, Logger: b.node.cfg.Logger, Budget: -1})
	b.start(catalogOf(t, text))
	b.seconds(3)
	for i := range 10 {
		g := askFor(t, b.node, fmt.Sprint("p-", i), b.now.Unix())
		if g.channel != "first" {
			t.Fatalf("payment %d went to %s", i, g.channel)
		}
		outcome := configv1.Outcome_OUTCOME_SUCCEEDED
		if i >= 8 {
			outcome = configv1.Outcome_OUTCOME_CHANNEL_FAILED // uses nothing
		}
		tell(t, b.node, g, outcome, b.now.Unix())
	}
	b.seconds(2)
	for i, want := range []string{"first", "first", "second"} { // the two that failed gave theirs back
		g := askFor(t, b.node, fmt.Sprint("q-", i), b.now.Unix())
		if g.channel != want {
			t.Errorf("payment %d went to %s, want %s", i, g.channel, want)
		}
		tell(t, b.node, g, configv1.Outcome_OUTCOME_SUCCEEDED, b.now.Unix())
	}
	b.seconds(2)
	if err := b.node.Close(t.Context(), b.now); err != nil {
		t.Fatal(err)
	}
	b.now = b.now.Add(30 * time.Second)
	b.exchange.Exchange = monitor.NewMemoryExchange() // embedded, the exchange is gone with the process
	var log bytes.Buffer
	b.restart(k, &log)
	b.seconds(3)
	if q := b.node.Quotas(); len(q) != 1 || q[0].Used != 10 || q[0].To != time.Date(2026, 3, 2, 16, 0, 0, 0, time.UTC).Unix() {
		t.Errorf("after the restart %+v, want 10 used until midnight in Shanghai", q)
	}
	if g := askFor(t, b.node, "r-1", b.now.Unix()); g.channel != "second" {
		t.Error("a quota that was used up is not after a restart")
	}
	b.seconds(600)
	if g := askFor(t, b.node, "r-2", b.now.Unix()); g.channel != "first" || b.node.Quotas()[0].Used != 0 {
		t.Errorf("after midnight: %s, %+v", g.channel, b.node.Quotas())
	}
}

// While a channel is closed by its calendar its results teach nothing, and after a maintenance it comes back through probes.
func TestMaintenanceEndsWithProbes(t *testing.T) {
	b := newBench(t)
	from := b.now.Add(60 * time.Second)
	to := from.Add(60 * time.Second)
	b.start(catalogOf(t, shopWith(fmt.Sprintf("    windows: {maintenance: [{from: %s, to: %s}]}\n", from.Format(time.RFC3339), to.Format(time.RFC3339)), "")))
	pay := func(seconds int) {
		for range seconds {
			for range 4 {
				b.pay("ICBC", "00")
			}
			b.seconds(1)
		}
	}
	pay(55)
	var late []given
	for i := range 40 {
		late = append(late, askFor(t, b.node, fmt.Sprint("late-", i), b.now.Unix()))
	}
	pay(8)
	for _, g := range late { // they fail since it is closed: no wonder
		tell(t, b.node, g, configv1.Outcome_OUTCOME_CHANNEL_FAILED, b.now.Unix())
	}
	pay(10)
	if n := len(b.node.Sight().View.States); n != 0 {
		t.Fatalf("failures of a closed channel moved %+v", b.node.Sight().View.States)
	}
	if got := b.pay("ICBC", "00"); got != "second" {
		t.Errorf("in the maintenance a payment went to %s", got)
	}
	pay(44)
	if st := b.state("first"); st.Phase != statemachine.Probing {
		t.Fatalf("shortly before the end the channel is %s, want PROBING", st.Phase)
	}
	pay(400)
	if st := b.state("first"); st.Phase != statemachine.Healthy || st.Generation < 3 {
		t.Errorf("after the maintenance the channel is %s in generation %d, want HEALTHY after probes and ramp", st.Phase, st.Generation)
	}
	var causes strings.Builder
	for _, e := range b.entries {
		for _, m := range e.Moves {
			causes.WriteString(m.Reason + "\n")
		}
	}
	if told := causes.String(); !strings.Contains(told, "announced maintenance ends") || !strings.Contains(told, "probes passed") {
		t.Errorf("the journal tells\n%s", told)
	}
}

// A channel without which a lane would have nothing opens at once when its maintenance ends.
func TestLastChannelIsNotProbedAfterMaintenance(t *testing.T) {
	b := newBench(t)
	text := strings.Replace(shopWith(fmt.Sprintf("    windows: {maintenance: [{from: %s, to: %s}]}\n",
		b.now.Add(20*time.Second).Format(time.RFC3339), b.now.Add(40*time.Second).Format(time.RFC3339)), ""), ", {channel: second, priority: 1}", "", 1)
	b.start(catalogOf(t, text))
	b.seconds(45)
	if st := b.state("first"); st.Phase != statemachine.Healthy {
		t.Errorf("the only channel is %s", st.Phase)
	}
	if g := askFor(t, b.node, "p", b.now.Unix()); g.channel != "first" {
		t.Errorf("went to %s", g.channel)
	}
}

// THROTTLED results lower what an account is sent and cut nothing, however many they are.
func TestThrottledIsNoFailure(t *testing.T) {
	b := newBench(t)
	b.start(catalogOf(t, shop))
	b.seconds(5)
	sent := make([]int, 60)
	for s := range sent {
		for i := range 20 {
			g := askFor(t, b.node, fmt.Sprintf("p-%d-%d", s, i), b.now.Unix())
			outcome := configv1.Outcome_OUTCOME_SUCCEEDED
			if g.channel == "first" {
				if sent[s]++; sent[s] > 5 {
					outcome = configv1.Outcome_OUTCOME_THROTTLED
				}
			}
			tell(t, b.node, g, outcome, b.now.Unix())
		}
		b.seconds(1)
	}
	if len(b.node.Sight().View.States) != 0 {
		t.Errorf("throttled results moved %+v", b.node.Sight().View.States)
	}
	for s, n := range sent[30:] {
		if n < 3 || n > 9 {
			t.Errorf("second %d: %d sent to a channel that takes 5", s+30, n)
		}
	}
}
