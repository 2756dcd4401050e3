package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/statemachine"
)

const (
	seriesLines  = 24 // most lines of a series
	barWidth     = 10 // columns of a full bar
	reasonsShown = 3
)

// bucket is the sum of the points that share a line.
type bucket struct {
	at                    int64
	paid, good, bad, rest uint64 // rest: neither for nor against the channel
	latency, latencies    uint64
	reasons               map[string]uint64
}

func (b *bucket) add(p *sluicev1.SeriesPoint, kind statemachine.ScopeKind) {
	for _, o := range p.GetOutcomes() {
		health := statemachine.Outcome(o.GetOutcome()).Health() //nolint:gosec // a small enum
		switch {
		case o.GetOutcome() == configv1.Outcome_OUTCOME_PENDING:
			continue
		case health == statemachine.HealthGood:
			b.good += o.GetCount()
		case health > statemachine.HealthGood && (health != statemachine.HealthAccountBad || kind == statemachine.ScopeAccount):
			b.bad += o.GetCount()
		default:
			b.rest += o.GetCount()
		}
		if o.GetOutcome() == configv1.Outcome_OUTCOME_SUCCEEDED {
			b.paid += o.GetCount()
		}
	}
	b.latency += p.GetLatencySumMs()
	b.latencies += p.GetLatencyCount()
	for _, r := range p.GetReasons() {
		if b.reasons == nil {
			b.reasons = map[string]uint64{}
		}
		b.reasons[r.GetReason()] += r.GetCount()
	}
}

func (b *bucket) results() uint64 { return b.good + b.bad + b.rest }

// part renders n of all as percent, `-` of nothing.
func part(n, all uint64) string {
	if all == 0 {
		return "-"
	}
	return fraction(float64(n) / float64(all))
}

// top renders the most frequent reasons.
func (b *bucket) top() string {
	names := make([]string, 0, len(b.reasons))
	for name := range b.reasons {
		names = append(names, name)
	}
	slices.SortFunc(names, func(x, y string) int {
		return cmp.Or(cmp.Compare(b.reasons[y], b.reasons[x]), strings.Compare(x, y))
	})
	var shown []string
	for _, name := range names[:min(len(names), reasonsShown)] {
		shown = append(shown, clean(name)+" "+strconv.FormatUint(b.reasons[name], 10))
	}
	return strings.Join(shown, " · ")
}

// lineLength is how much time a line covers: the least round length with which all fit.
func lineLength(span, step time.Duration) time.Duration {
	const day = 24 * time.Hour
	for _, length := range []time.Duration{
		time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute,
		5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	} {
		if length >= step && (span+length-1)/length < seriesLines {
			return length
		}
	}
	return (span / (seriesLines - 1)).Truncate(day) + day
}

// seriesText renders the points of a request: the sum, failures over the whole time at a glance, and a line per part of it.
func (v view) seriesText(request *sluicev1.QuerySeriesRequest, points []*sluicev1.SeriesPoint) string {
	from, to, step := request.GetStartTime().AsTime(), request.GetEndTime().AsTime(), request.GetStep().AsDuration()
	kind := scopeOf(request.GetScope()).Kind
	length := lineLength(to.Sub(from), step)
	var all bucket
	byLine := map[int64]*bucket{}
	for _, p := range points {
		all.add(p, kind)
		at := p.GetTime().AsTime().Truncate(length).Unix()
		if byLine[at] == nil {
			byLine[at] = &bucket{at: at}
		}
		byLine[at].add(p, kind)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s to %s\n", v.paint.text(bold, scopeForPeople(request.GetScope())), v.clock(from), v.clock(to))
	if len(points) == 0 {
		b.WriteString("nothing was counted; seconds are kept for ten minutes, minutes for two days\n")
		return b.String()
	}
	fmt.Fprintf(&b, "%s, success %s, paid %s, %d failed%s\n", plural(int(all.results()), "result"), //nolint:gosec // far below
		part(all.good, all.good+all.bad), part(all.paid, all.results()), all.bad, latencyText(&all))
	lines := v.lines(from, to, length, byLine)
	fmt.Fprintf(&b, "failing  %s  each column %s\n\n", sparkline(lines), span(length))
	b.WriteString(v.seriesTable(lines))
	return b.String()
}

// lines lists every line of the time, those without traffic too: a gap is news.
func (view) lines(from, to time.Time, length time.Duration, byLine map[int64]*bucket) []*bucket {
	var all []*bucket
	for at := from.Truncate(length); at.Before(to); at = at.Add(length) {
		b := byLine[at.Unix()]
		if b == nil {
			b = &bucket{at: at.Unix()}
		}
		all = append(all, b)
	}
	return all
}

func latencyText(b *bucket) string {
	if b.latencies == 0 {
		return ""
	}
	return fmt.Sprintf(", mean %d ms", b.latency/b.latencies)
}

// sparkline draws the failing part of each line, `·` where there was no traffic.
func sparkline(lines []*bucket) string {
	levels := []rune("▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, l := range lines {
		if l.good+l.bad == 0 {
			b.WriteRune('·')
			continue
		}
		b.WriteRune(levels[min(len(levels)-1, int(float64(l.bad)/float64(l.good+l.bad)*float64(len(levels))))])
	}
	return b.String()
}

// seriesTable renders a line per bucket. Lines without traffic in a row are one.
func (v view) seriesTable(lines []*bucket) string {
	t := table{right: map[int]bool{1: true, 2: true, 3: true, 4: true}}
	t.add("TIME", "RESULTS", "PAID", "SUCCESS", "FAILED", "", "TOP REASONS")
	quiet := false
	for _, l := range lines {
		if l.results() == 0 {
			if !quiet {
				t.add(v.clock(time.Unix(l.at, 0)), "-")
			}
			quiet = true
			continue
		}
		quiet = false
		t.add(v.clock(time.Unix(l.at, 0)), strconv.FormatUint(l.results(), 10), part(l.paid, l.results()), part(l.good, l.good+l.bad),
			strconv.FormatUint(l.bad, 10), v.bar(l), l.top())
	}
	var b strings.Builder
	for line := range strings.Lines(t.String()) {
		b.WriteString(cut(strings.TrimSuffix(line, "\n"), v.width) + "\n")
	}
	return b.String()
}

// bar draws the failing part.
func (v view) bar(b *bucket) string {
	if b.good+b.bad == 0 {
		return ""
	}
	eighths := int(float64(b.bad)/float64(b.good+b.bad)*barWidth*8 + 0.5)
	if eighths == 0 && b.bad > 0 {
		eighths = 1
	}
	text := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		text += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	colour := yellow
	if b.bad*2 > b.good+b.bad {
		colour = red
	}
	return v.paint.text(colour, text)
}

// scopeForPeople names what was asked for: a scope, or a bank with all its cards.
func scopeForPeople(s *sluicev1.Scope) string {
	if s.GetBank() != "" && s.GetCardType() == configv1.CardType_CARD_TYPE_UNSPECIFIED {
		return s.GetChannel() + " / " + s.GetBank()
	}
	return people(scopeOf(s))
}
