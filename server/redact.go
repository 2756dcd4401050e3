package server

import (
	"context"
	"fmt"
	"log/slog"
)

// ReplaceAttr is for slog.HandlerOptions: it redacts whatever is shaped like a card number in a text attribute.
func ReplaceAttr(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(Redact(a.Value.String()))
	case slog.KindInt64, slog.KindUint64:
		if CardNumber(a.Value.String()) {
			a.Value = slog.StringValue(Redact(a.Value.String()))
		}
	case slog.KindAny:
		a.Value = redactAny(a.Value.Any())
	case slog.KindBool, slog.KindDuration, slog.KindFloat64, slog.KindTime, slog.KindGroup, slog.KindLogValuer:
	}
	return a
}

// redactAny renders a value as text if that text has to be redacted; otherwise the value stays as it is.
func redactAny(v any) slog.Value {
	text := fmt.Sprint(v)
	if !CardNumber(text) {
		return slog.AnyValue(v)
	}
	return slog.StringValue(Redact(text))
}

// RedactingHandler wraps a handler so that no message or attribute carries a card number, whatever its own options are.
type RedactingHandler struct{ next slog.Handler }

// NewRedactingHandler wraps next.
func NewRedactingHandler(next slog.Handler) *RedactingHandler { return &RedactingHandler{next: next} }

// Enabled asks the wrapped handler.
func (h *RedactingHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.next.Enabled(ctx, l)
}

// Handle redacts the record and passes it on.
func (h *RedactingHandler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, Redact(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(redactAttr(a))
		return true
	})
	return h.next.Handle(ctx, clean)
}

// WithAttrs redacts the attributes and passes them on.
func (h *RedactingHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = redactAttr(a)
	}
	return &RedactingHandler{next: h.next.WithAttrs(clean)}
}

// WithGroup passes the group on.
func (h *RedactingHandler) WithGroup(name string) slog.Handler {
	return &RedactingHandler{next: h.next.WithGroup(name)}
}

// redactAttr redacts an attribute and, in a group, its members.
func redactAttr(a slog.Attr) slog.Attr {
	a.Value = a.Value.Resolve()
	if a.Value.Kind() != slog.KindGroup {
		return ReplaceAttr(nil, a)
	}
	members := a.Value.Group()
	clean := make([]slog.Attr, len(members))
	for i, m := range members {
		clean[i] = redactAttr(m)
	}
	return slog.Attr{Key: a.Key, Value: slog.GroupValue(clean...)}
}
