// Package statemachine holds the words every room shares and the pure decisions about a scope's life: Step moves one
// scope's state on an event, Guard says whether a scope may be closed. It has no clock, no goroutine and no I/O.
package statemachine
