package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/converge"
)

// meter counts the requests that a program makes of the site's engine.
type meter struct {
	mu    sync.Mutex
	calls []string
}

// measured is an address of the site's engine where every request counts.
func (s *site) measured(t *testing.T) (*meter, string) {
	t.Helper()
	m := &meter{}
	target := filepath.Join(s.dir, "docker.sock")
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", target)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	forward := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "docker" },
		Transport:     transport,
		FlushInterval: -1,
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(t.TempDir(), "d.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		m.calls = append(m.calls, r.Method+" "+r.URL.RequestURI())
		m.mu.Unlock()
		forward.ServeHTTP(w, r)
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.Serve(listener)
	}()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	return m, "unix://" + listener.Addr().String()
}

// check ends one count: no more than limit, and nothing that changes.
func (m *meter) check(t *testing.T, limit int) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.calls) == 0 || len(m.calls) > limit {
		t.Errorf("%d calls, want 1 to %d:\n%q", len(m.calls), limit, m.calls)
	}
	for _, c := range m.calls {
		if method := c[:4]; method != "GET " && method != "HEAD" {
			t.Errorf("where nothing is to be done there was a %s", c)
		}
	}
	m.calls = nil
}

// checkAsked is check for what also asks the forge, once, whether it takes the
// API token: three calls that run a command in its container.
func (m *meter) checkAsked(t *testing.T, limit int) {
	t.Helper()
	m.mu.Lock()
	asked := 0
	m.calls = slices.DeleteFunc(m.calls, func(c string) bool {
		_, path, _ := strings.Cut(c, " ")
		exec := strings.HasSuffix(path, "/containers/"+labStack+"-heptapod/exec") || strings.Contains(path, "/exec/")
		if exec {
			asked++
		}
		return exec
	})
	m.mu.Unlock()
	if asked != 3 {
		t.Errorf("%d calls ask the forge, want 3", asked)
	}
	m.check(t, limit)
}

// up on a host that is as described has to do nothing at all, and has to find
// that out with no more than fourteen calls, as a library and as a program.
func TestSecondUpOnlyLooks(t *testing.T) {
	const limit = 14
	ctx := t.Context()
	s := onSite(t)
	stack := s.lab(t)
	before := s.lives(t, stack)
	m, host := s.measured(t)

	cfg, err := hepta.Parse("hepta.yaml", []byte(labYAML))
	if err != nil {
		t.Fatal(err)
	}
	again, err := hepta.New(cfg, hepta.WithHost(host))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if p := up(t, again); !p.Empty() {
		t.Errorf("the second up does\n%s", p)
	}
	m.check(t, limit)
	if p := plan(t, again); !p.Empty() {
		t.Errorf("the second plan is\n%s", p)
	}
	m.checkAsked(t, limit)
	status, err := again.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !status.OK() || status.Changes != 0 || len(status.Services) != 4 {
		t.Errorf("status %+v", status)
	}
	m.checkAsked(t, limit)

	if out, errs, code := s.hepta(t, host, "up"); code != 0 || out != "Nothing to do: everything is up to date.\n" {
		t.Errorf("up: exit code %d\n%s%s", code, out, errs)
	}
	m.check(t, limit)
	out, errs, code := s.hepta(t, host, "plan", "--json")
	var told hepta.Plan
	if err := json.Unmarshal([]byte(out), &told); err != nil || code != 0 || !told.Empty() || told.Stack != labStack {
		t.Errorf("plan: exit code %d, %v\n%s%s", code, err, out, errs)
	}
	m.checkAsked(t, limit)

	for service, l := range s.lives(t, stack) {
		if l != before[service] {
			t.Errorf("%s was touched: %v, was %v", service, l, before[service])
		}
	}
}

// down followed by up has to bring everything back that people and runners
// rely on, and jobs have to run again.
func TestDownAndUpLoseNothing(t *testing.T) {
	ctx := t.Context()
	s := onSite(t)
	stack := s.lab(t)
	p := s.project(t, stack, "kept", hg)
	files := map[string]string{".gitlab-ci.yml": buildYAML, "word.txt": "kept\n", "Dockerfile": "FROM scratch\nCOPY word.txt /word.txt\n"}
	p.push(t, https, files)
	p.succeed(t, "in_dind", "by_socket", "look")
	type kept struct {
		Password, Token, Secrets, Runners, Keys, CA string
		IDs                                         string
	}
	look := func() (k kept) {
		t.Helper()
		password, err := stack.Forge().RootPassword(ctx)
		if err != nil {
			t.Fatal(err)
		}
		ca, err := stack.CACertificate(ctx)
		if err != nil {
			t.Fatal(err)
		}
		runners, _, err := p.api.Runners.ListAllRunners(nil, gitlab.WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range runners {
			k.IDs += fmt.Sprintf("%d %s ", r.ID, r.Description)
		}
		k.Password, k.CA = password.Reveal(), string(ca)
		k.Token = s.output(t, stack, "heptapod", "cat /etc/gitlab/hepta/api_token")
		k.Secrets = s.output(t, stack, "heptapod", "cat /etc/gitlab/gitlab-secrets.json")
		k.Keys = s.output(t, stack, "heptapod", "cat /etc/gitlab/ssh_host_*")
		k.Runners = s.output(t, stack, "runner", "grep token /etc/gitlab-runner/config.toml")
		return k
	}
	before, lives := look(), s.lives(t, stack)
	if !strings.Contains(before.IDs, "dind") || !strings.Contains(before.IDs, "socket") {
		t.Fatalf("runners: %s", before.IDs)
	}

	if out, errs, code := s.hepta(t, s.socket, "down"); code != 0 {
		t.Fatalf("down: exit code %d\n%s%s", code, out, errs)
	}
	if left := s.owned(t, labStack); len(left) > 0 {
		t.Errorf("after down there are %v", left)
	}
	if out, errs, code := s.hepta(t, s.socket, "up"); code != 0 {
		t.Fatalf("up: exit code %d\n%s%s", code, out, errs)
	}
	for service, l := range s.lives(t, stack) {
		if l.ID == lives[service].ID {
			t.Errorf("the container of %s was there all the time", service)
		}
	}
	after := look()
	for what, pair := range map[string][2]string{
		"root's password": {before.Password, after.Password}, "API token": {before.Token, after.Token},
		"gitlab-secrets.json": {before.Secrets, after.Secrets}, "ssh host keys": {before.Keys, after.Keys},
		"runner tokens": {before.Runners, after.Runners}, "authority": {before.CA, after.CA},
	} {
		if pair[0] != pair[1] || pair[0] == "" {
			t.Errorf("%s: not what it was", what)
		}
	}
	if before.IDs != after.IDs {
		t.Errorf("runners %s, were %s", after.IDs, before.IDs)
	}
	if got := p.clone(t); got != files[".gitlab-ci.yml"] {
		t.Errorf("the repository has other content:\n%s", got)
	}
	if got := p.pulled(t, "dind", "word.txt"); got != "kept\n" {
		t.Errorf("the image holds %q", got)
	}
	retried, _, err := p.api.Jobs.RetryJob(p.Path, p.jobs(t)["look"].ID, gitlab.WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	var again *gitlab.Job
	eventually(t, time.Minute, "the job runs once more", func() bool {
		again, _, err = p.api.Jobs.GetJob(p.Path, retried.ID, gitlab.WithContext(ctx))
		return err == nil && (again.Status == "success" || again.Status == "failed")
	})
	if again.Status != "success" {
		t.Errorf("the job ended as %s", again.Status)
	}
	p.says(t, again, "dind kept")
	if changes := plan(t, stack); !changes.Empty() {
		t.Errorf("something is left to do:\n%s", changes)
	}
}

// owned lists the containers of a stack, whatever they are.
func (s *site) owned(t *testing.T, stack string) []string {
	t.Helper()
	list, err := s.docker.ContainerList(t.Context(), container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", converge.LabelStack+"="+stack))})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range list {
		names = append(names, c.Names...)
	}
	return names
}
