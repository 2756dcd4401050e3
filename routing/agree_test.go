package routing

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

// agreeRequests is how many requests TestServerSDKAndReplayAgree decides; the long run is
//
//	go test ./routing -run TestServerSDKAndReplayAgree -requests 1000000 -v
var agreeRequests = flag.Int("requests", 30_000, "requests of TestServerSDKAndReplayAgree")

func sortedScopes(list []statemachine.Scope) []statemachine.Scope {
	list = slices.Clone(list)
	slices.SortFunc(list, statemachine.Scope.Compare)
	return list
}

// sdkTable is the table as a client has it: through the bytes of a snapshot.
func sdkTable(t *testing.T, table *Table, prev *Plan) *Table {
	t.Helper()
	data, err := proto.Marshal(NewSnapshot(table, env, written))
	if err != nil {
		t.Fatal(err)
	}
	var back configv1.Snapshot
	if err := proto.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	out, err := OpenSnapshot(&back, env, prev)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// agreement counts what the requests of TestServerSDKAndReplayAgree came to, so that it is known what was tried.
type agreement struct {
	requests, given, refused, previous, vetoed, lifted, limited, explored, strategies, free int

	alone, again Decision // buffers
	rec          *Recorder
	said         [][]byte // the bytes of the decisions since the last replay
}

// count sorts a decision.
func (a *agreement) count(d *Decision) {
	a.requests++
	switch d.Err().(type) { //nolint:errorlint // Finish keeps them bare
	case nil:
		a.given++
	case *Refusal:
		a.refused++
	case *PreviousAttemptError:
		a.previous++
	}
	if d.Admission.Vetoed != 0 {
		a.vetoed++
	}
	if d.Admission.Lifted >= 0 {
		a.lifted++
	}
	if d.Admission.reasoned() {
		a.limited++
	}
	for i := range d.Candidates {
		if w := d.Candidates[i].Why; w > WhyProbe {
			a.strategies++
			if w.String() == "EXPLORATION" {
				a.explored++
			}
			break
		}
	}
}

// TestServerSDKAndReplayAgree decides random requests over random catalogues, states, scores and live counters three times: by
// a replica's router, as a client decides from a snapshot, and as a replay from what a recorder kept. Given the same admission
// all say the same, byte for byte; where nothing ramps, probes or is full, a client on its own says the same too.
func TestServerSDKAndReplayAgree(t *testing.T) {
	const each, tables = 256, 8 // requests a table, tables until all are replayed
	d := dice{rand.New(rand.NewPCG(5, uint64(*agreeRequests)))}
	a := agreement{rec: NewRecorder(RecorderOptions{Requests: each * tables})}
	var prev, prevSDK *Plan
	var catalog *configv1.Catalog
	refused := 0
	for n := 0; a.requests < *agreeRequests; n++ {
		if prev == nil || n%4 == 0 {
			catalog = d.catalog()
			plan, err := CompilePlan(catalog, prev)
			if err != nil {
				if refused++; refused > 100 {
					t.Fatalf("the drawn catalogues are refused: %v", err)
				}
				continue
			}
			prev = plan
		}
		server := prev.Table(Revision{1, int64(n + 1)}, d.states(prev), d.scores(prev))
		sdk := sdkTable(t, server, prevSDK)
		prevSDK = sdk.plan
		a.agree(t, d, server, sdk, each, len(catalog.GetChannels()))
		if len(a.said) == each*tables {
			a.replay(t)
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d requests: %d given, %d refused, %d with a previous attempt that forbids; %d with vetoes, %d lifted, %d limited, %d by a strategy, %d explored; %d also without a mask",
		a.requests, a.given, a.refused, a.previous, a.vetoed, a.lifted, a.limited, a.strategies, a.explored, a.free)
	for what, n := range map[string]int{"given": a.given, "refused": a.refused, "forbidden": a.previous, "vetoed": a.vetoed, "lifted": a.lifted, "without mask": a.free} {
		if n < a.requests/1000 {
			t.Errorf("only %d of %d were %s: this test does not see enough of them", n, a.requests, what)
		}
	}
}

// agree decides requests on one table.
func (a *agreement) agree(t *testing.T, d dice, server, sdk *Table, n, channels int) {
	t.Helper()
	router, client := NewRouter(), NewRouter()
	router.Swap(server)
	client.Swap(sdk)
	for i := range server.hot {
		if h := &server.hot[i]; h.phase == statemachine.Probing {
			for _, tokens := range []uint64{1, 12} { // of the first grant that a router sees, one counts
				router.Grant(Grant{Scope: h.scope, Generation: h.generation, Tokens: tokens, From: noon, Until: noon + 100, Lift: d.chance(50)})
			}
		}
	}
	second := noon + int64(d.IntN(3*86400)) - 86400
	if len(server.hot) > 0 {
		second = noon + int64(d.IntN(60))
	}
	var q Request
	var decided Decision
	for i := range n {
		d.request(&q, a.requests+i, channels)
		err := router.Route(&q, second+int64(i/100), &decided)
		if err != decided.Err() { //nolint:errorlint // the same
			t.Fatalf("Err is %v, Route said %v", decided.Err(), err)
		}
		a.count(&decided)
		a.rec.Keep(&q, &decided)
		said := decided.AppendBytes(nil)
		a.said = append(a.said, said)
		a.client(t, sdk, client, &q, &decided, said)
	}
}

// client decides as a client does: under the mask of the server, and, where there was none, on its own.
func (a *agreement) client(t *testing.T, sdk *Table, client *Router, q *Request, decided *Decision, said []byte) {
	t.Helper()
	_ = Decide(sdk, q, decided.ID.Second, decided.Admission, &a.again) // its error is among the bytes
	if got := a.again.AppendBytes(nil); !bytes.Equal(got, said) {
		t.Fatalf("%+v\nserver %+v %+v %v\nsdk    %+v %+v %v", q, decided.Candidates, decided.Dropped, decided.Err(), a.again.Candidates, a.again.Dropped, a.again.Err())
	}
	if len(sdk.hot) > 0 || decided.Admission.reasoned() {
		return
	}
	_ = client.Route(q, decided.ID.Second, &a.alone)
	if a.alone.Admission.reasoned() { // full for the client, whose counts are its own
		return
	}
	a.free++
	if got := a.alone.AppendBytes(nil); !bytes.Equal(got, said) {
		t.Fatalf("%+v\nserver %+v %v\nalone  %+v %v", q, decided.Candidates, decided.Err(), a.alone.Candidates, a.alone.Err())
	}
}

// replay decides everything that was kept again, from the tables that were kept.
func (a *agreement) replay(t *testing.T) {
	t.Helper()
	left := len(a.said)
	a.rec.walk(func(recorderEntry) bool { return true }, func(k *Kept) bool {
		left--
		r := a.rec.Replay(*k)
		if !r.Same {
			t.Fatalf("%+v came out otherwise", k.Request)
		}
		_ = Decide(r.Table, &k.Request, k.ID.Second, k.ID.Admission, &a.again)
		if !bytes.Equal(a.again.AppendBytes(nil), a.said[left]) {
			t.Fatalf("%+v replays otherwise", k.Request)
		}
		return true
	})
	if left != 0 {
		t.Fatalf("%d of %d were not kept", left, len(a.said))
	}
	a.said = a.said[:0]
}
