package demo

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/cmd/internal/cli"
)

const (
	statusEvery = 10 * time.Second
	watchAgain  = time.Second // after the server went away
)

// narrator tells on the terminal what happens, as it happens.
type narrator struct {
	mu sync.Mutex
	to io.Writer
}

// say prints one line of the story, with the local time before it.
func (n *narrator) say(format string, args ...any) {
	n.line(time.Now().Format("15:04:05") + "  " + fmt.Sprintf(format, args...))
}

func (n *narrator) line(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, _ = fmt.Fprintln(n.to, text)
}

// follow prints every transition and alert until ctx ends, also those of a server that comes back.
func (n *narrator) follow(ctx context.Context, channels sluicev1.ChannelServiceClient) {
	for ctx.Err() == nil {
		n.watch(ctx, channels)
		if !wait(ctx, watchAgain) {
			return
		}
	}
}

// watch prints what one stream tells.
func (n *narrator) watch(ctx context.Context, channels sluicev1.ChannelServiceClient) {
	stream, err := channels.WatchChannels(ctx, &sluicev1.WatchChannelsRequest{})
	if err != nil {
		return
	}
	for {
		event, err := stream.Recv()
		if err != nil {
			return
		}
		if line := cli.Story(event); line != "" {
			n.line(line)
		}
	}
}

// status prints now and then how the payments fare.
func (n *narrator) status(ctx context.Context, t *tally, l *lookout) {
	ticker := time.NewTicker(statusEvery)
	defer ticker.Stop()
	var before [6]int64
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := [6]int64{t.payments.Load(), t.succeeded.Load(), t.rerouted.Load(), t.failed.Load() + t.refused.Load() + t.unanswered.Load(), l.remote.Load(), l.local.Load()}
		payments := now[0] - before[0]
		n.say("traffic  %.0f payments/s, %d paid, %d taken to another channel after a failure, %d lost; decided by the server %d, by the cashiers %d",
			float64(payments)/statusEvery.Seconds(), now[1]-before[1], now[2]-before[2], now[3]-before[3], now[4]-before[4], now[5]-before[5])
		before = now
	}
}
