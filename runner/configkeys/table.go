// Package configkeys knows the keys of GitLab Runner's config.toml, their types
// at every depth and the versions that have them, as the runner's own structs
// declare them.
//
// The runner refuses its whole file for one value of a wrong type, sections
// that are right included. Normal gives every value its type where its meaning
// is plain, and says where it is not.
package configkeys

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/heptaup/hepta/internal/spelling"
)

//go:generate go run ./generate keys.txt

//go:embed keys.txt
var listing string

// Where the keys of a runner and of its docker section begin.
const (
	Runner = "runners"
	Docker = "runners.docker"
)

// key is one line of the table.
type key struct {
	name     string // as the runner's documentation spells it, without its parents
	kinds    []kind // oldest version first; they differ where its type changed
	newest   bool   // the newest version has it
	versions string // those that have it, for people
	children map[string]*key
}

// table gives the root of all keys.
var table = sync.OnceValue(func() *key {
	root := &key{}
	last := ""
	for line := range strings.Lines(listing) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		k := root
		for part := range strings.SplitSeq(fields[0], ".") {
			k = k.child(part)
		}
		k.kinds = append(k.kinds, kind(fields[1]))
		k.versions = fields[2]
		if _, after, many := strings.Cut(fields[2], ","); many {
			last = max(last, after)
		} else {
			last = max(last, fields[2])
		}
	}
	root.mark(last)
	return root
})

func (k *key) child(name string) *key {
	if k.children == nil {
		k.children = map[string]*key{}
	}
	c := k.children[strings.ToLower(name)]
	if c == nil {
		c = &key{name: name}
		k.children[strings.ToLower(name)] = c
	}
	return c
}

func (k *key) mark(newest string) {
	k.newest = strings.HasSuffix(k.versions, newest)
	for _, c := range k.children {
		c.mark(newest)
	}
}

// at finds the key of a dotted path, nil when it is unknown. Case does not
// count, as for the runner.
func at(path string) *key {
	k := table()
	for part := range strings.SplitSeq(path, ".") {
		if k = k.children[strings.ToLower(part)]; k == nil {
			return nil
		}
	}
	return k
}

// Name is how the documentation spells a key below a section, and whether the
// runner has such a key. The runner itself does not look at case.
func Name(section, name string) (string, bool) {
	parent := at(section)
	if parent == nil {
		return name, false
	}
	if c := parent.children[strings.ToLower(name)]; c != nil {
		return c.name, true
	}
	return name, false
}

// suggestion ends a sentence about an unknown key with the one that was meant.
func suggestion(name string, k *key) string {
	var names []string
	for _, c := range k.children {
		if c.newest {
			names = append(names, c.name)
		}
	}
	slices.Sort(names)
	if near := spelling.Nearest(name, names); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}
