package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
	"github.com/sluice-pay/sluice/statemachine"
)

// snapshotText renders `sluice snapshot show`.
func (v view) snapshotText(got *gotSnapshot, packed int) string {
	s := got.snapshot
	c := s.GetCatalog()
	open, held := v.snapshotScopes(s)
	var b strings.Builder
	b.WriteString(v.paint.text(bold, fmt.Sprintf("Snapshot of %s, epoch %d, revision %d", clean(s.GetEnvironment()), s.GetEpoch(), s.GetRevision())) + "\n")
	line := func(label, text string) { fmt.Fprintf(&b, "  %s%s\n", pad(label, 14), text) }
	line("from", clean(got.from))
	line("current at", v.ago(s.GetWriteTime()))
	line("catalogue", catalogText(c))
	line("", fmt.Sprintf("%s, %s, %s, settlement entities: %d", plural(len(c.GetChannels()), "channel"), plural(len(c.GetRoutes()), "route"),
		plural(len(c.GetCodeTables()), "code table"), len(c.GetEntities())))
	line("states", fmt.Sprintf("%d, %d not fully open, %d under an order", len(s.GetStates()), len(open), held))
	line("scores", strconv.Itoa(len(s.GetScores().GetScores())))
	line("static order", fmt.Sprintf("%s, %d declared", plural(len(s.GetStaticOrder()), "way"), len(c.GetStaticOrder())))
	line("features", features(s.GetFeatureBits()))
	line("size", byteSize(packed)+" as a file")
	if got.passed != nil {
		for text := range strings.Lines(got.passed.Error()) {
			line("passed over", clean(text))
		}
	}
	if len(open) > 0 {
		b.WriteString("\n" + v.snapshotTable(open))
	}
	return b.String()
}

func catalogText(c *configv1.Catalog) string {
	text := "without a name"
	if c.GetName() != "" {
		text = clean(c.GetName())
	}
	if c.GetVersion() != "" {
		text += ", version " + clean(c.GetVersion())
	}
	return text
}

func features(bits uint64) string {
	if bits == 0 {
		return "none that a reader must know"
	}
	return fmt.Sprintf("%#x must be known to a reader", bits)
}

// snapshotScopes returns the scopes that are not fully open, and how many are under an order.
func (view) snapshotScopes(s *configv1.Snapshot) (open []*sluicev1.ScopeStatus, held int) {
	for _, m := range s.GetStates() {
		st, err := statepb.ToState(m)
		if err != nil {
			continue // the snapshot was verified
		}
		if st.Held() {
			held++
		}
		phase, share := st.Effective()
		if phase != statemachine.Healthy || share != statemachine.FullShare {
			open = append(open, &sluicev1.ScopeStatus{Scope: &sluicev1.Scope{Name: st.Scope.String()}, Phase: statepb.FromPhase(phase), SharePpm: uint32(share), State: m})
		}
	}
	return open, held
}

// snapshotTable lists scopes, a line each.
func (v view) snapshotTable(list []*sluicev1.ScopeStatus) string {
	t := table{right: map[int]bool{2: true, 4: true}}
	t.add("  STATE", "SCOPE", "SHARE", "SINCE", "GENERATION", "BY")
	for _, s := range list {
		st, since := standingOf(s), ""
		if at := sinceOf(s); at != nil {
			since = v.clock(at.AsTime())
		}
		t.add(v.paint.text(st.colour, st.icon+" "+st.word), s.GetScope().GetName(), percent(s.GetSharePpm()), since,
			strconv.FormatUint(s.GetState().GetGeneration(), 10), clean(byOf(s)))
	}
	return t.String()
}

// verifiedText is one line about a snapshot that was verified, and one for each thing passed over on the way.
func (v view) verifiedText(got *gotSnapshot, t *routing.Table) string {
	s := got.snapshot
	var b strings.Builder
	fmt.Fprintf(&b, "good  %s: %s, epoch %d, revision %d, current at %s, %s, %s, %s\n", clean(got.from), clean(s.GetEnvironment()), s.GetEpoch(), s.GetRevision(),
		v.ago(s.GetWriteTime()), plural(len(s.GetCatalog().GetChannels()), "channel"), plural(len(t.Plan().Fleet().Lanes), "lane"), plural(len(t.States()), "state"))
	if got.passed != nil {
		for text := range strings.Lines(got.passed.Error()) {
			fmt.Fprintf(&b, "      passed over %s\n", clean(text))
		}
	}
	return b.String()
}

// byteSize renders a number of bytes: `312 B`, `4.1 KiB`, `1.3 MiB`.
func byteSize(n int) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return number(float64(n)/(1<<10)) + " KiB"
	}
	return number(float64(n)/(1<<20)) + " MiB"
}
