package render

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Mood is how a row is meant.
type Mood int

// The moods of a row.
const (
	Good Mood = iota
	Changed
	Bad
)

// Row is one line of a table.
type Row struct {
	Mood  Mood
	Cells []string
}

// Rows is a table with a head and with lines of text below it.
type Rows struct {
	Head  []string
	Lines []Row
	Below []string
}

// Table writes rows in columns as wide as their widest cell.
func Table(out io.Writer, color bool, rows Rows) error {
	paint := palette(color)
	widths := make([]int, len(rows.Head))
	for i, h := range rows.Head {
		widths[i] = utf8.RuneCountInString(h)
		for _, l := range rows.Lines {
			widths[i] = max(widths[i], utf8.RuneCountInString(clean(l.Cells[i])))
		}
	}
	var b strings.Builder
	line := func(mark string, cells []string, style func(string) string) {
		var text strings.Builder
		for i, c := range cells {
			c = clean(c)
			text.WriteString(c)
			if i < len(cells)-1 {
				text.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+2))
			}
		}
		fmt.Fprintf(&b, "%s %s\n", mark, style(text.String()))
	}
	line(" ", rows.Head, paint.dim)
	for _, l := range rows.Lines {
		line(paint.mood(l.Mood), l.Cells, func(s string) string { return s })
	}
	if len(rows.Below) > 0 {
		b.WriteByte('\n')
	}
	for _, text := range rows.Below {
		b.WriteString(clean(text) + "\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (p palette) mood(m Mood) string {
	switch m {
	case Good:
		return p.good("✔")
	case Changed:
		return p.change("~")
	}
	return p.bad("✘")
}
