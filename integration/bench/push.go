package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/heptaup/hepta/internal/images"
)

const (
	firstLine = "this is the first line"
	pushes    = 5 // each takes seconds
)

// push is from the start of hg push to the first line that a job's own script
// wrote into its log, as the API shows it. Two parts of it are told: hg_push_s
// is hg's own run, and job_handed_over_s is from the job's creation until a
// runner has it, the only part in which the forge decides how long it takes.
// The rest is the runner and the Engine starting the job's containers.
func (b *bench) push(ctx context.Context) ([]result, error) {
	p, err := b.project(ctx)
	if err != nil {
		return nil, err
	}
	defer p.close(ctx)
	var whole, hg, handed []time.Duration
	for i := range min(b.n, pushes) + 1 {
		t, err := p.round(ctx, i)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			whole, hg, handed = append(whole, t.line), append(hg, t.hg), append(handed, t.handed)
		}
	}
	seconds := func(name string, samples []time.Duration) result {
		s := spreadOf(samples)
		return result{Name: name, Value: s.Median / 1000, Hepta: s}
	}
	return []result{seconds("push_to_first_line_s", whole), seconds("hg_push_s", hg), seconds("job_handed_over_s", handed)}, nil
}

// timing is what one push took.
type timing struct{ line, hg, handed time.Duration }

// project is a repository on the forge, checked out in a container beside it.
type project struct {
	b    *bench
	api  *gitlab.Client
	id   int64
	path string
	repo string // container with the working copy
}

const hgSetup = `set -e
mkdir -p /bench/project && cd /bench/project
hg init -q .
cat >.gitlab-ci.yml <<END
job:
  tags: [bench]
  image: hepta/small:1
  script:
    - echo ` + firstLine + `
END
hg add -q .gitlab-ci.yml
hg commit -q -m first
exec sleep 86400
`

func (b *bench) project(ctx context.Context) (*project, error) {
	at, err := b.box.Published(ctx, 443)
	if err != nil {
		return nil, err
	}
	ca, err := b.stack.CACertificate(ctx)
	if err != nil {
		return nil, err
	}
	password, err := b.stack.Forge().RootPassword(ctx)
	if err != nil {
		return nil, err
	}
	token, err := b.stack.Forge().Token(ctx)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	b.web = &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, at)
		},
	}}
	api, err := gitlab.NewClient(token.Value.Reveal(), gitlab.WithBaseURL("https://"+forgeHost), gitlab.WithHTTPClient(b.web))
	if err != nil {
		return nil, fmt.Errorf("make client of the forge: %w", err)
	}
	made, _, err := api.Projects.CreateProject(&gitlab.CreateProjectOptions{Name: gitlab.Ptr("bench"), Path: gitlab.Ptr("bench")}, gitlab.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("create project: %w", err)
	}
	p := &project{b: b, api: api, id: int64(made.ID), path: made.PathWithNamespace}
	base, err := images.Ensure(ctx, b.outer, b.sink(), images.Base)
	if err != nil {
		return nil, err
	}
	// Secrets come in files.
	rc := fmt.Sprintf("[ui]\nusername = bench <root@%[1]s>\n[web]\ncacerts = /bench/ca.crt\n[auth]\nforge.prefix = %[1]s\nforge.username = root\nforge.password = %[2]s\n", forgeHost, password.Reveal())
	pack, err := archive(map[string]string{"bench/hgrc": rc, "bench/ca.crt": string(ca)})
	if err != nil {
		return nil, err
	}
	repo, err := b.inner.ContainerCreate(ctx, &container.Config{
		Image: base[images.Base].Local, Entrypoint: []string{"sh", "-c", hgSetup}, Env: []string{"HGRCPATH=/bench/hgrc", "HGPLAIN=1"},
	}, &container.HostConfig{NetworkMode: "host"}, nil, nil, "")
	if err != nil {
		return nil, fmt.Errorf("create container for hg: %w", err)
	}
	p.repo = repo.ID
	if err := b.inner.CopyToContainer(ctx, p.repo, "/", pack, container.CopyToContainerOptions{}); err != nil {
		return nil, fmt.Errorf("put settings into container: %w", err)
	}
	if err := b.inner.ContainerStart(ctx, p.repo, container.StartOptions{}); err != nil {
		return nil, fmt.Errorf("start container for hg: %w", err)
	}
	return p, p.run(ctx, "until hg id -i | grep -qv 000000000000; do sleep 0.1; done")
}

// run runs a script in the working copy.
func (p *project) run(ctx context.Context, script string) error {
	docker := p.b.inner
	made, err := docker.ContainerExecCreate(ctx, p.repo, container.ExecOptions{
		Cmd: []string{"sh", "-ec", "mkdir -p /bench/project; cd /bench/project; " + script}, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return fmt.Errorf("run hg: %w", err)
	}
	stream, err := docker.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{})
	if err != nil {
		return fmt.Errorf("run hg: %w", err)
	}
	defer stream.Close()
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, stream.Reader); err != nil {
		return fmt.Errorf("run hg: %w", err)
	}
	ended, err := docker.ContainerExecInspect(ctx, made.ID)
	if err != nil {
		return fmt.Errorf("run hg: %w", err)
	}
	if ended.ExitCode != 0 {
		return fmt.Errorf("run hg: exit code %d: %s", ended.ExitCode, strings.TrimSpace(out.String()))
	}
	return nil
}

// round commits, pushes and waits for the first line and the end of the job.
func (p *project) round(ctx context.Context, i int) (t timing, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if err := p.run(ctx, fmt.Sprintf("echo %d >round; hg add -q round; hg commit -q -m 'round %d'", i, i)); err != nil {
		return t, err
	}
	began := time.Now()
	pushed := make(chan error, 1)
	go func() { pushed <- p.run(ctx, "hg push -q --new-branch https://"+forgeHost+"/"+p.path) }()
	for t.hg == 0 || t.line == 0 {
		select {
		case err := <-pushed:
			if err != nil {
				return t, err
			}
			t.hg = time.Since(began)
		case <-ctx.Done():
			return t, fmt.Errorf("wait for the job: %w", context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
		job, err := p.job(ctx, i)
		if err != nil {
			return t, err
		}
		if t.line > 0 || job == nil || job.StartedAt == nil {
			continue
		}
		t.handed = job.StartedAt.Sub(*job.CreatedAt)
		trace, _, err := p.api.Jobs.GetTraceFile(p.id, job.ID, gitlab.WithContext(ctx))
		if err != nil {
			continue // there is none yet
		}
		var text bytes.Buffer
		if _, err := text.ReadFrom(trace); err != nil {
			return t, fmt.Errorf("read log: %w", err)
		}
		if bytes.Contains(text.Bytes(), []byte("\n"+firstLine)) {
			t.line = time.Since(began)
		}
	}
	return t, p.end(ctx, i)
}

// end waits until the job of a round has succeeded.
func (p *project) end(ctx context.Context, i int) error {
	for {
		job, err := p.job(ctx, i)
		if err != nil {
			return err
		}
		if job.FinishedAt != nil {
			if job.Status != "success" {
				return errors.New("the job ended as " + job.Status)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the job's end: %w", context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// job is that of round i, nil as long as there is none.
func (p *project) job(ctx context.Context, i int) (*gitlab.Job, error) {
	list, _, err := p.api.Jobs.ListProjectJobs(p.id, nil, gitlab.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	if len(list) <= i {
		return nil, nil
	}
	latest := list[0]
	for _, j := range list {
		if j.ID > latest.ID {
			latest = j
		}
	}
	return latest, nil
}

func (p *project) close(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	p.b.web.CloseIdleConnections()
	_ = p.b.inner.ContainerRemove(ctx, p.repo, container.RemoveOptions{Force: true}) // the nested Engine goes anyway
}
