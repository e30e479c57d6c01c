package converge

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/fault"
)

var unfit = regexp.MustCompile(`[^A-Za-z0-9 ,./_-]`)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares a text with the file below testdata that is named after a
// case. A name keeps the signs that Go allows in a file of a module, whatever
// the case is called.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", unfit.ReplaceAllString(name, "")+".txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// text is a plan with what is worth knowing, or the error that came instead.
func text(p *Plan, err error) string {
	if err != nil {
		return "error: " + fault.Describe(err) + "\n"
	}
	if p.Empty() && len(p.Notes) == 0 {
		return "nothing to do\n"
	}
	var b strings.Builder
	b.WriteString(p.String())
	for _, n := range p.Notes {
		fmt.Fprintln(&b, "note:", n)
	}
	return b.String()
}

// planCase changes the description, or the host that was brought up from it.
type planCase struct {
	name   string
	change func(*Stack, *hostModel)
}

var cases = []planCase{
	{"nothing changed", func(*Stack, *hostModel) {}},
	{"image changed", func(s *Stack, w *hostModel) { s.container("traefik").Image = "traefik:v3.7.0" }},
	{"image changed and is local", func(s *Stack, w *hostModel) {
		s.container("traefik").Image = "traefik:v3.7.0"
		w.images["traefik:v3.7.0"] = "sha256:new"
	}},
	{"image name in its long form", func(s *Stack, w *hostModel) {
		s.container("traefik").Image = "docker.io/library/traefik:v3.6.12"
	}},
	{"image pulled anew", func(s *Stack, w *hostModel) { w.images["traefik:v3.6.12"] = "sha256:new" }},
	{"file that its command has refused", func(s *Stack, w *hostModel) { w.refuse("/srv/hepta/forge/gitlab.rb", "no such setting (exit code 1)") }},
	{"image kept though its name means another", func(s *Stack, w *hostModel) { w.rename(s, "sha256:new") }},
	{"new container of the image that is kept", func(s *Stack, w *hostModel) {
		w.rename(s, "sha256:new")
		s.container("heptapod").Env = []string{"TZ=Europe/Rome"}
	}},
	{"image deleted under a running container", func(s *Stack, w *hostModel) { delete(w.images, "traefik:v3.6.12") }},
	{"env and labels", func(s *Stack, w *hostModel) {
		s.container("heptapod").Env = []string{"LANG=C", "TZ=Europe/Rome"}
		s.container("heptapod").Labels = map[string]string{"traefik.enable": "true"}
	}},
	{"port changed", func(s *Stack, w *hostModel) { s.container("traefik").Ports[1].Host = 8443 }},
	{"ports swapped", func(s *Stack, w *hostModel) {
		s.container("traefik").Ports[0].Host = 22
		s.container("heptapod").Ports[0].Host = 80
	}},
	{"port handed to a service that waits for the giver", func(s *Stack, w *hostModel) {
		s.container("traefik").Ports[0].Host = 8080
		s.container("heptapod").Ports[0].Host = 80
	}},
	{"data directory moved", func(s *Stack, w *hostModel) { s.Data = "/data" }},
	{"network renamed", func(s *Stack, w *hostModel) {
		s.Networks[1].Name = "hepta-work"
		s.container("runner").Networks[1].Network = "hepta-work"
	}},
	{"file that the program watches", func(s *Stack, w *hostModel) { s.file("traefik/dynamic.yaml").Content = []byte("a: 1\nb: 3\nc: 4\n") }},
	{"files with a command", func(s *Stack, w *hostModel) {
		s.file("forge/gitlab.rb").Content = []byte("y\n")
		s.file("forge/smtp").Content = []byte("hunter3\n")
	}},
	{"file with a command and a new container", func(s *Stack, w *hostModel) {
		s.file("forge/gitlab.rb").Content = []byte("y\n")
		s.container("heptapod").Image = "octobus/heptapod:17.9"
	}},
	{"file that needs a new container", func(s *Stack, w *hostModel) { s.file("forge/boot").Content = []byte("f\n") }},
	{"file edited by hand", func(s *Stack, w *hostModel) { w.edit("/srv/hepta/forge/boot", "mine\n") }},
	{"file edited by hand and read by a restart", func(s *Stack, w *hostModel) {
		w.edit("/srv/hepta/forge/boot", "mine\n")
		w.load(w.find("hepta-heptapod"))
	}},
	{"file of another mode and owner", func(s *Stack, w *hostModel) {
		f := w.disk["/srv/hepta/traefik/dynamic.yaml"]
		f.Mode, f.UID = 0o600, 1000
		w.disk["/srv/hepta/traefik/dynamic.yaml"] = f
	}},
	{"file deleted by hand", func(s *Stack, w *hostModel) { delete(w.disk, "/srv/hepta/traefik/dynamic.yaml") }},
	{"once file deleted by hand", func(s *Stack, w *hostModel) { delete(w.disk, "/srv/hepta/traefik/acme.json") }},
	{"file written and not taken over", func(s *Stack, w *hostModel) { w.pend("/srv/hepta/forge/gitlab.rb") }},
	{"file written and not taken over by a stopped container", func(s *Stack, w *hostModel) {
		w.pend("/srv/hepta/forge/gitlab.rb")
		w.find("hepta-heptapod").State = "exited"
	}},
	{"files that wait for each other with one command", func(s *Stack, w *hostModel) {
		s.file("forge/gitlab.rb").Content, s.file("forge/smtp").Content = []byte("y\n"), []byte("hunter3\n")
		s.file("forge/gitlab.rb").After = []Ref{"file:forge/smtp"}
	}},
	{"task due", func(s *Stack, w *hostModel) { w.edit("/srv/hepta/runner/config.toml", "") }},
	{"task due while the forge is unhealthy", func(s *Stack, w *hostModel) {
		w.edit("/srv/hepta/runner/config.toml", "")
		w.find("hepta-heptapod").Health = "unhealthy"
	}},
	{"stopped by hand", func(s *Stack, w *hostModel) {
		w.find("hepta-traefik").State, w.find("hepta-traefik").Status = "exited", "Exited (137) 2 hours ago"
	}},
	{"created and never started", func(s *Stack, w *hostModel) {
		w.find("hepta-traefik").State, w.find("hepta-traefik").Status = "created", "Created"
	}},
	{"dead", func(s *Stack, w *hostModel) { w.find("hepta-traefik").State = "dead" }},
	{"removed by hand", func(s *Stack, w *hostModel) { w.remove("hepta-runner") }},
	{"renamed by hand", func(s *Stack, w *hostModel) { w.find("hepta-traefik").Name = "proxy" }},
	{"renamed by hand and changed", func(s *Stack, w *hostModel) {
		w.find("hepta-traefik").Name = "proxy"
		s.container("traefik").Image = "traefik:v3.7.0"
	}},
	{"starting, unhealthy, paused, restarting", func(s *Stack, w *hostModel) {
		w.find("hepta-heptapod").Health = "starting"
		w.find("hepta-traefik").State = "paused"
		w.find("hepta-runner").State = "restarting"
	}},
	{"unhealthy", func(s *Stack, w *hostModel) { w.find("hepta-heptapod").Health = "unhealthy" }},
	{"off a network", func(s *Stack, w *hostModel) { delete(w.find("hepta-runner").Networks, "hepta-jobs") }},
	{"network created again under a stopped container", func(s *Stack, w *hostModel) {
		w.find("hepta-runner").State = "exited"
		w.networks[1].ID = "other"
	}},
	{"network and containers removed by hand", func(s *Stack, w *hostModel) {
		w.containers = nil
		w.networks = nil
	}},
	{"connected to a network by hand", func(s *Stack, w *hostModel) { w.connect("hepta-traefik", "metrics") }},
	{"connected to a network by hand and changed", func(s *Stack, w *hostModel) {
		w.connect("hepta-traefik", "metrics")
		s.container("traefik").Image = "traefik:v3.7.0"
	}},
	{"connected to a network by hand that is gone", func(s *Stack, w *hostModel) {
		w.connect("hepta-traefik", "metrics")
		w.networks = w.networks[:len(w.networks)-1]
		w.find("hepta-traefik").State = "exited"
	}},
	{"connected to a network by hand and interrupted", func(s *Stack, w *hostModel) {
		w.connect("hepta-traefik", "metrics")
		w.next(s, "created")
	}},
	{"network adopted", func(s *Stack, w *hostModel) { w.networks[0].Labels = nil }},
	{"network of the stack alone made by somebody else", func(s *Stack, w *hostModel) {
		s.Networks[1].Internal, w.networks[1].Internal, w.networks[1].Labels = true, true, nil
	}},
	{"network of the stack alone that leads out", func(s *Stack, w *hostModel) { s.Networks[1].Internal = true }},
	{"network of the stack alone", func(s *Stack, w *hostModel) { s.Networks[1].Internal, w.networks[1].Internal = true, true }},
	{"network doubled", func(s *Stack, w *hostModel) {
		w.networks = append(w.networks, ObservedNetwork{ID: "0", Name: "web", Labels: map[string]string{LabelStack: "hepta"}})
	}},
	{"volume adopted", func(s *Stack, w *hostModel) { w.volumes[0].Labels = nil }},
	{"services dropped", func(s *Stack, w *hostModel) {
		s.Containers = s.Containers[:1]
		s.Files, s.Decide = nil, nil
	}},
	{"another forge", func(s *Stack, w *hostModel) { s.Forge = "gitlab.example.com" }},
	{"another forge by the host name of an older release", func(s *Stack, w *hostModel) {
		s.Forge = "gitlab.example.com"
		delete(w.find("hepta-heptapod").Labels, LabelForge)
		c := *s.container("heptapod")
		c.Hostname = "hg.example.org"
		w.find("hepta-heptapod").Labels[LabelSpec] = c.Spec()
	}},
	{"forge renamed", func(s *Stack, w *hostModel) {
		s.Forge, s.Allow.Renamed = "code.example.org", true
		s.container("heptapod").Hostname = "code.example.org"
	}},
	{"stack renamed with its data", func(s *Stack, w *hostModel) { s.rename("prod", "/srv/hepta") }},
	{"stack renamed without its data", func(s *Stack, w *hostModel) { s.rename("prod", "/srv/prod") }},
	{"stack renamed without its data while it is stopped", func(s *Stack, w *hostModel) {
		s.rename("prod", "/srv/prod")
		for _, b := range w.containers {
			b.State = "exited"
		}
	}},
	{"stack renamed and taken down under its old name", func(s *Stack, w *hostModel) {
		s.rename("prod", "/srv/hepta")
		w.containers, s.Allow.Renamed = nil, true
	}},
	{"another stack with the same ports", func(s *Stack, w *hostModel) {
		s.rename("lab", "/srv/lab")
		s.Forge = "hg.lab.example.org"
		s.container("heptapod").Hostname = s.Forge
	}},
	{"data directory of a stopped compose project", func(s *Stack, w *hostModel) {
		*w = *newHostModel()
		w.foreign("gitlab_web_1", "exited", ObservedMount{Source: "/srv/hepta/forge/", Target: "/etc/gitlab"}, ObservedMount{Source: "/srv/hepta/forge/ssl", Target: "/ssl"})
		w.foreign("gitlab_db_1", "exited", ObservedMount{Source: "/srv/hepta/db", Target: "/var/lib/postgresql"})
	}},
	{"data directory that others read", func(s *Stack, w *hostModel) {
		w.foreign("node-exporter", "running", ObservedMount{Source: "/", Target: "/host", ReadOnly: true})
		w.foreign("backup", "running", ObservedMount{Source: "/srv/hepta", Target: "/source", ReadOnly: true}, ObservedMount{Source: "/srv/hepta-backups", Target: "/target"})
	}},
	{"data directory below one that others write to", func(s *Stack, w *hostModel) {
		*w = *newHostModel()
		w.foreign("portainer_agent", "running", ObservedMount{Source: "/", Target: "/host"})
	}},
	{"data directory below one that others write to while the stack runs", func(s *Stack, w *hostModel) {
		w.foreign("portainer_agent", "running", ObservedMount{Source: "/", Target: "/host"})
	}},
	{"data directory that may be shared", func(s *Stack, w *hostModel) {
		*w = *newHostModel()
		s.SharedWith = []string{"portainer_agent"}
		w.foreign("portainer_agent", "running", ObservedMount{Source: "/", Target: "/host"})
	}},
	{"data directory as a volume", func(s *Stack, w *hostModel) {
		w.volumes = append(w.volumes, ObservedVolume{Name: "forge_data", Device: "/srv/hepta/forge"}, ObservedVolume{Name: "other"})
		w.foreign("forge", "created", ObservedMount{Source: "/var/lib/docker/volumes/other/_data", Volume: "other"}, ObservedMount{Source: "/var/lib/docker/volumes/forge_data/_data", Volume: "forge_data"})
	}},
	{"data directory used by a job and by our own tools", func(s *Stack, w *hostModel) {
		w.foreign("runner-abc-project-1-concurrent-0-build", "running", ObservedMount{Source: "/srv/hepta/runner/cache", Target: "/cache"}).Labels = map[string]string{"com.gitlab.gitlab-runner.job.id": "7"}
		w.foreign("hepta-lock", "running", ObservedMount{Source: "/srv/hepta", Target: "/hepta"}).Labels = map[string]string{LabelStack: "hepta", LabelOwner: "me"}
		w.foreign("hepta-look-1", "running", ObservedMount{Source: "/srv/hepta", Target: "/hepta"}).Labels = map[string]string{LabelStack: "hepta", LabelOnce: "true"}
	}},
	{"service dropped with its network", func(s *Stack, w *hostModel) {
		s.Allow.RemoveOrphans = true
		s.Containers = slices.Delete(s.Containers, 2, 3)
		s.Networks = s.Networks[:1]
		s.Files = s.Files[:5]
		s.Decide = nil
	}},
	{"service renamed", func(s *Stack, w *hostModel) {
		s.container("runner").Service, s.Allow.RemoveOrphans = "worker", true
	}},
	{"interrupted before the old one stopped", func(s *Stack, w *hostModel) { w.next(s, "created") }},
	{"interrupted before the new one started", func(s *Stack, w *hostModel) {
		w.next(s, "created")
		w.find("hepta-traefik").State = "exited"
	}},
	{"interrupted before the new one was ready", func(s *Stack, w *hostModel) {
		w.next(s, "running")
		w.find("hepta-traefik").State = "exited"
	}},
	{"interrupted before the new one was ready and a file changed", func(s *Stack, w *hostModel) {
		w.next(s, "running")
		w.find("hepta-traefik").State = "exited"
		s.file("traefik/dynamic.yaml").Content = []byte("c: 3\n")
	}},
	{"interrupted before the new one was renamed", func(s *Stack, w *hostModel) {
		w.next(s, "running")
		w.remove("hepta-traefik")
	}},
	{"interrupted and changed again", func(s *Stack, w *hostModel) {
		w.next(s, "running")
		w.find("hepta-traefik").State = "exited"
		s.container("traefik").Image = "traefik:v3.8.0"
	}},
	{"interrupted and taken back", func(s *Stack, w *hostModel) {
		w.next(s, "created")
		w.find("hepta-traefik").State = "exited"
		s.container("traefik").Image = "traefik:v3.6.12"
	}},
	{"a second container of a service", func(s *Stack, w *hostModel) {
		b := *w.find("hepta-runner")
		b.ID, b.Name = "copy", "hepta-runner-old"
		w.containers = append(w.containers, &b)
	}},
	{"a lock is held", func(s *Stack, w *hostModel) {
		w.containers = append(w.containers, &box{ObservedContainer: ObservedContainer{ID: "l", Name: "hepta-lock", State: "running",
			Labels: map[string]string{LabelStack: "hepta", LabelOwner: "alice@host (pid 12)"}}})
	}},
	{"name taken by a stranger", func(s *Stack, w *hostModel) {
		w.remove("hepta-traefik")
		w.containers = append(w.containers, &box{ObservedContainer: ObservedContainer{ID: "x", Name: "hepta-traefik", Image: "nginx:1.27", State: "exited"}})
	}},
	{"successor's name taken by another stack", func(s *Stack, w *hostModel) {
		s.container("traefik").Image = "traefik:v3.7.0"
		w.remove("hepta-traefik_next") // a name is one container's
		w.containers = append(w.containers, &box{ObservedContainer: ObservedContainer{ID: "x", Name: "hepta-traefik_next", Image: "nginx:1.27", State: "running",
			Labels: map[string]string{LabelStack: "lab", LabelService: "traefik"}}})
	}},
	{"service dropped that leaves files to repair", func(s *Stack, w *hostModel) {
		s.Containers, s.Allow.RemoveOrphans = s.Containers[:2], true
		f := s.file("runner/config.toml")
		f.Existing, f.After = true, nil
		f.Merge = func(*Observed, []byte) ([]byte, error) { return []byte("token = none\n"), nil }
		s.Decide = []func(*Observed) ([]Task, error){func(o *Observed) ([]Task, error) {
			if !strings.Contains(string(o.Files["runner/config.toml"].Content), "token = 1") {
				return nil, nil
			}
			return []Task{{Name: "runner token", Verb: "delete", Cause: "no longer described", Before: []Ref{"file:runner/config.toml"},
				Run: func(context.Context, Host) error { return nil }}}, nil
		}}
	}},
	{"guest of the proxy", func(s *Stack, w *hostModel) { w.guest("wiki") }},
	{"guest of the proxy with a name that is needed", func(s *Stack, w *hostModel) {
		w.remove("hepta-traefik")
		w.guest("hepta-traefik")
	}},
	{"guest of the proxy with a port that is needed", func(s *Stack, w *hostModel) {
		w.remove("hepta-traefik")
		w.guest("wiki").Ports = []Port{{Host: 443, Container: 443}}
	}},
	{"port taken by a stranger", func(s *Stack, w *hostModel) {
		w.remove("hepta-traefik")
		w.containers = append(w.containers, &box{ObservedContainer: ObservedContainer{ID: "x", Name: "nginx", Image: "nginx:1.27", State: "running",
			Ports: []Port{{HostIP: "0.0.0.0", Host: 443, Container: 443, Proto: "tcp"}}}})
	}},
	{"port taken beside a running container", func(s *Stack, w *hostModel) {
		w.containers = append(w.containers, &box{ObservedContainer: ObservedContainer{ID: "x", Name: "nginx", Image: "nginx:1.27", State: "running",
			Ports: []Port{{HostIP: "127.0.0.1", Host: 443, Container: 443, Proto: "udp"}}}})
	}},
	{"spec label unreadable", func(s *Stack, w *hostModel) { w.find("hepta-traefik").Labels[LabelSpec] = "{" }},
}

func (w *hostModel) edit(host, content string) {
	f := w.disk[host]
	f.Content = []byte(content)
	w.disk[host] = f
}

// rename lets the name of the forge's image, which is kept, mean another one.
func (w *hostModel) rename(s *Stack, id string) {
	c := s.container("heptapod")
	c.KeepImage = true
	w.images["kept:"+w.id("")], w.images[c.Image] = w.images[c.Image], id
}

// refuse marks a file as one that its command has not taken.
func (w *hostModel) refuse(host, said string) {
	f := w.disk[host]
	f.Pending, f.Refused = true, said
	w.disk[host] = f
}

func (w *hostModel) pend(host string) {
	f := w.disk[host]
	f.Pending = true
	w.disk[host] = f
}

func (w *hostModel) remove(name string) {
	w.containers = slices.DeleteFunc(w.containers, func(b *box) bool { return b.Name == name })
}

// foreign adds a container of somebody else.
func (w *hostModel) foreign(name, state string, mounts ...ObservedMount) *box {
	b := &box{ObservedContainer: ObservedContainer{ID: "id-" + name, Name: name, Image: "image:1", State: state, Mounts: mounts}}
	w.containers = append(w.containers, b)
	return b
}

// rename gives the stack another name and data directory.
func (s *Stack) rename(name, data string) {
	for i := range s.Containers {
		c := &s.Containers[i]
		c.Name = name + strings.TrimPrefix(c.Name, s.Name)
	}
	s.Name, s.Data = name, data
}

// connect puts a container on a network of somebody else.
func (w *hostModel) connect(name, network string) {
	w.networks = append(w.networks, ObservedNetwork{ID: w.id("net"), Name: network, Driver: "bridge"})
	w.find(name).Networks[network] = w.networks[len(w.networks)-1].ID
}

// guest adds a container of someone else that the proxy publishes.
func (w *hostModel) guest(name string) *box {
	web, _ := w.network("web")
	b := &box{ObservedContainer: ObservedContainer{ID: "guest", Name: name, Image: "wiki:1", State: "running",
		Labels: map[string]string{LabelStack: "hepta", "traefik.enable": "true"}, Networks: map[string]string{"web": web.ID}}}
	w.containers = append(w.containers, b)
	return b
}

// next puts the successor of a changed proxy beside it.
func (w *hostModel) next(s *Stack, state string) {
	s.container("traefik").Image = "traefik:v3.7.0"
	w.images["traefik:v3.7.0"] = "sha256:traefik:v3.7.0"
	p, err := Up(s, w.observe(s))
	if err != nil {
		panic(err)
	}
	for _, op := range p.Operations {
		if op.Kind == CreateContainer && op.Container.Service == "traefik" {
			if err := w.step(s, op, false); err != nil {
				panic(err)
			}
		}
	}
	if b := w.find("hepta-traefik_next"); b != nil { // not where the proxy itself is gone
		b.State = state
	}
}

func TestUp(t *testing.T) {
	t.Run("bare host", func(t *testing.T) {
		golden(t, "up/bare host", text(Up(testStack(), &Observed{})))
	})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, w := testStack(), newHostModel()
			if err := w.up(s); err != nil {
				t.Fatal(err)
			}
			c.change(s, w)
			p, err := Up(s, w.observe(s))
			golden(t, "up/"+c.name, text(p, err))
			if err != nil {
				return
			}
			again, err := Up(s, w.observe(s))
			if err != nil || again.String() != p.String() {
				t.Errorf("a second look gives another plan: %v\n%s", err, again)
			}
			if err := w.run(s, p); err != nil {
				t.Fatalf("run: %v\n%s", err, p)
			}
			if left, err := Up(s, w.observe(s)); err != nil || !left.Empty() {
				t.Errorf("left to do: %v\n%s", err, left)
			}
		})
	}
}
