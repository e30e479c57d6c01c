package heptapodtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/vcs"
	"github.com/heptaup/hepta/internal/ci"
	"github.com/heptaup/hepta/internal/ci/expand"
)

// payload is a job as a runner gets it. There is no field run: null in it makes
// newer runners lose the job.
type payload struct {
	ID            int64             `json:"id"`
	Token         string            `json:"token"`
	AllowGitFetch bool              `json:"allow_git_fetch"`
	JobInfo       jobInfo           `json:"job_info"`
	GitInfo       gitInfo           `json:"git_info"`
	RunnerInfo    runnerInfo        `json:"runner_info"`
	Variables     []expand.Variable `json:"variables"`
	Steps         []step            `json:"steps"`
	Image         *image            `json:"image,omitempty"`
	Services      []image           `json:"services"`
	Artifacts     []artifacts       `json:"artifacts"`
	Cache         []cache           `json:"cache"`
	Credentials   []credential      `json:"credentials"`
	Dependencies  []dependency      `json:"dependencies"`
	Features      features          `json:"features"`
	Hooks         []hook            `json:"hooks,omitempty"`
}

type hook struct {
	Name   string   `json:"name"`
	Script []string `json:"script"`
}

type jobInfo struct {
	ID              int64   `json:"id"`
	Name            string  `json:"name"`
	Stage           string  `json:"stage"`
	PipelineID      int64   `json:"pipeline_id"`
	ProjectID       int64   `json:"project_id"`
	ProjectName     string  `json:"project_name"`
	ProjectFullPath string  `json:"project_full_path"`
	NamespaceID     int64   `json:"namespace_id"`
	UserID          int64   `json:"user_id"`
	TimeInQueue     float64 `json:"time_in_queue_seconds"`
	// Text, not a number: "0" or "+Inf".
	JobsRunning string `json:"project_jobs_running_on_instance_runners_count"`
}

type gitInfo struct {
	RepoURL      string   `json:"repo_url"`
	ObjectFormat string   `json:"repo_object_format"`
	Ref          string   `json:"ref"`
	SHA          string   `json:"sha"`
	BeforeSHA    string   `json:"before_sha"`
	RefType      string   `json:"ref_type"`
	Refspecs     []string `json:"refspecs"`
	Depth        int      `json:"depth"`
	Protected    bool     `json:"protected"`
	// What a Heptapod Runner reads of a Mercurial project.
	RepoType string `json:"repo_type,omitempty"`
	HgSHA    string `json:"hgsha,omitempty"`
}

type runnerInfo struct {
	Timeout int `json:"timeout"`
}

type step struct {
	Name         string   `json:"name"`
	Script       []string `json:"script"`
	Timeout      int      `json:"timeout"`
	When         string   `json:"when"`
	AllowFailure bool     `json:"allow_failure"`
}

type image struct {
	Name         string            `json:"name"`
	Alias        string            `json:"alias,omitempty"`
	Entrypoint   []string          `json:"entrypoint,omitempty"`
	Command      []string          `json:"command,omitempty"`
	PullPolicy   []string          `json:"pull_policy,omitempty"`
	Variables    []expand.Variable `json:"variables,omitempty"`
	ExecutorOpts map[string]any    `json:"executor_opts,omitempty"`
}

type artifacts struct {
	Name      string   `json:"name,omitempty"`
	Untracked bool     `json:"untracked"`
	Paths     []string `json:"paths"`
	Exclude   []string `json:"exclude,omitempty"`
	When      string   `json:"when"`
	Type      string   `json:"artifact_type"`
	Format    string   `json:"artifact_format"`
	ExpireIn  string   `json:"expire_in,omitempty"`
}

type cache struct {
	Key       string   `json:"key"`
	Untracked bool     `json:"untracked"`
	Policy    string   `json:"policy"`
	Paths     []string `json:"paths"`
	When      string   `json:"when"`
	Fallback  []string `json:"fallback_keys,omitempty"`
}

type credential struct {
	Type     string `json:"type"`
	URL      string `json:"url"`
	Username string `json:"username"`
	Password string `json:"password"`
}

type dependency struct {
	ID    int64          `json:"id"`
	Token string         `json:"token"`
	Name  string         `json:"name"`
	File  dependencyFile `json:"artifacts_file"`
}

type dependencyFile struct {
	Filename string `json:"filename"`
	Size     int64  `json:"size"`
}

type features struct {
	TraceSections bool     `json:"trace_sections"`
	Reasons       []string `json:"failure_reasons"`
	MaskPrefixes  []string `json:"token_mask_prefixes"`
}

// failureReasons are those that the forge stores; a runner maps any other.
func failureReasons() []string {
	return []string{
		"script_failure", "runner_system_failure", "job_execution_timeout", "image_pull_failure", "unknown_failure",
		"runner_configuration_error", "runner_external_dependency_failure", "runner_interrupted",
	}
}

// payload makes what the runner is told of its job.
func (s *Server) payload(ctx context.Context, c *claimed) (*payload, error) {
	git, err := s.gitInfo(ctx, c)
	if err != nil {
		return nil, err
	}
	j, p := c.job, c.project
	vars, err := s.withIDTokens(c, s.variables(c))
	if err != nil {
		return nil, err
	}
	out := &payload{
		ID: j.ID, Token: c.token, AllowGitFetch: true, GitInfo: *git, Variables: vars,
		JobInfo: jobInfo{
			ID: j.ID, Name: j.Name, Stage: j.Stage, PipelineID: j.PipelineID, ProjectID: p.ID, ProjectName: p.Name,
			ProjectFullPath: p.Path, NamespaceID: p.GroupID, UserID: j.UserID,
			TimeInQueue: max(j.StartedAt.Sub(j.QueuedAt).Seconds(), 0), JobsRunning: "0",
		},
		RunnerInfo:   runnerInfo{Timeout: timeout(p, c.runner, c.spec)},
		Services:     []image{},
		Artifacts:    payloadArtifacts(c.spec.Artifacts),
		Cache:        []cache{},
		Credentials:  []credential{},
		Dependencies: []dependency{},
		Features: features{
			TraceSections: true, Reasons: failureReasons(),
			MaskPrefixes: []string{"glpat-", "glcbt-", "glrt-"},
		},
	}
	out.Steps = []step{{Name: "script", Script: c.spec.Script, Timeout: out.RunnerInfo.Timeout, When: "on_success"}}
	if len(c.spec.AfterScript) > 0 {
		out.Steps = append(out.Steps, step{Name: "after_script", Script: c.spec.AfterScript, Timeout: out.RunnerInfo.Timeout, When: "always", AllowFailure: true})
	}
	if len(c.spec.PreGetSources) > 0 {
		out.Hooks = []hook{{"pre_get_sources_script", c.spec.PreGetSources}}
	}
	if c.spec.Image != nil {
		i := payloadImage(*c.spec.Image)
		out.Image = &i
	}
	for _, i := range c.spec.Services {
		out.Services = append(out.Services, payloadImage(i))
	}
	for _, k := range c.spec.Cache {
		out.Cache = append(out.Cache, cache{
			Key: s.cacheKey(ctx, c, k), Untracked: k.Untracked, Policy: or(k.Policy, "pull-push"), Paths: list(k.Paths),
			When: or(k.When, "on_success"), Fallback: k.Fallback,
		})
	}
	if host := s.registryHost(); host != "" {
		out.Credentials = append(out.Credentials, credential{"registry", host, jobUser, c.token})
	}
	if s.cfg.DependencyProxy {
		out.Credentials = append(out.Credentials, credential{"registry", s.hostWithPort(), jobUser, c.token})
	}
	for _, d := range c.needed {
		if a := d.Archive(); a != nil && (a.ExpiresAt.IsZero() || a.ExpiresAt.After(s.now())) {
			// The consumer's own token opens what the jobs before it left.
			out.Dependencies = append(out.Dependencies, dependency{ID: d.ID, Token: c.token, Name: d.Name, File: dependencyFile{a.Filename, a.Size}})
		}
	}
	return out, nil
}

// cacheKey is the key as written, or one made of what files hold.
func (s *Server) cacheKey(ctx context.Context, c *claimed, k ci.Cache) string {
	if len(k.KeyFiles) == 0 {
		return or(k.Key, "default")
	}
	h := sha256.New()
	found := false
	for _, name := range k.KeyFiles {
		if data, err := s.repos.File(ctx, c.project.Path, c.pipeline.SHA, name); err == nil {
			found = true
			fmt.Fprintf(h, "%s %d\n%s", name, len(data), data)
		}
	}
	key := "default"
	if found {
		key = hex.EncodeToString(h.Sum(nil))[:40]
	}
	if k.KeyPrefix != "" {
		key = k.KeyPrefix + "-" + key
	}
	return key
}

// gitInfo tells where the source is. A Mercurial project is told as such to a
// runner that knows hg; any other gets the commit's tree as a single Git commit,
// while CI_COMMIT_SHA stays the Mercurial node.
func (s *Server) gitInfo(ctx context.Context, c *claimed) (*gitInfo, error) {
	p, pl := c.project, c.pipeline
	user := url.UserPassword(jobUser, c.token)
	g := &gitInfo{
		ObjectFormat: "sha1", Ref: pl.Ref, SHA: pl.SHA, BeforeSHA: pl.BeforeSHA, RefType: "branch",
		Depth: depth(p, c.spec), Protected: isProtected(p, pl.Ref, pl.Tag),
	}
	if pl.Tag {
		g.RefType = "tag"
	}
	if p.VCS == string(vcs.Hg) && c.mercury {
		g.RepoURL, g.RepoType, g.HgSHA = withUser(s.repositoryURL(p), user), "hg", pl.SHA
		g.Refspecs = []string{}
		return g, nil
	}
	sha, err := s.snapshot(ctx, p, pl.ID)
	if err != nil {
		return nil, err
	}
	g.RepoURL, g.SHA = withUser(s.URL+"/"+p.Path+".git", user), sha
	keep := "refs/pipelines/" + strconv.FormatInt(pl.ID, 10)
	g.Refspecs = []string{"+" + keep + ":" + keep}
	if p.VCS == string(vcs.Hg) {
		return g, nil
	}
	from, to := "refs/heads/", "refs/remotes/origin/"
	if pl.Tag {
		from, to = "refs/tags/", "refs/tags/"
	}
	name := pl.Ref
	if g.Depth == 0 {
		// Without a depth everything is fetched.
		g.Refspecs = append(g.Refspecs, "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
		return g, nil
	}
	g.Refspecs = append(g.Refspecs, "+"+from+name+":"+to+name)
	return g, nil
}

// depth is the variable GIT_DEPTH of the job, else the project's.
func depth(p *store.Project, spec ci.Job) int {
	for _, v := range spec.Variables {
		if v.Key == "GIT_DEPTH" {
			if n, err := strconv.Atoi(v.Value); err == nil && n >= 0 {
				return n
			}
		}
	}
	return p.Depth
}

// timeout is the job's or the project's, and not more than the runner's.
func timeout(p *store.Project, r *store.Runner, spec ci.Job) int {
	t := p.Timeout
	if spec.TimeoutSecs > 0 {
		t = spec.TimeoutSecs
	}
	if r.MaxTimeout > 0 {
		t = min(t, r.MaxTimeout)
	}
	if t <= 0 {
		t = int(time.Hour.Seconds())
	}
	return t
}

func payloadImage(i ci.Image) image {
	out := image{Name: i.Name, Alias: i.Alias, Entrypoint: i.Entrypoint, Command: i.Command, PullPolicy: i.PullPolicy}
	for _, v := range i.Variables {
		out.Variables = append(out.Variables, expand.Variable{Key: v.Key, Value: v.Value, Raw: v.Raw, Public: true})
	}
	docker := map[string]any{}
	if i.User != "" {
		docker["user"] = i.User
	}
	if i.Platform != "" {
		docker["platform"] = i.Platform
	}
	if len(docker) > 0 {
		out.ExecutorOpts = map[string]any{"docker": docker}
	}
	return out
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func list(l []string) []string {
	if l == nil {
		return []string{}
	}
	return l
}
