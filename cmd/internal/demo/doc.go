// Package demo is the world around `sluice dev`: simulated cashiers that ask where each payment goes, gateways that
// attempt it and report, banks that behave as published figures say, and one bank that breaks after a minute. Cashiers and
// gateways use the SDK as any user does; the server is a process of its own, so that it can be killed.
package demo
