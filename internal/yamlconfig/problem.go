// Package yamlconfig reads YAML into plain structs and is strict about it: it
// knows the place of every value, reports everything that is wrong at once,
// and proposes the key that was probably meant.
//
// A struct says what it takes by its tags:
//
//	yaml:"host"          the key; "-" is not read
//	short:"host"         on a struct field: a scalar instead of a mapping fills this key
//	default:"web"        what SetDefaults fills in
//	check:"host"         name, host, port, image, url, email, abs, published, file, size, text, var
//	oneof:"a b"          the only values
//	min:"1" max:"100"    bounds of a number, or of the length of a text
//	refused:"A B"        on a mapping: keys that another check refuses, whatever their value is
//	key:"name"           on a list: the element's key that must be there and unique
//	into:"Password"      the field that takes the content of the file that is named here, or of each file of a mapping
//	private:"true"       with into: the content is a secret
//	private:"inside"     the value itself may hold secrets, among other things
package yamlconfig

import (
	"fmt"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Position is a place in a file; the zero value is no place.
type Position struct {
	Line, Column int
}

// Positions tells for the path of every value that was written ("heptapod.ssh.port",
// "runners[0].name") where.
type Positions map[string]Position

// Problem is one thing that is wrong.
type Problem struct {
	Path string // which value; "" when it belongs to none
	Position
	Text string

	inside string // the mapping that it is in, where Path is not told
}

// Error is every problem of one file.
type Error struct {
	Name     string // of the file; "" for a configuration made in Go
	Problems []Problem
}

// Error has one line a problem, "hepta.yaml:12:5: what".
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = e.line(p)
	}
	return strings.Join(lines, "\n")
}

func (e *Error) line(p Problem) string {
	var b strings.Builder
	if e.Name != "" {
		b.WriteString(e.Name)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		if p.Column > 0 {
			fmt.Fprintf(&b, ":%d", p.Column)
		}
		b.WriteString(": ")
	}
	if p.Path != "" {
		b.WriteString(printable(p.Path) + ": ")
	}
	b.WriteString(printable(p.Text))
	return b.String()
}

// printable keeps what was in a file from breaking lines or reaching a
// terminal as a command.
func printable(text string) string {
	const longest = 2000
	clean := strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, text)
	if r := []rune(clean); len(r) > longest {
		return string(r[:longest]) + "…"
	}
	return clean
}

// maxProblems is how many are told; nobody reads more at once.
const maxProblems = 50

// NewError makes one error of the problems, in the order of the file; nil when there are none.
func NewError(name string, at Positions, problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	placed := make([]Problem, len(problems))
	for i, p := range problems {
		if p.Line == 0 {
			p.Position = at.nearest(p.Path)
		}
		placed[i] = p
	}
	sort.SliceStable(placed, func(i, j int) bool {
		a, b := placed[i].Position, placed[j].Position
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Column < b.Column
	})
	if more := len(placed) - maxProblems; more > 0 {
		placed = append(placed[:maxProblems], Problem{Text: fmt.Sprintf("and %d more", more)})
	}
	return &Error{Name: name, Problems: placed}
}

// nearest is where path was written, or else the mapping that should hold it.
func (at Positions) nearest(path string) Position {
	for path != "" {
		if p, ok := at[path]; ok {
			return p
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			break
		}
		path = path[:cut]
	}
	return Position{}
}

// Covered reports whether a problem with path, or with what holds it, is known.
func Covered(path string, problems []Problem) bool {
	for _, p := range problems {
		if p.Path == "" {
			continue
		}
		if rest, below := strings.CutPrefix(path, p.Path); below && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return false
}

// Follows reports whether what is wrong between values, at path, may only follow
// from a problem of one value that is known: of a file that cannot be read, of
// the same section, or, for what was not written at all, of any other value.
// Without positions nothing was written.
func Follows(path string, at Positions, known []Problem) bool {
	if _, written := at[path]; at != nil && !written && len(known) > 0 {
		return true
	}
	for _, p := range known {
		if where := section(p.Path + p.inside); where == "" || where == section(path) {
			return true
		}
	}
	return false
}

// section is the top-level key of a path.
func section(path string) string {
	if cut := strings.IndexAny(path, ".["); cut >= 0 {
		return path[:cut]
	}
	return path
}
