package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// The formats of the output.
const (
	formatTable = "table"
	formatJSON  = "json"
)

// defaultWidth is the width of output that goes to no terminal.
const defaultWidth = 100

// checkFormat refuses an unknown --output.
func (a *app) checkFormat() error {
	if a.format != formatTable && a.format != formatJSON {
		return usagef("--output %q: want %s or %s", a.format, formatTable, formatJSON)
	}
	return nil
}

// view is how text is laid out now: by the terminal, or 100 columns wide without colour.
func (a *app) view() view {
	v := view{now: a.clock(), loc: a.zone, width: defaultWidth}
	cols, _, terminal := terminalSize(a.Out)
	if terminal {
		v.width = cols
		v.paint.on = a.Env("NO_COLOR") == "" && a.Env("TERM") != "dumb"
	} else if n, err := strconv.Atoi(a.Env("COLUMNS")); err == nil && n > 0 {
		v.width = n
	}
	v.width = max(v.width, minWidth)
	return v
}

// show prints a reply: as protojson, or as the text that render makes of it.
func (a *app) show(reply proto.Message, render func(view) string) error {
	if a.format == formatJSON {
		return a.json(reply, true)
	}
	return a.print(render(a.view()))
}

func (a *app) print(text string) error {
	if _, err := io.WriteString(a.Out, text); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

// json prints a message as protojson with all fields, on one line or indented. The blanks that protojson varies on purpose are
// made the same.
func (a *app) json(m proto.Message, indent bool) error {
	raw, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return fmt.Errorf("render the reply as JSON: %w", err)
	}
	var b bytes.Buffer
	if indent {
		err = json.Indent(&b, raw, "", "  ")
	} else {
		err = json.Compact(&b, raw)
	}
	if err != nil {
		return fmt.Errorf("render the reply as JSON: %w", err)
	}
	return a.print(b.String() + "\n")
}

// terminalSize is the size of the terminal that a stream is connected to; ok is false where it is none.
func terminalSize(stream any) (cols, rows int, ok bool) {
	f, isFile := stream.(*os.File)
	if !isFile {
		return 0, 0, false
	}
	return windowSize(f)
}

func isTerminal(stream any) bool {
	_, _, ok := terminalSize(stream)
	return ok
}
