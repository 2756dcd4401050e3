package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

const (
	// redrawEvery is the least time between two pictures.
	redrawEvery = 200 * time.Millisecond
	// ageEvery is how often ages are drawn anew on a terminal.
	ageEvery = time.Second
	// rereadEvery is how often traffic and progress are read again; no event tells of them.
	rereadEvery = 2 * time.Second
)

// live is `sluice now --watch`. WatchChannels says when something changed; what is drawn is read whole, so that a picture is
// always of one revision and has counts of its time.
type live struct {
	*app

	client   sluicev1.ChannelServiceClient
	all      bool
	terminal bool
	rows     int

	reply    *sluicev1.ListChannelsResponse // the last good one
	age      time.Duration                  // of its data when it was read
	readAt   time.Time                      // when it was read
	tried    time.Time                      // when reading was tried last
	drawn    time.Time
	fault    error // why the last reading failed; nil = it did not
	wanted   int64 // revision that an event told of
	changed  bool  // an event came since the last picture that shows it
	pictures int
}

func (a *app) newLive(client sluicev1.ChannelServiceClient, all bool) *live {
	l := &live{app: a, client: client, all: all}
	_, l.rows, l.terminal = terminalSize(a.Out)
	l.terminal = l.terminal && a.Env("TERM") != "dumb" && a.format == formatTable
	return l
}

// run draws until ctx ends, which is how a watch is left. It fails only if nothing was ever read.
func (l *live) run(ctx context.Context) error {
	if err := l.read(ctx); err != nil {
		return ended(ctx, err)
	}
	if err := l.draw(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := make(chan event)
	go l.follow(ctx, 0, nil, events)
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-events:
			l.note(e)
		case <-tick.C:
			if err := l.tick(ctx); err != nil {
				return ended(ctx, err)
			}
		}
	}
}

// note remembers that something changed. A transition names the revision that shows it.
func (l *live) note(e event) {
	switch m := e.message.GetEvent().(type) {
	case *sluicev1.WatchChannelsResponse_Transition:
		l.changed, l.wanted = true, max(l.wanted, m.Transition.GetTableRevision())
	case *sluicev1.WatchChannelsResponse_Catalog:
		l.changed, l.wanted = true, max(l.wanted, m.Catalog.GetTableRevision())
	case *sluicev1.WatchChannelsResponse_Full:
		if m.Full.GetTableRevision() > l.reply.GetTableRevision() {
			l.changed, l.wanted = true, max(l.wanted, m.Full.GetTableRevision())
		}
	}
}

// tick reads and draws what is due.
func (l *live) tick(ctx context.Context) error {
	now := l.clock()
	due := now.Sub(l.tried) >= rereadEvery
	if l.changed || due {
		before := l.changed
		if err := l.read(ctx); err == nil && l.reply.GetTableRevision() >= l.wanted {
			l.changed = false
			if before && !l.terminal {
				return l.draw()
			}
		}
	}
	if l.terminal && (now.Sub(l.drawn) >= ageEvery || l.drawn.Before(l.tried)) {
		return l.draw()
	}
	return nil
}

func (l *live) read(ctx context.Context) error {
	l.tried = l.clock()
	reply, err := l.listChannels(ctx, l.client, &sluicev1.ListChannelsRequest{})
	l.fault = err
	if err != nil {
		return err
	}
	if l.reply != nil && reply.GetTableRevision() < l.reply.GetTableRevision() {
		return nil // another replica, behind; never show an older picture
	}
	l.reply, l.readAt, l.age = reply, l.clock(), reply.GetTableAge().AsDuration()
	return nil
}

// draw puts the picture on the terminal in place of the last one, or prints it below.
func (l *live) draw() error {
	l.drawn = l.clock()
	l.pictures++
	l.reply.TableAge = durationpb.New(l.age + l.drawn.Sub(l.readAt)) // it grows while nothing is read
	if l.format != formatTable {
		return l.encode(l.reply, false)
	}
	v := l.view()
	text := v.nowText(l.reply, l.target(), l.all)
	if l.fault != nil {
		text = v.paint.text(red, fmt.Sprintf("NO ANSWER for %s: what follows is old", span(v.now.Sub(l.readAt)))) + "\n" + text
	}
	if !l.terminal {
		if l.pictures > 1 {
			text = "\n" + text
		}
		return l.print(text)
	}
	if _, rows, ok := terminalSize(l.Out); ok {
		l.rows = rows
	}
	return l.print(redraw(text, v.width, l.rows, l.pictures == 1))
}

// redraw renders a picture that replaces the one before it, cut to the terminal: a line that wrapped would shift the rest.
func redraw(text string, cols, rows int, first bool) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if room := rows - 1; room > 1 && len(lines) > room {
		hidden := len(lines) - room + 1
		lines = append(lines[:room-1:room-1], fmt.Sprintf("… %s", plural(hidden, "more line")))
	}
	var b strings.Builder
	if first {
		b.WriteString("\x1b[2J")
	}
	b.WriteString("\x1b[H")
	for _, line := range lines {
		b.WriteString(cut(line, cols) + "\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	return b.String()
}

// ended makes leaving a watch no failure.
func ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}
