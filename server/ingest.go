package server

import (
	"github.com/cespare/xxhash/v2"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/api/sluice/v1/routepb"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// Ingest takes reports in: it checks them, gives them their meaning and their place, and counts them. Every delivery is booked,
// refused ones too. It has no clock and is safe for concurrent use.
type Ingest struct {
	router   Router
	counters *monitor.Counters
	settler  Settler         // nil = nothing is held until results come
	memory   *routing.Memory // nil = nothing is remembered
}

// Settler is told of each attempt's definite result, once: what the attempt held of limits is free again. *routing.Router is
// one.
type Settler interface{ Settle(*routing.Settled) }

// NewIngest returns an ingest that resolves reports against the router's table. A router that is a Settler is told of results.
func NewIngest(r Router, c *monitor.Counters) *Ingest {
	settler, _ := r.(Settler)
	return &Ingest{router: r, counters: c, settler: settler}
}

// settle tells the router of a result that was counted as the first definite one of its attempt.
func (in *Ingest) settle(t *routing.Table, m *sluicev1.Report, r *monitor.Report, second int64) {
	if in.settler == nil || !r.Settles || r.Age < 0 || !t.Plan().Held() {
		return
	}
	in.settler.Settle(&routing.Settled{
		Channel: m.GetChannel(), Account: m.GetAccount(), Business: businessOf(m.GetBusinessType()), Amount: m.GetAmount(),
		Currency: m.GetCurrency(), Decided: second - int64(r.Age), Second: second, Succeeded: r.Outcome == statemachine.Succeeded,
	})
}

// Remember lets a memory learn of what is counted from now on; call it before the first report.
func (in *Ingest) Remember(m *routing.Memory) *Ingest {
	in.memory = m
	return in
}

// ReporterID is the fingerprint of a reporter's name; 0 for none.
func ReporterID(name string) uint64 {
	if name == "" {
		return 0
	}
	return xxhash.Sum64String(name)
}

// Report counts one report received in a second (Unix). A report that is refused is booked as rejected, and the error says
// which field is wrong and what would be right.
func (in *Ingest) Report(m *sluicev1.Report, reporter uint64, second int64) (monitor.Disposition, error) {
	var r monitor.Report
	var result [1]routing.Result
	table := in.router.Table()
	if err := resolve(table, m, reporter, second, &r, &result[0]); err != nil {
		in.counters.Reject()
		return monitor.RejectedIn, err
	}
	d := in.counters.Count(&r, second)
	in.settle(table, m, &r, second)
	result[0].Known = d == monitor.Duplicate
	in.memory.Learn(result[:], second)
	return d, nil
}

// Counts is the number of reports by what became of them.
type Counts [monitor.Late + 1]uint32

// Batch is the memory of Reports, to be used again.
type Batch struct {
	reports      []monitor.Report
	dispositions []monitor.Disposition
	results      []routing.Result
	messages     []*sluicev1.Report // of reports
}

// Reports counts a batch received in a second under one lock. Each report that is refused is booked as rejected and handed to
// refuse with its index; the others count.
func (in *Ingest) Reports(ms []*sluicev1.Report, reporter uint64, second int64, b *Batch, refuse func(index int, err error)) Counts {
	table := in.router.Table()
	var counts Counts
	b.reports, b.results, b.messages = b.reports[:0], b.results[:0], b.messages[:0]
	for i, m := range ms {
		n := len(b.reports)
		b.reports, b.results = append(b.reports, monitor.Report{}), append(b.results, routing.Result{})
		if err := resolve(table, m, reporter, second, &b.reports[n], &b.results[n]); err != nil {
			b.reports, b.results = b.reports[:n], b.results[:n]
			in.counters.Reject()
			counts[monitor.RejectedIn]++
			refuse(i, err)
			continue
		}
		b.messages = append(b.messages, m)
	}
	for len(b.dispositions) < len(b.reports) {
		b.dispositions = append(b.dispositions, 0)
	}
	in.counters.CountAll(b.reports, second, b.dispositions[:len(b.reports)])
	for i, d := range b.dispositions[:len(b.reports)] {
		counts[d]++
		b.results[i].Known = d == monitor.Duplicate
		in.settle(table, b.messages[i], &b.reports[i], second)
	}
	in.memory.Learn(b.results, second)
	clear(b.results) // their strings are the message's
	clear(b.messages)
	return counts
}

// resolve fills r and result from a report, or says what is wrong with it. It allocates nothing for a good one.
func resolve(t *routing.Table, m *sluicev1.Report, reporter uint64, second int64, r *monitor.Report, result *routing.Result) error {
	if err := checkReport(m); err != nil {
		return reportFault(err, m)
	}
	if field := cardInReport(m); field != "" {
		return cardRefused(field)
	}
	if t == nil {
		return noTable()
	}
	meaning, err := t.Plan().Interpret(m.GetChannel(), outcomeOf(m.GetOutcome()), m.GetRawCode())
	if err != nil {
		return err
	}
	if meaning.Outcome == statemachine.NetworkFailed && m.GetRequestWritten() {
		return requestWritten("raw_code")
	}
	decided, age := decisionOf(m, t.Revision().Epoch, second)
	at, err := t.Attribute(m.GetChannel(), m.GetAccount(), businessOf(m.GetBusinessType()),
		routepb.ToInstrument(m.GetMethod(), m.GetBank(), m.GetCardType()), decided)
	if err != nil {
		return err
	}
	reason := m.GetReason()
	if reason == "" {
		reason = m.GetRawCode()
	}
	*r = monitor.Report{
		Attempt: xxhash.Sum64String(m.GetAttemptId()), Items: at.Items, Kinds: at.Kinds,
		Outcome: meaning.Outcome, Coded: meaning.Coded, Final: m.GetFinality() == sluicev1.Finality_FINALITY_FINAL,
		Reason: reason, LatencyMillis: m.GetLatencyMs(), Age: age, Payer: m.GetPayerKey(),
		Payment: xxhash.Sum64String(m.GetPaymentId()), Reporter: reporter, Revision: t.Revision().Revision,
		Quotas: t.Plan().QuotaUnits(m.GetChannel(), m.GetAccount(), businessOf(m.GetBusinessType()), m.GetAmount(), m.GetCurrency()),
	}
	for i := range r.Evidence {
		r.Evidence[i] = at.Evidence
	}
	*result = routing.Result{
		Entity: at.Entity, Payment: m.GetPaymentId(), Business: businessOf(m.GetBusinessType()), Channel: m.GetChannel(), Account: m.GetAccount(),
		Attempt: m.GetAttemptId(), Outcome: outcomeOf(m.GetOutcome()), Code: m.GetRawCode(), Money: meaning.Money, Final: r.Final,
	}
	if result.Code != "" {
		result.Money = t.Plan().Judge(result.Business, result.Channel, result.Outcome, result.Code).Money
	}
	return nil
}

// decisionOf returns the table revision that a report's attempt was decided under and the decision's age in seconds; 0 and
// NoAge without a decision, or for one of another epoch, whose revisions mean nothing here.
func decisionOf(m *sluicev1.Report, epoch uint64, second int64) (revision int64, age int32) {
	var id routing.DecisionID
	var err error
	if m.GetDecisionId() != "" {
		id, err = routing.ParseDecisionID(m.GetDecisionId())
	} else {
		id, _, err = routing.ParseAttemptID(m.GetAttemptId())
	}
	if err != nil || id.Epoch != epoch {
		return 0, monitor.NoAge
	}
	return id.Revision, int32(min(max(second-id.Second, 0), 1<<30))
}

// reportFault adds the reason of its own that a written NETWORK_FAILED has.
func reportFault(err *routing.FieldError, m *sluicev1.Report) error {
	if err.Want == wantNothingWritten && m.GetRequestWritten() {
		return requestWritten(err.Field)
	}
	return err
}
