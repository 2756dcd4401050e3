// Package clientotel shows what an SDK client does to OpenTelemetry: a span around each Route, Next and Report, counters of
// answers, and the books of reporters. It stands apart, so that programs that do not use it do not inherit OpenTelemetry.
//
//	cfg.Trace = clientotel.Trace(tracers)
//	cfg.Metrics, err = clientotel.Metrics(meters)
//
// Spans go on to the replicas with the stats handler of otelgrpc, which is the program's own choice:
//
//	cfg.DialOptions = append(cfg.DialOptions, grpc.WithStatsHandler(otelgrpc.NewClientHandler()))
//
// Nothing that names a payment or a payer is recorded but the decision id, and that only on spans.
package clientotel
