package ci

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a file.
type Problem struct {
	File string
	Line int // from 1; 0 when the problem has no place
	Col  int
	Text string
}

func (p Problem) Error() string {
	if p.Line == 0 {
		return p.File + ": " + p.Text
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Col, p.Text)
}

// Problems is everything that is wrong, in the order of the files and lines.
// Parse and Pipeline return it as their error.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// problems collects; beyond maxProblems it only counts.
type problems struct {
	list []Problem
	seen map[Problem]bool
	more int
	// incomplete says that a file was missing: what nothing defines may have
	// been in it, and is not told.
	incomplete bool
}

const maxProblems = 100

func (p *problems) add(at place, format string, args ...any) {
	one := Problem{at.file, at.line, at.col, fmt.Sprintf(format, args...)}
	if p.seen[one] {
		return
	}
	if len(p.list) >= maxProblems {
		p.more++
		return
	}
	if p.seen == nil {
		p.seen = map[Problem]bool{}
	}
	p.seen[one] = true
	p.list = append(p.list, one)
}

// undefined notes that something is named and not there.
func (p *problems) undefined(at place, format string, args ...any) {
	if !p.incomplete {
		p.add(at, format, args...)
	}
}

func (p *problems) count() int { return len(p.list) + p.more }

func (p *problems) any() bool { return len(p.list) > 0 }

// err gives what was collected; nil when that is nothing.
func (p *problems) err() error {
	if !p.any() {
		return nil
	}
	list := slices.Clone(p.list)
	slices.SortStableFunc(list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	if p.more > 0 {
		list = append(list, Problem{File: list[0].File, Text: fmt.Sprintf("and %d problems more", p.more)})
	}
	return Problems(list)
}
