package converge

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestImpossibleStacks(t *testing.T) {
	run := func(context.Context, Host) error { return nil }
	for _, c := range []struct {
		name   string
		change func(*Stack)
		want   string
	}{
		{"no name", func(s *Stack) { s.Name = "" }, "no name"},
		{"service twice", func(s *Stack) { s.Containers = append(s.Containers, s.Containers[0]) }, "container:traefik is described twice"},
		{"name twice", func(s *Stack) { s.container("runner").Name = "hepta-traefik" }, "the same container name hepta-traefik"},
		{"port twice", func(s *Stack) { s.container("heptapod").Ports[0].Host = 443 }, "services traefik and heptapod both want port 443"},
		{"reserved label", func(s *Stack) { s.container("traefik").Labels = map[string]string{"hepta.x": "1"} }, "names that begin with hepta. are hepta's own"},
		{"unknown network", func(s *Stack) { s.Networks = nil }, "network web is not described"},
		{"a mode of the Engine as network", func(s *Stack) { s.Networks[0].Name = "host" }, "host is a network mode of the Engine"},
		{"host name too long", func(s *Stack) { s.container("heptapod").Hostname = strings.Repeat("a", 65) }, "its host name has 65 characters"},
		{"unknown volume", func(s *Stack) { s.Volumes = nil }, "volume hepta-cache is not described"},
		{"unknown reference", func(s *Stack) { s.container("runner").After = []Ref{"container:forge"} }, "service runner waits for container:forge"},
		{"unknown file", func(s *Stack) { s.container("runner").RecreateOn = []string{"x"} }, "file x is not described"},
		{"unknown service to apply to", func(s *Stack) { s.file("forge/smtp").Apply = &Apply{Service: "x"} }, "file forge/smtp: service x"},
		{"file twice", func(s *Stack) { s.Files = append(s.Files, s.Files[0]) }, "described twice"},
		{"file above", func(s *Stack) { s.Files[0].Path = "../x" }, "not a clean one below"},
		{"file not clean", func(s *Stack) { s.Files[0].Path = "a//x" }, "not a clean one below"},
		{"file elsewhere", func(s *Stack) { s.Files[0].Path = "/etc/passwd" }, "only /etc/docker is written"},
		{"file next to", func(s *Stack) { s.Files[0].Path = "/etc/docker-x/y" }, "only /etc/docker is written"},
		{"data not absolute", func(s *Stack) { s.Data = "srv" }, "not an absolute path"},
		{"once and merge", func(s *Stack) { s.file("runner/config.toml").Once = true }, "exclude each other"},
		{"circle", func(s *Stack) { s.container("traefik").After = []Ref{"container:runner"} }, "wait for each other"},
		{"task without work", func(s *Stack) {
			s.Decide = append(s.Decide, func(*Observed) ([]Task, error) { return []Task{{Name: "x"}}, nil })
		}, "task x has nothing to run"},
		{"task twice", func(s *Stack) {
			s.Decide = append(s.Decide, func(*Observed) ([]Task, error) {
				return []Task{{Name: "x", Ref: "task:x", Run: run}, {Name: "y", Ref: "task:x", Run: run}}, nil
			})
		}, "task:x is due twice"},
		{"undecided", func(s *Stack) {
			s.Decide = append(s.Decide, func(*Observed) ([]Task, error) { return nil, errors.New("cannot tell") })
		}, "decide tasks: cannot tell"},
		{"unmergeable", func(s *Stack) {
			s.file("runner/config.toml").Merge = func(*Observed, []byte) ([]byte, error) { return nil, errors.New("no TOML") }
		}, "render runner/config.toml: no TOML"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := testStack()
			c.change(s)
			_, err := Up(s, &Observed{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want something with %q", err, c.want)
			}
		})
	}
}

func TestPortsOverlap(t *testing.T) {
	for _, c := range []struct {
		a, b Port
		want bool
	}{
		{Port{Host: 80}, Port{Host: 80, Proto: "tcp"}, true},
		{Port{Host: 80}, Port{Host: 80, Proto: "udp"}, false},
		{Port{Host: 80}, Port{Host: 81}, false},
		{Port{Host: 80, HostIP: "127.0.0.1"}, Port{Host: 80, HostIP: "127.0.0.2"}, false},
		{Port{Host: 80, HostIP: "127.0.0.1"}, Port{Host: 80, HostIP: "0.0.0.0"}, true},
		{Port{Host: 80, HostIP: "::"}, Port{Host: 80}, true},
		{Port{}, Port{}, false},
	} {
		if c.a.Overlaps(c.b) != c.want || c.b.Overlaps(c.a) != c.want {
			t.Errorf("%v and %v: want %v", c.a, c.b, c.want)
		}
	}
}

func TestShows(t *testing.T) {
	s := &Stack{Data: "/srv/hepta"}
	c := &Container{Mounts: []Mount{
		{Kind: Data, Source: "forge", Target: "/etc/gitlab"}, {Kind: Data, Source: "forge/ssl", Target: "/ssl"},
		{Kind: HostPath, Source: "/etc/docker/certs.d", Target: "/certs"}, {Kind: VolumeKind, Source: "v", Target: "/v"},
	}}
	for file, want := range map[string]string{
		"forge/gitlab.rb": "/etc/gitlab/gitlab.rb", "forge/ssl/a": "/ssl/a", "forgery/x": "", "forge": "/etc/gitlab",
		"/etc/docker/certs.d/r/ca.crt": "/certs/r/ca.crt", "/etc/docker/daemon.json": "", "v/x": "",
	} {
		if got, ok := s.Shows(c, file); got != want || ok != (want != "") {
			t.Errorf("%s: %q %v, want %q", file, got, ok, want)
		}
	}
}

// TestPlanJSON holds the form that programs read.
func TestPlanJSON(t *testing.T) {
	s, w := testStack(), newHostModel()
	empty, err := Up(&Stack{Name: "x"}, &Observed{})
	if err != nil {
		t.Fatal(err)
	}
	none, _ := json.Marshal(empty)
	if got := string(none); got != `{"stack":"x","operations":[]}` {
		t.Errorf("empty plan is %s", got)
	}
	p, err := Up(s, w.observe(s))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "bare host.json", string(b)+"\n")
	if strings.Contains(string(b), "hunter2") {
		t.Error("a secret is in the plan")
	}
	for _, op := range p.Operations {
		for k, v := range op.Labels {
			if strings.Contains(v, "hunter2") {
				t.Errorf("a secret is in label %s", k)
			}
		}
	}
}

func TestDown(t *testing.T) {
	stranger := func(w *hostModel) {
		w.containers = append(w.containers, &box{ObservedContainer: ObservedContainer{ID: "x", Name: "blog", State: "running", Networks: map[string]string{"web": w.networks[0].ID}}})
	}
	for _, c := range []struct {
		name    string
		options DownOptions
		change  func(*Stack, *hostModel)
	}{
		{"all", DownOptions{}, func(*Stack, *hostModel) {}},
		{"with volumes", DownOptions{Volumes: true}, func(*Stack, *hostModel) {}},
		{"stranger on the network", DownOptions{}, func(_ *Stack, w *hostModel) { stranger(w) }},
		{"guest of the proxy", DownOptions{}, func(_ *Stack, w *hostModel) { w.guest("wiki") }},
		{"stopped, halfway and renamed", DownOptions{}, func(s *Stack, w *hostModel) {
			w.next(s, "created")
			w.find("hepta-runner").State = "exited"
			w.find("hepta-traefik").Name = "proxy"
		}},
		{"connected to a network by hand", DownOptions{}, func(_ *Stack, w *hostModel) { w.connect("hepta-traefik", "metrics") }},
		{"adopted network and volume", DownOptions{Volumes: true}, func(_ *Stack, w *hostModel) { w.networks[0].Labels, w.volumes[0].Labels = nil, nil }},
		{"description emptied", DownOptions{}, func(s *Stack, _ *hostModel) { *s = Stack{Name: "hepta"} }},
		{"description emptied and agreed to", DownOptions{}, func(s *Stack, _ *hostModel) { *s = Stack{Name: "hepta", Allow: Allow{RemoveOrphans: true}} }},
		{"another forge", DownOptions{}, func(s *Stack, _ *hostModel) { s.Forge = "gitlab.example.com" }},
		{"other stack and lock stay", DownOptions{}, func(s *Stack, w *hostModel) {
			w.containers = []*box{
				{ObservedContainer: ObservedContainer{ID: "o", Name: "lab-traefik", State: "running", Labels: map[string]string{LabelStack: "lab"}}},
				{ObservedContainer: ObservedContainer{ID: "l", Name: "hepta-lock", State: "running", Labels: map[string]string{LabelStack: "hepta", LabelOwner: "me"}}},
			}
			w.networks, w.volumes = nil, nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, w := testStack(), newHostModel()
			if err := w.up(s); err != nil {
				t.Fatal(err)
			}
			c.change(s, w)
			p, err := Down(s, w.observe(s), c.options)
			golden(t, "down/"+c.name, text(p, err))
			if err != nil {
				return
			}
			for n := range len(p.Operations) + 1 {
				cut := w.clone()
				if _, err := walk(cut, s, p, n, func(n int) int { return n - 1 }); err != nil {
					t.Fatal(err)
				}
				rest, err := Down(s, cut.observe(s), c.options)
				if err != nil {
					t.Fatal(err)
				}
				if err := cut.run(s, rest); err != nil {
					t.Fatal(err)
				}
				if left, err := Down(s, cut.observe(s), c.options); err != nil || !left.Empty() {
					t.Errorf("killed after #%d, left: %v\n%s", n, err, left)
				}
			}
		})
	}
	if _, err := Down(&Stack{}, &Observed{}, DownOptions{}); err == nil {
		t.Error("a stack without a name was taken down")
	}
}
