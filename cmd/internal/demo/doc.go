// Package demo is the world around `sluice dev`: simulated cashiers that ask where each payment goes, gateways that
// attempt it and report, banks that behave as published figures say, and one bank that breaks after a minute. It talks
// to the server over gRPC as any user does.
package demo
