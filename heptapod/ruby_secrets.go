package heptapod

import (
	"cmp"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/heptaup/hepta/internal/pattern"
)

// shortestSecret is how long a text has to be to count as a secret: shorter
// ones are found in everything.
const shortestSecret = 6

// rubySecrets are the texts in lines of Ruby that may be secrets, each on one
// line, the longest first. Every text that is a value counts, and what stands
// without quotes where the name says that it is a secret. A text is listed as it
// stands, as Ruby reads it, and as programs quote it. What is within it counts
// by itself where it is YAML or JSON, as for LDAP servers.
//
// Ruby quotes lines that it does not understand. So the lines are read a second
// time, each by itself, without any rule but that of quotes.
func rubySecrets(lines string) []string {
	s := secretTexts{}
	for _, l := range rubyLiterals(lines) {
		switch {
		case l.comment:
			s.comment(l.source)
		case !l.isKey:
			s.source(l.source)
			s.value(l.value)
		}
	}
	for line := range strings.Lines(lines) {
		s.line(line)
	}
	return s.sorted()
}

// secretTexts gathers texts.
type secretTexts map[string]bool

func (s secretTexts) sorted() []string {
	list := make([]string, 0, len(s))
	for text := range s {
		list = append(list, text)
	}
	slices.SortFunc(list, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	return list
}

// add takes a text over, line by line.
func (s secretTexts) add(text string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if len(line) < shortestSecret || strings.Trim(line, "-=#. ") == "" {
			continue
		}
		s[line] = true
	}
}

// value takes over what a program works with, and may show in any form.
func (s secretTexts) value(text string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if len(line) < shortestSecret {
			continue
		}
		quoted := []string{
			strings.NewReplacer(`\`, `\\`, `"`, `\"`, "#{", `\#{`).Replace(line),
			strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(line),
			strings.ReplaceAll(line, "'", "''"),
			url.QueryEscape(line), url.PathEscape(line),
		}
		if text, err := json.Marshal(line); err == nil {
			quoted = append(quoted, strings.Trim(string(text), `"`))
		}
		for _, q := range quoted {
			if q != line {
				s.add(q)
			}
		}
	}
	if !strings.Contains(strings.TrimSpace(text), "\n") {
		s.add(text) // though it may be YAML by accident
	}
	s.source(text)
}

// source takes over a text as it stands: its values where it is YAML or JSON,
// else its lines.
func (s secretTexts) source(text string) {
	var doc yaml.Node
	if yaml.Unmarshal([]byte(text), &doc) != nil || doc.Kind != yaml.DocumentNode || doc.Content[0].Kind == yaml.ScalarNode {
		s.add(text)
		return
	}
	lines := strings.Split(text, "\n")
	begun := map[int]bool{} // lines on which a key or a value begins
	s.node(&doc, lines, begun)
	for i, line := range lines {
		s.line(line)
		if !begun[i+1] {
			s.add(line)
		}
	}
}

func (s secretTexts) node(n *yaml.Node, lines []string, begun map[int]bool) {
	begun[n.Line] = true
	for i, below := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			begun[below.Line] = true
			continue
		}
		s.node(below, lines, begun)
	}
	if n.Kind != yaml.ScalarNode {
		return
	}
	s.add(n.Value)
	if n.Line <= len(lines) && n.Column-1 <= len(lines[n.Line-1]) {
		s.add(lines[n.Line-1][n.Column-1:])
	}
	s.value(n.Value)
}

// named finds a name that says that a secret follows, and what follows.
var named = pattern.New(`(?i)(?:pass|pwd|secret|token|key|credential|salt|auth)[A-Za-z0-9_.-]*['"\]\)]*\s*(?:=>|=|:)\s*(\S[^\n]*)`)

// line takes over what one line holds, whatever is around it: texts in quotes,
// where a quote that nothing ends goes to the end of the line, and what stands
// without quotes behind a name that says so.
func (s secretTexts) line(line string) {
	line = strings.TrimRight(line, "\r\n")
	for _, m := range named().FindAllStringSubmatch(line, -1) {
		s.bare(m[1])
	}
	if _, value, assigned := strings.Cut(line, "="); assigned {
		line = value
	}
	for i := strings.IndexAny(line, `'"`); i >= 0; i = strings.IndexAny(line, `'"`) {
		quote, rest := line[i], line[i+1:]
		end := 0
		for end < len(rest) && rest[end] != quote {
			if rest[end] == '\\' {
				end++
			}
			end++
		}
		end = min(end, len(rest))
		line = rest[min(end+1, len(rest)):]
		if key := strings.HasPrefix(strings.TrimSpace(line), "=>"); !key {
			s.add(rest[:end])
		}
	}
}

// bare takes over a value without quotes: all of it, and its first word.
func (s secretTexts) bare(text string) {
	if text[0] == '\'' || text[0] == '"' {
		return // its quotes lead to it
	}
	for m := named().FindStringSubmatch(text); m != nil; m = named().FindStringSubmatch(m[1]) {
		s.bare(m[1]) // a name within the value, as in {password: x}
	}
	code := text
	if i := strings.Index(code, " #"); i >= 0 {
		code = code[:i]
	}
	s.add(strings.TrimRight(code, " \t,;}])"))
	word := strings.TrimLeft(code, `'":{[(`)
	if i := strings.IndexFunc(word, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`'",;}])`, r) }); i >= 0 {
		word = word[:i]
	}
	if !strings.HasSuffix(word, "(") { // what calls something is no secret
		s.add(word)
	}
}

// comment takes over what a comment holds. Apostrophes in its words would shift
// the quotes, so each begins a text.
func (s secretTexts) comment(text string) {
	for line := range strings.Lines(text) {
		s.line(line)
		for i := range line {
			if line[i] != '\'' && line[i] != '"' {
				continue
			}
			inner, _, _ := strings.Cut(line[i+1:], line[i:i+1])
			s.add(inner)
		}
	}
}
