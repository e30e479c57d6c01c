package heptapodtest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
)

// dialect is how a release of GitLab Runner speaks to the forge.
type dialect struct {
	name      string
	carrier   string // header with the runner's token; none before 17
	put       string // header of PUT jobs/:id
	patch     string
	twoPhase  bool // an initial PUT running
	sums      bool // checksum and size in the final PUT
	identity  bool // system_id
	graceful  bool
	stamped   bool
	debugFlag string
}

func dialects() []dialect {
	return []dialect{
		{name: "12.8", patch: "JOB-TOKEN"},
		{name: "17.5", carrier: "PRIVATE-TOKEN", put: "PRIVATE-TOKEN", patch: "JOB-TOKEN", sums: true, identity: true, graceful: true, debugFlag: "?debug_trace=false"},
		{name: "18.0", carrier: "RUNNER-TOKEN", put: "JOB-TOKEN", patch: "JOB-TOKEN", sums: true, identity: true, graceful: true, debugFlag: "?debug_trace=false"},
		{name: "19.4", carrier: "RUNNER-TOKEN", put: "JOB-TOKEN", patch: "JOB-TOKEN", twoPhase: true, sums: true, identity: true, graceful: true, stamped: true, debugFlag: "?debug_trace=false"},
	}
}

func newest() dialect { return dialects()[3] }

// runner replays what a GitLab Runner sends.
type runner struct {
	dialect
	client
	token  string
	update string // X-GitLab-Last-Update
}

func newRunner(t testing.TB, s *heptapodtest.Server, d dialect, tags ...string) *runner {
	t.Helper()
	token, err := s.NewRunnerToken(tags...)
	if err != nil {
		t.Fatal(err)
	}
	return &runner{dialect: d, client: client{t: t, url: s.URL}, token: token}
}

func (r *runner) info() map[string]any {
	return map[string]any{
		"name": "gitlab-runner", "version": r.name, "revision": "abcdef12", "platform": "linux", "architecture": "amd64",
		"executor": "docker", "shell": "bash", "config": map[string]any{"gpus": ""},
		"features": map[string]any{
			"variables": true, "image": true, "services": true, "artifacts": true, "cache": true, "upload_multiple_artifacts": true,
			"artifacts_exclude": true, "refspecs": true, "masking": true, "trace_checksum": r.sums, "trace_reset": true,
			"cancel_gracefully": r.graceful, "two_phase_job_commit": r.twoPhase,
		},
	}
}

func (r *runner) body(extra map[string]any) map[string]any {
	b := map[string]any{"token": r.token, "info": r.info()}
	if r.identity {
		b["system_id"] = "s_0123456789ab"
	}
	for k, v := range extra {
		b[k] = v
	}
	return b
}

func (r *runner) headers(name, value string) map[string]string {
	h := map[string]string{
		"User-Agent": "gitlab-runner " + r.name + " (main; go1.26; linux/amd64)", "X-Request-Id": "0123456789abcdef0123456789abcdef",
	}
	if name != "" {
		h[name] = value
	}
	return h
}

// request polls once.
func (r *runner) request() (*heldJob, int) {
	r.t.Helper()
	status, data := r.do("POST", "/jobs/request", r.body(map[string]any{"last_update": r.update}), r.headers(r.carrier, r.token))
	if u := r.header.Get("X-GitLab-Last-Update"); u != "" {
		r.update = u
	}
	if status != http.StatusCreated {
		return nil, status
	}
	if kind := r.header.Get("Content-Type"); kind != "application/json" {
		r.t.Fatalf("content type %q: the runner would lose the job", kind)
	}
	j := &heldJob{r: r, raw: data}
	if err := json.Unmarshal(data, j); err != nil {
		r.t.Fatal(err)
	}
	return j, status
}

// take polls until there is a job.
func (r *runner) take() *heldJob {
	r.t.Helper()
	for range 50 {
		j, status := r.request()
		if j != nil {
			if r.twoPhase {
				if got := j.put("running", nil); got != http.StatusOK {
					r.t.Fatalf("PUT running: %d", got)
				}
			}
			return j
		}
		if status != http.StatusNoContent {
			r.t.Fatalf("jobs/request: %d", status)
		}
	}
	r.t.Fatal("no job")
	return nil
}

// heldJob is a job as the runner got it.
type heldJob struct {
	r    *runner
	raw  []byte
	sent []byte

	ID      int64
	Token   string
	JobInfo struct {
		Name      string
		ProjectID int64 `json:"project_id"`
	} `json:"job_info"`
	GitInfo struct {
		RepoURL  string `json:"repo_url"`
		Ref      string
		RefType  string `json:"ref_type"`
		SHA      string
		Refspecs []string
		Depth    int
		RepoType string `json:"repo_type"`
		HgSHA    string
	} `json:"git_info"`
	RunnerInfo struct{ Timeout int } `json:"runner_info"`
	Variables  []struct {
		Key, Value                string
		Public, File, Masked, Raw bool
	}
	Steps []struct {
		Name   string
		Script []string
	}
	Image    *struct{ Name string }
	Services []struct {
		Name, Alias string
		Variables   []struct{ Key, Value string }
	}
	Credentials []struct{ Type, URL, Username, Password string }
	Cache       []struct {
		Key   string
		Paths []string
	}
	Artifacts []struct {
		ArtifactType   string `json:"artifact_type"`
		ArtifactFormat string `json:"artifact_format"`
		Paths          []string
	}
	Hooks []struct {
		Name   string   `json:"name"`
		Script []string `json:"script"`
	} `json:"hooks"`
	Dependencies []struct {
		ID            int64
		Token         string
		Name          string
		ArtifactsFile struct {
			Filename string
			Size     int64
		} `json:"artifacts_file"`
	}
	Features struct {
		TraceSections  bool     `json:"trace_sections"`
		FailureReasons []string `json:"failure_reasons"`
	}
}

func (j *heldJob) variable(key string) (value string, ok bool) {
	for _, v := range j.Variables {
		if v.Key == key {
			value, ok = v.Value, true // the last one wins
		}
	}
	return value, ok
}

func (j *heldJob) path(rest string) string { return "/jobs/" + strconv.FormatInt(j.ID, 10) + rest }

// patchAt appends data that begins at first.
func (j *heldJob) patchAt(first int, data []byte) int {
	j.r.t.Helper()
	h := j.r.headers(j.r.patch, j.Token)
	h["Content-Range"] = fmt.Sprintf("%d-%d", first, first+len(data)-1)
	h["Content-Type"] = "text/plain"
	status, _ := j.r.do("PATCH", j.path("/trace"+j.r.debugFlag), data, h)
	return status
}

// patch appends text where the trace ends.
func (j *heldJob) patch(text string) int {
	j.r.t.Helper()
	if j.r.stamped {
		text = "2026-01-02T03:04:05.123456Z 01O " + text
	}
	status := j.patchAt(len(j.sent), []byte(text))
	if status == http.StatusAccepted {
		j.sent = append(j.sent, text...)
	}
	return status
}

func (j *heldJob) put(state string, extra map[string]any) int {
	j.r.t.Helper()
	b := map[string]any{"token": j.Token, "state": state, "info": j.r.info()}
	if j.r.sums {
		sum := fmt.Sprintf("crc32:%08x", crc32.ChecksumIEEE(j.sent))
		b["checksum"], b["output"] = sum, map[string]any{"checksum": sum, "bytesize": len(j.sent)}
	}
	for k, v := range extra {
		b[k] = v
	}
	status, _ := j.r.do("PUT", j.path(""), b, j.r.headers(j.r.dialect.put, j.Token))
	return status
}

// status is the Job-Status of the last answer.
func (j *heldJob) status() string { return j.r.header.Get("Job-Status") }

// upload sends a file as the helper does: one part, chunked, no length.
func (j *heldJob) upload(kind, format, name string, data []byte) int {
	j.r.t.Helper()
	r, w := io.Pipe()
	form := multipart.NewWriter(w)
	go func() {
		part, err := form.CreateFormFile("file", name)
		if err == nil {
			_, err = part.Write(data)
		}
		if err == nil {
			err = form.Close()
		}
		w.CloseWithError(err)
	}()
	q := url.Values{"artifact_type": {kind}, "artifact_format": {format}, "expire_in": {"1 week"}}
	req, err := http.NewRequestWithContext(j.r.t.Context(), "POST", j.r.url+"/api/v4"+j.path("/artifacts?"+q.Encode()), r)
	if err != nil {
		j.r.t.Fatal(err)
	}
	req.Header.Set("JOB-TOKEN", j.Token)
	req.Header.Set("Content-Type", form.FormDataContentType())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		j.r.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func (j *heldJob) download(id int64, token string) (int, []byte) {
	j.r.t.Helper()
	c := client{t: j.r.t, url: j.r.url}
	return c.do("GET", fmt.Sprintf("/jobs/%d/artifacts?direct_download=true", id), nil, map[string]string{"JOB-TOKEN": token})
}

// forgeWith starts a forge with a project that holds a CI file, pushed once.
func forgeWith(t testing.TB, vcs, ci string, opts ...heptapodtest.Option) (*heptapodtest.Server, *heptapodtest.Project, string) {
	t.Helper()
	opts = append([]heptapodtest.Option{heptapodtest.WithLongPoll(-1)}, opts...)
	s := heptapodtest.New(t, opts...)
	p := s.CreateProject(t, "group/project", vcs)
	id := push(t, p, filepath.Join(t.TempDir(), "work"), map[string]string{".gitlab-ci.yml": ci}, "first")
	return s, p, id
}

// again makes one more pipeline of what was pushed.
func again(t *testing.T, s *heptapodtest.Server, p *heptapodtest.Project) int64 {
	t.Helper()
	c := client{t: t, url: s.URL, token: s.Token}
	out := c.call("POST", fmt.Sprintf("/projects/%d/pipeline", p.ID), map[string]any{"ref": branchOf(p.VCS)}, http.StatusCreated)
	return int64(out["id"].(float64))
}

func jobStatusOf(t *testing.T, s *heptapodtest.Server, p *heptapodtest.Project, id int64) map[string]any {
	t.Helper()
	c := client{t: t, url: s.URL, token: s.Token}
	return c.get(fmt.Sprintf("/projects/%d/jobs/%d", p.ID, id), http.StatusOK)
}

var zipBytes = bytes.Repeat([]byte("PK\x03\x04"), 100)
