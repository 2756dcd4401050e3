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

// screen is a watch that reads anew by itself.
type screen struct {
	*app

	take     func(context.Context) (picture, error)
	terminal bool
	last     picture
	readAt   time.Time // when last was read
	fault    error     // why the newest reading failed; nil = it did not
	drawn    bool      // a picture was drawn
}

// repeat shows a picture, and with watch a new one every rereadEvery until ctx ends, which is how a watch is left: on a terminal in
// place of the last one, elsewhere below it and only if the reply has changed. It fails only if nothing was ever read.
func (a *app) repeat(ctx context.Context, watch bool, take func(context.Context) (picture, error)) error {
	first, err := take(ctx)
	if err != nil {
		return ended(ctx, err)
	}
	if !watch {
		return a.show(first.reply, first.render)
	}
	s := &screen{app: a, take: take, last: first, readAt: a.clock()}
	s.terminal = a.interactive(a.Out) && a.Env("TERM") != "dumb" && a.format == formatTable
	return s.run(ctx)
}

func (s *screen) run(ctx context.Context) error {
	every := rereadEvery
	if s.reread > 0 {
		every = s.reread
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := s.draw(); err != nil {
			return err
		}
		for changed := false; !changed; {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				changed = s.read(ctx) || s.terminal
			}
			if ctx.Err() != nil { // left meanwhile: what was read may be a failure of that
				return nil
			}
		}
	}
}

// read takes a new picture and reports whether it is another one. One that cannot be had leaves the last.
func (s *screen) read(ctx context.Context) bool {
	next, err := s.take(ctx)
	s.fault = err
	if err != nil {
		return false
	}
	changed := !proto.Equal(next.reply, s.last.reply)
	s.last, s.readAt = next, s.clock()
	return changed
}

// draw puts the picture on the terminal in place of the last one, or prints it below.
func (s *screen) draw() error {
	first := !s.drawn
	s.drawn = true
	if s.format != formatTable {
		return s.encode(s.last.reply, false)
	}
	v := s.view()
	text := s.last.render(v)
	if !s.terminal {
		if !first {
			text = "\n" + text
		}
		return s.print(text)
	}
	if s.fault != nil {
		text = v.paint.text(red, fmt.Sprintf("NO ANSWER for %s: what follows is old", span(s.clock().Sub(s.readAt)))) + "\n" + text
	}
	_, rows, _ := terminalSize(s.Out)
	return s.print(redraw(text, v.width, rows, first))
}
