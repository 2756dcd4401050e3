package demo

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sluice-pay/sluice/api/client"
)

// lookout counts who decided.
type lookout struct{ remote, local, fallen atomic.Int64 }

// Answered counts one answer.
func (l *lookout) Answered(c client.Call) {
	if c.Fallen {
		l.fallen.Add(1)
	}
	if c.Local {
		l.local.Add(1)
	} else {
		l.remote.Add(1)
	}
}

// Moved is told with the answers.
func (l *lookout) Moved(_, _ client.State) {}

// whence says where the cashiers' answers come from, whenever that changes.
func (n *narrator) whence(ctx context.Context, sdk *client.Client, l *lookout) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var before, remote, local int64
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		state := sdk.State()
		now, far, near := l.fallen.Load(), l.remote.Load(), l.local.Load()
		text := place(state, far > remote, near > local, now > before)
		before, remote, local = now, far, near
		if text == "" || text == said {
			continue
		}
		said = text
		n.say("CASHIERS %s; their own table was confirmed %s ago", text, state.Age.Truncate(time.Second))
	}
}

// place says who decided in the last second, empty if nobody did.
func place(s client.State, remote, local, fallen bool) string {
	from := "memory"
	switch s.Source { //nolint:exhaustive // the others come from memory
	case client.SourceFile:
		from = "the file"
	case client.SourceEtcd:
		from = "etcd"
	case client.SourceStatic:
		from = "the static order"
	}
	switch {
	case remote && !fallen:
		return "ask the server"
	case fallen && !remote:
		text := fmt.Sprintf("get no answer from the server and decide by themselves, from %s (%s)", from, word(s.Source))
		if s.Alone {
			text += ", and help themselves: what fails is demoted, what automation closed is probed"
		}
		return text
	case local && !fallen:
		return fmt.Sprintf("decide by themselves, from %s (%s)", from, word(s.Source))
	}
	return "" // between the two, or no payments
}

// word is a source without its prefix.
func word(s client.Source) string {
	const prefix = len("TABLE_SOURCE_")
	return s.String()[prefix:]
}
