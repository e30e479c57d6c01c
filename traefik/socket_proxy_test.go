package traefik

import (
	"slices"
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/converge"
)

// Whatever the configuration, one container is given the Engine's socket, and
// it and the proxy are on a network with nobody else.
func TestOnlyTheSocketProxyIsGivenTheSocket(t *testing.T) {
	for name, cfg := range configs(t) {
		p, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		s := p.resources()
		var given, private []string
		for _, c := range s.Containers {
			for _, m := range c.Mounts {
				if m.Kind == converge.HostPath && m.Source == p.cfg.Socket {
					given = append(given, c.Service)
				}
			}
			if slices.ContainsFunc(c.Networks, func(a converge.Attachment) bool { return a.Network == socketNetwork(s.Name) }) {
				private = append(private, c.Service)
			}
			if !slices.Contains(c.CapDrop, "ALL") || !c.ReadOnly || c.PidsLimit == 0 || !slices.Contains(c.SecurityOpt, "no-new-privileges:true") {
				t.Errorf("%s: %s may do more than it has to: %s", name, c.Service, c.Spec())
			}
		}
		if !slices.Equal(given, []string{SocketProxyService}) {
			t.Errorf("%s: the socket is given to %q", name, given)
		}
		if !slices.Equal(private, []string{Service, SocketProxyService}) {
			t.Errorf("%s: on the private network are %q", name, private)
		}
		if i := slices.IndexFunc(s.Networks, func(n converge.Network) bool { return n.Name == socketNetwork(s.Name) }); i < 0 || !s.Networks[i].Internal {
			t.Errorf("%s: networks %v", name, s.Networks)
		}
	}
}

// Flags of the user's own may name directories that an earlier release had, and
// need what they name.
func TestWhatFlagsNameStays(t *testing.T) {
	for _, c := range []struct {
		flag          string
		writes, reads string // directories inside the container
	}{
		{"--ping.entrypoint=x", "", dynamicDir},
		{"--accesslog.filepath=/var/log/traefik/mine.log", logDir, dynamicDir},
		{"--certificatesresolvers.x.acme.storage=/etc/traefik/dynamic/acme.json", dynamicDir, ""},
		{"--Experimental.Plugins.x.moduleName=example.org/x", "/plugins-storage", dynamicDir},
	} {
		box := Config{Flags: []string{c.flag}}.withDefaults().container()
		writes, reads := slices.DeleteFunc(slices.Clone(box.Tmpfs), func(dir string) bool { return dir == "/tmp" }), []string(nil)
		for _, m := range box.Mounts {
			if m.ReadOnly {
				reads = append(reads, m.Target)
			} else {
				writes = append(writes, m.Target)
			}
		}
		if got := strings.Join(writes, " "); got != c.writes {
			t.Errorf("%s: writes %q, want %q", c.flag, got, c.writes)
		}
		if got := strings.Join(reads, " "); got != c.reads {
			t.Errorf("%s: reads %q, want %q", c.flag, got, c.reads)
		}
	}
}
