package cli

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
)

const watchHelp = "go on, and redraw every two seconds; without a terminal print it again when it has changed"

// picture is what a command shows at one moment.
type picture struct {
	reply  proto.Message
	render func(view) string
}

// repeat shows a picture, and with watch a new one every rereadEvery until ctx ends, which is how a watch is left: on a terminal in
// place of the last one, elsewhere below it and only if the reply has changed. It fails only if nothing was ever read.
func (a *app) repeat(ctx context.Context, watch bool, take func(context.Context) (picture, error)) error {
	last, err := take(ctx)
	if err != nil {
		return ended(ctx, err)
	}
	if !watch {
		return a.show(last.reply, last.render)
	}
	cols, rows, terminal := terminalSize(a.Out)
	terminal = terminal && a.Env("TERM") != "dumb" && a.format == formatTable
	every := rereadEvery
	if a.reread > 0 {
		every = a.reread
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	read := a.clock()
	for first := true; ; first = false {
		if terminal {
			text := last.render(a.view())
			if err != nil {
				text = a.view().paint.text(red, fmt.Sprintf("NO ANSWER for %s: what follows is old", span(a.clock().Sub(read)))) + "\n" + text
			}
			if c, r, ok := terminalSize(a.Out); ok {
				cols, rows = c, r
			}
			if err := a.print(redraw(text, cols, rows, first)); err != nil {
				return err
			}
		} else if err := a.again(last, first); err != nil {
			return err
		}
		var next picture
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			if next, err = take(ctx); err == nil {
				read = a.clock()
			}
			if terminal || err == nil && !proto.Equal(next.reply, last.reply) {
				break
			}
		}
		if err == nil {
			last = next
		}
	}
}

// again prints a picture below the last one.
func (a *app) again(p picture, first bool) error {
	if a.format != formatTable {
		return a.encode(p.reply, false)
	}
	text := p.render(a.view())
	if !first {
		text = "\n" + text
	}
	return a.print(text)
}
