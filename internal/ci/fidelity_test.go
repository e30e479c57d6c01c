package ci

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What GitLab refuses is refused, each with its own words.
func TestWhatGitLabRefuses(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		"j: {script: [x], tags: docker}":                                                       "jobs:j:tags config should be an array of strings",
		"j: {script: [x], only: main}":                                                         "jobs:j:only config should be an array of strings",
		"j: {script: [x], except: {refs: main}}":                                               "jobs:j:except config should be an array of strings",
		"j: {script: [x], dependencies: a}\na: {script: [x], stage: build}":                    "jobs:j dependencies config should be an array of strings",
		"j: {script: [x], artifacts: {paths: dist/}}":                                          "jobs:j:artifacts:paths config should be an array of strings",
		"j: {script: [x], artifacts: {exclude: x}}":                                            "jobs:j:artifacts:exclude config should be an array of strings",
		"j: {script: [x], cache: {paths: x}}":                                                  "jobs:j:cache:paths config should be an array of strings",
		"j: {script: [x], cache: {key: {files: x}}}":                                           "jobs:j:cache:key:files config should be an array of strings",
		"j: {script: [x], cache: {fallback_keys: [a, b, c, d, e, f]}}":                         "jobs:j:cache:fallback_keys config has too many items (maximum is 5)",
		"j: {script: [x], rules: [{changes: x}]}":                                              "jobs:j:rules:rule:changes config should be an array of strings",
		"j: {script: [x], rules: [{exists: {paths: x}}]}":                                      "jobs:j:rules:rule:exists config should be an array of strings",
		"j: {script: [x], rules: [{exists: {paths: [x], ref: main}}]}":                         "jobs:j:rules:rule:exists config the following keys depend on each other: project, ref",
		"j: {script: [x], image: {name: a, entrypoint: x}}":                                    "jobs:j:image entrypoint config should be an array of strings",
		"j: {script: [x], services: [{name: a, command: x}]}":                                  "jobs:j:services:service command config should be an array of strings",
		"j: {script: [x], image: {name: a, pull_policy: []}}":                                  "jobs:j:image:pull_policy config can't be blank",
		"j: {script: [x], image: {name: a, docker: {user: ''}}}":                               "jobs:j:image:docker user can't be blank",
		"stages: test\nj: {script: [x]}":                                                       "stages config should be an array of strings",
		"stages: [1, 2]\nj: {script: [x], stage: '1'}":                                         "stages config should be an array of strings",
		"j: {script: [x], timeout: 3600}":                                                      "jobs:j timeout should be a duration",
		"j: {script: [x], retry: {max: 1, when: runner_sytem_failure}}":                        "jobs:j:retry when contains unknown values: runner_sytem_failure",
		"a: {script: [x], parallel: 2}\nj: {script: [x], needs: [{job: a, parallel: 2}]}":      `jobs:j:needs:need parallel config cannot use "parallel: <number>".`,
		"a: {script: [x], parallel: 2}\nj: {script: [x], needs: [{job: a, parallel: matrix}]}": "jobs:j:needs:need:parallel config should be a hash with matrix",
		"j: {script: [x], artifacts: {access: everybody}}":                                     "jobs:j:artifacts access should be one of: none, developer, all",
		"j: {script: [x], artifacts: {access: all, public: true}}":                             "jobs:j:artifacts config these keys cannot be used together: public, access",
		"j: {script: [x], artifacts: {reports: {coverage_report: c.xml}}}":                     "jobs:j:artifacts:reports:coverage_report config should be a hash",
		"variables: {V: {value: c, options: [a, b]}}\nj: {script: [x]}":                        "variables:V config value must be present in options",
		"j: {script: [x], hooks: {pre_build: [x]}}":                                            "jobs:j:hooks config contains unknown keys: pre_build",
		"workflow: {auto_cancel: {on_new_commit: never}}\nj: {script: [x]}":                    "workflow:auto_cancel on new commit should be one of: conservative, interruptible, none",
		"j: {script: [x], environment: {url: u}}":                                              "jobs:j:environment name can't be blank",
		"j: {script: [x], environment: {name: e, action: begin}}":                              "jobs:j:environment action should be one of: start, stop, prepare, verify, access",
		"j: {script: [x], environment: {name: e, on_stop: k}}":                                 "j job: on_stop job k is not defined",
		"j: {script: [x], environment: {name: e, colour: red}}":                                "jobs:j:environment config contains unknown keys: colour",
		"j: {script: [x], when: delayed, start_in: 1 hour, rules: [{when: always}]}":           "jobs:j start in must be blank",
		"j: {script: [x], rules: [{when: always, variables: {A: {value: x}}}]}":                "jobs:j:rules:rule:variables config should be a hash of key value pairs, value can be an array",
		`j: {script: ""}`:                                                               "jobs:j:script config can't be blank",
		"j: {script: [x], rules: []}":                                                   "jobs:j:rules config can't be blank",
		"variables: {D: 2024-01-31}\nj: {script: [x]}":                                  "Invalid configuration format: Tried to load unspecified class: Date (quote 2024-01-31 to keep it a string)",
		strings.Repeat("j", 256) + ": {script: [x]}":                                    "jobs:" + strings.Repeat("j", 256) + " name is too long (maximum is 255 characters)",
		"j: {script: [x], rules: [{if: '$A', changes: {paths: [x], compare_to: [y]}}]}": "jobs:j:rules:rule:changes compare to should be a string",
		"j: {script: [x], image: 5}":                                                    "jobs:j:image config should be a hash or a string",
		// What a keyword holds is checked although nothing here acts on it.
		"j: {script: [x], coverage: 'TOTAL.*'}":                                             "jobs:j:coverage config must be a regular expression",
		"j: {script: [x], release: {tag_name: v1}}":                                         "jobs:j:release description can't be blank",
		"j: {script: [x], release: {tag_name: v1, description: d, colour: red}}":            "jobs:j:release config contains unknown keys: colour",
		"j: {script: [x], publish: public}":                                                 "jobs:j publish can only be used within a `pages` job",
		"j: {script: [x], manual_confirmation: [sure]}":                                     "jobs:j manual confirmation should be a string",
		"j: {script: [x], artifacts: {expose_as: report}}":                                  "jobs:j:artifacts paths can't be blank",
		"j: {script: [x], artifacts: {expose_as: a/b, paths: [x]}}":                         "jobs:j:artifacts expose as can contain only letters, digits, '-', '_' and spaces",
		"j: {script: [x], artifacts: {expose_as: all, paths: ['*']}}":                       "jobs:j:artifacts paths can't contain '*' when used with 'expose_as'",
		"j: {script: [x], image: ''}":                                                       "jobs:j:image name can't be blank",
		"j: {script: [x], services: ['']}":                                                  "jobs:j:services:service name can't be blank",
		"j: {script: [x], image: {name: a, ports: [80]}}":                                   "jobs:j:image config contains disallowed keys: ports",
		"j: {script: [x], tags: [" + strings.Repeat("a, ", 49) + "a]}":                      "jobs:j:tags config must be less than the limit of 50 tags",
		"j: {script: [x], timeout: 2 months}":                                               "jobs:j timeout should not exceed the limit",
		"j: {script: [x], when: delayed, start_in: 8 days}":                                 "jobs:j start in should not exceed the limit",
		"j: {script: [x], rules: [{when: delayed, start_in: 8 days}]}":                      "jobs:j:rules:rule start in should not exceed the limit",
		"j: {script: [x], inherit: {default: [imag]}}":                                      "jobs:j:inherit:default config contains unknown values: imag",
		"j: {script: [x], cache: {key: {prefix: p}}}":                                       "jobs:j:cache:key config missing required keys: files",
		"j: {script: [x], cache: {key: {files: []}}}":                                       "jobs:j:cache:key:files config requires at least 1 item",
		"j: {script: [x], parallel: {matrix: [{A: []}]}}":                                   "jobs:j:parallel:matrix:A config should be a hash of key value pairs, value can be an array",
		"j: {script: [x], parallel: {matrix: [{A: [1.5]}]}}":                                "jobs:j:parallel:matrix:A config should be a hash of key value pairs, value can be an array",
		"j: {script: [x], only: {}}":                                                        "jobs:j:only config can't be blank",
		"j: {script: [x], only: {kubernetes: always}}":                                      "jobs:j:only kubernetes unknown value: always",
		`j: {script: [x], environment: "review?"}`:                                          "jobs:j:environment name can contain only letters, digits, '-', '_', '/', '$', '{', '}', '.', and spaces, but it cannot start or end with '/'",
		"j: {script: [x], environment: {name: review/}}":                                    "jobs:j:environment name can contain only letters, digits, '-', '_', '/', '$', '{', '}', '.', and spaces, but it cannot start or end with '/'",
		"'': {script: [x]}":                                                                 "jobs name can't be blank",
		"j: {script: [x], id_tokens: {T: {}}}":                                              "jobs:j:id_tokens:T config missing required keys: aud",
		"j: {script: [x], id_tokens: {T: {aud: 5}}}":                                        "jobs:j:id_tokens:T aud config should be an array of strings or a string",
		"j: {script: [x], id_tokens: {T: {aud: x, expires: 1}}}":                            "jobs:j:id_tokens:T config contains unknown keys: expires",
		"default: {id_tokens: [T]}\nj: {script: [x]}":                                       "default:id_tokens config should be a hash",
		"j: {script: [x], needs: [{pipeline: $UP, job: a, optional: true}]}":                "jobs:j:needs:need config contains unknown keys: optional",
		"j: {script: [x], needs: [" + strings.Repeat("{pipeline: $UP, job: a}, ", 6) + "]}": "jobs:j:needs config must be less than or equal to 5",
		// What only the paid editions know is unknown here.
		"j: {script: [x], secrets: {A: {vault: b}}}":                 "jobs:j config contains unknown keys: secrets",
		"j: {script: [x], dast_configuration: {site_profile: here}}": "jobs:j config contains unknown keys: dast_configuration",
		"default: {identity: google_cloud}\nj: {script: [x]}":        "default config contains unknown keys: identity",
	} {
		_, err := Parse([]byte(src+"\n"), "f")
		var all Problems
		if !errors.As(err, &all) || all[0].Text != want {
			t.Errorf("%s\n got %v\nwant %s", src, err, want)
		}
	}
}

// What GitLab takes makes the jobs that it makes there.
func TestWhatGitLabTakes(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		"a: {script: [x], stage: build}\nj: {script: [x], needs: [], dependencies: [a]}":                                                       "a j",
		"a: {script: [x]}\nj: {script: [x], dependencies: [a]}":                                                                                "a j",
		"stages: [a, [b, [c]]]\nj: {script: [x], stage: c}":                                                                                    "j",
		"j: {script: [x], parallel: {matrix: [{A: 1, B: [2, x]}]}}":                                                                            "j: [1, 2] j: [1, x]",
		"a: {script: [x]}\nj: {script: [x], needs: {job: a}}":                                                                                  "a j",
		"j: {script: [x], rules: [{if: null, when: always}]}":                                                                                  "j",
		"j: {script: [x], rules: [{exists: Dockerfile}]}\nk: {script: [x]}":                                                                    "k",
		"a: {script: [x], parallel: {matrix: [{A: [1, 2]}]}}\nj: {script: [x], needs: [{job: a, parallel: {matrix: [{A: 2}]}}]}":               "a: [1] a: [2] j",
		"j: {script: [x], coverage: '/^TOTAL.*\\d+%$/', release: {tag_name: v1, description: d}, manual_confirmation: sure}":                   "j",
		"pages: {script: [x], publish: out}\nj: {script: [x], pages: true, publish: out}":                                                      "pages j",
		"j: {script: [x], when: delayed, start_in: 1 week, timeout: 30 days, artifacts: {expose_as: all of it, paths: [x]}}":                   "j",
		"j: {script: [x], inherit: {default: [image, hooks], variables: [A]}, only: {kubernetes: active}}\nk: {script: [x], only: ['/^mai/']}": "k",
		"j: {script: [x], environment: {name: 'review/${CI_COMMIT_REF_NAME} of a.b-c'}}":                                                       "j",
		// A job of another pipeline is not looked for in this one.
		"j: {script: [x], needs: [{pipeline: $UP, job: j}, {pipeline: $UP, job: none, artifacts: false}]}": "j",
		// Rules see what a job says of itself.
		"j: {script: [x], rules: [{if: $CI_JOB_NAME == 'j' && $CI_JOB_STAGE == 'test' && $CI_NODE_TOTAL == '1'}]}":                                                                "j",
		"j: {script: [x], parallel: 2, rules: [{if: $CI_NODE_INDEX == '2' && $CI_JOB_GROUP_NAME == 'j'}]}":                                                                        "j 2/2",
		"j: {script: [x], environment: prod/$CI_COMMIT_BRANCH, rules: [{if: $CI_ENVIRONMENT_NAME == 'prod/main' && $CI_ENVIRONMENT_TIER == 'production'}]}":                       "j",
		"workflow: {rules: [{if: $CI_JOB_NAME == null}]}\nj: {script: [x], when: manual, rules: [{if: $CI_JOB_MANUAL}]}\nk: {script: [x], rules: [{if: $CI_JOB_MANUAL == null}]}": "j k",
		// Nested variables are not expanded in conditions.
		"variables: {A: x, B: $A}\nj: {script: [x], rules: [{if: $B == \"x\"}]}\nk: {script: [x], rules: [{if: $B == \"$A\"}]}":        "k",
		"variables: {ALL: '', ONE: '1'}\nj: {script: [x], rules: [{if: $ALL || $ONE}]}\nk: {script: [x], rules: [{if: $ALL && $ONE}]}": "k",
	} {
		c, err := Parse([]byte(src+"\n"), "f")
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		p, err := c.Pipeline(push("main"))
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if got := jobNames(p); got != want {
			t.Errorf("%s: jobs %q, want %q", src, got, want)
		}
	}
}

// Of what << brings and a job's own keys, the later one counts.
func TestMergeKeysGoByTheOrderOfTheDocument(t *testing.T) {
	t.Parallel()
	p := pipeline(t, `
.t: &t {script: [from template], stage: build}
.a: &a {script: [first]}
.b: &b {script: [second]}
later: {script: [own], <<: *t}
sooner: {<<: *t, script: [own]}
two: {<<: *a, <<: *b}
list: {<<: [*a, *b]}
`, push("main"))
	want := map[string]string{"later": "from template", "sooner": "own", "two": "second", "list": "first"}
	got := map[string]string{}
	for _, j := range p.Jobs {
		got[j.Name] = j.Script[0]
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// A rule's own start_in and allow_failure reach the job.
func TestWhatARuleChanges(t *testing.T) {
	t.Parallel()
	p := pipeline(t, `
workflow:
  name: 'Run of $CI_COMMIT_BRANCH$NOPE'
  auto_cancel: {on_new_commit: interruptible, on_job_failure: all}
  rules: [{when: always, auto_cancel: {on_new_commit: none}}]
late: {script: [x], rules: [{when: delayed, start_in: 2 hours}]}
strict: {script: [x], allow_failure: {exit_codes: [137]}, rules: [{if: $CI_COMMIT_BRANCH, allow_failure: false}]}
deploy: {script: [x], tags: ["%WHERE%$NOPE", "$$keep"], variables: {WHERE: here}, environment: {name: review/$NOPE$CI_COMMIT_BRANCH, url: "https://$CI_ENVIRONMENT_SLUG.example.org", on_stop: stop, auto_stop_in: 1 day, deployment_tier: testing}}
stop: {script: [x], environment: {name: review/$NOPE$CI_COMMIT_BRANCH, action: stop}}
hooked: {script: [x], hooks: {pre_get_sources_script: echo}}
`, push("main"))
	byName := map[string]Job{}
	for _, j := range p.Jobs {
		byName[j.Name] = j
	}
	if j := byName["late"]; j.StartInSecs != 7200 {
		t.Errorf("late starts in %d s", j.StartInSecs)
	}
	if j := byName["strict"]; len(j.AllowExitCodes) > 0 || j.AllowFailure {
		t.Errorf("strict may fail: %+v", j)
	}
	want := &Environment{Name: "review/main", URL: "https://$CI_ENVIRONMENT_SLUG.example.org", Action: "start", OnStop: "stop", AutoStopIn: "1 day", Tier: "testing"}
	if d := cmp.Diff(want, byName["deploy"].Environment); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"here", "$$keep"}, byName["deploy"].Tags); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"echo"}, byName["hooked"].PreGetSources); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(AutoCancel{"none", "all"}, p.Cancel); d != "" {
		t.Error(d)
	}
	if p.Name != "Run of main" {
		t.Errorf("the pipeline's name is %q", p.Name)
	}
}

// Needs are counted after parallel has multiplied them.
func TestNeedsOfParallelJobs(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		"a: {script: [x], parallel: 60}\nj: {script: [x], needs: [a]}\n":                                                                      "j job: one job can only need 50 others, but you have listed 60",
		"a: {script: [x], parallel: {matrix: [{A: [1], B: [2]}]}}\nj: {script: [x], needs: [{job: a, parallel: {matrix: [{B: 2, A: 1}]}}]}\n": "'j' job needs 'a' job",
	} {
		c, err := Parse([]byte(src), "f")
		if err != nil {
			t.Fatal(err)
		}
		if _, err = c.Pipeline(push("main")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", src, err)
		}
	}
}

// compare_to asks what differs from another ref.
func TestCompareTo(t *testing.T) {
	t.Parallel()
	c, err := Parse([]byte("j: {script: [x], rules: [{changes: {paths: [a], compare_to: $BASE}}]}\nk: {script: [x]}\n"), "f")
	if err != nil {
		t.Fatal(err)
	}
	e := push("main")
	e.Variables["BASE"] = "v1"
	e.Changed = []string{"b"}
	e.ChangedSince = func(ref string) ([]string, error) {
		if ref != "v1" {
			return nil, errors.New("none")
		}
		return []string{"a"}, nil
	}
	p, err := c.Pipeline(e)
	if err != nil || jobNames(p) != "j k" {
		t.Errorf("jobs %v, %v", p, err)
	}
	e.Variables["BASE"] = "gone"
	if _, err := c.Pipeline(e); err == nil || !strings.Contains(err.Error(), "rules:changes:compare_to is not a valid ref") {
		t.Error(err)
	}
}

// Everything that is wrong is told at once, in files that are there and of
// files that are not.
func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := ParseWith([]byte(`
include: [{remote: "https://example.org/x.yml"}, missing.yml]
j: {extends: .of_the_missing, tags: docker}
k: {script: [x], needs: [of_the_missing]}
l: {script: [x], timeout: 5}
`), "f", ParseOptions{})
	var all Problems
	if !errors.As(err, &all) {
		t.Fatal(err)
	}
	var got []string
	for _, p := range all {
		got = append(got, p.Error())
	}
	want := []string{
		"f:2:11: include:remote is not served here: `https://example.org/x.yml` (the test or the caller can give it)",
		"f:2:50: Local file `missing.yml` does not exist!",
		"f:3:37: jobs:j:tags config should be an array of strings",
		"f:5:27: jobs:l timeout should be a duration",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Inputs have types, options, patterns and functions.
func TestInputs(t *testing.T) {
	t.Parallel()
	const file = `spec:
  inputs:
    text: {default: abcdef}
    list: {type: array, default: [one, two]}
    flag: {type: boolean, default: false}
    count: {type: number, default: 2, options: [1, 2]}
    name: {regex: ^a.*z$, default: abcz}
    where: {options: [here, there], default: here}
    own: {default: $CI_COMMIT_BRANCH}
    image: {default: "${CI_COMMIT_BRANCH}:$OF_THE_JOB"}
    secret: {default: "x-$TOKEN"}
---
j:
  script: [ "$[[ inputs.text | truncate(1,3) ]]", "$[[ inputs.own | expand_vars ]]", "$[[ inputs.own ]]", "$[[ inputs.image | expand_vars ]]", "all $[[ inputs.list ]]" ]
  tags: $[[ inputs.list ]]
  interruptible: $[[ inputs.flag ]]
  parallel: $[[ inputs.count ]]
"$[[ inputs.name ]]-$[[ inputs.where ]]": {script: [x]}
`
	e := push("main")
	c, err := ParseWith([]byte(file), "f", ParseOptions{Event: &e})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Pipeline(e)
	if err != nil {
		t.Fatal(err)
	}
	if got := jobNames(p); got != "j 1/2 j 2/2 abcz-here" {
		t.Errorf("jobs %q", got)
	}
	if d := cmp.Diff([]string{"bcd", "main", "$CI_COMMIT_BRANCH", "main:$OF_THE_JOB", `all ["one", "two"]`}, p.Jobs[0].Script); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"one", "two"}, p.Jobs[0].Tags); d != "" {
		t.Error(d)
	}
	for given, want := range map[string]string{
		"where=nowhere": "`where` input: `nowhere` cannot be used because it is not in the list of allowed options",
		"name=b":        "`name` input: provided value does not match required RegEx pattern",
		"list=x":        "`list` input: provided value is not an array",
		"other=x":       "unknown input arguments: other",
	} {
		key, value, _ := strings.Cut(given, "=")
		_, err := ParseWith([]byte(file), "f", ParseOptions{Event: &e, Inputs: map[string]string{key: value}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", given, err)
		}
	}
	e.Variables["TOKEN"], e.Masked = "s3cret", func(name string) bool { return name == "TOKEN" }
	for block, want := range map[string]string{
		"inputs.none":                 "unknown interpolation key: `none`",
		"inputs.text | shout":         "no function matching `shout`: check that the function name, arguments, and types are correct",
		"inputs.secret | expand_vars": "variable expansion error: masked variables cannot be expanded (TOKEN)",
		"inputs.list | expand_vars":   "invalid input type: expand_vars can only be used with string inputs",
	} {
		_, err := ParseWith([]byte("spec: {inputs: {text: {default: x}, secret: {default: x-$TOKEN}, list: {type: array, default: []}}}\n---\nj: {script: [\"$[[ "+block+" ]]\"]}\n"), "f", ParseOptions{Event: &e})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", block, err)
		}
	}
}

// Rules of jobs and of the workflow see who made the pipeline, those of
// includes do not.
func TestRulesSeeTheUser(t *testing.T) {
	t.Parallel()
	e := push("main")
	e.User = map[string]string{"GITLAB_USER_LOGIN": "robot"}
	c, err := ParseWith([]byte(`
include: [{local: a.yml, rules: [{if: $GITLAB_USER_LOGIN}]}]
workflow: {rules: [{if: $GITLAB_USER_LOGIN == "robot"}]}
j: {script: [x], rules: [{if: $GITLAB_USER_LOGIN == "robot"}]}
k: {script: [x], rules: [{if: $GITLAB_USER_LOGIN != "robot"}]}
`), "f", ParseOptions{Event: &e, Include: func(Include) ([]byte, error) { return []byte("included: {script: [x]}\n"), nil }})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Pipeline(e)
	if err != nil || jobNames(p) != "j" {
		t.Errorf("jobs %v, %v", p, err)
	}
}

// Names that no include can have are refused before anybody looks for the file,
// and a file of another project that is not there says what is missing.
func TestWrongIncludes(t *testing.T) {
	t.Parallel()
	missing := func(i Include) ([]byte, error) {
		switch i.Project {
		case "org/none":
			return nil, ErrNoProject
		case "org/old":
			return nil, fmt.Errorf("%w: gone", ErrNoReference)
		}
		return nil, errors.New("no such file")
	}
	for src, want := range map[string]string{
		"{local: ci/jobs.txt}":                             "Included file `ci/jobs.txt` does not have YAML extension!",
		"{remote: 'https://example.org/jobs'}":             "Included file `https://example.org/jobs` does not have YAML extension!",
		"{project: org/lib, file: jobs}":                   "Included file `jobs` does not have YAML extension!",
		"{template: Jobs/Build.yml}":                       "Template file `Jobs/Build.yml` is not a valid location!",
		"{project: org/none, file: a.yml}":                 "Project `org/none` not found or access denied! Make sure any includes in the pipeline configuration are correctly defined.",
		"{project: org/old, file: a.yml, ref: v0}":         "Project `org/old` reference `v0` does not exist!",
		"{project: org/lib, file: /deep/a.YML, ref: main}": "Project `org/lib` file `deep/a.YML` does not exist!",
		"{local: none.yaml}":                               "Local file `none.yaml` does not exist!",
		"{component: 'forge.example/org/lib/none@1.0'}":    "Component 'forge.example/org/lib/none@1.0' - content not found",
		"{template: Jobs/None.gitlab-ci.yml}":              "Template file `Jobs/None.gitlab-ci.yml` does not exist!",
		"{remote: 'https://example.org/none.yml'}":         "Remote file `https://example.org/none.yml` does not exist!",
	} {
		_, err := ParseWith([]byte("include: "+src+"\nj: {script: [x]}\n"), "f", ParseOptions{Include: missing})
		var all Problems
		if !errors.As(err, &all) || len(all) != 1 || all[0].Text != want {
			t.Errorf("%s\n got %v\nwant %s", src, err, want)
		}
	}
}

// What the forge for tests does not do is refused by name, all of it at once.
func TestUnsupportedIsRefusedByName(t *testing.T) {
	t.Parallel()
	_, err := Parse([]byte(`
include: [{template: Jobs/SAST.gitlab-ci.yml}, {component: forge.example/org/lib/scan@1.0}, {project: org/lib, file: a.yml}, {remote: "https://example.org/a.yml"}]
a: {run: [{name: one, script: x}]}
c: {script: [x], needs: [{project: org/lib, job: a, ref: main, artifacts: true}]}
d: {script: [x], needs: [{pipeline: other/project}]}
e: {script: [x], rules: [{exists: {paths: [x], project: org/lib}}]}
f: {trigger: {project: org/lib, inputs: {a: b}}}
`), "f")
	var all Problems
	if !errors.As(err, &all) {
		t.Fatal(err)
	}
	var got []string
	for _, p := range all {
		got = append(got, fmt.Sprintf("%d %s", p.Line, p.Text))
	}
	want := []string{
		"2 include:template is not served here: `Jobs/SAST.gitlab-ci.yml` (the test or the caller can give it)",
		"2 include:component is not served here: `forge.example/org/lib/scan@1.0` (the test or the caller can give it)",
		"2 include:project is not served here: `org/lib:a.yml` (the test or the caller can give it)",
		"2 include:remote is not served here: `https://example.org/a.yml` (the test or the caller can give it)",
		"3 jobs:a:run is not supported by the embedded forge",
		"4 jobs:c:needs:need project is not supported by the embedded forge",
		"5 jobs:d:needs:need pipeline is not supported by the embedded forge",
		"6 jobs:e:rules:rule:exists project is not supported here",
		"7 jobs:f:trigger:inputs is not supported by the embedded forge",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
