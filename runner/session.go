package runner

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/heptaup/hepta/internal/converge"
)

// sessionPort is where the session server listens inside the container.
const sessionPort = 8093

// sessionVariable marks the runner's container: the session server starts with
// the runner's program and takes no change over after that.
const sessionVariable = "HEPTA_SESSION_SERVER="

// SessionServer lets the forge open a terminal in a job that runs. The runner's
// program makes itself a certificate at each start, and tells the forge of it
// with each job.
type SessionServer struct {
	// Host is the name by which the forge reaches it, which the certificate is
	// for; default the container's name, on Network.
	Host string
	// Port of the Docker host that it is published on; 0: on none. HostIP is the
	// address there; "" for all.
	Port   int
	HostIP string
	// Timeout is for how many seconds an open terminal keeps its job from
	// ending; default 1800.
	Timeout int
}

// sessionTable is the table of config.toml; nil leaves what is there, and an
// empty one takes it away.
func (cfg Config) sessionTable(o *converge.Observed) map[string]any {
	s := cfg.SessionServer
	if s == nil {
		for _, c := range o.Containers {
			if c.Service == Service && strings.Contains(c.Labels[converge.LabelSpec], sessionVariable) {
				return map[string]any{}
			}
		}
		return nil
	}
	return map[string]any{"listen_address": ":" + strconv.Itoa(sessionPort), "advertise_address": s.address(), "session_timeout": int64(s.Timeout)}
}

// address is where the forge is told to connect.
func (s SessionServer) address() string {
	port := sessionPort
	if s.Port != 0 {
		port = s.Port
	}
	return net.JoinHostPort(s.Host, strconv.Itoa(port))
}

// serveSessions changes the runner's container for its session server.
func (s *SessionServer) serveSessions(c *converge.Container) {
	if s == nil {
		return
	}
	c.Env = append(c.Env, fmt.Sprintf("%s%s %d", sessionVariable, s.address(), s.Timeout))
	if s.Port != 0 {
		c.Ports = append(c.Ports, converge.Port{HostIP: s.HostIP, Host: s.Port, Container: sessionPort})
	}
}

// table sets the keys of a table of the file itself, which an empty one takes
// away.
func (d document) table(name string, want map[string]any) document {
	for _, b := range d {
		if len(b.path) != 1 || b.path[0] != name || b.array {
			continue
		}
		if len(want) == 0 {
			b.raw, b.exprs = nil, nil
			return d
		}
		for _, l := range leaves(want, nil) {
			i := slices.IndexFunc(b.exprs, func(e expr) bool { return slices.Equal(e.path, l.path) })
			switch {
			case i < 0:
				b.add(l.path, l.value, "  ")
			case !sameText(b, b.exprs[i], l.value):
				b.replace(b.exprs[i].value, b.exprs[i].end, inline(l.value))
			}
		}
		return d
	}
	if len(want) == 0 {
		return d
	}
	made := &block{path: []string{name}, raw: []byte("[" + key(name) + "]\n")}
	for _, l := range leaves(want, nil) {
		made.add(l.path, l.value, "  ")
	}
	made.raw = append(made.raw, '\n')
	first := d[0]
	if n := len(first.raw); n > 0 && first.raw[n-1] != '\n' {
		first.raw = append(first.raw, '\n')
	}
	return append(document{first, made}, d[1:]...)
}
