package runner

import (
	"slices"
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/converge"
)

// A session server is written beside what stands there by hand, and goes again
// when nothing describes it; one that somebody else has written stays.
func TestSessionServer(t *testing.T) {
	forge := Forge{URL: "https://hg.example.org"}
	one := []Runner{{Name: "a", Token: NewSecret("glrt-given")}}
	const byHand = "concurrent = 1\n\n# terminals\n[session_server]\n  session_timeout = 60 # short\n  listen_address = \"[::]:9000\"\n\n[[runners]]\n  name = \"x\"\n"
	for name, c := range map[string]struct {
		server  *SessionServer
		current string
		want    string // in config.toml, "" for no such table
	}{
		"new":                {&SessionServer{}, "", "\n[session_server]\n  advertise_address = \"lab-runner:8093\"\n  listen_address = \":8093\"\n  session_timeout = 1800\n\n[[runners]]"},
		"published":          {&SessionServer{Host: "vm-2.example.org", Port: 8443, HostIP: "203.0.113.7", Timeout: 90}, "", "advertise_address = \"vm-2.example.org:8443\"\n  listen_address = \":8093\"\n  session_timeout = 90\n"},
		"beside others":      {&SessionServer{}, byHand, "# terminals\n[session_server]\n  session_timeout = 1800 # short\n  listen_address = \":8093\"\n  advertise_address = \"lab-runner:8093\"\n\n[[runners]]\n  name = \"x\"\n"},
		"nobody asks for it": {nil, byHand, "[session_server]\n  session_timeout = 60 # short\n  listen_address = \"[::]:9000\"\n"},
		"none":               {nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := New(Config{Stack: "lab", Forge: forge, Runners: one, SessionServer: c.server})
			if err != nil {
				t.Fatal(err)
			}
			written, err := r.mergeConfig(bridge, []byte(c.current))
			if err != nil {
				t.Fatal(err)
			}
			if got := string(written); !strings.Contains(got, c.want) || c.want == "" && strings.Contains(got, "session") {
				t.Errorf("config.toml has not %q:\n%s", c.want, got)
			}
			if again, err := r.mergeConfig(bridge, written); err != nil || string(again) != string(written) {
				t.Errorf("written twice: %v\n%s", err, again)
			}
			if c.server == nil {
				return
			}
			box := r.container()
			marked := slices.IndexFunc(box.Env, func(e string) bool { return strings.HasPrefix(e, sessionVariable) })
			if marked < 0 {
				t.Fatalf("its container would not start anew: %q", box.Env)
			}
			want := []converge.Port{{HostIP: c.server.HostIP, Host: c.server.Port, Container: 8093}}
			if c.server.Port == 0 {
				want = nil
			}
			if !slices.Equal(box.Ports, want) {
				t.Errorf("published are %+v, want %+v", box.Ports, want)
			}
			// Described no more, it goes as long as the container is that one.
			without, err := New(Config{Stack: "lab", Forge: forge, Runners: one})
			if err != nil {
				t.Fatal(err)
			}
			o := *bridge
			o.Containers = []converge.ObservedContainer{{Service: Service, Labels: map[string]string{converge.LabelSpec: `{"env":["` + box.Env[marked] + `"]}`}}}
			if got, err := without.mergeConfig(&o, written); err != nil || strings.Contains(string(got), "session_server") {
				t.Errorf("described no more: %v\n%s", err, got)
			}
		})
	}
}
