package hepta

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/registry"
)

// mirrorAlone reports whether a section describes a mirror and no registry.
func (r *Registry) mirrorAlone() bool {
	rest := *r
	rest.Mirror = nil
	return r.Mirror != nil && reflect.ValueOf(rest).IsZero()
}

// address is where the daemons of jobs find the mirror.
func (m *Mirror) address() string {
	return cmp.Or(m.URL, "http://"+net.JoinHostPort(cmp.Or(m.Address, converge.HostGateway), strconv.Itoa(m.Port)))
}

// mirrorProblems is what contradicts itself about the mirror.
func (c *Config) mirrorProblems(add adder) {
	m := c.mirror()
	if m == nil {
		return
	}
	rest := *m
	rest.URL, rest.Enabled = "", nil
	switch {
	case m.URL != "" && !reflect.ValueOf(rest).IsZero():
		add("registry.mirror.url", "names an external mirror, and the other keys describe one that is run here: leave one of them out")
	case (m.User == "") != (m.PasswordFile == "" && m.Password.Empty()):
		add("registry.mirror.user", "and password_file go together")
	}
}

// addMirror adds the mirror that is run here.
func (s *Stack) addMirror() error {
	m := s.cfg.mirror()
	if m == nil || m.URL != "" {
		return nil
	}
	return s.addPart(registry.Mirror{
		Stack: s.cfg.Stack, Data: s.cfg.Data, Network: s.cfg.Network, Image: m.Image, Remote: m.Remote,
		Port: m.Port, HostIP: m.Address, Days: m.Days,
		Credentials: registry.Credentials{User: m.User, Password: m.Password},
	})
}

// MirrorStatus is how a mirror of Docker Hub stands.
type MirrorStatus struct {
	Address string `json:"address"`          // as the Docker host and its containers reach it
	Remote  string `json:"remote,omitempty"` // what is behind it; empty for one that is run elsewhere
	State   string `json:"state"`            // of its container as in ServiceStatus, or "elsewhere"
	Health  string `json:"health,omitempty"`
	// Host reports whether the Docker host's own Engine asks the mirror, and with
	// that builds of runners with mode socket. The Engine's API cannot set it.
	Host bool `json:"host"`
	// Remedy is what an administrator of the Docker host has to do for that.
	Remedy string `json:"remedy,omitempty"`
}

// Mirror says how the mirror stands, and whether the Engine itself uses it.
func (s *Stack) Mirror(ctx context.Context) (*MirrorStatus, error) {
	m := s.cfg.mirror()
	if m == nil {
		return nil, &fault.Error{Op: "find mirror of", What: "stack " + s.cfg.Stack, Why: "it has none",
			Remedy: "Give it one in hepta.yaml: `registry: {mirror: true}`, then run `hepta up`."}
	}
	docker, err := s.docker(ctx)
	if err != nil {
		return nil, err
	}
	e, err := s.engine(ctx)
	if err != nil {
		return nil, err
	}
	o, err := e.Observe(ctx, &converge.Stack{Name: s.cfg.Stack})
	if err != nil {
		return nil, fmt.Errorf("look at stack %s: %w", s.cfg.Stack, err)
	}
	info, err := docker.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask engine for its registries: %w", err)
	}
	st := &MirrorStatus{Address: m.address(), State: "elsewhere"}
	if gateway := o.Network(converge.DefaultNetwork).Gateway; gateway != "" {
		st.Address = strings.Replace(st.Address, "//"+converge.HostGateway, "//"+gateway, 1)
	}
	if m.URL == "" {
		st.Remote, st.State = m.Remote, "absent"
		for _, c := range s.want.Containers {
			if seen := serving(o, c); c.Service == registry.MirrorService && seen != nil {
				st.State, st.Health = seen.State, seen.Health
			}
		}
	}
	if info.RegistryConfig != nil {
		st.Host = slices.ContainsFunc(info.RegistryConfig.Mirrors, func(known string) bool { return strings.TrimRight(known, "/") == strings.TrimRight(st.Address, "/") })
	}
	if !st.Host {
		st.Remedy = fmt.Sprintf("The Engine of the Docker host does not ask it, which concerns runners with mode socket, and nothing but its own settings can tell it to. "+
			"Add to /etc/docker/daemon.json there: \"registry-mirrors\": [%q], then reload it: systemctl reload docker.", st.Address)
	}
	return st, nil
}

// OK reports whether jobs can use the mirror.
func (m *MirrorStatus) OK() bool {
	return m.State == "elsewhere" || m.State == "running" && (m.Health == "" || m.Health == "healthy")
}
