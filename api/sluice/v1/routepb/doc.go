// Package routepb turns the messages of sluice.v1 into the words of packages routing and statemachine and back: payments
// into requests, decisions into answers, refusals, candidates, scopes and payment options. It is a leaf: replicas and
// clients that decide by themselves both go through it, so that both tell a payment's fate in the same bytes.
package routepb
