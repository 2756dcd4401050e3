package catalogfile

import (
	"fmt"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	durationName  protoreflect.FullName = "google.protobuf.Duration"
	timestampName protoreflect.FullName = "google.protobuf.Timestamp"
)

// isWellKnown says whether a message is written as one value.
func isWellKnown(md protoreflect.MessageDescriptor) bool {
	return md.FullName() == durationName || md.FullName() == timestampName
}

// wellKnown fills a duration or a timestamp.
func (w *walker) wellKnown(path string, n ast.Node, m protoreflect.Message) (protoreflect.Value, bool) {
	none := protoreflect.Value{}
	value, ok := w.enter(path, n)
	if !ok {
		return none, false
	}
	isDuration := m.Descriptor().FullName() == durationName
	want := "a time like 2026-10-01T02:00:00+08:00"
	if isDuration {
		want = "a duration like 10s, 5m or 1h30m"
	}
	text, ok := textOf(value)
	if !ok {
		w.fail(path, n, "want %s, have %s", want, describe(value))
		return none, false
	}
	seconds, nanos, ok, hint := clock(text, isDuration)
	if !ok {
		w.fail(path, n, "want %s, have %s%s", want, quote(text), hint)
		return none, false
	}
	fields := m.Descriptor().Fields()
	m.Set(fields.ByName("seconds"), protoreflect.ValueOfInt64(seconds))
	m.Set(fields.ByName("nanos"), protoreflect.ValueOfInt32(nanos))
	return protoreflect.ValueOfMessage(m), true
}

// clock reads a duration or a time; hint ends the message when it is neither.
func clock(text string, isDuration bool) (seconds int64, nanos int32, ok bool, hint string) {
	if !isDuration {
		t, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return 0, 0, false, " (RFC 3339, with its zone)"
		}
		if t.Unix() < minTimestamp || t.Unix() > maxTimestamp {
			return 0, 0, false, "; years 1 to 9999 are known"
		}
		return t.Unix(), int32(t.Nanosecond()), true, "" //nolint:gosec // A nanosecond is below 1e9.
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		if strings.HasSuffix(text, "d") {
			return 0, 0, false, "; days are written in hours, a day is 24h"
		}
		return 0, 0, false, ""
	}
	return int64(d / time.Second), int32(d % time.Second), true, ""
}

// The range that google.protobuf.Timestamp allows.
const (
	minTimestamp = -62135596800
	maxTimestamp = 253402300799
)

// formatClock writes a duration or a timestamp as wellKnown reads it.
func formatClock(m protoreflect.Message) (string, error) {
	fields := m.Descriptor().Fields()
	seconds, nanos := m.Get(fields.ByName("seconds")).Int(), m.Get(fields.ByName("nanos")).Int()
	if m.Descriptor().FullName() == timestampName {
		return time.Unix(seconds, nanos).UTC().Format(time.RFC3339Nano), nil
	}
	const most = int64(1<<63-1) / int64(time.Second)
	if seconds >= most || seconds <= -most {
		return "", fmt.Errorf("a duration of %d s cannot be written; at most %d s can", seconds, most-1)
	}
	return (time.Duration(seconds)*time.Second + time.Duration(nanos)).String(), nil
}
