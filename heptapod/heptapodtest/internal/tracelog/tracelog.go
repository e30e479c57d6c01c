// Package tracelog reads the traces that runners send: timestamps before the
// lines, sections, colours. It computes only.
package tracelog

import (
	"regexp"
	"strings"
)

// Section is a part of a trace. Lines before, between and after the runner's
// sections are in sections without a name.
type Section struct {
	Name  string // prepare_executor, step_script …
	Lines []string
}

// Since runner 18.7 each line begins with 32 bytes: time, stream, O or E, and a
// plus when the line goes on with the one before.
var stamp = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [0-9a-f]{2}[OE][ +]`)

var (
	marker = regexp.MustCompile(`section_(start|end):\d+:([A-Za-z0-9_.-]+)(?:\[[^\]\r\n]*\])?\r(?:\x1b\[0K)?`)
	escape = regexp.MustCompile(`\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-Z\\^_]`)
)

// Parse splits a trace into sections of plain lines.
func Parse(trace string) []Section {
	var out []Section
	open := ""
	add := func(line string) {
		if len(out) == 0 || out[len(out)-1].Name != open {
			out = append(out, Section{Name: open})
		}
		s := &out[len(out)-1]
		s.Lines = append(s.Lines, line)
	}
	for _, line := range Lines(trace) {
		at := 0
		for _, m := range marker.FindAllStringSubmatchIndex(line, -1) {
			if text := Plain(line[at:m[0]]); text != "" {
				add(text)
			}
			at = m[1]
			if line[m[2]:m[3]] == "start" {
				open = line[m[4]:m[5]]
			} else {
				open = ""
			}
		}
		if text := Plain(line[at:]); text != "" || at == 0 {
			add(text)
		}
	}
	return out
}

// Lines splits a trace into lines and takes the runner's timestamps away.
func Lines(trace string) []string {
	var out []string
	stamped := 0 // the line that was last stamped, plus one
	for line := range strings.SplitSeq(strings.TrimSuffix(trace, "\n"), "\n") {
		if !stamp.MatchString(line) {
			out, stamped = append(out, line), 0
			continue
		}
		text := line[32:]
		if line[31] == '+' && stamped > 0 {
			out[stamped-1] += text
			continue
		}
		out = append(out, text)
		stamped = len(out)
	}
	return out
}

// Plain is a line as a terminal would leave it, without colours: what stands
// before a carriage return is written over.
func Plain(line string) string {
	line = strings.TrimRight(escape.ReplaceAllString(line, ""), "\r")
	if i := strings.LastIndexByte(line, '\r'); i >= 0 {
		line = line[i+1:]
	}
	return strings.ToValidUTF8(line, "\uFFFD")
}

// Text is the whole trace as plain text without the marks of sections.
func Text(trace string) string {
	var b strings.Builder
	for _, s := range Parse(trace) {
		for _, l := range s.Lines {
			b.WriteString(l)
			b.WriteByte('\n')
		}
	}
	return b.String()
}
