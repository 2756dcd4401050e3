package clienttest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-pay/sluice/api/client"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/api/sluice/v1/routepb"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// update writes the test vectors anew: go test ./api/clienttest -run Vectors -update.
var update = flag.Bool("update", false, "write the test vectors of api/testdata/vectors")

const vectorsDir = "../testdata/vectors"

// vectors is a file of test vectors; api/SNAPSHOT.md describes its fields.
type vectors struct {
	Comment     string          `json:"comment"`
	Environment string          `json:"environment"`
	Sealed      string          `json:"sealed"`
	Snapshot    json.RawMessage `json:"snapshot"`
	Cases       []vectorCase    `json:"cases"`
}

type vectorCase struct {
	Comment   string          `json:"comment"`
	Request   json.RawMessage `json:"request"`
	Second    int64           `json:"second"`
	Admission *vectorMask     `json:"admission,omitempty"`
	Want      *vectorDecision `json:"want"`
}

// vectorMask is an admission; absent = that of one without live counters.
type vectorMask struct {
	Vetoed          string    `json:"vetoed"`
	Reasons         [3]string `json:"reasons,omitzero"`
	Lifted          int       `json:"lifted"`
	MerchantLimited bool      `json:"merchant_limited,omitempty"`
}

type vectorDecision struct {
	DecisionID   string          `json:"decision_id"`
	RequestHash  string          `json:"request_hash"`
	Route        string          `json:"route"`
	ValidUntilMs int64           `json:"valid_until_ms"`
	Refusal      string          `json:"refusal,omitempty"`
	DeferUntil   int64           `json:"defer_until,omitempty"`
	Decisive     *vectorAttempt  `json:"decisive_attempt,omitempty"`
	Channels     []vectorChannel `json:"channels,omitempty"`
	Dropped      []vectorChannel `json:"dropped,omitempty"`
	Bytes        string          `json:"decision_bytes"`
}

type vectorAttempt struct {
	Index   int    `json:"index"`
	Outcome string `json:"outcome"`
	Money   string `json:"money"`
	Advice  string `json:"advice,omitempty"`
}

type vectorChannel struct {
	Channel   string `json:"channel"`
	Account   string `json:"account"`
	AttemptID string `json:"attempt_id,omitempty"`
	Index     int    `json:"index"`
	Kind      string `json:"kind"`
	Why       string `json:"why"`
	Drop      string `json:"drop,omitempty"`
	Criterion int    `json:"criterion,omitempty"`
	Priority  int    `json:"priority"`
	Hash      string `json:"hash"`
}

// decide decides a case from a table.
func (c *vectorCase) decide(tb testing.TB, t *routing.Table) *vectorDecision {
	tb.Helper()
	m := &sluicev1.RouteRequest{}
	if err := protojson.Unmarshal(c.Request, m); err != nil {
		tb.Fatalf("%s: %v", c.Comment, err)
	}
	q := requestOf(m)
	if err := q.Validate(); err != nil {
		tb.Fatalf("%s: %v", c.Comment, err)
	}
	var d routing.Decision
	if c.Admission == nil {
		var rk routing.Ranking
		routing.Rank(t, q, c.Second, &rk)
		_ = routing.Finish(&rk, routing.NoAdmission(&rk), &d)
	} else {
		_ = routing.Decide(t, q, c.Second, c.Admission.admission(tb), &d)
	}
	return told(&d)
}

func (v *vectorMask) admission(tb testing.TB) routing.Admission {
	tb.Helper()
	bits := func(text string) uint64 {
		if text == "" {
			return 0
		}
		n, err := strconv.ParseUint(text, 0, 64)
		if err != nil {
			tb.Fatal(err)
		}
		return n
	}
	a := routing.Admission{Vetoed: bits(v.Vetoed), Lifted: int8(v.Lifted), MerchantLimited: v.MerchantLimited}
	for i, r := range v.Reasons {
		a.Reasons[i] = bits(r)
	}
	return a
}

// requestOf is a request of the API as package routing has it.
func requestOf(m *sluicev1.RouteRequest) *routing.Request {
	p := m.GetPayment()
	q := &routing.Request{
		PaymentID: p.GetPaymentId(), Merchant: p.GetMerchant(), Entity: p.GetSettlementEntity(),
		Business: statemachine.BusinessType(p.GetBusinessType()), Instrument: routepb.ToInstrument(p.GetMethod(), p.GetBank(), p.GetCardType()),
		Amount: p.GetAmount(), Currency: p.GetCurrency(), UserTier: p.GetUserTier(), Enrolled: p.GetEnrolledChannels(), PayerKey: p.GetPayerKey(),
		Exclude: m.GetExclude(), MaxChannels: int(m.GetMaxChannels()),
		Original: routing.Original{
			Channel: p.GetOriginal().GetChannel(), Account: p.GetOriginal().GetAccount(), Attempt: p.GetOriginal().GetAttemptId(),
		},
	}
	if p.GetDeadline() != nil {
		q.Deadline = max(1, p.GetDeadline().AsTime().UnixMilli())
	}
	for _, a := range m.GetAttempts() {
		q.Attempts = append(q.Attempts, routing.Attempt{
			Channel: a.GetChannel(), Account: a.GetAccount(), Attempt: a.GetAttemptId(), Outcome: statemachine.Outcome(a.GetOutcome()), Code: a.GetRawCode(),
		})
	}
	return q
}

func told(d *routing.Decision) *vectorDecision {
	out := &vectorDecision{
		DecisionID: d.ID.String(), RequestHash: hash(d.ID.Hash), Route: d.Route, ValidUntilMs: d.ValidUntil,
		Bytes: hex.EncodeToString(d.AppendBytes(nil)),
	}
	if r, ok := errors.AsType[*routing.Refusal](d.Err()); ok {
		out.Refusal, out.DeferUntil = r.Reason.String(), r.DeferUntil
	}
	if p, ok := errors.AsType[*routing.PreviousAttemptError](d.Err()); ok {
		money := ""
		switch {
		case errors.Is(p, routing.ErrAlreadyPaid):
			out.Refusal, money = "ALREADY_PAID", "PAID"
		case errors.Is(p, routing.ErrFinalPreviousAttempt):
			out.Refusal, money = "FINAL_PREVIOUS_ATTEMPT", "FINAL"
		case errors.Is(p, routing.ErrAmbiguousPreviousAttempt):
			out.Refusal, money = "AMBIGUOUS_PREVIOUS_ATTEMPT", "IN_DOUBT"
		}
		out.Decisive = &vectorAttempt{p.Index, p.Meaning.Outcome.String(), money, p.Meaning.Advice}
	}
	for i := range d.Candidates {
		c := channelOf(&d.Candidates[i])
		c.AttemptID = string(d.AppendAttemptID(nil, i))
		out.Channels = append(out.Channels, c)
	}
	for i := range d.Dropped {
		out.Dropped = append(out.Dropped, channelOf(&d.Dropped[i]))
	}
	return out
}

func channelOf(c *routing.Candidate) vectorChannel {
	out := vectorChannel{
		Channel: c.Channel, Account: c.Account, Index: int(c.Index), Kind: c.Kind.String(), Why: c.Why.String(),
		Criterion: int(c.Criterion), Priority: int(c.Priority), Hash: hash(c.Hash),
	}
	if c.Drop != routing.DropNone {
		out.Drop = c.Drop.String()
	}
	return out
}

func hash(h uint64) string { return fmt.Sprintf("%016x", h) }

// TestVectors holds the decisions of this implementation to the committed test vectors, which other languages check theirs by.
func TestVectors(t *testing.T) {
	drops, refusals := map[string]bool{}, map[string]bool{}
	for _, w := range vectorWorlds() {
		t.Run(w.name, func(t *testing.T) {
			path := filepath.Join(vectorsDir, w.name+".json")
			if *update {
				w.write(t, path)
			}
			v := readVectors(t, path)
			table := v.table(t)
			if len(v.Cases) < len(w.cases) {
				t.Errorf("%d cases, want %d: run with -update", len(v.Cases), len(w.cases))
			}
			for i := range v.Cases {
				c := &v.Cases[i]
				got := c.decide(t, table)
				if !reflect.DeepEqual(got, c.Want) {
					x, _ := json.MarshalIndent(got, "", " ")
					y, _ := json.MarshalIndent(c.Want, "", " ")
					t.Errorf("%s:\ngot %s\nwant %s", c.Comment, x, y)
				}
				refusals[got.Refusal] = true
				for _, d := range got.Dropped {
					drops[d.Drop] = true
				}
				v.answered(t, c, table)
			}
		})
	}
	for _, d := range everyDrop() {
		if !drops[d] {
			t.Errorf("no vector drops a channel for %s", d)
		}
	}
	for _, r := range everyRefusal() {
		if !refusals[r] {
			t.Errorf("no vector is refused for %s", r)
		}
	}
}

// answered checks that the SDK gives the decision of a case without an admission.
func (v *vectors) answered(tb testing.TB, c *vectorCase, table *routing.Table) {
	tb.Helper()
	if c.Admission != nil || c.Want.Refusal != "" {
		return
	}
	m := &sluicev1.RouteRequest{}
	if err := protojson.Unmarshal(c.Request, m); err != nil {
		tb.Fatal(err)
	}
	r := routing.NewRouter()
	r.Swap(table)
	reply, err := client.AnswerFrom(r, nil, m, c.Second)
	if err != nil {
		tb.Errorf("%s: %v", c.Comment, err)
		return
	}
	id, err := routing.ParseDecisionID(reply.GetDecisionId())
	if err != nil || hash(id.Hash) != c.Want.RequestHash {
		tb.Errorf("%s: the SDK hashes the request to %x, %v", c.Comment, id.Hash, err)
	}
}

func readVectors(tb testing.TB, path string) *vectors {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	v := &vectors{}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		tb.Fatal(err)
	}
	return v
}

// table opens the sealed snapshot of a file, and checks that it is the one shown beside it.
func (v *vectors) table(tb testing.TB) *routing.Table {
	tb.Helper()
	sealed, err := base64.StdEncoding.DecodeString(v.Sealed)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := routing.DecodeSnapshot(sealed)
	if err != nil {
		tb.Fatal(err)
	}
	shown := &configv1.Snapshot{}
	if err := protojson.Unmarshal(v.Snapshot, shown); err != nil || !proto.Equal(s, shown) {
		tb.Fatalf("the sealed snapshot is not the one shown: %v", err)
	}
	t, err := routing.OpenSnapshot(s, v.Environment, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// write makes the file of a world.
func (w *vectorWorld) write(tb testing.TB, path string) {
	tb.Helper()
	plan, err := routing.CompilePlan(w.catalog, nil)
	if err != nil {
		tb.Fatal(err)
	}
	table := plan.Table(routing.Revision{Epoch: 3, Revision: 4711}, w.states, w.scores)
	s := routing.NewSnapshot(table, vectorEnvironment, time.Unix(vectorSecond-2, 0))
	sealed, err := routing.EncodeSnapshot(s)
	if err != nil {
		tb.Fatal(err)
	}
	v := &vectors{Comment: w.comment, Environment: vectorEnvironment, Sealed: base64.StdEncoding.EncodeToString(sealed), Snapshot: shownAs(tb, s)}
	for _, c := range w.cases {
		second := c.second
		if second == 0 {
			second = vectorSecond
		}
		x := vectorCase{Comment: c.comment, Request: shownAs(tb, c.request), Second: second, Admission: c.admission}
		x.Want = x.decide(tb, table)
		v.Cases = append(v.Cases, x)
	}
	save(tb, path, v)
}

// shownAs is a message as JSON in one form; protojson's own changes its blanks.
func shownAs(tb testing.TB, m proto.Message) json.RawMessage {
	tb.Helper()
	raw, err := protojson.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	var out bytes.Buffer
	if err := json.Compact(&out, raw); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func save(tb testing.TB, path string, v any) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tb.Fatal(err)
	}
	data, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
		tb.Fatal(err)
	}
}

// sealVectors are sealed texts and what becomes of them.
type sealVectors struct {
	Comment string     `json:"comment"`
	Cases   []sealCase `json:"cases"`
}

type sealCase struct {
	Comment     string `json:"comment"`
	Sealed      string `json:"sealed"`
	Environment string `json:"environment"`
	Error       string `json:"error"` // empty, DAMAGED, FOREIGN or FEATURES
}

// open returns what opening gives.
func (c *sealCase) open(tb testing.TB) string {
	tb.Helper()
	sealed, err := base64.StdEncoding.DecodeString(c.Sealed)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := routing.DecodeSnapshot(sealed)
	if err == nil {
		_, err = routing.OpenSnapshot(s, c.Environment, nil)
	}
	switch {
	case errors.Is(err, routing.ErrSnapshotDamaged):
		return "DAMAGED"
	case errors.Is(err, routing.ErrSnapshotForeign):
		return "FOREIGN"
	case errors.Is(err, routing.ErrSnapshotFeatures):
		return "FEATURES"
	case err != nil:
		return err.Error()
	}
	return ""
}

func TestVectors_Seal(t *testing.T) {
	path := filepath.Join(vectorsDir, "seal.json")
	if *update {
		v := &sealVectors{Comment: "Sealed snapshots, as they lie in files, and whether a reader of the environment takes them."}
		v.Cases = sealCases(t)
		save(t, path, v)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	v := &sealVectors{}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i := range v.Cases {
		if got := v.Cases[i].open(t); got != v.Cases[i].Error {
			t.Errorf("%s: %q, want %q", v.Cases[i].Comment, got, v.Cases[i].Error)
		}
		seen[v.Cases[i].Error] = true
	}
	if len(seen) != 4 {
		t.Errorf("only %v occur", seen)
	}
}

func sealCases(tb testing.TB) []sealCase {
	tb.Helper()
	plan, err := routing.CompilePlan(Catalog(), nil)
	if err != nil {
		tb.Fatal(err)
	}
	encode := func(edit func(*configv1.Snapshot)) []byte {
		s := proto.CloneOf(routing.NewSnapshot(plan.Table(routing.Revision{Epoch: 1, Revision: 7}, nil, nil), vectorEnvironment, time.Unix(vectorSecond, 0)))
		edit(s)
		data, err := routing.EncodeSnapshot(s)
		if err != nil {
			tb.Fatal(err)
		}
		return data
	}
	good := encode(func(*configv1.Snapshot) {})
	flipped := bytes.Clone(good)
	flipped[len(flipped)-10] ^= 1
	mark := bytes.Clone(good)
	mark[0] = 's'
	at := func(comment string, data []byte, want string) sealCase {
		return sealCase{Comment: comment, Sealed: base64.StdEncoding.EncodeToString(data), Environment: vectorEnvironment, Error: want}
	}
	all := []sealCase{
		at("as it should be", good, ""),
		at("one bit of the content is changed", flipped, "DAMAGED"),
		at("the mark is another", mark, "DAMAGED"),
		at("the last byte is missing", good[:len(good)-1], "DAMAGED"),
		at("a byte follows", append(bytes.Clone(good), 0), "DAMAGED"),
		at("empty", nil, "DAMAGED"),
		at("sealed, and not compressed", routing.Seal([]byte("no gzip")), "DAMAGED"),
		at("epoch 0", encode(func(s *configv1.Snapshot) { s.Epoch = 0 }), "DAMAGED"),
		at("no catalogue", encode(func(s *configv1.Snapshot) { s.Catalog = nil }), "DAMAGED"),
		at("feature bit 63, which nobody knows", encode(func(s *configv1.Snapshot) { s.FeatureBits |= 1 << 63 }), "FEATURES"),
		at("a field that nobody knows, and no feature bit", encode(func(s *configv1.Snapshot) {
			s.ProtoReflect().SetUnknown([]byte{0xf8, 0x07, 0x01}) // field 127, varint 1
		}), ""),
	}
	foreign := at("of another environment", good, "FOREIGN")
	foreign.Environment = "prod"
	return append(all, foreign)
}
