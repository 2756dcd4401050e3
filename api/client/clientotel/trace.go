package clientotel

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	"github.com/sluice-pay/sluice/api/client"
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// scope names the instrumentation.
const scope = "github.com/sluice-pay/sluice/api/client"

// Trace returns a hook that makes a span of every Route, Next and Report, named sluice.Route and so on. Of an answer it tells
// sluice.channel, sluice.account, sluice.kind (normal, probe, ramp), sluice.reason, sluice.source, sluice.decision_id and
// sluice.table_revision; of an error its status code and sluice.refusal, the reason of google.rpc.ErrorInfo. A refusal is an
// answer, and no error of the span; that nobody could answer is.
func Trace(p trace.TracerProvider) client.Trace {
	tracer := p.Tracer(scope)
	return func(ctx context.Context, operation string) (context.Context, func(*sluicev1.RouteResponse, error)) {
		ctx, span := tracer.Start(ctx, "sluice."+operation, trace.WithSpanKind(trace.SpanKindClient))
		return ctx, func(reply *sluicev1.RouteResponse, err error) {
			defer span.End()
			if !span.IsRecording() {
				return
			}
			if err != nil {
				failed(span, err)
				return
			}
			answered(span, reply)
		}
	}
}

// answered tells of an answer; a Report has none.
func answered(span trace.Span, reply *sluicev1.RouteResponse) {
	if len(reply.GetChannels()) == 0 {
		return
	}
	c := reply.GetChannels()[0]
	span.SetAttributes(
		attribute.String("sluice.channel", c.GetChannel()),
		attribute.String("sluice.account", c.GetAccount()),
		attribute.String("sluice.kind", word(c.GetKind().String(), "TRAFFIC_KIND_")),
		attribute.String("sluice.reason", word(c.GetReason().String(), "RANK_REASON_")),
		attribute.String("sluice.source", sourceOf(reply.GetSource())),
		attribute.String("sluice.decision_id", reply.GetDecisionId()),
		attribute.Int64("sluice.table_revision", reply.GetTableRevision()),
	)
}

func failed(span trace.Span, err error) {
	st := status.Convert(err)
	span.SetAttributes(attribute.String("rpc.grpc.status_code", st.Code().String()))
	if reason := reasonOf(st); reason != "" {
		span.SetAttributes(attribute.String("sluice.refusal", reason))
		if decided(st) {
			return
		}
	}
	span.SetStatus(codes.Error, st.Message())
}

// reasonOf is the reason of google.rpc.ErrorInfo, empty if there is none.
func reasonOf(st *status.Status) string {
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

// decided reports whether an error is the refusal of a decision.
func decided(st *status.Status) bool {
	for _, d := range st.Details() {
		if _, ok := d.(*sluicev1.RouteRefusal); ok {
			return true
		}
	}
	return false
}
