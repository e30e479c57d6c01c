// Package pattern holds regular expressions that are compiled when they are
// first used: a run of the program uses few of those that it knows, and its
// start would pay for all of them.
package pattern

import (
	"regexp"
	"sync"
)

// New is a regular expression. One that cannot be compiled panics at its first use.
func New(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
