package catalogfile

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
)

// TestParseGoodFile reads every way of writing that may be used.
func TestParseGoodFile(t *testing.T) {
	c, err := Parse("good_small.yaml", readFile(t, "testdata/good_small.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.GetChannels()[1]; got.GetId() != "d" || got.GetProvider() != "acme" || got.GetWeight() != 1000 {
		t.Errorf("merged channel is %v", got)
	}
	first := c.GetChannels()[0]
	if got := first.GetResultTime().AsDuration().String(); got != "1m30s" {
		t.Errorf("result time is %s", got)
	}
	if got := first.GetContacts()[0].GetName(); got != "duty officer" {
		t.Errorf("folded text is %q", got)
	}
	from := first.GetWindows().GetMaintenance()[0].GetFrom().AsTime().Format("2006-01-02T15:04:05.0Z")
	if from != "2027-01-16T19:00:00.5Z" {
		t.Errorf("maintenance begins %s", from)
	}
	if got := c.GetRoutes()[0].GetMembers()[0].GetSplit(); got != 70 {
		t.Errorf("split is %d", got)
	}
}

func TestDecodePolicy(t *testing.T) {
	p := &configv1.Policy{}
	if err := Decode("policy.yaml", []byte("automation: OBSERVE\nwindows: {window: 5s}\n"), p); err != nil {
		t.Fatal(err)
	}
	if p.GetAutomation() != configv1.AutomationLevel_AUTOMATION_LEVEL_OBSERVE || p.GetWindows().GetWindow().GetSeconds() != 5 {
		t.Errorf("got %v", p)
	}
	for text, want := range map[string]string{
		"windows: {window: 5m}\n":               `policy.yaml:1:19: windows.window: must be greater than or equal to 1s and less than or equal to 90s, have "5m"`,
		"sequential: {false_alarm_days: 0.5}\n": `policy.yaml:1:32: sequential.false_alarm_days: must be 0 (by the channel's traffic) or 1 to 1,000,000, have 0.5`,
		"sequential: {min_samples: 20}\n":       `policy.yaml:1:14: sequential.min_samples: unknown key "min_samples"; want one of false_alarm_days, mild_below, hang_after_min`,
		"detector: CUSUM\n":                     `policy.yaml:1:11: detector: unknown value "CUSUM"; want one of WINDOWS, SEQUENTIAL`,
	} {
		if err := Decode("policy.yaml", []byte(text), &configv1.Policy{}); err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}

// TestDecodeSequentialPolicy reads the sequential detector's settings as people write them.
func TestDecodeSequentialPolicy(t *testing.T) {
	p := &configv1.Policy{}
	text := "detector: SEQUENTIAL\nsequential: {false_alarm_days: 30, mild_below: 0.2, hang_after_min: 5s}\n"
	if err := Decode("policy.yaml", []byte(text), p); err != nil {
		t.Fatal(err)
	}
	days, mild := 30.0, 0.2
	want := &configv1.Policy{
		Detector:   configv1.Detector_DETECTOR_SEQUENTIAL,
		Sequential: &configv1.SequentialPolicy{FalseAlarmDays: &days, MildBelow: &mild, HangAfterMin: durationpb.New(5 * time.Second)},
	}
	if !proto.Equal(p, want) {
		t.Errorf("got %v\nwant %v", p, want)
	}
}

// TestDecodeNode reads a catalogue inside another document, at that document's lines.
func TestDecodeNode(t *testing.T) {
	file, err := parser.ParseBytes([]byte("seed: 7\ncatalog:\n  entities:\n    - {id: e, colour: red}\n"), 0)
	if err != nil {
		t.Fatal(err)
	}
	root, ok := file.Docs[0].Body.(*ast.MappingNode)
	if !ok {
		t.Fatalf("root is %T", file.Docs[0].Body)
	}
	err = DecodeNode("s.yaml", root.Values[1].Value, &configv1.Catalog{})
	want := `s.yaml:4:15: entities[0].colour: unknown key "colour"; want one of id, name`
	if err == nil || !slices.Contains(strings.Split(err.Error(), "\n"), want) {
		t.Errorf("got %v\nwant %s among them", err, want)
	}
}

func TestErrorsAreTyped(t *testing.T) {
	_, err := Parse("c.yaml", []byte("nme: x\n"))
	one, ok := errors.AsType[Error](err)
	if !ok || one.File != "c.yaml" || one.Line != 1 || one.Col != 1 {
		t.Errorf("got %#v, %v", one, ok)
	}
}

// TestSourceAt finds what is written and the nearest place for what is not.
func TestSourceAt(t *testing.T) {
	text := "name: n\nchannels:\n  - id: c\n    capacity: {payments_per_second: 5}\n    tags:\n      a.b: x\n    currencies: [INR, CNY]\n"
	doc, errs := parseDocument("c.yaml", []byte(text))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	s := &Source{doc: doc}
	for path, want := range map[string][2]int{
		"":                                  {1, 1},
		"name":                              {1, 7},
		"channels":                          {2, 1},
		"channels[0]":                       {3, 5},
		"channels[0].id":                    {3, 9},
		"channels[0].capacity":              {4, 5},
		"channels[0].capacity.pool":         {4, 5},
		"channels[0].tags[\"a.b\"]":         {6, 12},
		"channels[0].currencies[1]":         {7, 23},
		"channels[0].currencies[2]":         {7, 5},
		"channels[1].id":                    {2, 1},
		"channels[0].tags[\"broken":         {5, 5},
		"routes[3].members[2].split":        {1, 1},
		"channels[99999999999999999999999]": {2, 1},
	} {
		if line, col := s.At(path); line != want[0] || col != want[1] {
			t.Errorf("At(%q) = %d:%d, want %d:%d", path, line, col, want[0], want[1])
		}
	}
}

// TestAliasesCannotExplode reads files that unfold without end.
func TestAliasesCannotExplode(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("entities: &a0 [x]\n")
	for i, name := range []string{"pools", "failure_domains", "code_tables", "channels", "routes", "static_order"} {
		bomb.WriteString(name + ": &a" + string(rune('1'+i)) + " [" + strings.Repeat("*a"+string(rune('0'+i))+", ", 200) + "*a0]\n")
	}
	for name, text := range map[string]string{
		"lists of lists": bomb.String(),
		"own anchor":     "entities: &a [*a]\n",
		"merge":          "entities: [&a {<<: [*a, *a, *a], id: e}]\n",
		"deep":           "entities: " + strings.Repeat("[", 100_000) + "\n",
		"wide": "channels:\n - &c {instruments: &i [" + strings.Repeat("&x {banks: &b ["+strings.Repeat("a, ", 300)+"b]}, ", 1) +
			strings.Repeat("*x, ", 300) + "*x]}\n" + strings.Repeat(" - *c\n", 300),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse("bomb.yaml", []byte(text)); err == nil {
				t.Error("accepted")
			} else if n := len(strings.Split(err.Error(), "\n")); n > maxProblems+1 {
				t.Errorf("%d problems listed", n)
			}
		})
	}
}

// TestPatternsHaveWords holds the words for patterns to the schema.
func TestPatternsHaveWords(t *testing.T) {
	seen := 0
	walkFields((&configv1.Catalog{}).ProtoReflect().Descriptor(), map[protoreflect.FullName]bool{}, func(fd protoreflect.FieldDescriptor) {
		rules, err := protovalidate.ResolveFieldRules(fd)
		if err != nil {
			t.Fatal(err)
		}
		for _, pattern := range []string{rules.GetString().GetPattern(), rules.GetRepeated().GetItems().GetString().GetPattern()} {
			if pattern == "" {
				continue
			}
			seen++
			if patternWords(pattern) == "" {
				t.Errorf("%s: no words for %s", fd.FullName(), pattern)
			}
		}
	})
	if seen < 10 {
		t.Errorf("found %d patterns in the schema", seen)
	}
}

func walkFields(md protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool, visit func(protoreflect.FieldDescriptor)) {
	if seen[md.FullName()] {
		return
	}
	seen[md.FullName()] = true
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		visit(fd)
		if isMessage(fd) {
			walkFields(fd.Message(), seen, visit)
		}
	}
}

func TestNearest(t *testing.T) {
	for word, want := range map[string]string{
		"COLECT": "COLLECT", "collect": "COLLECT", "PAYOTU": "PAYOUT", "REFUDN": "REFUND", "XYZ": "", "": "", "AUTHENTICATION": "AUTHENTICATE",
	} {
		if got := nearest(word, []string{"COLLECT", "PAYOUT", "REFUND", "AUTHENTICATE"}); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

// FuzzParse holds Check to its promises on any input: it ends, every problem has a place in the
// file, the list is sorted, and what is accepted survives being written and read again.
func FuzzParse(f *testing.F) {
	for _, file := range []string{
		"good_small", "bad_keys", "bad_values", "bad_rules", "bad_references", "bad_mixed", "bad_anchors", "bad_merge", "bad_documents", "bad_syntax_tab",
	} {
		f.Add(readFile(f, "testdata/"+file+".yaml"))
	}
	f.Add([]byte("? [a]\n: b\n"))
	f.Add([]byte("{a, <<: *x, 1: 2, ~: 3}"))
	f.Add([]byte("\xef\xbb\xbfname: x\r\nversion: |2-\r\n   y\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, _, err := Check("f.yaml", data)
		if err != nil {
			checkPlaces(t, data, err)
			return
		}
		again, err := Write(c)
		if err != nil {
			t.Fatalf("cannot be written: %v", err)
		}
		back, err := Parse("f.yaml", again)
		if err != nil || !proto.Equal(c, back) {
			t.Fatalf("does not survive: %v\n%s", err, again)
		}
	})
}

func checkPlaces(t *testing.T, data []byte, err error) {
	t.Helper()
	var list Errors
	if !errors.As(err, &list) || len(list) == 0 {
		t.Fatalf("got %T", err)
	}
	lines := 1 + strings.Count(string(data), "\n") + strings.Count(string(data), "\r")
	for i, e := range list {
		if e.Line < 1 || e.Col < 1 || e.Line > lines+1 || e.Message == "" {
			t.Errorf("no place in %d lines: %#v", lines, e)
		}
		if i > 0 && (e.Line < list[i-1].Line || e.Line == list[i-1].Line && e.Col < list[i-1].Col) {
			t.Errorf("not sorted: %v after %v", e, list[i-1])
		}
	}
}

// No card number comes into a catalogue, wherever it stands: it would be published in every snapshot.
func TestInvariant18_CheckFindsCardNumbers(t *testing.T) {
	text := readFile(t, "../../cmd/internal/demo/catalog.yaml")
	const number = "4111 1111 1111 1111"
	for name, test := range map[string]struct{ from, to, path string }{
		"a name":  {"name: sample", "name: \"" + number + "\"", "name"},
		"a tag":   {"tags: {", "tags: {desk: \"" + number + "\", ", ".tags[desk]"},
		"a label": {"version: sample-1", "version: \"" + number + "\"", "version"},
	} {
		edited := strings.Replace(string(text), test.from, test.to, 1)
		if edited == string(text) {
			t.Fatalf("%s: the sample has no %q", name, test.from)
		}
		_, _, err := Check("sample.yaml", []byte(edited))
		problems, ok := errors.AsType[Errors](err)
		if !ok || len(problems) != 1 || !strings.HasSuffix(problems[0].Path, test.path) || problems[0].Line < 2 || !strings.Contains(problems[0].Message, "card number") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := Check("sample.yaml", text); err != nil {
		t.Errorf("the sample itself: %v", err)
	}
}
