package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the files that tests compare with")

// invoke runs the program in this process.
func invoke(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(context.Background(), append([]string{"hepta"}, args...),
		terminal{in: strings.NewReader(""), out: &out, err: &err, env: func(string) string { return "" }})
	return code, out.String(), err.String()
}

// docs/cli.md is what the program says about itself.
func TestCommandsAreDocumented(t *testing.T) {
	var b strings.Builder
	b.WriteString("# The command line\n\nThis file is generated: `go test ./cmd/hepta -run Documented -update`.\n\n")
	section := func(title string, args ...string) {
		code, out, errs := invoke(args...)
		if code != 0 || errs != "" {
			t.Fatalf("%v: exit code %d, %s", args, code, errs)
		}
		fmt.Fprintf(&b, "## %s\n\n```text\n%s\n```\n\n", title, strings.TrimRight(out, "\n"))
	}
	section("hepta", "--help")
	for _, c := range newApp(terminal{}).Commands {
		if !strings.Contains(c.Description, "Examples:\n") {
			t.Errorf("%s has no examples", c.Name)
		}
		section("hepta "+c.Name, c.Name, "--help")
		for _, below := range c.Subcommands {
			if !strings.Contains(below.Description, "Examples:\n") {
				t.Errorf("%s %s has no examples", c.Name, below.Name)
			}
			section("hepta "+c.Name+" "+below.Name, c.Name, below.Name, "--help")
		}
	}
	b.WriteString(exitCodes)
	const file = "../../docs/cli.md"
	text := strings.TrimRight(b.String(), "\n") + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	was, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(was), text); d != "" {
		t.Errorf("docs/cli.md is not what the program says; -update writes it:\n%s", d)
	}
}

const exitCodes = `## Exit codes

| code | meaning |
|---|---|
| 0 | done; ` + "`plan`" + `: nothing is to be done; ` + "`status`" + `: every service runs and is healthy |
| 1 | failed; ` + "`status`" + `: a service is missing or not healthy; ` + "`registry check`" + `: a finding fails |
| 2 | ` + "`plan`" + `: something is to be done |
| 64 | the command line is wrong |
| 130 | interrupted |

` + "`exec` and `ctl`" + ` end with the code of what they ran. The first Ctrl-C stops gracefully, the second at once;
either way the same command, run again, goes on.

Results go to standard output; progress, notes and errors go to standard error. ` + "`--progress json`" + ` writes one event
a line there, as ` + "`hepta.Event`" + ` is marshalled.
`
