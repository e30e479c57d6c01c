package heptapodtest_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
)

// Includes come from the commit, from other projects, and from what a test
// gives; rules, patterns and variables decide which.
func TestIncludes(t *testing.T) {
	s := heptapodtest.New(t)
	lib := s.CreateProject(t, "org/lib", "git")
	work := filepath.Join(t.TempDir(), "lib")
	push(t, lib, work, map[string]string{
		"build.yml":                   "include: more.yml\nlib: {script: [x]}\n",
		"more.yml":                    "more: {script: [x]}\n",
		"templates/scan.yml":          "spec: {inputs: {name: {}}}\n---\n\"$[[ inputs.name ]]\": {script: [x]}\n",
		"templates/deep/template.yml": "deep: {script: [x]}\n",
	}, "first")
	run(t, work, "git", "tag", "1.2.0")
	run(t, work, "git", "push", "-q", "origin", "1.2.0")
	s.ServeInclude("https://example.org/remote.yml", []byte("remote: {script: [x]}\n"))
	s.ServeInclude("Jobs/Given.gitlab-ci.yml", []byte("template: {script: [x]}\n"))
	p := s.CreateProject(t, "g/p", "git")
	host := strings.TrimPrefix(s.URL, "http://")
	push(t, p, filepath.Join(t.TempDir(), "w"), map[string]string{
		"ci/tagged.yml":    "release: {script: [x]}\n",
		"ci/main.yml":      "branch: {script: [x]}\n",
		"ci/docker.yml":    "docker: {script: [x]}\n",
		"ci/jobs/one.yml":  "one: {script: [x]}\n",
		"ci/jobs/two.yaml": "two: {script: [x]}\n",
		"Dockerfile":       "",
		".gitlab-ci.yml": `include:
  - {local: ci/tagged.yml, rules: [{if: $CI_COMMIT_TAG}]}
  - {local: ci/docker.yml, rules: [{exists: [Dockerfile]}]}
  - ci/jobs/*.yml
  - {local: ci/$CI_DEFAULT_BRANCH.yml}
  - {project: org/lib, file: build.yml, ref: main}
  - {component: ` + host + `/org/lib/scan@~latest, inputs: {name: scanned}}
  - {component: $CI_SERVER_FQDN/org/lib/deep@1}
  - {remote: "https://example.org/remote.yml"}
  - {template: Jobs/Given.gitlab-ci.yml}
main: {script: [x]}
`}, "first")
	if got, want := states(t, s, p), "pending: branch=pending deep=pending docker=pending lib=pending main=pending more=pending one=pending remote=pending scanned=pending template=pending"; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

// workflow:auto_cancel says what a failure does to the other jobs, and what a
// newer push does to the pipeline.
func TestAutoCancel(t *testing.T) {
	s, p, _ := forgeWith(t, "git", "workflow: {name: 'of $CI_COMMIT_BRANCH', auto_cancel: {on_job_failure: all}}\na: {stage: build, script: [x]}\nb: {stage: build, script: [x]}\nc: {script: [x]}\n")
	newRunner(t, s, newest()).take().put("failed", map[string]any{"failure_reason": "script_failure"})
	if got := states(t, s, p); got != "failed: a=failed b=canceled c=canceled" {
		t.Errorf("after a failure: %s", got)
	}
	c := client{t: t, url: s.URL, token: s.Token}
	if name := c.get("/projects/group%2Fproject/pipelines/1", http.StatusOK)["name"]; name != "of main" {
		t.Errorf("the pipeline's name is %v", name)
	}
	for ci, want := range map[string]string{
		"workflow: {auto_cancel: {on_new_commit: none}}\na: {script: [x], interruptible: true}\n":                                                        "pending",
		"workflow: {auto_cancel: {on_new_commit: interruptible}}\na: {stage: build, script: [x]}\nb: {stage: build, script: [x], interruptible: true}\n": "running",
	} {
		s := heptapodtest.New(t, heptapodtest.WithLongPoll(-1))
		p := s.CreateProject(t, "g/p", "git")
		work := filepath.Join(t.TempDir(), "w")
		push(t, p, work, map[string]string{".gitlab-ci.yml": ci}, "first")
		if want == "running" {
			newRunner(t, s, newest()).take()
		}
		push(t, p, work, map[string]string{"x": "x"}, "second")
		if pl, err := s.Pipeline(t.Context(), p.Path, 1); err != nil || pl.Status != want {
			t.Errorf("%q: %+v %v, want %s", ci, pl, err, want)
		}
	}
}

// A pipeline that has begun never waits again: a retried job makes it run.
func TestPipelineRunsAgain(t *testing.T) {
	s, p, _ := forgeWith(t, "git", "a: {script: [x]}\n")
	r := newRunner(t, s, newest())
	r.take().put("failed", map[string]any{"failure_reason": "script_failure"})
	c := client{t: t, url: s.URL, token: s.Token}
	c.call("POST", "/projects/group%2Fproject/jobs/1/retry", nil, http.StatusCreated)
	if got := states(t, s, p); got != "running: a=pending" {
		t.Errorf("after a retry: %s", got)
	}
}

// One job of a resource group at a time; the next one in line follows.
func TestResourceGroup(t *testing.T) {
	s, p, _ := forgeWith(t, "git", "a: {script: [x], resource_group: $CI_COMMIT_BRANCH-site}\nb: {script: [x], resource_group: main-site}\nc: {script: [x]}\n")
	if got := states(t, s, p); got != "pending: a=pending b=waiting_for_resource c=pending" && got != "running: a=pending b=waiting_for_resource c=pending" {
		t.Errorf("at first: %s", got)
	}
	again(t, s, p)
	r := newRunner(t, s, newest())
	j := r.take()
	if j.JobInfo.Name != "a" {
		t.Fatalf("took %s", j.JobInfo.Name)
	}
	j.put("success", nil)
	pl, err := s.Pipeline(t.Context(), p.Path, 1)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := pl.Job("b"); err != nil || b.Status != "pending" {
		t.Errorf("b is %+v, %v", b, err)
	}
	c := client{t: t, url: s.URL, token: s.Token}
	c.call("POST", "/projects/group%2Fproject/pipelines/1/cancel", nil, http.StatusOK)
	if pl, err = s.Pipeline(t.Context(), p.Path, 2); err != nil {
		t.Fatal(err)
	}
	if a, err := pl.Job("a"); err != nil || a.Status != "pending" {
		t.Errorf("the next pipeline's a is %+v, %v", a, err)
	}
}

// What a job is told of its environment, its hooks and its tag.
func TestEnvironmentOfAJob(t *testing.T) {
	s := heptapodtest.New(t, heptapodtest.WithLongPoll(-1))
	p := s.CreateProject(t, "g/p", "git")
	work := filepath.Join(t.TempDir(), "w")
	push(t, p, work, map[string]string{".gitlab-ci.yml": `
deploy:
  script: [x]
  timeout: 90 minutes
  hooks: {pre_get_sources_script: [echo early]}
  environment: {name: review/$CI_COMMIT_REF_NAME, url: "https://$CI_ENVIRONMENT_SLUG.example.org", on_stop: stop}
stop:
  script: [x]
  when: manual
  environment: {name: review/$CI_COMMIT_REF_NAME, action: stop}
`}, "first")
	r := newRunner(t, s, newest())
	j := r.take()
	for key, want := range map[string]string{
		"CI_JOB_TIMEOUT": "5400", "CI_ENVIRONMENT_NAME": "review/main", "CI_ENVIRONMENT_SLUG": "review-main-yi2y9f", "CI_ENVIRONMENT_ACTION": "start",
		"CI_ENVIRONMENT_TIER": "development", "CI_ENVIRONMENT_URL": "https://review-main-yi2y9f.example.org",
	} {
		if got, _ := j.variable(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if len(j.Hooks) != 1 || j.Hooks[0].Name != "pre_get_sources_script" || j.Hooks[0].Script[0] != "echo early" {
		t.Errorf("hooks %+v", j.Hooks)
	}
	j.put("success", nil)
	run(t, work, "git", "tag", "-a", "v1", "-m", "the first one")
	run(t, work, "git", "push", "-q", "origin", "v1")
	if got, _ := r.take().variable("CI_COMMIT_TAG_MESSAGE"); got != "the first one" {
		t.Errorf("the tag's message is %q", got)
	}
}

// A commit that says so makes a pipeline without jobs, in each of the ways in
// which GitLab reads it.
func TestSkippedPipelines(t *testing.T) {
	s := heptapodtest.New(t)
	p := s.CreateProject(t, "g/p", "git")
	work := filepath.Join(t.TempDir(), "w")
	for i, text := range []string{"[ci skip]", "[CI-SKIP]", "[skip_ci]", "fix [Skip CI] later"} {
		push(t, p, work, map[string]string{".gitlab-ci.yml": "a: {script: [x]}\n", "n": text}, text)
		if pl, err := s.Pipeline(t.Context(), p.Path, i+1); err != nil || pl.Status != "skipped" {
			t.Errorf("%s: %+v %v", text, pl, err)
		}
	}
}

// Jobs are told of the dependency proxy as by GitLab, in small letters. Where there is none, nothing is set and the pipeline says so.
func TestDependencyProxy(t *testing.T) {
	files := map[string]string{".gitlab-ci.yml": "build: {image: \"${CI_DEPENDENCY_PROXY_GROUP_IMAGE_PREFIX}/docker:28\", script: [x]}\nplain: {image: \"docker:28\", script: [x]}\n"}
	for _, with := range []bool{true, false} {
		opts := []heptapodtest.Option{heptapodtest.WithLongPoll(-1)}
		if with {
			opts = append(opts, heptapodtest.WithDependencyProxy())
		}
		s := heptapodtest.New(t, opts...)
		host := strings.TrimPrefix(s.URL, "http://")
		p := s.CreateProject(t, "Org/Deep/app", "git")
		push(t, p, filepath.Join(t.TempDir(), "w"), files, "first")
		pl, err := s.Pipeline(t.Context(), p.Path, 1)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := strings.Join(pl.Warnings, "\n"), ""; with && got != want || !with && (!strings.HasPrefix(got, "jobs:build takes an image from a dependency proxy") || strings.Contains(got, "plain")) {
			t.Errorf("proxy %v: warnings %q", with, got)
		}
		j := newRunner(t, s, newest()).take()
		for key, want := range map[string]string{
			"CI_DEPENDENCY_PROXY_SERVER":                    host,
			"CI_DEPENDENCY_PROXY_GROUP_IMAGE_PREFIX":        host + "/org/dependency_proxy/containers",
			"CI_DEPENDENCY_PROXY_DIRECT_GROUP_IMAGE_PREFIX": host + "/org/deep/dependency_proxy/containers",
			"CI_DEPENDENCY_PROXY_USER":                      "gitlab-ci-token",
			"CI_DEPENDENCY_PROXY_PASSWORD":                  j.Token,
		} {
			if !with {
				want = ""
			}
			if got, _ := j.variable(key); got != want {
				t.Errorf("proxy %v: %s is %q, want %q", with, key, got, want)
			}
		}
		known := false
		for _, c := range j.Credentials {
			known = known || c.URL == host && c.Username == "gitlab-ci-token" && c.Password == j.Token
		}
		if known != with {
			t.Errorf("proxy %v: credentials %+v", with, j.Credentials)
		}
	}
}

// Rules go by who pushed and by what a job is; a job knows its pipeline's name.
func TestRulesAtTheForge(t *testing.T) {
	s, p, _ := forgeWith(t, "git", `
workflow: {name: "of $GITLAB_USER_LOGIN"}
mine: {script: [x], rules: [{if: $GITLAB_USER_LOGIN == "root" && $CI_JOB_NAME == "mine"}]}
theirs: {script: [x], rules: [{if: $GITLAB_USER_LOGIN != "root"}]}
`)
	if got := states(t, s, p); got != "pending: mine=pending" {
		t.Errorf("got %s", got)
	}
	if name, _ := newRunner(t, s, newest()).take().variable("CI_PIPELINE_NAME"); name != "of root" {
		t.Errorf("CI_PIPELINE_NAME is %q", name)
	}
}
