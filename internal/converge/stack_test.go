package converge

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// testStack has one of everything: a proxy, a forge that takes changes over by
// a command, a runner whose file holds what a task writes, a volume.
func testStack() *Stack {
	return &Stack{
		Name: "hepta", Data: "/srv/hepta", Forge: "hg.example.org",
		Networks: []Network{{Name: "web"}, {Name: "hepta-jobs"}},
		Volumes:  []Volume{{Name: "hepta-cache"}},
		Files: []File{
			{Path: "traefik/dynamic.yaml", Content: []byte("a: 1\nb: 2\n")},
			{Path: "traefik/acme.json", Mode: 0o600, Once: true, Secret: true},
			{Path: "forge/gitlab.rb", Mode: 0o600, Content: []byte("x\n"), Apply: &Apply{Service: "heptapod", Cmd: []string{"gitlab-ctl", "reconfigure"}}},
			{Path: "forge/smtp", Mode: 0o600, Secret: true, Content: []byte("hunter2\n"), Apply: &Apply{Service: "heptapod", Cmd: []string{"gitlab-ctl", "reconfigure"}}},
			{Path: "forge/boot", Content: []byte("e\n")},
			{Path: "runner/config.toml", Mode: 0o600, Secret: true, After: []Ref{"task:token"}, Merge: keepToken},
		},
		Containers: []Container{
			{Service: "traefik", Name: "hepta-traefik", Image: "traefik:v3.6.12", Networks: []Attachment{{Network: "web"}},
				Ports:  []Port{{Host: 80, Container: 80}, {Host: 443, Container: 443}},
				Mounts: []Mount{{Source: "traefik", Target: "/etc/traefik", Kind: Data}}},
			{Service: "heptapod", Name: "hepta-heptapod", Image: "octobus/heptapod:17.8", Hostname: "hg.example.org",
				Networks: []Attachment{{Network: "web", Aliases: []string{"hg.example.org"}}},
				Ports:    []Port{{Host: 22, Container: 22}},
				Env:      []string{"TZ=UTC"},
				Mounts:   []Mount{{Source: "forge", Target: "/etc/gitlab", Kind: Data}},
				Health:   &Health{Test: []string{"CMD", "true"}, Interval: time.Minute}, RecreateOn: []string{"forge/boot"}, After: []Ref{"container:traefik"},
				Ready: Ready{Check: func(context.Context, Host) error { return nil }}},
			{Service: "runner", Name: "hepta-runner", Image: "gitlab/gitlab-runner:v17.8",
				Networks: []Attachment{{Network: "web"}, {Network: "hepta-jobs"}},
				Mounts:   []Mount{{Source: "runner", Target: "/etc/gitlab-runner", Kind: Data}, {Source: "hepta-cache", Target: "/cache", Kind: VolumeKind}},
				After:    []Ref{"container:heptapod", "task:token"}},
		},
		Decide: []func(*Observed) ([]Task, error){decideToken},
	}
}

func keepToken(_ *Observed, current []byte) ([]byte, error) {
	if len(current) == 0 {
		return []byte("no token\n"), nil
	}
	return current, nil
}

func decideToken(o *Observed) ([]Task, error) {
	if bytes.Contains(o.Files["runner/config.toml"].Content, []byte("token = ")) {
		return nil, nil
	}
	return []Task{{Name: "runner token", Verb: "mint", Cause: "there is none yet", Ref: "task:token", After: []Ref{"container:heptapod"},
		Run: func(ctx context.Context, h Host) error {
			if _, err := h.Exec(ctx, "heptapod", []string{"gitlab-rails"}, nil); err != nil {
				return fmt.Errorf("mint: %w", err)
			}
			return h.WriteFile(ctx, "runner/config.toml", []byte("token = 1\n"), 0o600, 0, 0)
		}}}, nil
}

func (s *Stack) container(service string) *Container {
	for i := range s.Containers {
		if s.Containers[i].Service == service {
			return &s.Containers[i]
		}
	}
	panic("no service " + service)
}

func (s *Stack) file(path string) *File {
	for i := range s.Files {
		if s.Files[i].Path == path {
			return &s.Files[i]
		}
	}
	panic("no file " + path)
}
