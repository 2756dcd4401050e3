package statemachine

import (
	"os"
	"strings"
	"sync"
)

// documentedMoves are the rows of the table in doc.go.
var documentedMoves = sync.OnceValue(func() map[string]bool {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		panic(err)
	}
	moves := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		row := strings.TrimSpace(strings.TrimPrefix(line, "//"))
		if strings.Count(row, " | ") == 3 {
			moves[row] = true
		}
	}
	return moves
})
