package hosttool

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/fault"
)

func TestNeed(t *testing.T) {
	tools := []Tool{
		{Name: "mmdebstrap", Deb: "mmdebstrap", Usage: "make a root file system"},
		{Name: "gcc", Deb: "gcc libc6-dev", Hint: "https://gcc.gnu.org", Usage: "find races"},
	}
	for _, tt := range []struct {
		name     string
		there    []string
		root     bool
		aptFails bool
		works    bool
		commands string
		says     []string // parts of the error
	}{
		{"there already", []string{"mmdebstrap", "gcc"}, false, false, true, "", nil},
		{"installed", []string{"apt-get"}, true, false, true, "apt-get update -qq; apt-get install -y -qq --no-install-recommends mmdebstrap gcc libc6-dev", nil},
		{"one installed", []string{"apt-get", "gcc"}, true, false, true, "apt-get update -qq; apt-get install -y -qq --no-install-recommends mmdebstrap", nil},
		{"not root", []string{"apt-get"}, false, false, false, "", []string{"find mmdebstrap, gcc: not installed; needed to make a root file system, to find races\n",
			"apt-get install mmdebstrap gcc libc6-dev\n", "gcc comes from https://gcc.gnu.org"}},
		{"no apt", []string{"gcc"}, true, false, false, "", []string{"find mmdebstrap: not installed", "apt-get install mmdebstrap"}},
		{"apt fails", []string{"apt-get"}, true, true, false, "apt-get update -qq", []string{"install mmdebstrap", "no network"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			there := map[string]bool{}
			for _, n := range tt.there {
				there[n] = true
			}
			var commands []string
			h := &Host{
				lookPath: func(n string) (string, error) {
					if there[n] {
						return "/usr/bin/" + n, nil
					}
					return "", errors.New("not found")
				},
				root: func() bool { return tt.root },
				run: func(_ context.Context, name string, args ...string) error {
					commands = append(commands, name+" "+strings.Join(args, " "))
					if tt.aptFails {
						return errors.New("no network")
					}
					if args[0] == "install" {
						for _, deb := range args {
							there[deb] = true
						}
					}
					return nil
				},
			}
			said := ""
			err := h.Need(t.Context(), func(text string) { said += text }, tools...)
			if (err == nil) != tt.works {
				t.Fatalf("got %v", err)
			}
			for _, s := range tt.says {
				if !strings.Contains(fault.Describe(err), s) {
					t.Errorf("%s\ndoes not say %q", fault.Describe(err), s)
				}
			}
			if got := strings.Join(commands, "; "); got != tt.commands {
				t.Errorf("ran %q, want %q", got, tt.commands)
			}
			if len(commands) > 0 && !strings.Contains(said, "installing mmdebstrap") {
				t.Errorf("said %q", said)
			}
		})
	}
}
