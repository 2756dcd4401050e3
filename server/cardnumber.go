package server

import "github.com/sluice-pay/sluice/routing"

// CardNumber reports whether the text holds something shaped like a card number, as routing.CardNumber does: clients and
// replicas refuse the same.
func CardNumber(text string) bool { return routing.CardNumber(text) }

// Redact returns the text with everything in it that CardNumber finds replaced by a mark.
func Redact(text string) string { return routing.Redact(text) }

func digit(c byte) bool { return c >= '0' && c <= '9' }

// runEnd returns where the digits that begin at i end.
func runEnd(text string, i int) int {
	for i < len(text) && digit(text[i]) {
		i++
	}
	return i
}
