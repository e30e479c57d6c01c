package integration

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	gitlab "gitlab.com/gitlab-org/api/client-go"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/images"
)

// The kinds of repository and the ways to it.
const (
	hg     = "hg"
	git    = "git"
	https  = "https"
	viaSSH = "ssh"
)

// project is a repository of the forge, as somebody works with it who has
// nothing but its URL and the program of its kind.
type project struct {
	ID       int64  `json:"id"`
	Path     string `json:"path_with_namespace"`
	OverHTTP string `json:"http_url_to_repo"`
	OverSSH  string `json:"ssh_url_to_repo"`
	Kind     string `json:"vcs_type"`

	site  *site
	stack *hepta.Stack
	api   *gitlab.Client
}

// project makes a project through the forge's API.
func (s *site) project(t *testing.T, stack *hepta.Stack, name, kind string) *project {
	t.Helper()
	ctx := t.Context()
	api, err := stack.Forge().Client(ctx)
	if err != nil {
		t.Fatal(err)
	}
	p := &project{site: s, stack: stack, api: api}
	req, err := api.NewRequest(http.MethodPost, "projects", map[string]string{"name": name, "vcs_type": kind}, []gitlab.RequestOptionFunc{gitlab.WithContext(ctx)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.Do(req, p); err != nil {
		t.Fatal(err)
	}
	if p.Kind != kind {
		t.Fatalf("asked for a %s project, got %s", kind, p.Kind)
	}
	t.Cleanup(func() {
		if t.Failed() {
			p.traces(t)
		}
	})
	return p
}

// The script of each kind and way. Every secret comes from a file.
const (
	hgScript = `set -e
cd /work
export HGRCPATH=/keys/hgrc HGPLAIN=1
hg init -q .
hg addremove -q
hg commit -q -m "Begin"
hg push --new-branch "$1"
`
	gitScript = `set -e
cd /work
export HOME=/keys GIT_CONFIG_GLOBAL=/keys/gitconfig GIT_TERMINAL_PROMPT=0
git init -q -b main .
git add -A
git commit -q -m "Begin"
git push "$1" main
`
	pullScript = `set -e
case "$2" in
hg) HGRCPATH=/keys/hgrc HGPLAIN=1 hg clone -q "$1" /clone ;;
git) HOME=/keys GIT_CONFIG_GLOBAL=/keys/gitconfig GIT_TERMINAL_PROMPT=0 git clone -q "$1" /clone ;;
esac
cat /clone/.gitlab-ci.yml
`
)

// push pushes files with the program of the project's kind from a container
// beside the stack.
func (p *project) push(t *testing.T, way string, files map[string]string) {
	t.Helper()
	script, url := gitScript, p.OverHTTP
	if p.Kind == hg {
		script = hgScript
	}
	if way == viaSSH {
		url = p.OverSSH
	}
	p.run(t, script, files, way, url)
}

// clone is the .gitlab-ci.yml that a new clone has.
func (p *project) clone(t *testing.T) string {
	t.Helper()
	return p.run(t, pullScript, nil, https, p.OverHTTP, p.Kind)
}

// run runs a script in a container that holds files below /work and what the
// way to the forge needs below /keys.
func (p *project) run(t *testing.T, script string, files map[string]string, way string, args ...string) string {
	t.Helper()
	ctx := t.Context()
	password, err := p.stack.Forge().RootPassword(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := p.stack.CACertificate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	forge, err := url.Parse(p.OverHTTP)
	if err != nil {
		t.Fatal(err)
	}
	command := "ssh -i /keys/id -o UserKnownHostsFile=/keys/known_hosts -o StrictHostKeyChecking=yes -o BatchMode=yes"
	keys := map[string]string{
		"ca.crt": string(ca),
		"hgrc": fmt.Sprintf("[ui]\nusername = root <root@lab.test>\nssh = %s\n[web]\ncacerts = /keys/ca.crt\n[auth]\nlab.prefix = %s\nlab.username = root\nlab.password = %s\n",
			command, forge.Host, password.Reveal()),
		"gitconfig":   fmt.Sprintf("[user]\nname = root\nemail = root@lab.test\n[http]\nsslCAInfo = /keys/ca.crt\n[credential]\nhelper = store --file=/keys/credentials\n[core]\nsshCommand = %s\n", command),
		"credentials": fmt.Sprintf("https://root:%s@%s\n", password.Reveal(), forge.Host),
	}
	if way == viaSSH {
		keys["id"] = p.key(t)
		keys["known_hosts"] = knownhosts.Line([]string{fmt.Sprintf("%s:%s", labForge, p.stack.Config().Heptapod.SSH.Port)}, p.site.hostKey(t, p.stack))
	}
	var pack bytes.Buffer
	w := tar.NewWriter(&pack)
	for dir, list := range map[string]map[string]string{"work": files, "keys": keys} {
		for name, text := range list {
			h := &tar.Header{Name: dir + "/" + name, Mode: 0o600, Size: int64(len(text))}
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(w, text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	docker := p.site.docker
	made, err := docker.ContainerCreate(ctx,
		&container.Config{Image: outer.refs[images.Base].Local, Entrypoint: append([]string{"sh", "-c", script, "client"}, args...)},
		&container.HostConfig{NetworkMode: "host"}, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	defer docker.ContainerRemove(context.WithoutCancel(ctx), made.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
	if err := docker.CopyToContainer(ctx, made.ID, "/", &pack, container.CopyToContainerOptions{}); err != nil {
		t.Fatal(err)
	}
	ended, failed := docker.ContainerWait(ctx, made.ID, container.WaitConditionNextExit)
	if err := docker.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-failed:
		t.Fatal(err)
	case e := <-ended:
		if e.StatusCode != 0 {
			t.Fatalf("%s over %s to %s: exit code %d\n%s", p.Kind, way, p.Path, e.StatusCode, words(ctx, docker, made.ID))
		}
	}
	return words(ctx, docker, made.ID)
}

// key makes a key pair, tells the forge the public part as root's own, and
// gives the private one.
func (p *project) key(t *testing.T) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.api.Users.AddSSHKey(&gitlab.AddSSHKeyOptions{
		Title: gitlab.Ptr(t.Name()), Key: gitlab.Ptr(string(ssh.MarshalAuthorizedKey(line))),
	}, gitlab.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}

// hostKey is the forge's own, as it lies on its volume.
func (s *site) hostKey(t *testing.T, stack *hepta.Stack) ssh.PublicKey {
	t.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(s.output(t, stack, "heptapod", "cat /etc/gitlab/ssh_host_ed25519_key.pub")))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// jobs waits until every job of the project has ended and gives them by name.
func (p *project) jobs(t *testing.T) map[string]*gitlab.Job {
	t.Helper()
	found := map[string]*gitlab.Job{}
	eventually(t, 10*time.Minute, "the jobs of "+p.Path+" end", func() bool {
		list, _, err := p.api.Jobs.ListProjectJobs(p.Path, nil, gitlab.WithContext(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		ended := len(list) > 0
		for _, j := range list {
			found[j.Name] = j
			switch j.Status {
			case "success", "failed", "canceled", "skipped":
			default:
				ended = false
			}
		}
		return ended
	})
	return found
}

// succeed waits for the jobs, each of which has to end well.
func (p *project) succeed(t *testing.T, names ...string) map[string]*gitlab.Job {
	t.Helper()
	jobs := p.jobs(t)
	for _, name := range names {
		switch j := jobs[name]; {
		case j == nil:
			t.Fatalf("there is no job %s", name)
		case j.Status != "success":
			t.Fatalf("job %s of %s ended as %s; it said last:\n%s", name, p.Path, j.Status, lastLines(p.trace(t.Context(), j), 30))
		}
	}
	return jobs
}

// lastLines are the last n lines of a text.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(strings.ToValidUTF8(text, "?")), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// trace is a job's log.
func (p *project) trace(ctx context.Context, j *gitlab.Job) string {
	r, _, err := p.api.Jobs.GetTraceFile(p.Path, j.ID, gitlab.WithContext(ctx))
	if err != nil {
		return "no log: " + err.Error()
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return "no log: " + err.Error()
	}
	return string(b)
}

// traces prints every job's log.
func (p *project) traces(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	list, _, err := p.api.Jobs.ListProjectJobs(p.Path, nil, gitlab.WithContext(ctx))
	if err != nil {
		t.Log("no jobs:", err)
		return
	}
	for _, j := range list {
		t.Logf("job %s of %s, %s:\n%s", j.Name, p.Path, j.Status, strings.ToValidUTF8(p.trace(ctx, j), "?"))
	}
}
