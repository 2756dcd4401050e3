// Package simulate runs the production node in virtual time against a scenario: streams of payments, a truth that
// decides what every attempt meets, operators, and faults. It writes an event log and judges what automation did
// against the labels of the scenario.
//
// The world is a discrete-event engine: one heap, whole virtual nanoseconds, a random stream per purpose. What a payment
// would meet is drawn from its own numbers, whatever the policy does with it, so that two policies are compared on
// the same payments (common random numbers). The same seed and files give the same bytes.
package simulate
