package faults

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/google/go-cmp/cmp"
)

// site is one stack on a host, as an administrator has it: a directory with
// a hepta.yaml, and the program.
type site struct {
	g    *host
	name string
	dir  string
	port int // of the first of three published ports
	env  []string
	gate *gate // nil: the program talks to the Engine itself
}

// settings are what varies in a site's hepta.yaml.
type settings struct {
	release int    // of the images
	ruby    string // lines for gitlab.rb
	env     string // of the forge, as KEY: value
	label   string // of every container
	network string // default the site's own
	data    string // default the site's own
	boot    int    // minutes, default 2
	runners []string
}

var sites atomic.Int64

// newSite gives a site whose containers go when the test ends.
func newSite(t testing.TB, g *host, gated bool) *site {
	t.Helper()
	n := int(sites.Add(1))
	s := &site{g: g, name: fmt.Sprintf("site%03d", n), dir: t.TempDir(), port: 10000 + 10*n, env: []string{"DOCKER_HOST=tcp://" + g.engine}}
	t.Cleanup(func() { s.remove(t) })
	if gated {
		dir, err := os.MkdirTemp("", "gate") // the path of a socket must be short
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		s.gate = newGate(t, g.engine, filepath.Join(dir, "s"))
		s.env = []string{"DOCKER_HOST=unix://" + s.gate.socket}
	}
	return s
}

// write makes the site's hepta.yaml.
func (s *site) write(t testing.TB, o settings) {
	t.Helper()
	if o.network == "" {
		o.network = s.name + "-web"
	}
	if o.data == "" {
		o.data = s.data()
	}
	if o.boot == 0 {
		o.boot = 2
	}
	if o.runners == nil {
		o.runners = []string{"one"}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "stack: %s\ndata: %s\nnetwork: %s\nforge: hg.%[1]s.test\nregistry: registry.%[1]s.test\n", s.name, o.data, o.network)
	fmt.Fprintf(&b, "tls: {mode: internal}\ntraefik: {image: \"%s%d\", socket_proxy_image: \"%s\", http_port: %d, https_port: %d, labels: {note: \"%s\"}}\n",
		traefikImage, 12+o.release, traefikImage+"12", s.port, s.port+1, o.label)
	fmt.Fprintf(&b, "heptapod:\n  image: \"%s%d\"\n  ssh: %d\n  boot_minutes: %d\n  labels: {note: \"%s\"}\n  env: {%s}\n",
		heptapodImage, 12+o.release, s.port+2, o.boot, o.label, o.env)
	if o.ruby != "" {
		fmt.Fprintf(&b, "  gitlab_rb: |\n    %s\n", o.ruby)
	}
	fmt.Fprintf(&b, "runner: {image: \"%s%d\", drain_seconds: 5, labels: {note: \"%s\"}}\nrunners:\n", heptapodImage, 12+o.release, o.label)
	for _, r := range o.runners {
		fmt.Fprintf(&b, "  - {name: %s, mode: plain, tags: [t], image: \"%s12\"}\n", r, heptapodImage)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "hepta.yaml"), []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *site) data() string { return "/srv/" + s.name }

// hangs is how long a run of the program may take, which has time limits of its
// own: on a busy machine an Engine takes a minute to start one container.
const hangs = 15 * time.Minute

// outcome is how a run of the program ended.
type outcome struct {
	code int
	text string // both outputs
	took time.Duration
}

// command is the program in the site's directory.
func (s *site) command(ctx context.Context, out *bytes.Buffer, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, outer.hepta, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, out, out
	cmd.Env = append(os.Environ(), s.env...)
	return cmd
}

// run runs the program to its end.
func (s *site) run(t testing.TB, args ...string) outcome {
	t.Helper()
	if s.gate != nil {
		s.gate.open(0, everyCall, nil)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), hangs)
	defer cancel()
	var out bytes.Buffer
	start := time.Now()
	cmd := s.command(ctx, &out, args...)
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String(), time.Since(start)}
}

// runUntil runs the program until it says a text: one whose --timeout ended it
// before it came that far, as on a busy machine, says itself to run it again.
func (s *site) runUntil(t testing.TB, says string, args ...string) outcome {
	t.Helper()
	var o outcome
	for range 10 {
		o = s.run(t, args...)
		if strings.Contains(o.text, says) || !strings.Contains(o.text, "--timeout; run the same command again") {
			break
		}
	}
	return o
}

// must runs the program, which has to succeed.
func (s *site) must(t testing.TB, args ...string) outcome {
	t.Helper()
	o := s.run(t, args...)
	if o.code != 0 {
		t.Fatalf("%s: hepta %s: exit code %d\n%s", s.name, strings.Join(args, " "), o.code, o.text)
	}
	return o
}

// killed runs the program and kills it after n calls that count. It says which
// calls there were, and whether the program had ended by itself before.
func (s *site) killed(t testing.TB, n int, count func(string) bool, args ...string) (calls []string, o outcome, finished bool) {
	t.Helper()
	var out bytes.Buffer
	cmd := s.command(context.WithoutCancel(t.Context()), &out, args...)
	started := make(chan struct{})
	s.gate.open(n, count, func() {
		<-started
		_ = cmd.Process.Kill()
	})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	close(started)
	_ = cmd.Wait()
	calls = s.gate.cut()
	return calls, outcome{code: cmd.ProcessState.ExitCode(), text: out.String()}, cmd.ProcessState.Exited()
}

// state is everything of a site that must not depend on how it came about.
type state struct {
	Containers map[string]box
	Networks   []string
	Files      map[string]entry
	Authority  string // what the Engine trusts
}

type box struct {
	State, Image string
	Labels       map[string]string
	Networks     []string
}

// look takes a site's state.
func (s *site) look(t testing.TB) state {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	// The lock of a killed run goes by itself, in a moment.
	eventually(t, "the lock is gone", func() bool {
		c, err := s.g.docker.ContainerInspect(ctx, s.name+"-lock")
		return err != nil || c.State.Status == container.StateCreated
	})
	seen := state{Containers: make(map[string]box), Files: s.g.files(t, s.data())}
	list, err := s.g.docker.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if name := c.Names[0][1:]; c.Labels["hepta.stack"] == s.name || strings.HasPrefix(name, s.name) {
			seen.Containers[name] = box{c.State, c.Image, c.Labels, slices.Sorted(maps.Keys(c.NetworkSettings.Networks))}
		}
	}
	networks, err := s.g.docker.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("label", "hepta.stack="+s.name))})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range networks {
		seen.Networks = append(seen.Networks, n.Name)
	}
	slices.Sort(seen.Networks)
	for _, f := range s.g.files(t, fmt.Sprintf("/etc/docker/certs.d/registry.%s.test:%d", s.name, s.port+1)) {
		seen.Authority += f.Content
	}
	return seen
}

// running reports whether a container of the site runs, and since when.
func (s *site) running(t testing.TB, service string) (id string, ok bool) {
	t.Helper()
	c, err := s.g.docker.ContainerInspect(context.WithoutCancel(t.Context()), s.name+"-"+service)
	return c.ID, err == nil && c.State.Running
}

// remove takes every trace of the site's containers away, to have it quiet.
func (s *site) remove(t testing.TB) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	list, err := s.g.docker.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", "hepta.stack="+s.name))})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		_ = s.g.docker.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true})
	}
	_ = s.g.docker.NetworkRemove(ctx, s.name+"-web")
	_ = s.g.docker.NetworkRemove(ctx, s.name+"-socket")
}

// identityFile says whose a data directory is; its id is the proof that the
// stack's containers carry.
const identityFile = "identity.json"

// generated are the files whose content is made up once.
var generated = []string{
	"heptapod/config/hepta/root_password", "heptapod/config/hepta/api_token", "heptapod/config/gitlab-secrets.json",
	"heptapod/data/forge.json", "runner/config.toml", identityFile,
}

// isGenerated reports whether a file holds what was made up.
func isGenerated(path string) bool {
	return slices.Contains(generated, path) || strings.HasSuffix(path, ".key") || strings.HasSuffix(path, ".crt") || strings.HasSuffix(path, ".pem")
}

var (
	image = regexp.MustCompile(`sha256:[0-9a-f]{64}`)
	// stand is the fingerprint of where a runner's jobs stand, and so of names and ports.
	stand = regexp.MustCompile(`"reached": "[0-9a-f]{16}"`)
	// subnet is what the Engine gave a network, another one each time.
	subnet = regexp.MustCompile(`(172\.\d+|192\.168)\.\d+\.0/\d+`)
	proof  = regexp.MustCompile(`"id": "(\w+)"`)
)

// common is a state without what differs between two sites that are alike. A
// port is a number of its own: the same digits in a hash are none.
func (s *site) common(seen state) state {
	var ports [3]*regexp.Regexp
	for i := range ports {
		ports[i] = regexp.MustCompile(`\b` + strconv.Itoa(s.port+i) + `\b`)
	}
	var names []string // and what stands for each
	if id := proof.FindStringSubmatch(seen.Files[identityFile].Content); id != nil {
		names = append(names, id[1], "PROOF")
	}
	known := strings.NewReplacer(append(names, s.name, "SITE")...)
	plain := func(text string) string {
		text = known.Replace(text)
		text = image.ReplaceAllString(text, "IMAGE")
		text = stand.ReplaceAllString(text, `"reached": "STAND"`)
		for i, p := range ports {
			text = p.ReplaceAllString(text, "PORT"+strconv.Itoa(i))
		}
		return text
	}
	out := state{Containers: make(map[string]box), Files: make(map[string]entry)}
	if seen.Authority != "" {
		out.Authority = "(made up)"
	}
	for name, c := range seen.Containers {
		labels := make(map[string]string)
		for k, v := range c.Labels {
			labels[plain(k)] = plain(v)
		}
		var networks []string
		for _, n := range c.Networks {
			networks = append(networks, plain(n))
		}
		out.Containers[plain(name)] = box{c.State, c.Image, labels, networks}
	}
	for _, n := range seen.Networks {
		out.Networks = append(out.Networks, plain(n))
	}
	for path, f := range seen.Files {
		f.Content = plain(f.Content)
		if isGenerated(path) {
			f.Content = "(made up)"
		}
		if f.Dir && !strings.HasPrefix(path, "heptapod/") {
			// The Engine makes what a container mounts open, a file that is
			// private makes its directory private; either may come first. Only
			// the forge has programs that are not root.
			f.Mode = 0
		}
		out.Files[path] = f
	}
	return out
}

// same compares two states; what was made up must not be shown.
func same(t testing.TB, what string, got, want state) {
	t.Helper()
	for path, f := range want.Files {
		if g, ok := got.Files[path]; ok && isGenerated(path) && g.Content != f.Content {
			t.Errorf("%s: %s was created again", what, path)
			g.Content = f.Content
			got.Files[path] = g
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s: (- undisturbed, + this time)\n%s", what, d)
	}
}

// quiet checks that nothing is left to do.
func (s *site) quiet(t testing.TB, what string) {
	t.Helper()
	if o := s.run(t, "plan"); o.code != 0 {
		t.Errorf("%s: the plan is not empty: exit code %d\n%s", what, o.code, o.text)
	}
}

// consistent checks that the three programs agree with each other.
func (s *site) consistent(t testing.TB, what string, seen state) {
	t.Helper()
	if seen.Files["heptapod/data/reconfigured"].Content != seen.Files["heptapod/config/gitlab.rb"].Content {
		t.Errorf("%s: the forge has not taken gitlab.rb over", what)
	}
	for path := range seen.Files {
		if strings.Contains(path, ".hepta-") {
			t.Errorf("%s: %s is left over", what, path)
		}
	}
	if ca := seen.Authority; ca == "" || !strings.Contains(seen.Files["traefik/dynamic/leaf.pem"].Content, ca) {
		t.Errorf("%s: the Engine does not trust the registry", what)
	}
	if n := strings.Count(seen.Files["heptapod/data/forge.json"].Content, `"description"`); n != 1 {
		t.Errorf("%s: the forge knows %d runners", what, n)
	}
}
