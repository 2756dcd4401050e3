package cli

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

func TestNowText(t *testing.T) {
	healthy := &sluicev1.ListChannelsResponse{
		Channels: []*sluicev1.ChannelStatus{channel("alipay"), channel("wechat")}, TableRevision: 12, TableAge: durationpb.New(90 * time.Second),
	}
	for _, tc := range []struct {
		name  string
		reply *sluicev1.ListChannelsResponse
		width int
		all   bool
	}{
		{"now", badNight(), 100, false},
		{"now_narrow", badNight(), 60, false},
		{"now_all", badNight(), 120, true},
		{"now_healthy_stale", healthy, 100, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			golden(t, tc.name, testView(tc.width).nowText(tc.reply, "127.0.0.1:7600", tc.all))
		})
	}
}

func TestNowText_NoLineIsWiderThanTheTerminal(t *testing.T) {
	for width := 60; width <= 140; width += 10 {
		for line := range strings.Lines(testView(width).nowText(badNight(), "127.0.0.1:7600", false)) {
			line = strings.TrimSuffix(line, "\n")
			if displayWidth(line) > width {
				t.Errorf("width %d: a line of %d columns: %q", width, displayWidth(line), line)
			}
		}
	}
}

func TestNowText_ColourIsNeverTheOnlySign(t *testing.T) {
	v := testView(100)
	want := v.nowText(badNight(), "x:1", true)
	v.paint.on = true
	got := v.nowText(badNight(), "x:1", true)
	if got == want {
		t.Error("no colour at all")
	}
	if got = withoutColour(got); got != want {
		t.Errorf("colour changes the text:\n%s\nwant\n%s", got, want)
	}
}

func withoutColour(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		if rest, ok := strings.CutPrefix(s, "\x1b["); ok {
			_, s, _ = strings.Cut(rest, "m")
			continue
		}
		b.WriteByte(s[0])
		s = s[1:]
	}
	return b.String()
}

func TestSplit_WorstFirst(t *testing.T) {
	bad, healthy := split(badNight())
	var got []string
	for _, s := range bad {
		got = append(got, standingOf(s).word)
	}
	if want := "FAILING DISABLED OFF RAMPING HELD"; strings.Join(got, " ") != want {
		t.Errorf("order %q, want %q", strings.Join(got, " "), want)
	}
	if len(healthy) != 3 {
		t.Errorf("%d healthy channels, want 3", len(healthy))
	}
}

func TestRedraw_CutsToTheTerminal(t *testing.T) {
	got := redraw("one\ntwo\nthree\nfour\n", 80, 4, false)
	if want := "\x1b[Hone\x1b[K\ntwo\x1b[K\n… 2 more lines\x1b[K\n\x1b[J"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := redraw("one\n", 80, 24, true); !strings.HasPrefix(got, "\x1b[2J\x1b[H") {
		t.Errorf("the first picture does not clear the terminal: %q", got)
	}
}

func TestCut(t *testing.T) {
	for _, tc := range []struct {
		text, want string
		width      int
	}{
		{"short", "short", 5},
		{"longer", "long…", 5},
		{"银联银联", "银联…", 6},
		{"\x1b[32mgreen text\x1b[0m", "\x1b[32mgree…\x1b[0m", 5},
		{"\x1b[32mgreen\x1b[0m", "\x1b[32mgreen\x1b[0m", 5},
	} {
		if got := cut(tc.text, tc.width); got != tc.want {
			t.Errorf("cut(%q, %d) = %q, want %q", tc.text, tc.width, got, tc.want)
		}
	}
}

// Names and reasons come from others: nothing in them reaches the terminal as a command to it.
func TestNowText_ForeignTextIsHarmless(t *testing.T) {
	r := badNight()
	off := r.GetChannels()[1].GetScopes()[1].GetState().GetOff()
	off.Reason, off.Author = "a\x1b[2Jb\nc\x07", "eve\x1b]0;x\x07"
	if text := testView(100).nowText(r, "x:1", true); strings.ContainsAny(text, "\x1b\x07") {
		t.Errorf("control characters came through: %q", text)
	}
}

func TestSpan(t *testing.T) {
	for _, tc := range []struct {
		d    time.Duration
		want string
	}{
		{-time.Second, "0s"},
		{0, "0s"},
		{4*time.Minute + 12*time.Second, "4m12s"},
		{4 * time.Minute, "4m"},
		{174 * time.Minute, "2h54m"},
		{76 * time.Hour, "3d4h"},
		{24*time.Hour + 59*time.Minute, "1d"},
	} {
		if got := span(tc.d); got != tc.want {
			t.Errorf("span(%s) = %q, want %q", tc.d, got, tc.want)
		}
	}
}

func TestPercent(t *testing.T) {
	for ppm, want := range map[uint32]string{0: "0 %", 1: "< 0.1 %", 40_000: "4 %", 125_000: "12.5 %", 999_999: "> 99.9 %", fullPPM: "100 %"} {
		if got := percent(ppm); got != want {
			t.Errorf("percent(%d) = %q, want %q", ppm, got, want)
		}
	}
}

func TestDisplayWidth(t *testing.T) {
	for s, want := range map[string]int{"": 0, "abc": 3, "银联": 4, "\x1b[31;1mred\x1b[0m": 3, "é": 1} {
		if got := displayWidth(s); got != want {
			t.Errorf("displayWidth(%q) = %d, want %d", s, got, want)
		}
	}
}
