package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// arrange returns a command line with its options where the library expects
// them: global ones before the command, those of a command before its
// arguments. People may write them anywhere. What follows "--" is left alone,
// and so is what exec and ctl hand on to the program that they run.
func arrange(app *cli.App, args []string) []string {
	if len(args) == 0 {
		return args
	}
	l := commandLine{global: app.Flags, commands: app.Commands}
	words := args[1:]
	for len(words) > 0 {
		words = words[l.take(words):]
	}
	return slices.Concat(args[:1], l.globalOptions, l.path, l.options, l.arguments)
}

// commandLine is a command line, sorted.
type commandLine struct {
	globalOptions []string
	path          []string // the command and those below it, with their options but the last one's
	options       []string // of the last command of path
	arguments     []string

	global   []cli.Flag
	flags    []cli.Flag     // of the last command of path
	commands []*cli.Command // below it
}

// take sorts the first of words, with what belongs to it, and reports how many
// words that were.
func (l *commandLine) take(words []string) int {
	word := words[0]
	switch {
	case word == "--":
		l.arguments = append([]string{"--"}, append(l.arguments, words[1:]...)...)
		return len(words)
	case len(word) > 1 && word[0] == '-':
		return l.takeOption(words)
	case len(l.commands) == 0 && len(l.path) > 0:
		l.arguments = append(l.arguments, word)
		return 1
	}
	i := slices.IndexFunc(l.commands, func(c *cli.Command) bool { return c.HasName(word) })
	if i < 0 {
		l.arguments = append(l.arguments, words...)
		return len(words)
	}
	c := l.commands[i]
	l.path = append(append(l.path, l.options...), word)
	l.options, l.flags, l.commands = nil, c.Flags, c.Subcommands
	if !handsOn(c) {
		return 1
	}
	n := 1
	for !c.SkipFlagParsing && n < len(words) && words[n] != "--" && strings.HasPrefix(words[n], "-") {
		n += l.takeOption(words[n:])
	}
	l.arguments = append(l.arguments, words[n:]...)
	return len(words)
}

// takeOption is take of an option with its value.
func (l *commandLine) takeOption(words []string) int {
	name, _, valued := strings.Cut(strings.TrimLeft(words[0], "-"), "=")
	list := &l.options
	f := flagNamed(l.flags, name)
	if f == nil {
		if f = flagNamed(l.global, name); f != nil {
			list = &l.globalOptions
		}
	}
	n := 1
	if _, isBool := f.(*cli.BoolFlag); f != nil && !isBool && !valued {
		n = min(2, len(words))
	}
	*list = append(*list, words[:n]...)
	return n
}

// flagNamed returns the flag of a name, nil where there is none.
func flagNamed(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// handsOn reports whether a command gives its arguments to another program.
func handsOn(c *cli.Command) bool { return c.Name == "exec" || c.Name == "ctl" }
