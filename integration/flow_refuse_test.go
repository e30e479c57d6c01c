package integration

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/fault"
)

// A small stack beside the lab: other names, other ports, no TLS.
const refusedYAML = `stack: refused
data: /srv/refused
network: refused
heptapod: {host: refused.test, image: octobus/heptapod:17.8, ssh: {via: none}}
traefik: {image: traefik:v3.6.12, http_port: 8080}
tls: {mode: off}
`

// foreign starts a container that is none of the stack's.
func (s *site) foreign(t *testing.T, name string, host container.HostConfig) string {
	t.Helper()
	ctx := t.Context()
	config := &container.Config{Image: "hepta/small:1", Cmd: []string{"sleep", "3600"}}
	for p := range host.PortBindings {
		config.ExposedPorts = nat.PortSet{p: {}}
	}
	made, err := s.docker.ContainerCreate(ctx, config, &host, nil, nil, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.remove(t, made.ID) })
	if err := s.docker.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	return made.ID
}

// What stands in the way has to be refused with its name and a remedy, and
// nothing that was there may be touched or be left half made.
func TestWhatStandsInTheWayIsRefused(t *testing.T) {
	s := onSite(t)

	t.Run("a port that another container has", func(t *testing.T) {
		id := s.foreign(t, "somebody", container.HostConfig{PortBindings: nat.PortMap{"8000/tcp": {{HostPort: "8080"}}}})
		stack := s.stack(t, refusedYAML)
		s.refuses(t, stack, "port 8080", "somebody", "Choose another port")
		s.bare(t, stack)
		s.alive(t, id)
	})

	t.Run("a name that another container has", func(t *testing.T) {
		id := s.foreign(t, "refused-heptapod", container.HostConfig{})
		stack := s.stack(t, refusedYAML)
		s.refuses(t, stack, "refused-heptapod", "docker rename")
		s.bare(t, stack)
		s.alive(t, id)
	})

	t.Run("an image that is nowhere", func(t *testing.T) {
		stack := s.stack(t, refusedYAML, func(c *hepta.Config) { c.Traefik.Image = "traefik:v3.6.99" })
		s.removeAtEnd(t, stack)
		s.refuses(t, stack, "traefik:v3.6.99", "pull image", "docker load")
		s.bare(t, stack)
	})

	t.Run("a database without its keys", func(t *testing.T) {
		stack := s.stack(t, refusedYAML, func(c *hepta.Config) { c.Data = "/srv/refused-keys" })
		s.put(t, "/srv/refused-keys/heptapod/data/postgresql/data", "PG_VERSION", "14\n")
		s.removeAtEnd(t, stack)
		s.refuses(t, stack, "gitlab-secrets.json", "/srv/refused-keys/heptapod", "PG_VERSION")
		for _, name := range s.owned(t, "refused") {
			i, err := s.docker.ContainerInspect(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(name, "heptapod") && i.State.StartedAt > "0002" {
				t.Error("the forge was started on the data")
			}
		}
		if got := s.file(t, "/srv/refused-keys", "heptapod/data/postgresql/data/PG_VERSION"); got != "14\n" {
			t.Errorf("the database was touched: %q", got)
		}
	})

	t.Run("a container that ends when it starts", func(t *testing.T) {
		stack := s.stack(t, refusedYAML, func(c *hepta.Config) {
			c.Data, c.Heptapod.GitlabRB = "/srv/refused-rb", "nginxx['listen_port'] = 80\n"
		})
		s.removeAtEnd(t, stack)
		s.refuses(t, stack, "refused-heptapod", "its last log lines", "unsupported config key 'nginxx'", "hepta up")
	})
}

// refuses runs up, which has to fail and to say these words.
func (s *site) refuses(t *testing.T, stack *hepta.Stack, words ...string) {
	t.Helper()
	done, err := stack.Up(t.Context(), hepta.UpOptions{})
	if err == nil {
		t.Fatalf("up did\n%s", done)
	}
	text := fault.Describe(err)
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("it does not say %q", w)
		}
	}
	if fault.Remedy(err) == "" {
		t.Error("it does not say what to do")
	}
	t.Log(text)
}

// bare checks that there is nothing of the stack.
func (s *site) bare(t *testing.T, stack *hepta.Stack) {
	t.Helper()
	if left := s.owned(t, stack.Config().Stack); len(left) > 0 {
		t.Errorf("containers are left: %q", left)
	}
	networks, err := s.docker.NetworkList(t.Context(), network.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(networks, func(n network.Summary) bool { return n.Name == stack.Config().Network }) {
		t.Errorf("network %s is left", stack.Config().Network)
	}
}

// alive checks that a container runs as it did.
func (s *site) alive(t *testing.T, id string) {
	t.Helper()
	i, err := s.docker.ContainerInspect(t.Context(), id)
	if err != nil || !i.State.Running || i.RestartCount != 0 {
		t.Errorf("the foreign container: %+v, %v", i.State, err)
	}
}

// window is a container that shows a directory of the site, until close: while
// it is there, it is one of somebody else that can write to the directory.
func (s *site) window(t *testing.T, dir string) (id string, close func()) {
	t.Helper()
	made, err := s.docker.ContainerCreate(t.Context(), &container.Config{Image: "hepta/small:1"},
		&container.HostConfig{Binds: []string{dir + ":/window"}}, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	return made.ID, func() { s.remove(t, made.ID) }
}

// put writes a file of the site.
func (s *site) put(t *testing.T, dir, name, text string) {
	t.Helper()
	s.putAs(t, dir, name, 0o600, text)
}

func (s *site) putAs(t *testing.T, dir, name string, mode int64, text string) {
	t.Helper()
	var pack bytes.Buffer
	w := tar.NewWriter(&pack)
	err := w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(text))})
	if _, also := w.Write([]byte(text)); err == nil {
		err = also
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	id, done := s.window(t, dir)
	defer done()
	if err := s.docker.CopyToContainer(t.Context(), id, "/window", &pack, container.CopyToContainerOptions{}); err != nil {
		t.Fatal(err)
	}
}

// file reads a file of the site below dir.
func (s *site) file(t *testing.T, dir, name string) string {
	t.Helper()
	return s.stat(t, dir, name).text
}

// seen is a file of the site.
type seen struct {
	text string
	mode string
}

func (s *site) stat(t *testing.T, dir, name string) seen {
	t.Helper()
	id, done := s.window(t, dir)
	defer done()
	stream, stat, err := s.docker.CopyFromContainer(t.Context(), id, "/window/"+name)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	r := tar.NewReader(stream)
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if _, err := text.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	return seen{text.String(), fmt.Sprintf("%04o", stat.Mode.Perm())}
}
