package paas

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/heptaup/hepta/internal/images"
	"github.com/heptaup/hepta/runner/paas"
	"github.com/heptaup/hepta/runner/paas/clevertest"
	"github.com/heptaup/hepta/runner/paas/localdocker"
)

// A job that works with its repository, leaves an archive, and says something.
const buildYAML = `build:
  image: hepta/small:1
  script:
    - echo "the word is $(cat word.txt)"
    - mkdir made && cp word.txt made/
  after_script: [echo "after $CI_JOB_NAME"]
  artifacts: {paths: [made/]}
`

// machines is the engine for hosts and their jobs. What a test leaves there is
// shown when it failed, and goes with it.
func machines(t *testing.T) *client.Client {
	t.Helper()
	docker := outer.machines
	t.Cleanup(func() {
		ctx := context.Background()
		if t.Failed() {
			told(t, docker)
		}
		for _, c := range containers(ctx, t, docker) {
			_ = docker.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
		}
		for _, v := range volumes(ctx, t, docker) {
			_ = docker.VolumeRemove(ctx, v.Name, true)
		}
	})
	return docker
}

func containers(ctx context.Context, t *testing.T, docker *client.Client) []container.Summary {
	t.Helper()
	list, err := docker.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		t.Error(err)
	}
	return list
}

func volumes(ctx context.Context, t *testing.T, docker *client.Client) []*volume.Volume {
	t.Helper()
	list, err := docker.VolumeList(ctx, volume.ListOptions{})
	if err != nil {
		t.Error(err)
	}
	return list.Volumes
}

// told logs what the containers of an engine said.
func told(t *testing.T, docker *client.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, c := range containers(ctx, t, docker) {
		r, err := docker.ContainerLogs(ctx, c.ID, container.LogsOptions{ShowStdout: true, ShowStderr: true})
		if err != nil {
			continue
		}
		raw, _ := io.ReadAll(r)
		r.Close()
		var plain bytes.Buffer
		if _, err := stdcopy.StdCopy(&plain, &plain, bytes.NewReader(raw)); err != nil {
			plain = *bytes.NewBuffer(raw) // of a terminal
		}
		t.Logf("%s %s\n%s", c.Names, c.Status, plain.String())
	}
}

// config is a runner that has hosts made; more are lines of its section.
func config(t *testing.T, f *forge, executor, more string) (paas.Runner, string) {
	t.Helper()
	text := fmt.Sprintf(`concurrent = 4
check_interval = 1
job_progress_poll_interval = 1
state_file = %q

[[runners]]
name = "on demand"
url = %q
token = %q
executor = %q
heptapod_runner_main_image = %q
%s
[runners.docker]
image = "hepta/small:1"
pull_policy = "if-not-present"
`, t.TempDir()+"/state.json", f.URL+"/", f.token, executor, images.HostTag, more)
	cfg, warnings, err := paas.Read([]byte(text))
	// The forge of these tests is on a network of this machine, without TLS.
	warnings = slices.DeleteFunc(warnings, func(p paas.Problem) bool { return p.Key == "url" })
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	return cfg.Runners[0], text
}

func clever(c *clevertest.Cloud) string {
	return fmt.Sprintf("cc_orga_id = %q\ncc_token = %q\ncc_api_url = %q\ncc_deployment_repo_wait_step = 1\ncc_extra_env = {CC_ENABLE_HEPTAPOD_RUNNER = \"true\"}\n", clevertest.Organisation, clevertest.Token, c.URL+"/v2")
}

// take gets the next job.
func take(t *testing.T, f *forge, r paas.Runner) (*paas.Coordinator, paas.Job, paas.Record) {
	t.Helper()
	c := &paas.Coordinator{URL: f.URL, SystemID: "s_0123456789ab"}
	poll := &paas.Poll{Coordinator: c, Token: r.Token}
	for range 20 {
		j, err := poll.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if j != nil {
			return c, *j, paas.Record{Key: paas.Key{Runner: r.Short(), Job: j.ID}, Token: j.Token}
		}
	}
	t.Fatal("no job")
	return nil, paas.Job{}, paas.Record{}
}

// handOver has a host made for the job and gives it to it.
func handOver(t *testing.T, p paas.Provider, c *paas.Coordinator, r paas.Runner, job paas.Job, rec paas.Record) paas.Host {
	t.Helper()
	ctx := t.Context()
	h, err := p.Create(ctx, "", rec.Name(), paas.Flavor{Name: "M", Memory: 8192, CPUs: 4})
	if err == nil {
		h, err = p.Prepare(ctx, h)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Delete(context.Background(), h) })
	if s, err := c.Accept(ctx, rec); s != paas.Live || err != nil {
		t.Fatal(s, err)
	}
	files, err := paas.HandOverFiles(r, job)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Push(ctx, h, files); err != nil {
		t.Fatal(err)
	}
	return h
}

// over waits for the coordinator's word that a job is over.
func over(t *testing.T, c *paas.Coordinator, rec paas.Record) {
	t.Helper()
	eventually(t, 4*time.Minute, "the job ends", func() bool {
		s, err := c.Look(t.Context(), rec)
		if err != nil {
			t.Fatal(err)
		}
		return s == paas.Over
	})
}

// green checks that the job did what it is there for, once.
func green(t *testing.T, f *forge) {
	t.Helper()
	j := f.job("build")
	trace := f.trace("build")
	if j.Status != "success" {
		t.Fatalf("the job is %s %s\n%s", j.Status, j.FailureReason, trace)
	}
	for _, want := range []string{"\nthe word is abracadabra\n", "\nafter build\n"} {
		if strings.Count(strings.ReplaceAll(trace, "\r", ""), want) != 1 {
			t.Errorf("%q is not once in the trace:\n%s", want, trace)
		}
	}
	status, data := f.artifacts(j.ID)
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if status != 200 || err != nil {
		t.Fatalf("artifacts: %d, %v", status, err)
	}
	text := ""
	if file, err := z.Open("made/word.txt"); err == nil {
		b, _ := io.ReadAll(file)
		text = string(b)
	}
	if text != "abracadabra\n" {
		t.Errorf("the archive holds %q", text)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.early) > 0 {
		t.Errorf("said of a job that was not accepted: %v", f.early)
	}
	if n := f.finals[fmt.Sprint(j.ID)]; n != 1 {
		t.Errorf("the job ended %d times", n)
	}
}

func word(f *forge, ci string) {
	f.push(map[string]string{".gitlab-ci.yml": ci, "word.txt": "abracadabra\n"})
}

// bare checks that an engine keeps nothing of hosts and jobs.
func bare(t *testing.T, docker *client.Client) {
	t.Helper()
	for _, c := range containers(t.Context(), t, docker) {
		t.Errorf("left: %v %s", c.Names, c.Status)
	}
	for _, v := range volumes(t.Context(), t, docker) {
		t.Errorf("left: volume %s", v.Name)
	}
	list, err := docker.ImageList(t.Context(), image.ListOptions{Filters: filters.NewArgs(filters.Arg("label", "hepta.paas.host"))})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range list {
		t.Errorf("left: image %v", i.RepoTags)
	}
}

// A job goes to a host at Clever Cloud by a push over TLS; what was pushed is
// built and run there, and a stock runner in it runs the job.
func TestJobOnAHostAtCleverCloud(t *testing.T) {
	for name, waits := range map[string]bool{"legacy": false, "two-phase": true} {
		t.Run(name, func(t *testing.T) {
			docker := machines(t)
			f := openForge(t, waits)
			c, ca := openCloud(t, docker)
			t.Setenv("GIT_SSL_CAINFO", ca)
			r, _ := config(t, f, "clever-docker", clever(c))
			p := &paas.CleverCloud{Clever: *r.Clever, HTTP: c.Client(), Organisation: func(context.Context, string) (paas.Organisation, error) {
				return paas.Organisation{ID: clevertest.Organisation, Token: r.Clever.Token}, nil
			}}
			word(f, buildYAML)
			coordinator, job, rec := take(t, f, r)
			h := handOver(t, p, coordinator, r, job, rec)
			over(t, coordinator, rec)
			green(t, f)
			machine := machineOf(c.Ledger()[0])
			eventually(t, time.Minute, "the host has ended by itself", func() bool {
				i, err := docker.ContainerInspect(t.Context(), machine)
				if err != nil {
					t.Fatal(err)
				}
				if !i.State.Running && i.State.ExitCode != 0 {
					t.Fatalf("the host ended with %d", i.State.ExitCode)
				}
				return !i.State.Running
			})
			if err := p.Delete(t.Context(), h); err != nil {
				t.Fatal(err)
			}
			if left := c.Alive(); len(left) != 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// The same with a host that is a container of an engine, from end to end.
func TestJobOnALocalHost(t *testing.T) {
	docker := machines(t)
	f := openForge(t, false)
	r, _ := config(t, f, "local-docker", "")
	p := &localdocker.Provider{Engine: docker}
	word(f, buildYAML)
	coordinator, job, rec := take(t, f, r)
	h := handOver(t, p, coordinator, r, job, rec)
	over(t, coordinator, rec)
	green(t, f)
	if err := p.Delete(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	bare(t, docker)
	hosts, err := p.List(t.Context(), "", "hpd-job-")
	if err != nil || len(hosts) != 0 {
		t.Errorf("left: %v, %v", hosts, err)
	}
}

// A host that dies under its job and is started again does not run the job
// again: it fails, and what it left running beside the host goes with the host.
func TestHostIsStartedAgain(t *testing.T) {
	docker := machines(t)
	f := openForge(t, true)
	r, _ := config(t, f, "local-docker", "")
	p := &localdocker.Provider{Engine: docker}
	word(f, "build:\n  image: hepta/small:1\n  script: [echo begun, 'while sleep 1; do echo on; done']\n")
	coordinator, job, rec := take(t, f, r)
	h := handOver(t, p, coordinator, r, job, rec)
	eventually(t, 4*time.Minute, "the job runs", func() bool { return strings.Contains(f.trace("build"), "\nbegun") })
	if err := docker.ContainerKill(t.Context(), h.ID, "KILL"); err != nil {
		t.Fatal(err)
	}
	if err := docker.ContainerStart(t.Context(), h.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	over(t, coordinator, rec)
	if j := f.job("build"); j.Status != "failed" || j.FailureReason != "runner_system_failure" {
		t.Errorf("the job is %s %s", j.Status, j.FailureReason)
	}
	trace := f.trace("build")
	if strings.Count(trace, "\nbegun") != 1 || !strings.Contains(trace, "not run a second time") {
		t.Errorf("trace:\n%s", trace)
	}
	if len(containers(t.Context(), t, docker)) < 2 {
		t.Error("the job has left no containers, which shows nothing")
	}
	if err := p.Delete(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	bare(t, docker)
}
