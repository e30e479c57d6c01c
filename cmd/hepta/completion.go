package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/runner"
	"github.com/heptaup/hepta/traefik"
)

func completionCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "write a completion script for a shell",
		ArgsUsage: "bash|zsh|fish",
		Description: "Writes a script that completes commands and flags.\n\n" +
			"Examples:\n" +
			"   source <(hepta completion bash)\n" +
			"   hepta completion zsh > ~/.zfunc/_hepta\n" +
			"   hepta completion fish > ~/.config/fish/completions/hepta.fish",
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usage{fmt.Errorf("completion takes one shell: bash, zsh or fish")}
			}
			var text string
			switch shell := c.Args().First(); shell {
			case "bash":
				text = bashCompletion(c.App)
			case "zsh":
				text = zshCompletion(c.App)
			case "fish":
				text = fishCompletion(c.App)
			default:
				return usage{fmt.Errorf("completion for %q is not there; there is bash, zsh and fish", shell)}
			}
			_, err := fmt.Fprint(t.out, text)
			return err
		},
	}
}

// word is a flag or command with what it is for.
type word struct{ text, usage string }

func commandWords(app *cli.App) []word {
	var list []word
	for _, c := range app.VisibleCommands() {
		list = append(list, word{c.Name, c.Usage})
	}
	return list
}

func flagWords(flags []cli.Flag) []word {
	var list []word
	for _, f := range flags {
		if d, ok := f.(cli.DocGenerationFlag); ok && f.Names()[0] != "help" {
			list = append(list, word{"--" + f.Names()[0], d.GetUsage()})
		}
	}
	return append(list, word{"--help", "show help"})
}

func texts(list []word) string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = w.text
	}
	return strings.Join(out, " ")
}

// commandFlags are a command's flags and what else it can be given.
func commandFlags(c *cli.Command) []word {
	list := flagWords(c.Flags)
	for _, below := range c.Subcommands {
		list = append(list, word{below.Name, below.Usage})
	}
	switch c.Name {
	case "logs", "exec":
		for _, s := range []string{traefik.Service, traefik.SocketProxyService, heptapod.Service, runner.Service} {
			list = append(list, word{s, "service"})
		}
	case "completion":
		list = append(list, word{"bash", "shell"}, word{"zsh", "shell"}, word{"fish", "shell"})
	}
	return list
}

// allCommands are the commands with those below them, each by how it is
// written after hepta.
func allCommands(commands []*cli.Command, above string) (paths []string, list []*cli.Command) {
	for _, c := range commands {
		if c.Hidden {
			continue
		}
		paths, list = append(paths, above+c.Name), append(list, c)
		p, l := allCommands(c.Subcommands, above+c.Name+" ")
		paths, list = append(paths, p...), append(list, l...)
	}
	return paths, list
}

// parents are the commands that another one follows.
func parents(app *cli.App) string {
	var list []string
	for _, c := range app.VisibleCommands() {
		if len(c.Subcommands) > 0 {
			list = append(list, c.Name)
		}
	}
	return strings.Join(list, "|")
}

// valued are the global flags that are followed by a value.
func valued(app *cli.App) string {
	var out []string
	for _, f := range app.Flags {
		if d, ok := f.(cli.DocGenerationFlag); ok && d.TakesValue() {
			for _, n := range f.Names() {
				dash := "--"
				if len(n) == 1 {
					dash = "-"
				}
				out = append(out, dash+n)
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, "|")
}

func bashCompletion(app *cli.App) string {
	var cases strings.Builder
	paths, commands := allCommands(app.Commands, "")
	for i, c := range commands {
		fmt.Fprintf(&cases, "    %q) words=%q ;;\n", paths[i], texts(commandFlags(c)))
	}
	return fmt.Sprintf(`# bash completion for hepta
_hepta() {
  local cur=${COMP_WORDS[COMP_CWORD]} words command= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
    %s) ((i++)) ;;
    -*) ;;
    *) command+=${command:+ }${COMP_WORDS[i]}; case $command in %s) ;; *) break ;; esac ;;
    esac
  done
  case ${COMP_WORDS[COMP_CWORD-1]} in
  --file|-f) COMPREPLY=($(compgen -f -- "$cur")); return ;;
  --progress) COMPREPLY=($(compgen -W "auto tty plain quiet json" -- "$cur")); return ;;
  esac
  case $command in
    '') words=%q ;;
%s    *) words= ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _hepta hepta
`, valued(app), parents(app), texts(commandWords(app))+" "+texts(flagWords(app.VisibleFlags())), cases.String())
}

func zshCompletion(app *cli.App) string {
	describe := func(list []word) string {
		var b strings.Builder
		for _, w := range list {
			text := strings.ReplaceAll(w.text, ":", `\:`) + ":" + w.usage
			fmt.Fprintf(&b, " '%s'", strings.ReplaceAll(text, "'", `'\''`))
		}
		return b.String()
	}
	var cases strings.Builder
	paths, commands := allCommands(app.Commands, "")
	for i, c := range commands {
		fmt.Fprintf(&cases, "    %q) choices=(%s) ;;\n", paths[i], describe(commandFlags(c)))
	}
	return fmt.Sprintf(`#compdef hepta
_hepta() {
  local -a choices
  local command= i
  for ((i = 2; i < CURRENT; i++)); do
    case ${words[i]} in
    %s) ((i++)) ;;
    -*) ;;
    *) command+=${command:+ }${words[i]}; case $command in %s) ;; *) break ;; esac ;;
    esac
  done
  case $command in
    '') choices=(%s) ;;
%s    *) _files; return ;;
  esac
  _describe hepta choices || _files
}
compdef _hepta hepta
`, valued(app), parents(app), describe(append(commandWords(app), flagWords(app.VisibleFlags())...)), cases.String())
}

func fishCompletion(app *cli.App) string {
	quote := func(s string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'" }
	var b strings.Builder
	b.WriteString("# fish completion for hepta\n")
	for _, w := range commandWords(app) {
		fmt.Fprintf(&b, "complete -c hepta -n __fish_use_subcommand -f -a %s -d %s\n", w.text, quote(w.usage))
	}
	for _, w := range flagWords(app.VisibleFlags()) {
		fmt.Fprintf(&b, "complete -c hepta -n __fish_use_subcommand -l %s -d %s\n", strings.TrimPrefix(w.text, "--"), quote(w.usage))
	}
	paths, commands := allCommands(app.Commands, "")
	for i, c := range commands {
		seen := "__fish_seen_subcommand_from " + strings.ReplaceAll(paths[i], " ", "; and __fish_seen_subcommand_from ")
		for _, w := range commandFlags(c) {
			what := "-f -a " + w.text
			if name, isFlag := strings.CutPrefix(w.text, "--"); isFlag {
				what = "-l " + name
			}
			fmt.Fprintf(&b, "complete -c hepta -n '%s' %s -d %s\n", seen, what, quote(w.usage))
		}
	}
	return b.String()
}
