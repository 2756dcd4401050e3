package cli

import "strings"

// table is text in columns, the first row its heading.
type table struct {
	rows  [][]string
	right map[int]bool // columns aligned to the right
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// String lays the columns out two blanks apart. The last column is not filled up.
func (t *table) String() string {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], displayWidth(cell))
		}
	}
	var b strings.Builder
	for _, row := range t.rows {
		var line strings.Builder
		for i, cell := range row {
			if i > 0 {
				line.WriteString("  ")
			}
			if t.right[i] {
				cell = padLeft(cell, widths[i])
			} else {
				cell = pad(cell, widths[i])
			}
			line.WriteString(cell)
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}

// cut shortens a text to width columns, with an ellipsis where something is missing. Colours take no columns and end with it.
func cut(s string, width int) string {
	if displayWidth(s) <= width {
		return s
	}
	n, escape, coloured := 0, false, false
	for i, r := range s {
		switch {
		case escape:
			escape = r != 'm'
			continue
		case r == '\x1b':
			escape, coloured = true, true
			continue
		}
		w := displayWidth(string(r))
		if n+w > width-1 {
			if coloured {
				return s[:i] + "…\x1b[0m"
			}
			return s[:i] + "…"
		}
		n += w
	}
	return s
}
