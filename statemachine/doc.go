// Package statemachine holds the words every room shares and the pure decisions about a scope's life: Step moves one
// scope's state on an event, Guard says whether a scope may be closed. It has no clock, no goroutine and no I/O.
//
// # The automatic state
//
//	              verdict failing (guards passed)
//	    ┌──────────────────────────────────────────────┐
//	    │                                              ▼
//	┌───┴─────┐  mildly failing, or too   ┌─────────┐ failed  ┌──────────┐
//	│ HEALTHY ├──little capacity left ───►│ RAMPING ├────────►│ DISABLED │
//	│         │◄──full share held well────┤  share  │         │          │
//	└─────────┘                           └──┬───▲──┘         └─┬──────▲─┘
//	    ▲                    passed: × factor└───┘▲             │      │ failed:
//	    │                                         │  cool-down  │      │ longer
//	    │       passed, too quiet for a ramp      │  over       ▼      │ cool-down
//	    │                                         │         ┌──────────┴┐
//	    └─────────────────────────────────────────┴─passed──┤  PROBING  │
//	                                                        └───────────┘
//
// Orders of operators are a layer above it (suspend > off > on-now > hold); what routers obey is State.Effective. While any of
// them is in force automation moves nothing, it only records (OBSERVED).
//
// # Moves
//
// Every move of phase or share, and no other, is a row of this table (the test of all reachable states reads it from here):
//
//	HEALTHY | verdict failing | DISABLED | 0%
//	HEALTHY | verdict failing | RAMPING | lowered
//	HEALTHY | verdict mildly-failing | RAMPING | lowered
//	HEALTHY | tick | PROBING | 0%
//	HEALTHY | order ON | RAMPING | first share
//	HEALTHY | order RELEASE | PROBING | 0%
//	HEALTHY | order LIFT | PROBING | 0%
//	DISABLED | tick | PROBING | 0%
//	DISABLED | order ON | RAMPING | first share
//	DISABLED | order ON_NOW | HEALTHY | 100%
//	DISABLED | order RELEASE | PROBING | 0%
//	DISABLED | order LIFT | PROBING | 0%
//	PROBING | evidence passed | RAMPING | first share
//	PROBING | evidence passed | HEALTHY | 100%
//	PROBING | evidence failed | DISABLED | 0%
//	PROBING | tick | PROBING | anew
//	PROBING | order ON | RAMPING | first share
//	PROBING | order ON_NOW | HEALTHY | 100%
//	PROBING | order RELEASE | PROBING | anew
//	PROBING | order LIFT | PROBING | anew
//	RAMPING | evidence passed | RAMPING | up
//	RAMPING | evidence passed | HEALTHY | 100%
//	RAMPING | evidence failed | DISABLED | 0%
//	RAMPING | evidence failed | RAMPING | down
//	RAMPING | verdict failing | DISABLED | 0%
//	RAMPING | verdict failing | RAMPING | down
//	RAMPING | verdict mildly-failing | RAMPING | down
//	RAMPING | tick | PROBING | 0%
//	RAMPING | order ON | RAMPING | first share
//	RAMPING | order ON_NOW | HEALTHY | 100%
//	RAMPING | order RELEASE | PROBING | 0%
//	RAMPING | order LIFT | PROBING | 0%
//
// The ticks from HEALTHY, PROBING and RAMPING are an OFF that ran out above them, from HEALTHY also the end of an announced
// maintenance; RELEASE is that of an OFF, and ON from HEALTHY
// or RAMPING is one that ends an OFF.
//
// # What an order does
//
//   - OFF lays an override over the state; it always ends. Its expiry and its RELEASE both begin PROBING, never HEALTHY.
//   - ON is an act: a closed scope begins RAMPING at the first share and belongs to automation again (off, on-now and hold are
//     taken away). An open or ramping scope keeps its share. The history of cuts stays: a ramp that an operator ordered may be cut
//     at once, and then waits until the older cut is ten minutes old.
//   - ON_NOW is an act and an override: the scope is HEALTHY at once, the history of cuts is forgotten, automation only observes
//     until RELEASE or expiry, which leave it open and on probation. An open incident closes by the verdict recovered, or after
//     probation.
//   - HOLD freezes phase and share; RELEASE takes hold, off and on-now away.
//   - SUSPEND closes without expiry; while suspended only LIFT is obeyed, which begins PROBING.
//
// # Incidents
//
// An incident opens at detection and closes when the scope is HEALTHY again by evidence (on probation: a relapse within it is a
// new incident with a longer cool-down). What automation only watched (OBSERVED, REFUSED) closes by the verdict recovered, which
// also begins a new generation, so that the next detection has an id of its own. Going from REFUSED or DEGRADED on to CUT keeps
// the incident and replaces its evidence.
//
// # Levels
//
// Level observe withholds whatever takes traffic away and the start of probing; off-only withholds the start of probing alone.
// What people begin (ON, LIFT, the end of OFF) automation carries on at every level.
package statemachine
