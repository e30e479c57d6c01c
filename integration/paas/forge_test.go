package paas

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/network"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
)

// forge is a forge in this process that hosts reach, with one project.
type forge struct {
	*heptapodtest.Server
	t       *testing.T
	project *heptapodtest.Project
	token   string // of a runner
	waits   bool   // jobs wait until they are accepted

	mu       sync.Mutex
	accepted map[string]bool // jobs by their path
	early    []string        // what was said of jobs that had not been accepted
	finals   map[string]int  // last words by job
}

// openForge makes a forge, with the second way of giving jobs away or without.
func openForge(t *testing.T, waits bool) *forge {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(bridge(t), "0"))
	if err != nil {
		t.Fatal(err)
	}
	f := &forge{t: t, waits: waits, accepted: map[string]bool{}, finals: map[string]int{}}
	url := "http://" + l.Addr().String()
	f.Server = heptapodtest.New(t, heptapodtest.WithExternalURL(url), heptapodtest.WithLongPoll(time.Second))
	front := &http.Server{Handler: f, ReadHeaderTimeout: time.Minute}
	go func() { _ = front.Serve(l) }()
	t.Cleanup(func() { _ = front.Close() })
	f.URL = url
	f.project = f.CreateProject(t, "group/project", "git")
	if f.token, err = f.NewRunnerToken(); err != nil {
		t.Fatal(err)
	}
	return f
}

// bridge is this machine's address on the network of the engine's containers.
func bridge(t *testing.T) string {
	t.Helper()
	n, err := outer.Docker.NetworkInspect(t.Context(), "bridge", network.InspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	i, err := net.InterfaceByName(n.Options["com.docker.network.bridge.name"])
	if err != nil {
		t.Fatal(err)
	}
	list, err := i.Addrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().Is4() {
			return prefix.Addr().String()
		}
	}
	t.Fatalf("interface %s has no address", i.Name)
	return ""
}

// ServeHTTP is what hosts and the manager see: with waits, a forge in which
// nothing may be said of a job that was not accepted.
func (f *forge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, job := strings.CutPrefix(r.URL.Path, "/api/v4/jobs/")
	if !job || path == "request" {
		f.Handler().ServeHTTP(w, r)
		return
	}
	id, _, _ := strings.Cut(path, "/")
	var in struct{ State string }
	if r.Method == http.MethodPut {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		_ = json.Unmarshal(data, &in)
		r.Body = io.NopCloser(bytes.NewReader(data))
	}
	f.mu.Lock()
	if in.State == "running" {
		f.accepted[id] = true
	}
	early := f.waits && !f.accepted[id] && in.State != "pending"
	if early {
		f.early = append(f.early, r.Method+" "+path+" "+in.State)
	}
	if in.State == "success" || in.State == "failed" {
		f.finals[id]++
	}
	f.mu.Unlock()
	if early {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	f.Handler().ServeHTTP(w, r)
}

// push makes a pipeline.
func (f *forge) push(files map[string]string) {
	f.t.Helper()
	url, err := f.project.CloneURL("root")
	if err != nil {
		f.t.Fatal(err)
	}
	dir := f.t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			f.t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"}, {"add", "."}, {"-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "begin"}, {"push", "-q", url, "main"},
	} {
		cmd := exec.CommandContext(f.t.Context(), "git", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			f.t.Fatalf("git %s: %v\n%s", args[0], err, out)
		}
	}
}

// job is a job of the only pipeline, as it is now.
func (f *forge) job(name string) *heptapodtest.Job {
	f.t.Helper()
	p, err := f.Await(f.t.Context(), f.project.Path, "main", func(*heptapodtest.Pipeline) bool { return true })
	if err != nil {
		f.t.Fatal(err)
	}
	j, err := p.Job(name)
	if err != nil {
		f.t.Fatal(err)
	}
	return j
}

func (f *forge) trace(name string) string {
	f.t.Helper()
	text, err := f.job(name).Trace()
	if err != nil {
		f.t.Fatal(err)
	}
	return text
}

// artifacts is the status of the answer, and the archive.
func (f *forge) artifacts(job int64) (int, []byte) {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, fmt.Sprintf("%s/api/v4/projects/group%%2Fproject/jobs/%d/artifacts", f.URL, job), nil)
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Private-Token", f.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return resp.StatusCode, data
}

func (f *forge) cancel(job int64) {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, fmt.Sprintf("%s/api/v4/projects/group%%2Fproject/jobs/%d/cancel", f.URL, job), nil)
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Private-Token", f.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		f.t.Fatalf("cancel: %s", resp.Status)
	}
}

func eventually(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !done(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %s in vain: %s", limit, what)
		}
	}
}
