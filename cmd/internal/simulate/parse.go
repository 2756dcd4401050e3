package simulate

import (
	"errors"
	"math"
	"time"

	"github.com/goccy/go-yaml/ast"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/routing/catalogfile"
	"github.com/sluice-pay/sluice/statemachine"
)

const (
	longest     = 400 * 24 * time.Hour
	maxReplicas = 64
	maxGateways = 64
)

// Parse reads a scenario; name is the file's name for messages. Every problem is reported at once, each with line and
// column. References into a catalogue that is named on the command line are checked when the run is prepared.
func Parse(name string, data []byte) (*Scenario, error) {
	file, problem := document(name, data)
	if problem != nil {
		return nil, ScenarioErrors{*problem}
	}
	d := &decoder{file: name}
	s := &Scenario{
		file: name, Seed: 1, Start: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC), Replicas: 1, Gateways: 1,
		Reroute: Reroute{MaxAttempts: 1},
	}
	root := value{d: d, node: file.Docs[0].Body, at: Position{Line: 1, Column: 1}}
	parseRoot(root, s)
	checkShape(root, s)
	if s.Catalog != nil {
		d.problems = append(d.problems, references(s, newContracts(s.Catalog))...)
	}
	if err := d.problems.sorted(); err != nil {
		return nil, err
	}
	return s, nil
}

func parseRoot(root value, s *Scenario) {
	root.object(fields{
		"name":     func(v value) { v.str(&s.Name) },
		"seed":     func(v value) { whole(v, &s.Seed, 0, math.MaxInt64) },
		"start":    func(v value) { v.moment(&s.Start) },
		"duration": func(v value) { v.duration(&s.Duration, time.Second, longest) },
		"replicas": func(v value) { whole(v, &s.Replicas, 1, maxReplicas) },
		"gateways": func(v value) { whole(v, &s.Gateways, 1, maxGateways) },
		"catalog":  func(v value) { s.Catalog = inline(v) },
		"traffic":  func(v value) { v.list(func(v value) { s.Traffic = append(s.Traffic, parseStream(v)) }) },
		"reroute": func(v value) {
			v.object(fields{"max_attempts": func(v value) { whole(v, &s.Reroute.MaxAttempts, 1, 64) }})
		},
		"reports": func(v value) {
			v.object(fields{
				"delay":     func(v value) { parseSpread(v, &s.Reports.Delay) },
				"duplicate": func(v value) { v.number(&s.Reports.Duplicate, 0, 1) },
				"lost":      func(v value) { v.number(&s.Reports.Lost, 0, 1) },
				"silent":    func(v value) { v.list(func(v value) { s.Reports.Silent = append(s.Reports.Silent, parseSilence(v)) }) },
			})
		},
		"truth": func(v value) {
			v.list(func(v value) {
				t := parseTruth(v)
				t.index = len(s.Truth)
				s.Truth = append(s.Truth, t)
			})
		},
		"operators": func(v value) { v.list(func(v value) { s.Operators = append(s.Operators, parseOrder(v)) }) },
		"faults":    func(v value) { v.list(func(v value) { s.Faults = append(s.Faults, parseFault(v)) }) },
	})
}

// inline decodes the catalogue that stands in the scenario, with the lines and columns of the file.
func inline(v value) *configv1.Catalog {
	c := &configv1.Catalog{}
	err := catalogfile.DecodeNode(v.d.file, v.node, c)
	if err == nil {
		return c
	}
	found, ok := errors.AsType[catalogfile.Errors](err)
	if !ok {
		v.fail("%v", err)
		return nil
	}
	for _, e := range found {
		v.d.problems = append(v.d.problems, ScenarioError{
			File: v.d.file, At: Position{Line: e.Line, Column: e.Col}, Path: "catalog." + e.Path, Message: e.Message,
		})
	}
	return nil
}

func parseStream(v value) Stream {
	st := Stream{Payers: 1000, at: v.at, Tier: ""}
	before := len(v.d.problems)
	bank, card := "", ""
	v.object(fields{
		"business_type":     func(v value) { parseBusiness(v, &st.Business) },
		"method":            func(v value) { v.name(&st.Instrument.Method) },
		"bank":              func(v value) { v.name(&bank) },
		"card_type":         func(v value) { v.card(&card) },
		"merchant":          func(v value) { v.name(&st.Merchant) },
		"settlement_entity": func(v value) { v.name(&st.Entity) },
		"amount":            func(v value) { whole(v, &st.Amount, 1, math.MaxInt64) },
		"currency":          func(v value) { v.str(&st.Currency) },
		"user_tier":         func(v value) { v.name(&st.Tier) },
		"payers":            func(v value) { whole(v, &st.Payers, 1, 1_000_000_000) },
		"rate":              func(v value) { v.number(&st.Rate, 0, 100_000) },
		"abandon":           func(v value) { v.number(&st.Abandon, 0, 1) },
		"shape":             func(v value) { st.Shape = parseShapes(v) },
	})
	st.Instrument.Bank, st.Instrument.CardType = orNone(bank), orNone(card)
	missing := []struct {
		key   string
		empty bool
	}{
		{"business_type", st.Business == statemachine.BusinessUnspecified},
		{"method", st.Instrument.Method == ""},
		{"merchant", st.Merchant == ""},
		{"settlement_entity", st.Entity == ""},
		{"amount", st.Amount == 0},
		{"currency", st.Currency == ""},
		{"rate", st.Rate == 0},
	}
	for _, m := range missing {
		if m.empty {
			v.fail("%s is missing or invalid", m.key)
		}
	}
	if st.Business.FollowsOriginal() {
		v.unsupported("traffic of business type " + st.Business.String() + ", which follows an original payment,")
	}
	st.broken = len(v.d.problems) > before
	return st
}

func parseSilence(v value) Silence {
	q := Silence{To: forEver, at: v.at}
	v.object(fields{
		"from":    func(v value) { v.duration(&q.From, 0, longest) },
		"to":      func(v value) { v.duration(&q.To, 0, longest) },
		"gateway": func(v value) { v.index(&q.Gateway, maxGateways) },
		"kept":    func(v value) { v.flag(&q.Kept) },
	})
	if q.To <= q.From {
		v.fail("to must be after from")
	}
	return q
}

func orNone(s string) string {
	if s == "" {
		return statemachine.NoBank
	}
	return s
}

// name reads a name as the catalogue has them.
func (v value) name(into *string) {
	s, ok := v.text()
	if !ok {
		return
	}
	if !statemachine.ValidName(s) {
		v.fail("%q: want 1 to 64 of letters, digits, '.', '_' or '-'", s)
		return
	}
	*into = s
}

func (v value) card(into *string) {
	s, ok := v.text()
	if !ok {
		return
	}
	switch s {
	case "DEBIT", "CREDIT", "PREPAID":
		*into = s
	default:
		v.fail("%q: want DEBIT, CREDIT or PREPAID", s)
	}
}

func parseBusiness(v value, into *statemachine.BusinessType) {
	s, ok := v.text()
	if !ok {
		return
	}
	b, err := statemachine.ParseBusinessType(s)
	if err != nil {
		v.fail("%v", err)
		return
	}
	*into = b
}

// parseSpread reads a constant or {p50, p99}.
func parseSpread(v value, into *Spread) {
	switch v.node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		v.object(fields{
			"p50": func(v value) { v.duration(&into.P50, 0, time.Hour) },
			"p99": func(v value) { v.duration(&into.P99, 0, time.Hour) },
		})
		if into.P50 <= 0 || into.P99 < into.P50 {
			v.fail("want p50 above zero and p99 not below it")
		}
	default:
		v.duration(&into.P50, 0, time.Hour)
		into.P99 = into.P50
	}
	*into = NewSpread(into.P50, into.P99)
}
