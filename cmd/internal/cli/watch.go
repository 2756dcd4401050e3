package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

func (a *app) newWatch() *cobra.Command {
	var after uint64
	cmd := a.client(&cobra.Command{
		Use:   "watch [CHANNEL …]",
		Short: "Print every change as it happens, one line each",
		Long: `Print every change of a state and every alert as it happens, one line each, until interrupted. A broken
connection is opened again, and what came meanwhile is told, as far as it is kept. With -o json every message is one line, with -o yaml
one document.`,
		ValidArgsFunction: a.completeChannels(true),
		Example:           "  sluice watch\n  sluice watch alipay unionpay-a",
		RunE: func(cmd *cobra.Command, channels []string) error {
			return a.watch(cmd.Context(), after, channels)
		},
	})
	cmd.Flags().Uint64Var(&after, "after", 0, "begin after this journal `SEQUENCE`, as far as it is kept (default: now)")
	return cmd
}

func (a *app) watch(ctx context.Context, after uint64, channels []string) error {
	if err := a.checkFormat(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := make(chan event)
	go a.follow(ctx, after, channels, events)
	connected, lost := false, false
	for {
		var e event
		select {
		case <-ctx.Done():
			return nil
		case e = <-events:
		}
		if e.lost != nil {
			if !connected {
				return ended(ctx, e.lost)
			}
			if !lost && ctx.Err() == nil {
				fmt.Fprintf(a.Err, "sluice: the watch broke at %s, trying again\n", a.view().clock(a.clock()))
			}
			lost = true
			continue
		}
		if lost {
			fmt.Fprintf(a.Err, "sluice: the watch goes on at %s\n", a.view().clock(a.clock()))
		}
		first := !connected
		connected, lost = true, false
		if err := a.tell(e.message, first); err != nil {
			return err
		}
	}
}

// tell prints one message. The full state is told when the watch begins, not when it is resumed.
func (a *app) tell(m *sluicev1.WatchChannelsResponse, first bool) error {
	if a.format != formatTable {
		return a.encode(m, false)
	}
	if full := m.GetFull(); full != nil && first {
		return a.print(beginning(full, a.clock().In(a.zone)) + "\n")
	}
	if line := story(m, a.zone); line != "" {
		return a.print(line + "\n")
	}
	return nil
}

// beginning tells in a line how things stand when a watch begins.
func beginning(full *sluicev1.ChannelsStatus, now time.Time) string {
	bad, _ := split(&sluicev1.ListChannelsResponse{Channels: full.GetChannels(), FailureDomains: full.GetFailureDomains()})
	var b strings.Builder
	b.WriteString(storyLine(now, "WATCHING", plural(len(full.GetChannels()), "channel")))
	if len(bad) == 0 {
		b.WriteString(", all healthy")
	}
	for _, s := range bad {
		fmt.Fprintf(&b, "; %s is %s at %s", people(scopeOf(s.GetScope())), standingOf(s).word, percent(s.GetSharePpm()))
	}
	return b.String()
}
