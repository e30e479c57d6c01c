package ci

import (
	"regexp"
	"strings"
)

// globs is a set of patterns as rules:changes and rules:exists have them: "*"
// and "?" stop at "/", "**/" crosses directories, {a,b} are alternatives, and a
// leading dot is a character like any other.
type globs []*regexp.Regexp

const maxComparisons = 50_000

func compileGlobs(patterns []string) globs {
	var g globs
	for _, p := range patterns {
		if re, err := regexp.Compile(globPattern(p)); err == nil {
			g = append(g, re)
		}
	}
	return g
}

// match reports whether any path fits any pattern; too many of both count as a match.
func (g globs) match(paths []string) bool {
	if len(g)*len(paths) > maxComparisons {
		return true
	}
	for _, re := range g {
		for _, p := range paths {
			if re.MatchString(p) {
				return true
			}
		}
	}
	return false
}

// globPattern writes a glob as an anchored regular expression. What is no
// valid class or alternative is taken literally.
func globPattern(p string) string {
	p = strings.TrimPrefix(p, "/")
	var b strings.Builder
	b.WriteString(`^(?s:`)
	depth := 0
	for i := 0; i < len(p); {
		atStart := i == 0 || p[i-1] == '/'
		switch c := p[i]; {
		case atStart && strings.HasPrefix(p[i:], "**/"):
			b.WriteString(`(?:[^/]*/)*`)
			i += 3
			continue
		case c == '*':
			for i+1 < len(p) && p[i+1] == '*' {
				i++
			}
			b.WriteString(`[^/]*`)
		case c == '?':
			b.WriteString(`[^/]`)
		case c == '[':
			end := strings.IndexByte(p[i+1:], ']')
			class := ""
			if end > 0 {
				class = p[i+1 : i+1+end]
			}
			if class == "" || strings.ContainsAny(class, `/[\`) || class == "^" || class == "!" {
				b.WriteString(`\[`)
				break
			}
			negate := ""
			if class[0] == '!' || class[0] == '^' {
				negate, class = "^/", class[1:]
			}
			b.WriteString("[" + negate + class + "]")
			i += end + 1
		case c == '{' && strings.Contains(p[i:], "}"):
			b.WriteString(`(?:`)
			depth++
		case c == '}' && depth > 0:
			b.WriteString(`)`)
			depth--
		case c == ',' && depth > 0:
			b.WriteString(`|`)
		case c == '\\' && i+1 < len(p):
			i++
			b.WriteString(regexp.QuoteMeta(p[i : i+1]))
		default:
			b.WriteString(regexp.QuoteMeta(p[i : i+1]))
		}
		i++
	}
	b.WriteString(strings.Repeat(")", depth))
	b.WriteString(`)$`)
	return b.String()
}
