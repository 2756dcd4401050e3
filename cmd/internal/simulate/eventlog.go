package simulate

import (
	"bufio"
	"encoding/json"
	"io"
	"time"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// eventLog writes one JSON object a line and keeps the first error; without a writer it does nothing.
type eventLog struct {
	out   *bufio.Writer
	enc   *json.Encoder
	start time.Time
	err   error
}

func newLog(w io.Writer, start time.Time) *eventLog {
	if w == nil {
		return &eventLog{start: start}
	}
	out := bufio.NewWriterSize(w, 1<<16)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	return &eventLog{out: out, enc: enc, start: start}
}

// on reports whether anybody reads the log.
func (l *eventLog) on() bool { return l.enc != nil }

func (l *eventLog) write(line any) {
	if l.err == nil && l.on() {
		l.err = l.enc.Encode(line)
	}
}

func (l *eventLog) close() error {
	if l.err != nil || !l.on() {
		return l.err
	}
	return l.out.Flush()
}

// scopeJSON is a scope by its dimensions.
type scopeJSON struct {
	Channel  string `json:"channel,omitempty"`
	Business string `json:"business_type,omitempty"`
	Method   string `json:"method,omitempty"`
	Bank     string `json:"bank,omitempty"`
	CardType string `json:"card_type,omitempty"`
	Account  string `json:"account,omitempty"`
	Domain   string `json:"failure_domain,omitempty"`
}

func newScope(s statemachine.Scope) scopeJSON {
	out := scopeJSON{Channel: s.Channel}
	switch s.Kind {
	case statemachine.ScopeDomain:
		out.Domain = s.Of
	case statemachine.ScopeBusiness:
		out.Business = s.Of
	case statemachine.ScopeMethod:
		out.Method = s.Of
	case statemachine.ScopeAccount:
		out.Account = s.Of
	case statemachine.ScopeInstrument:
		if i, err := statemachine.ParseInstrument(s.Of); err == nil {
			out.Method, out.Bank, out.CardType = i.Method, i.Bank, i.CardType
		}
	case statemachine.ScopeChannel, statemachine.ScopeUnspecified:
	}
	return out
}

type transitionJSON struct {
	Event    string        `json:"event"`
	T        float64       `json:"t"`
	Scope    scopeJSON     `json:"scope"`
	From     string        `json:"from"`
	To       string        `json:"to"`
	Share    float64       `json:"share"`
	Cause    string        `json:"cause"`
	Incident string        `json:"incident"`
	Kind     string        `json:"kind"`
	Reason   string        `json:"reason"`
	Evidence *evidenceJSON `json:"evidence"`
}

// transition writes one state before and after: what routers obey, orders included.
func (l *eventLog) transition(at time.Duration, e *monitor.JournalEntry, m *monitor.Move) {
	if !l.on() {
		return
	}
	from, _ := m.Before.Effective()
	to, share := m.After.Effective()
	line := transitionJSON{
		Event: "transition", T: at.Seconds(), Scope: newScope(m.After.Scope), From: from.String(), To: to.String(),
		Share: share.Fraction(), Cause: causeOf(e, m).String(), Reason: m.Reason,
	}
	if line.Reason == "" {
		line.Reason = e.Reason
	}
	of := &m.After
	if of.Incident == "" {
		of = &m.Before
	}
	if of.Incident != "" {
		line.Incident, line.Kind = of.Incident, of.Kind.String()
	}
	if m.Evidence != nil {
		line.Evidence = newEvidence(m.Evidence)
	}
	for i := range e.Incidents {
		if e.Incidents[i].ID == of.Incident {
			line.Kind = e.Incidents[i].Kind.String()
			line.Evidence = newEvidence(&e.Incidents[i].Evidence)
		}
	}
	l.write(line)
}

type alertJSON struct {
	Event    string     `json:"event"`
	T        float64    `json:"t"`
	Kind     string     `json:"kind"`
	Severity string     `json:"severity"`
	Scope    *scopeJSON `json:"scope,omitempty"`
	Message  string     `json:"message"`
}

func (l *eventLog) alert(at time.Duration, a *statemachine.Alert) {
	if !l.on() {
		return
	}
	line := alertJSON{Event: "alert", T: at.Seconds(), Kind: a.Kind, Severity: a.Severity.String(), Message: a.Message}
	if a.Scope != (statemachine.Scope{}) {
		s := newScope(a.Scope)
		line.Scope = &s
	}
	l.write(line)
}

type paymentJSON struct {
	Event    string        `json:"event"`
	T        float64       `json:"t"`
	Payment  string        `json:"payment"`
	Decision string        `json:"decision"`
	Attempts []attemptJSON `json:"attempts"`
}

type attemptJSON struct {
	Channel string `json:"channel"`
	Outcome string `json:"outcome"`
	Kind    string `json:"kind"`
}

func (l *eventLog) payment(at time.Duration, p *payment) {
	line := paymentJSON{Event: "payment", T: at.Seconds(), Payment: p.id, Decision: p.decision, Attempts: make([]attemptJSON, len(p.tried))}
	for i, t := range p.tried {
		line.Attempts[i] = attemptJSON{Channel: t.channel, Outcome: t.outcome.String(), Kind: t.kind.String()}
	}
	l.write(line)
}

type minuteJSON struct {
	Event    string            `json:"event"`
	T        float64           `json:"t"`
	Channel  string            `json:"channel"`
	Bank     string            `json:"bank"`
	CardType string            `json:"card_type"`
	Attempts uint64            `json:"attempts"`
	Outcomes map[string]uint64 `json:"outcomes"` // encoding/json sorts the keys
}
