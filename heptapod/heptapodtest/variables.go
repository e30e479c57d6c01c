package heptapodtest

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/vcs"
	"github.com/heptaup/hepta/internal/ci"
	"github.com/heptaup/hepta/internal/ci/expand"
)

// scope collects variables in the order in which they hold: later ones win.
type scope []expand.Variable

// open adds a variable that services may see too.
func (v *scope) open(key, value string) {
	*v = append(*v, expand.Variable{Key: key, Value: value, Public: true})
}

// plain adds text that somebody wrote: a dollar in it means nothing.
func (v *scope) plain(key, value string) {
	*v = append(*v, expand.Variable{Key: key, Value: value, Public: true, Raw: true})
}

// hidden adds a variable that the runner masks.
func (v *scope) hidden(key, value string) {
	*v = append(*v, expand.Variable{Key: key, Value: value, Masked: true})
}

// variables are a job's, in the order in which GitLab concatenates them:
// persisted ones, job, project, pipeline, runner, the file's, user, dotenv of
// needed jobs, the project's CI variables, those given with the pipeline.
func (s *Server) variables(c *claimed) []expand.Variable {
	var v scope
	s.persistedVariables(&v, c)
	s.jobVariables(&v, c)
	s.projectVariables(&v, c.project, c.group)
	s.pipelineVariables(&v, c.project, c.pipeline)
	s.runnerVariables(&v, c.runner)
	for _, y := range c.spec.Variables {
		// Public: else a service would not get its settings.
		v = append(v, expand.Variable{Key: y.Key, Value: y.Value, Raw: y.Raw, Public: true})
	}
	v.user(c.user)
	v.custom(c.dotenv)
	v.custom(effective(c.project, c.pipeline, environmentName(c.spec.Environment)))
	v.custom(c.pipeline.Variables)
	return expand.Resolve(v)
}

// user adds who made the pipeline; nil adds nobody.
func (v *scope) user(u *store.User) {
	if u == nil {
		return
	}
	v.open("GITLAB_USER_ID", strconv.FormatInt(u.ID, 10))
	v.open("GITLAB_USER_LOGIN", u.Username)
	v.open("GITLAB_USER_NAME", u.Name)
	v.open("GITLAB_USER_EMAIL", u.Email)
}

// pipelineScope are the variables that rules see: those known before there is a job.
func (s *Server) pipelineScope(p *store.Project, pl *store.Pipeline) []expand.Variable {
	var v scope
	s.projectVariables(&v, p, nil)
	s.pipelineVariables(&v, p, pl)
	v.custom(effective(p, pl, ""))
	v.custom(pl.Variables)
	return expand.Last(v)
}

// effective are a project's CI variables for a ref and an environment.
func effective(p *store.Project, pl *store.Pipeline, environment string) []store.Variable {
	var out []store.Variable
	for _, v := range p.Variables {
		if v.Protected && !isProtected(p, pl.Ref, pl.Tag) {
			continue
		}
		if v.Scope != "*" && v.Scope != environment {
			if prefix, wild := strings.CutSuffix(v.Scope, "*"); !wild || environment == "" || !strings.HasPrefix(environment, prefix) {
				continue
			}
		}
		out = append(out, v)
	}
	return out
}

func (v *scope) custom(all []store.Variable) {
	for _, o := range all {
		*v = append(*v, expand.Variable{Key: o.Key, Value: o.Value, File: o.File, Masked: o.Masked, Raw: o.Raw})
	}
}

func (s *Server) persistedVariables(v *scope, c *claimed) {
	v.open("CI_PIPELINE_ID", strconv.FormatInt(c.pipeline.ID, 10))
	v.open("CI_PIPELINE_URL", s.URL+"/"+c.project.Path+"/-/pipelines/"+strconv.FormatInt(c.pipeline.ID, 10))
	v.open("CI_JOB_ID", strconv.FormatInt(c.job.ID, 10))
	v.open("CI_JOB_URL", s.URL+"/"+c.project.Path+"/-/jobs/"+strconv.FormatInt(c.job.ID, 10))
	v.open("CI_JOB_TIMEOUT", strconv.Itoa(timeout(c.project, c.runner, c.spec)))
	v.hidden("CI_JOB_TOKEN", c.token)
	v.open("CI_JOB_STARTED_AT", c.job.StartedAt.UTC().Format(time.RFC3339))
	v.hidden("CI_REPOSITORY_URL", withUser(s.repositoryURL(c.project), url.UserPassword(jobUser, c.token)))
	if s.cfg.DependencyProxy {
		v.open("CI_DEPENDENCY_PROXY_USER", jobUser)
		v.hidden("CI_DEPENDENCY_PROXY_PASSWORD", c.token)
	}
	// Without a registry none of CI_REGISTRY* is set.
	if s.registryHost() != "" {
		v.open("CI_REGISTRY_USER", jobUser)
		v.hidden("CI_REGISTRY_PASSWORD", c.token)
	}
}

func (s *Server) jobVariables(v *scope, c *claimed) {
	for _, own := range c.spec.Predefined() {
		v.open(own.Key, own.Value)
	}
	if c.job.Played {
		v.open("CI_JOB_MANUAL", "true")
	}
	if e := c.spec.Environment; e != nil {
		v.open("CI_ENVIRONMENT_SLUG", expand.EnvironmentSlug(e.Name))
	}
}

func environmentName(e *ci.Environment) string {
	if e == nil {
		return ""
	}
	return e.Name
}

func (s *Server) projectVariables(v *scope, p *store.Project, g *store.Group) {
	v.open("CI", "true")
	v.open("GITLAB_CI", "true")
	v.open("GITLAB_FEATURES", "")
	u, _ := url.Parse(s.URL)
	port := portOf(u)
	v.open("CI_SERVER_URL", s.URL)
	v.open("CI_SERVER_HOST", u.Hostname())
	v.open("CI_SERVER_PORT", port)
	v.open("CI_SERVER_PROTOCOL", u.Scheme)
	v.open("CI_SERVER_FQDN", u.Host)
	v.open("CI_SERVER_NAME", "GitLab")
	v.open("CI_SERVER_VERSION", s.cfg.Version)
	for i, part := range versionParts(s.cfg.Version) {
		v.open([]string{"CI_SERVER_VERSION_MAJOR", "CI_SERVER_VERSION_MINOR", "CI_SERVER_VERSION_PATCH"}[i], part)
	}
	v.open("CI_SERVER_REVISION", s.revision())
	v.open("CI_SERVER_SHELL_SSH_HOST", s.cfg.SSHHost)
	v.open("CI_SERVER_SHELL_SSH_PORT", strconv.Itoa(s.cfg.SSHPort))
	v.open("CI_API_V4_URL", s.URL+"/api/v4")
	v.open("CI_API_GRAPHQL_URL", s.URL+"/api/graphql")
	v.open("CI_TEMPLATE_REGISTRY_HOST", "registry.gitlab.com")
	v.open("CI_CONFIG_PATH", or(p.ConfigPath, defaultConfigPath))
	v.open("CI_DEFAULT_BRANCH", p.DefaultBranch)

	above, last, _ := cutLast(p.Path)
	root, _, _ := strings.Cut(p.Path, "/")
	v.open("CI_PROJECT_ID", strconv.FormatInt(p.ID, 10))
	v.open("CI_PROJECT_NAME", last)
	v.plain("CI_PROJECT_TITLE", p.Name)
	v.plain("CI_PROJECT_DESCRIPTION", p.Description)
	v.open("CI_PROJECT_PATH", p.Path)
	v.open("CI_PROJECT_PATH_SLUG", expand.Slug(p.Path))
	v.open("CI_PROJECT_NAMESPACE", above)
	if g != nil {
		v.open("CI_PROJECT_NAMESPACE_ID", strconv.FormatInt(g.ID, 10))
	}
	v.open("CI_PROJECT_NAMESPACE_SLUG", expand.Slug(above))
	v.open("CI_PROJECT_ROOT_NAMESPACE", root)
	v.open("CI_PROJECT_URL", s.URL+"/"+p.Path)
	v.open("CI_PROJECT_VISIBILITY", p.Visibility)
	v.open("CI_PROJECT_REPOSITORY_LANGUAGES", "")
	v.open("CI_PROJECT_CLASSIFICATION_LABEL", "")
	if s.cfg.DependencyProxy {
		host := s.hostWithPort()
		v.open("CI_DEPENDENCY_PROXY_SERVER", host)
		v.open("CI_DEPENDENCY_PROXY_GROUP_IMAGE_PREFIX", host+"/"+strings.ToLower(root)+dependencyProxy)
		v.open("CI_DEPENDENCY_PROXY_DIRECT_GROUP_IMAGE_PREFIX", host+"/"+strings.ToLower(above)+dependencyProxy)
	}
	if host := s.registryHost(); host != "" {
		v.open("CI_REGISTRY", host)
		v.open("CI_REGISTRY_IMAGE", host+"/"+strings.ToLower(p.Path))
	}
}

func (s *Server) pipelineVariables(v *scope, p *store.Project, pl *store.Pipeline) {
	if pl.IID > 0 {
		v.open("CI_PIPELINE_IID", strconv.FormatInt(pl.IID, 10))
	}
	v.open("CI_PIPELINE_SOURCE", pl.Source)
	if pl.Name != "" {
		v.plain("CI_PIPELINE_NAME", pl.Name)
	}
	v.open("CI_PIPELINE_CREATED_AT", pl.CreatedAt.UTC().Format(time.RFC3339))
	v.open("CI_COMMIT_SHA", pl.SHA)
	v.open("CI_COMMIT_SHORT_SHA", pl.SHA[:min(8, len(pl.SHA))])
	v.open("CI_COMMIT_BEFORE_SHA", pl.BeforeSHA)
	v.open("CI_COMMIT_REF_NAME", pl.Ref)
	v.open("CI_COMMIT_REF_SLUG", expand.Slug(pl.Ref))
	if pl.Tag {
		v.open("CI_COMMIT_TAG", pl.Ref)
		v.plain("CI_COMMIT_TAG_MESSAGE", pl.TagMessage)
	} else {
		v.open("CI_COMMIT_BRANCH", pl.Ref)
	}
	_, body, _ := strings.Cut(pl.Commit.Message, "\n")
	v.plain("CI_COMMIT_MESSAGE", pl.Commit.Message)
	v.open("CI_COMMIT_MESSAGE_IS_TRUNCATED", "false")
	v.plain("CI_COMMIT_TITLE", pl.Commit.Title)
	v.plain("CI_COMMIT_DESCRIPTION", strings.TrimLeft(body, "\n"))
	v.open("CI_COMMIT_REF_PROTECTED", strconv.FormatBool(isProtected(p, pl.Ref, pl.Tag)))
	v.open("CI_COMMIT_TIMESTAMP", pl.Commit.Timestamp)
	v.plain("CI_COMMIT_AUTHOR", pl.Commit.Author)
	if p.VCS == string(vcs.Hg) {
		v.open("CI_COMMIT_HG_SHA", pl.SHA)
		v.open("CI_COMMIT_HG_SHORT_SHA", pl.SHA[:min(12, len(pl.SHA))])
		v.open("CI_COMMIT_HG_BRANCH", pl.Commit.Branch)
	}
}

func (s *Server) runnerVariables(v *scope, r *store.Runner) {
	v.open("CI_RUNNER_ID", strconv.FormatInt(r.ID, 10))
	v.open("CI_RUNNER_DESCRIPTION", r.Description)
	// A string that looks like a JSON list.
	tags, err := json.Marshal(list(r.Tags))
	if err == nil {
		v.open("CI_RUNNER_TAGS", string(tags))
	}
	v.open("CI_RUNNER_SHORT_TOKEN", r.ShortToken)
}
