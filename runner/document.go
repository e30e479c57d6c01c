package runner

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/heptaup/hepta/internal/bom"
)

// document is a TOML file cut at its table headers. Putting the blocks'
// bytes together again gives the file.
type document []*block

// block is one table header with what follows it; the first block of a
// document has no header. A comment directly above a header belongs to it.
type block struct {
	path  []string // of the header; nil for the first block
	array bool     // [[header]]
	raw   []byte
	exprs []expr
}

// expr is one `key = value` inside a block; offsets are into block.raw.
type expr struct {
	path       []string
	start, end int // of key = value, without the line's comment
	value      int // where the value starts
}

// parse cuts data; a byte order mark is no part of it. An error names line and column and never shows content,
// which may be a token.
func parse(data []byte) (document, error) {
	data = bom.Trim(data)
	var whole map[string]any
	if err := toml.Unmarshal(data, &whole); err != nil {
		var at *toml.DecodeError
		if errors.As(err, &at) {
			line, column := at.Position()
			return nil, fmt.Errorf("line %d, column %d: not valid TOML", line, column)
		}
		return nil, errors.New("not valid TOML")
	}

	doc := document{{}}
	starts := []int{0} // of each block in data
	floor := 0         // where the line after the last expression begins
	var p unstable.Parser
	p.Reset(data)
	for p.NextExpression() {
		e := p.Expression()
		first, last, path := span(e)
		if e.Kind != unstable.KeyValue {
			doc = append(doc, &block{path: path, array: e.Kind == unstable.ArrayTable})
			starts = append(starts, headerStart(data, first, floor))
			floor = nextLine(data, last)
			continue
		}
		end := int(e.Raw.Offset + e.Raw.Length)
		floor = nextLine(data, end)
		value := last + bytes.IndexByte(data[last:end], '=') + 1
		for value < end && (data[value] == ' ' || data[value] == '\t') {
			value++
		}
		b := doc[len(doc)-1]
		b.exprs = append(b.exprs, expr{path: path, start: int(e.Raw.Offset), end: end, value: value})
	}
	if p.Error() != nil {
		return nil, errors.New("not valid TOML")
	}
	for i, b := range doc {
		end := len(data)
		if i+1 < len(doc) {
			end = starts[i+1]
		}
		b.raw = slices.Clone(data[starts[i]:end])
		for j := range b.exprs {
			b.exprs[j].start -= starts[i]
			b.exprs[j].end -= starts[i]
			b.exprs[j].value -= starts[i]
		}
	}
	return doc, nil
}

// span is where an expression's key begins and ends, and the key.
func span(e *unstable.Node) (first, last int, path []string) {
	first = -1
	for it := e.Key(); it.Next(); {
		n := it.Node()
		if first < 0 {
			first = int(n.Raw.Offset)
		}
		last = int(n.Raw.Offset + n.Raw.Length)
		path = append(path, string(n.Data))
	}
	return first, last, path
}

// headerStart goes back from a header's key to the start of its line, and
// further over the comment lines directly above it, but not beyond floor.
func headerStart(data []byte, at, floor int) int {
	start := lineStart(data, at)
	for start > floor {
		prev := lineStart(data, start-1)
		line := bytes.TrimLeft(data[prev:start], " \t")
		if len(line) == 0 || line[0] != '#' {
			break
		}
		start = prev
	}
	return start
}

func lineStart(data []byte, at int) int { return bytes.LastIndexByte(data[:at], '\n') + 1 }

// nextLine is where the line after the one that holds at begins.
func nextLine(data []byte, at int) int {
	if i := bytes.IndexByte(data[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(data)
}

// bytes puts the document together.
func (d document) bytes() []byte {
	var b bytes.Buffer
	for _, bl := range d {
		b.Write(bl.raw)
	}
	return b.Bytes()
}

// under reports whether path begins with prefix.
func under(path, prefix []string) bool {
	return len(path) >= len(prefix) && slices.Equal(path[:len(prefix)], prefix)
}

// replace puts text in the place of raw[from:to] and reads the block anew.
func (b *block) replace(from, to int, text string) {
	raw := slices.Concat(b.raw[:from], []byte(text), b.raw[to:])
	b.raw = raw
	b.reread()
}

// reread finds the expressions again after the block's bytes changed. Bytes
// that no longer parse leave none; the caller compares the outcome with what
// it wants and takes another way then.
func (b *block) reread() {
	b.exprs = nil
	doc, err := parse(b.raw)
	if err != nil {
		return
	}
	offset := 0
	for _, part := range doc {
		for _, e := range part.exprs {
			b.exprs = append(b.exprs, expr{e.path, e.start + offset, e.end + offset, e.value + offset})
		}
		offset += len(part.raw)
	}
}

// cut removes an expression with its whole line or lines.
func (b *block) cut(e expr) {
	b.replace(lineStart(b.raw, e.start), nextLine(b.raw, e.end), "")
}

// add appends key = value behind the block's last expression, or behind its
// header, with the indentation that is usual there.
func (b *block) add(path []string, value any, indent string) {
	at := 0
	switch {
	case len(b.exprs) > 0:
		last := b.exprs[len(b.exprs)-1]
		first := lineStart(b.raw, last.start)
		indent = string(b.raw[first:last.start])
		at = last.end
	case b.path != nil:
		at = b.headerEnd()
	default:
		at = len(b.raw)
	}
	at = nextLine(b.raw, at)
	text := indent + dotted(path) + " = " + inline(value) + "\n"
	if at > 0 && b.raw[at-1] != '\n' {
		text = "\n" + text
	}
	b.replace(at, at, text)
}

// headerEnd is an offset on the header's line: comment lines above it are
// passed over.
func (b *block) headerEnd() int {
	at := 0
	for at < len(b.raw) {
		line := bytes.TrimLeft(b.raw[at:], " \t")
		if len(line) > 0 && line[0] == '[' {
			return at
		}
		at = nextLine(b.raw, at)
	}
	return at
}
