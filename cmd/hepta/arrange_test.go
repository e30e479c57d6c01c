package main

import (
	"strings"
	"testing"
)

// An option means the same before and behind the arguments, and a global one
// before and behind the command.
func TestOptionsAnywhere(t *testing.T) {
	app := newApp(terminal{})
	for line, want := range map[string]string{
		"":                                           "",
		"up --timeout 3m -f x.yaml":                  "-f x.yaml up --timeout 3m",
		"--file x.yaml up":                           "--file x.yaml up",
		"up --file=x.yaml --verbose":                 "--file=x.yaml --verbose up",
		"runner add small --mode rootless":           "runner add --mode rootless small",
		"runner --host ssh://h list":                 "--host ssh://h runner list",
		"runner add --tag a small --tag b":           "runner add --tag a --tag b small",
		"logs traefik -f --tail 5":                   "logs -f --tail 5 traefik",
		"logs -f traefik":                            "logs -f traefik",
		"runner add -- -x":                           "runner add -- -x",
		"runner add --mode dind x -- -y":             "runner add --mode dind -- x -y",
		"exec heptapod ls -l --file x":               "exec heptapod ls -l --file x",
		"exec -u git --file y heptapod ls -f":        "--file y exec -u git heptapod ls -f",
		"exec heptapod -- ls -l":                     "exec heptapod -- ls -l",
		"exec -- heptapod ls":                        "exec -- heptapod ls",
		"ctl tail --file nginx":                      "ctl tail --file nginx",
		"registry login --token-file -":              "registry login --token-file -",
		"labels wiki.example.org --port 8000 --help": "labels --port 8000 --help wiki.example.org",
		"nonsense --file x":                          "nonsense --file x",
		"runner nonsense --file x":                   "runner nonsense --file x",
		"up --unknown --file x":                      "--file x up --unknown",
		"up --file":                                  "--file up",
		"--help":                                     "--help",
		"help up":                                    "help up",
		"-- plan --file x":                           "-- plan --file x",
	} {
		got := arrange(app, append([]string{"hepta"}, strings.Fields(line)...))
		if text := strings.Join(got[1:], " "); text != want {
			t.Errorf("%q is read as %q, want %q", line, text, want)
		}
	}
}
