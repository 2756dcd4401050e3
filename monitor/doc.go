// Package monitor sees what happened and decides what to do about it: counters, closed seconds, windows, detectors,
// localisation, common mode, probe grants, and the Control that turns verdicts and orders into committed changes.
package monitor
