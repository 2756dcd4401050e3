package embedded

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// core hands etcd's warnings and errors to slog.
type core struct {
	logger *slog.Logger
	fields []zapcore.Field
}

// NewLogger returns a zap logger for what etcd's libraries say: warnings and errors go to logger, nil discards them.
func NewLogger(logger *slog.Logger) *zap.Logger { return zap.New(newCore(logger)) }

func newCore(logger *slog.Logger) zapcore.Core {
	if logger == nil {
		return zapcore.NewNopCore()
	}
	return &core{logger: logger}
}

// Enabled implements zapcore.LevelEnabler: what etcd tells of itself when all is well is of no use here.
func (c *core) Enabled(level zapcore.Level) bool {
	return level >= zapcore.WarnLevel && c.logger.Enabled(context.Background(), toLevel(level))
}

// With implements zapcore.Core.
func (c *core) With(fields []zapcore.Field) zapcore.Core {
	return &core{logger: c.logger, fields: slices.Concat(c.fields, fields)}
}

// Check implements zapcore.Core.
func (c *core) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) && !beside(e.Message) {
		return checked.AddCore(e, c)
	}
	return checked
}

// beside reports whether a warning is about listeners and logins, which a server without a socket does not have.
func beside(message string) bool {
	return strings.HasPrefix(message, "simple token is not") || strings.HasPrefix(message, "Running http and grpc server on single port")
}

// Write implements zapcore.Core.
func (c *core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	values := zapcore.NewMapObjectEncoder()
	for _, f := range slices.Concat(c.fields, fields) {
		f.AddTo(values)
	}
	var attrs []slog.Attr
	for _, name := range slices.Sorted(maps.Keys(values.Fields)) {
		attrs = append(attrs, slog.Any(name, values.Fields[name]))
	}
	attrs = append([]slog.Attr{slog.String("text", e.Message)}, attrs...)
	c.logger.LogAttrs(context.Background(), toLevel(e.Level), "etcd", attrs...)
	return nil
}

// Sync implements zapcore.Core.
func (c *core) Sync() error { return nil }

func toLevel(level zapcore.Level) slog.Level {
	switch {
	case level >= zapcore.ErrorLevel:
		return slog.LevelError
	case level == zapcore.WarnLevel:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}
