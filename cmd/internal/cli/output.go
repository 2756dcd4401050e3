package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/goccy/go-yaml"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// The formats of the output.
const (
	formatTable = "table"
	formatJSON  = "json"
	formatYAML  = "yaml"
)

// defaultWidth is the width of output that goes to no terminal.
const defaultWidth = 100

// checkFormat refuses an unknown --output.
func (a *app) checkFormat() error {
	switch a.format {
	case formatTable, formatJSON, formatYAML:
		return nil
	}
	return usagef("--output %q: want %s, %s or %s", a.format, formatTable, formatJSON, formatYAML)
}

// view is how text is laid out now: by the terminal, or 100 columns wide without colour.
func (a *app) view() view {
	v := view{now: a.clock(), loc: a.zone, width: defaultWidth}
	cols, _, terminal := terminalSize(a.Out)
	if terminal {
		v.width = cols
		v.paint.on = a.colours()
	} else if n, err := strconv.Atoi(a.Env("COLUMNS")); err == nil && n > 0 {
		v.width = n
	}
	v.width = max(v.width, minWidth)
	return v
}

// colours reports whether a terminal gets colours: NO_COLOR, set to anything, and a dumb terminal get none.
func (a *app) colours() bool { return a.Env("NO_COLOR") == "" && a.Env("TERM") != "dumb" }

// show prints a reply: as protojson, as YAML with the same fields, or as the text that render makes of it.
func (a *app) show(reply proto.Message, render func(view) string) error {
	if a.format != formatTable {
		return a.encode(reply, true)
	}
	return a.print(render(a.view()))
}

// encode prints a message in the format asked for. One of many is a line of JSON, or a YAML document of its own.
func (a *app) encode(m proto.Message, alone bool) error {
	if a.format != formatYAML {
		return a.json(m, alone)
	}
	raw, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return fmt.Errorf("render the reply as YAML: %w", err)
	}
	return a.yaml(raw, alone)
}

// yaml prints JSON as YAML: names and order of the fields stay.
func (a *app) yaml(raw []byte, alone bool) error {
	text, err := yaml.JSONToYAML(raw)
	if err != nil {
		return fmt.Errorf("render the reply as YAML: %w", err)
	}
	if !alone {
		text = append([]byte("---\n"), text...)
	}
	return a.print(string(text))
}

// showValue prints what is no message of the API.
func (a *app) showValue(value any, render func(view) string) error {
	if a.format == formatTable {
		return a.print(render(a.view()))
	}
	raw, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("render the output: %w", err)
	}
	if a.format == formatYAML {
		return a.yaml(raw, true)
	}
	return a.print(string(raw) + "\n")
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
