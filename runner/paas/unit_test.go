package paas

import (
	"strings"
	"testing"
)

// Names with characters that systemd reads reach the program as they are.
func TestUnit(t *testing.T) {
	text := Unit("/opt/my tools/hepta", `/etc/100%/a$b"c.toml`, "ci", Config{StateFile: "/srv/ci/state.json"})
	for _, want := range []string{
		`ExecStart="/opt/my tools/hepta" paas run "/etc/100%%/a$$b\"c.toml"` + "\n", "User=ci\n", "ReadWritePaths=/srv/ci\n",
		"RestartPreventExitStatus=2\n", "ExecReload=/bin/kill -HUP $MAINPID\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if text := Unit("/usr/bin/hepta", "/c", "", Config{StateFile: "/s"}); strings.Contains(text, "User=") {
		t.Error(text)
	}
}
