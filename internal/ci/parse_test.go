package ci

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestProblems(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, src, want string }{
		{"empty", "", ".gitlab-ci.yml: Please provide content of .gitlab-ci.yml"},
		{"comment", "# nothing\n", ".gitlab-ci.yml: Please provide content of .gitlab-ci.yml"},
		{"no hash", "- a\n", ".gitlab-ci.yml:1:1: Invalid configuration format: the file should be a hash"},
		{"syntax", "a: [1\nb: 2\n", ".gitlab-ci.yml:1:1: Invalid configuration format: did not find expected ',' or ']'"},
		{"tab", "a:\n\tb: 1\n", ".gitlab-ci.yml:2:1: Invalid configuration format: found character that cannot start any token"},
		{"only hidden", ".a: {script: x}\n", ".gitlab-ci.yml:1:1: jobs config should contain at least one visible job"},
		{"unknown key", "rspec:\n  script: x\n  something: 1\n", ".gitlab-ci.yml:3:3: jobs:rspec config contains unknown keys: something"},
		{"no script", "a:\n  image: x\n", ".gitlab-ci.yml:1:1: jobs a config should implement the script:, run:, or trigger: keyword"},
		{"no hash for a job", "a: 1\nb: {script: x}\n", ".gitlab-ci.yml:1:1: jobs:a config should implement the script:, run:, or trigger: keyword"},
		{"stage", "a: {script: x, stage: s}\n", ".gitlab-ci.yml:1:1: a job: chosen stage s does not exist; available stages are .pre, build, test, deploy, .post"},
		{"need", "a:\n  script: x\n  needs: [b]\n", ".gitlab-ci.yml:3:11: a job: undefined need: b"},
		{"later need", "a:\n  script: x\n  needs: [b]\nb: {script: x, stage: deploy}\n", ".gitlab-ci.yml:3:11: a job: need b is not defined in current or prior stages"},
		{"need twice", "a:\n  script: x\n  needs: [b, b]\nb: {script: x}\n", ".gitlab-ci.yml:3:14: a has the following needs duplicated: b."},
		{"dependency", "a: {script: x, dependencies: [b]}\n", ".gitlab-ci.yml:1:1: a job: undefined dependency: b"},
		{"later dependency", "a: {script: x, dependencies: [b]}\nb: {script: x, stage: deploy}\n", ".gitlab-ci.yml:1:1: a job: dependency b is not defined in current or prior stages"},
		{"dependency outside needs", "a: {script: x, stage: deploy, needs: [c], dependencies: [b]}\nb: {script: x}\nc: {script: x}\n", ".gitlab-ci.yml:1:1: a job: dependencies the b should be part of needs"},
		{"circle", "a: {script: x, needs: [b]}\nb: {script: x, needs: [a]}\n", ".gitlab-ci.yml:2:24: The pipeline has circular dependencies: b needs a"},
		{"reference", "a:\n  script: !reference [\"a\", \"b\"]\n", ".gitlab-ci.yml:2:11: !reference [\"a\", \"b\"] could not be found"},
		{"circular reference", ".a: {x: !reference [.b, y]}\n.b: {y: !reference [.a, x]}\nc: {script: x}\n", ".gitlab-ci.yml:1:9: !reference [\".b\", \"y\"] is part of a circular chain"},
		{"expression", "x:\n  script: y\n  rules:\n    - if: $A ==\n", ".gitlab-ci.yml:4:11: jobs:x:rules:rule if invalid expression syntax"},
		{"braces", "x:\n  script: y\n  rules:\n    - if: '${A}'\n", ".gitlab-ci.yml:4:11: jobs:x:rules:rule if invalid expression syntax (write variables as $NAME)"},
		{"rules and only", "x:\n  script: y\n  rules: [{when: always}]\n  only: [main]\n", ".gitlab-ci.yml:4:9: jobs:x config key may not be used with `rules`: only"},
		{"rule without keys", "x: {script: y, rules: [{}]}\n", ".gitlab-ci.yml:1:24: jobs:x:rules:rule config should be a hash"},
		{"rule's when", "x: {script: y, rules: [{when: sometimes}]}\n", ".gitlab-ci.yml:1:31: jobs:x:rules:rule when should be one of: on_success, on_failure, always, never, manual, delayed"},
		{"workflow's when", "workflow: {rules: [{when: manual}]}\nx: {script: y}\n", ".gitlab-ci.yml:1:27: workflow:rules:rule when should be one of: always, never"},
		{"when never", "x: {script: y, when: never}\n", ".gitlab-ci.yml:1:22: jobs:x when should be one of: on_success, on_failure, always, manual, delayed"},
		{"boolean variable", "x:\n  script: y\n  variables: {A: yes}\n", ".gitlab-ci.yml:3:18: jobs:x:variables:A config variable definition must be either a string or a hash (yes, no, on, off, true and false are booleans: quote them)"},
		{"list for a variable", "variables: {A: [1]}\nx: {script: y}\n", ".gitlab-ci.yml:1:16: variables:A config variable definition must be either a string or a hash"},
		{"number in a script", "x: {script: [1]}\n", ".gitlab-ci.yml:1:13: jobs:x:script config should be a string or a nested array of strings up to 10 levels deep"},
		{"deep script", "x: {script: [[[[[[[[[[[a]]]]]]]]]]]}\n", ".gitlab-ci.yml:1:13: jobs:x:script config should be a string or a nested array of strings up to 10 levels deep"},
		{"retry", "x: {script: y, retry: 3}\n", ".gitlab-ci.yml:1:23: jobs:x:retry config must be less than or equal to 2"},
		{"parallel", "x: {script: y, parallel: 201}\n", ".gitlab-ci.yml:1:26: jobs:x:parallel config must be less than or equal to 200"},
		{"timeout", "x: {script: y, timeout: soon}\n", ".gitlab-ci.yml:1:25: jobs:x timeout should be a duration"},
		{"pull policy", "x: {script: y, image: {name: i, pull_policy: maybe}}\n", ".gitlab-ci.yml:1:46: jobs:x:image:pull_policy config should be one of: always, never, if-not-present"},
		{"extends", "x: {script: y, extends: .a}\n", ".gitlab-ci.yml:1:25: x: unknown keys in `extends` (.a)"},
		{"circular extends", ".a: {extends: .b}\n.b: {extends: .a}\nx: {script: y}\n", ".gitlab-ci.yml:2:15: .b: circular dependency detected in `extends`"},
		{"trigger", "x: {trigger: g/p, script: x}\n", ".gitlab-ci.yml:1:19: jobs:x config contains unknown keys: script"},
		{"missing include", "include: a.yml\nx: {script: y}\n", ".gitlab-ci.yml:1:10: Local file `a.yml` does not exist!"},
		{"include without extension", "include: a\nx: {script: y}\n", ".gitlab-ci.yml:1:10: Included file `a` does not have YAML extension!"},
		{"remote include", "include: [{remote: 'https://x/y.yml'}]\nx: {script: y}\n", ".gitlab-ci.yml:1:11: include:remote is not served here: `https://x/y.yml` (the test or the caller can give it)"},
		{"anchor in itself", "x: &a {script: *a}\n", ".gitlab-ci.yml:1:4: the anchor a contains itself"},
		{"global and default", "image: a\ndefault: {image: b}\nx: {script: y}\n", ".gitlab-ci.yml:1:8: image is defined in top-level and `default:` entry"},
		{"default key", "default: {script: b}\nx: {script: y}\n", ".gitlab-ci.yml:1:11: default config contains unknown keys: script"},
		{"global is wrong once", "image: {nam: b}\nx: {script: y}\nz: {script: y}\n", ".gitlab-ci.yml:1:8: image name can't be blank\n.gitlab-ci.yml:1:9: image config contains unknown keys: nam"},
		{"all of them", "a:\n  script: x\n  foo: 1\nb:\n  script: x\n  retry: 9\n", ".gitlab-ci.yml:3:3: jobs:a config contains unknown keys: foo\n.gitlab-ci.yml:6:10: jobs:b:retry config must be less than or equal to 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(c.src), ".gitlab-ci.yml")
			if err == nil {
				t.Fatalf("taken; want %s", c.want)
			}
			if d := cmp.Diff(c.want, err.Error()); d != "" {
				t.Error(d)
			}
			if p := (Problems)(nil); !errors.As(err, &p) {
				t.Errorf("%T is not Problems", err)
			}
		})
	}
}

func TestMergingAndInheritance(t *testing.T) {
	t.Parallel()
	p := pipeline(t, `
default:
  image: default:1
  before_script: [prepare]
  tags: [a, b]
  retry: 1
variables: {GLOBAL: g, BOTH: global, RAW: {value: $X, expand: false, description: d}}
cache: {key: $CI_COMMIT_REF_SLUG, paths: [c/]}

.anchor: &anchor
  script: [from anchor]
  stage: build
merged:
  <<: [*anchor, {script: [loses], stage: deploy}]
  variables: {BOTH: job}

.base:
  variables: {A: 1, B: 2}
  script: [base one, base two]
  image: {name: base, entrypoint: [""]}
  tags: [base]
extended:
  extends: .base
  variables: {B: 3}
  script: [own]
  image: {pull_policy: if-not-present}
  tags: null
  cache: []
.other: {variables: {B: other, C: 4}}
two:
  extends: [.base, .other]
  before_script: []
alone:
  inherit: {default: [tags], variables: false}
  script: x
referenced:
  script:
    - first
    - !reference [.base, script]
    - [nested, [deep]]
  rules:
    - !reference [.rules, list]
.rules:
  list: [{if: $GLOBAL == "g"}]
`, push("main"))
	byName := map[string]Job{}
	for _, j := range p.Jobs {
		byName[j.Name] = j
	}
	raw := Variable{Key: "RAW", Value: "$X", Raw: true}
	global := []Variable{{Key: "GLOBAL", Value: "g"}, {Key: "BOTH", Value: "global"}, raw}
	cache := []Cache{{Key: "$CI_COMMIT_REF_SLUG", Paths: []string{"c/"}, Policy: "pull-push", When: "on_success"}}
	image := &Image{Name: "default:1"}
	tags := []string{"a", "b"}
	for _, want := range []Job{
		{Name: "merged", Stage: "build", Image: image, Script: []string{"prepare", "from anchor"}, Tags: tags, Cache: cache, RetryMax: 1,
			Variables: []Variable{{Key: "GLOBAL", Value: "g"}, {Key: "BOTH", Value: "job"}, raw}},
		{Name: "extended", Stage: "test", Image: &Image{Name: "base", Entrypoint: []string{""}, PullPolicy: []string{"if-not-present"}},
			Script: []string{"prepare", "own"}, RetryMax: 1,
			Variables: append(global[:3:3], Variable{Key: "A", Value: "1"}, Variable{Key: "B", Value: "3"})},
		{Name: "two", Stage: "test", Image: &Image{Name: "base", Entrypoint: []string{""}}, Script: []string{"base one", "base two"},
			Tags: []string{"base"}, Cache: cache, RetryMax: 1,
			Variables: append(global[:3:3], Variable{Key: "A", Value: "1"}, Variable{Key: "B", Value: "other"}, Variable{Key: "C", Value: "4"})},
		{Name: "alone", Stage: "test", Script: []string{"x"}, Tags: tags},
		{Name: "referenced", Stage: "test", Image: image, Script: []string{"prepare", "first", "base one", "base two", "nested", "deep"},
			Tags: tags, Cache: cache, RetryMax: 1, Variables: global},
	} {
		want.When = "on_success"
		if d := cmp.Diff(want, byName[want.Name], same); d != "" {
			t.Errorf("%s: %s", want.Name, d)
		}
	}
	if d := cmp.Diff(global, p.Variables); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"build", "test"}, p.Stages); d != "" {
		t.Error(d)
	}
}

func TestJobDetails(t *testing.T) {
	t.Parallel()
	p := pipeline(t, `
stages: [one, two]
a:
  stage: one
  script: x
  after_script: [bye]
  services:
    - db:1
    - {name: "mq:2", alias: "mq q", entrypoint: [e], command: [c], variables: {V: 1}, pull_policy: [never, always], docker: {user: u, platform: p}}
  artifacts:
    name: n
    paths: [out/]
    exclude: [out/x]
    untracked: true
    when: always
    expire_in: 1 week
    reports: {dotenv: v.env, junit: [a.xml, b.xml], coverage_report: {coverage_format: cobertura, path: c.xml}}
  cache:
    - {key: {files: [go.sum], prefix: p}, paths: [a], policy: pull, when: always, fallback_keys: [f]}
    - {key: k, untracked: true}
  retry: {max: 2, when: [runner_system_failure], exit_codes: 7}
  timeout: 3h 30m
  interruptible: true
  environment: {name: review/$CI_COMMIT_REF_NAME, url: u}
  tags: ["$TAG", x]
  variables: {TAG: docker}
  allow_failure: {exit_codes: [3, 4]}
b:
  stage: two
  script: y
  when: delayed
  start_in: 30 minutes
  allow_failure: true
  dependencies: [a]
c:
  stage: two
  script: z
  when: manual
  dependencies: []
  coverage: /x/
`, push("main"))
	want := []Job{{
		Name: "a", Stage: "one", When: "on_success", Script: []string{"x"}, AfterScript: []string{"bye"},
		Services: []Image{{Name: "db:1"}, {Name: "mq:2", Alias: "mq q", Entrypoint: []string{"e"}, Command: []string{"c"},
			Variables: []Variable{{Key: "V", Value: "1"}}, PullPolicy: []string{"never", "always"}, User: "u", Platform: "p"}},
		Artifacts: &Artifacts{Name: "n", Paths: []string{"out/"}, Exclude: []string{"out/x"}, Untracked: true, When: "always", ExpireIn: "1 week",
			Reports: map[string][]string{"dotenv": {"v.env"}, "junit": {"a.xml", "b.xml"}, "coverage_report": {"c.xml"}}},
		Cache: []Cache{
			{Key: "default", KeyFiles: []string{"go.sum"}, KeyPrefix: "p", Paths: []string{"a"}, Policy: "pull", When: "always", Fallback: []string{"f"}},
			{Key: "k", Untracked: true, Policy: "pull-push", When: "on_success"},
		},
		RetryMax: 2, RetryWhen: []string{"runner_system_failure"}, RetryExitCodes: []int{7}, TimeoutSecs: 12600, Interrupt: true,
		Environment: &Environment{Name: "review/main", URL: "u", Action: "start"}, Tags: []string{"docker", "x"}, Variables: []Variable{{Key: "TAG", Value: "docker"}}, AllowExitCodes: []int{3, 4},
	}, {
		Name: "b", Stage: "two", When: "delayed", StartInSecs: 1800, AllowFailure: true, Script: []string{"y"}, Dependencies: []string{"a"}, HasDeps: true,
	}, {
		Name: "c", Stage: "two", When: "manual", AllowFailure: true, Script: []string{"z"}, HasDeps: true,
	}}
	if d := cmp.Diff(want, p.Jobs, same); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"jobs:c:coverage is ignored here"}, p.Warnings); d != "" {
		t.Error(d)
	}
}

func TestScalarsAsRubyReadsThem(t *testing.T) {
	t.Parallel()
	p := pipeline(t, `
variables:
  INT: 10
  OCTAL: 0777
  UNDER: 1_000
  CLOCK: 1:30
  HEX: 0x1f
  FLOAT: 1.10
  VERSION: 1.10.2
  QUOTED: "0777"
  WORD: yes please
  EMPTY:
  TEXT: "yes"
  DATE: "2020-01-02"
  BINARY: 0b101
  BLOCK: |
    on
  EMOJI: 😀
a: {script: x}
`, push("main"))
	got := map[string]string{}
	for _, v := range p.Variables {
		got[v.Key] = v.Value
	}
	want := map[string]string{
		"INT": "10", "OCTAL": "511", "UNDER": "1000", "CLOCK": "90", "HEX": "31", "BINARY": "5", "FLOAT": "1.1", "VERSION": "1.10.2", "QUOTED": "0777",
		"WORD": "yes please", "EMPTY": "", "TEXT": "yes", "DATE": "2020-01-02", "BLOCK": "on\n", "EMOJI": "😀",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0], `FLOAT is a number and becomes "1.1"`) {
		t.Errorf("warnings %q", p.Warnings)
	}
}

func TestIncludes(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"ci/a.yml":                      "include: {local: /ci/deep.yaml}\n.x: {script: [from a]}\nshared: {script: a, image: a}\n",
		"ci/deep.yaml":                  ".d: &d {stage: build}\ndeep: {<<: *d, script: d}\n",
		"ci/t/one.yml":                  "one: {script: x}\n",
		"ci/t/two.yml":                  "two: {script: x}\n",
		"ci/never.yml":                  "never: {script: x}\n",
		"ci/inputs.yml":                 "spec:\n  inputs:\n    job: {default: made}\n---\n\"$[[ inputs.job ]]\": {script: 'echo $[[ inputs.job ]]'}\n",
		"ci/empty.yml":                  "# nothing\n",
		"ci/self.yml":                   "include: ci/self.yml\n",
		"ci/main.yml":                   "of_branch: {script: x}\n",
		"project org/lib:build.yml":     "include: {local: more.yml}\nlib: {script: x}\n",
		"org/lib more.yml":              "more: {script: x}\n",
		"template Jobs/X.gitlab-ci.yml": "templated: {script: x}\n",
		"component forge.example/org/lib/scan@1.0": "spec:\n  inputs:\n    stage: {default: test}\n    times: {type: number}\n---\nscan: {stage: \"$[[ inputs.stage ]]\", script: x, parallel: \"$[[ inputs.times ]]\"}\n",
	}
	read := func(i Include) ([]byte, error) {
		name := i.File
		if i.Kind != "local" {
			name = i.Kind + " " + i.String()
		} else if i.Project != "" {
			name = i.Project + " " + name
		}
		if text, ok := files[name]; ok {
			return []byte(text), nil
		}
		if i.Kind == "remote" {
			return nil, ErrNotServed
		}
		return nil, fs.ErrNotExist
	}
	e := push("main")
	o := ParseOptions{Include: read, Files: func() []string { return []string{"ci/t/two.yml", "ci/t/one.yml", "ci/t/x/three.yml"} }, Event: &e}
	c, err := ParseWith([]byte(`
include:
  - ci/a.yml
  - local: ci/t/*.yml
  - {local: ci/never.yml, rules: [{if: $CI_COMMIT_BRANCH == "other"}]}
  - ci/inputs.yml
  - {local: ci/$CI_COMMIT_BRANCH.yml}
  - {project: org/lib, file: [/build.yml], ref: v1}
  - template: Jobs/X.gitlab-ci.yml
  - {component: forge.example/org/lib/scan@1.0, inputs: {times: 2}}
shared: {script: own}
uses: {script: [!reference [.x, script]]}
`), "main.yml", o)
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Pipeline(e)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := jobNames(p), "deep shared one two made of_branch more lib templated scan 1/2 scan 2/2 uses"; got != want {
		t.Errorf("jobs %q, want %q", got, want)
	}
	if j := p.Jobs[1]; j.Image == nil || j.Image.Name != "a" || j.Script[0] != "own" {
		t.Errorf("shared is %+v", j)
	}
	if j := p.Jobs[11]; j.Script[0] != "from a" {
		t.Errorf("uses is %+v", j)
	}
	for src, want := range map[string]string{
		"include: ci/none.yml":                       "main.yml:1:10: Local file `ci/none.yml` does not exist!",
		"include: ci/empty.yml":                      "main.yml:1:10: Local file `ci/empty.yml` is empty!",
		"include: ci/self.yml":                       "ci/self.yml:1:10: include: `ci/self.yml` includes itself",
		"include: x/*.yml":                           "main.yml:1:10: Local file `x/*.yml` does not exist!",
		"include: https://example.org/x.yml":         "main.yml:1:10: include:remote is not served here: `https://example.org/x.yml` (the test or the caller can give it)",
		"include: {template: None.gitlab-ci.yml}":    "main.yml:1:10: Template file `None.gitlab-ci.yml` does not exist!",
		"include: {component: a@1}":                  "main.yml:1:10: Component 'a@1' - the address should be HOST/PROJECT/NAME@VERSION",
		"include: {local: a.yml, template: b}":       "main.yml:1:10: include needs to match exactly one accessor!",
		"include: {local: ci/a.yml, inputs: {x: 1}}": "main.yml:1:36: Given inputs not defined in the `spec` section of the included configuration file",
	} {
		_, err := ParseWith([]byte(src+"\na: {script: x}\n"), "main.yml", o)
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v", src, err)
		}
	}
}

func bomb() string {
	var b strings.Builder
	b.WriteString(".a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 12; i++ {
		n, o := strconv.Itoa(i), strconv.Itoa(i-1)
		b.WriteString(".a" + n + ": &a" + n + " [" + strings.Repeat("*a"+o+", ", 9) + "*a" + o + "]\n")
	}
	return b.String() + "job: {script: *a11}\n"
}

// Files that grow without bound when they are resolved end with an error soon.
func TestBombs(t *testing.T) {
	t.Parallel()
	refs := ".a0: {s: [x, x, x, x, x, x, x, x, x, x]}\n"
	vars := "variables:\n  V0: " + strings.Repeat("x", 1000) + "\n"
	for i := 1; i < 20; i++ {
		n, o := strconv.Itoa(i), strconv.Itoa(i-1)
		refs += ".a" + n + ": {s: [" + strings.Repeat("!reference [.a"+o+", s], ", 9) + "x]}\n"
		vars += "  V" + n + ": " + strings.Repeat("$V"+o, 9) + "\n"
	}
	heavy := "before_script: [" + strings.Repeat("x, ", 20_000) + "x]\n"
	for i := range 5000 {
		heavy += "j" + strconv.Itoa(i) + ": {script: x}\n"
	}
	for name, c := range map[string]struct{ src, want string }{
		"aliases":    {bomb(), "once its aliases are expanded"},
		"references": {refs + "job: {script: x}\n", "once !reference is resolved"},
		"defaults":   {heavy, "too much in each"},
		"depth":      {"a: " + strings.Repeat("[", 500) + strings.Repeat("]", 500), "levels deep"},
		"variables":  {vars + "job: {script: x, rules: [{if: $V19}]}\n", ""},
		"source":     {strings.Repeat("# comment\n", 200_000), "bytes"},
	} {
		start := time.Now()
		conf, err := Parse([]byte(c.src), "f")
		if err == nil {
			_, err = conf.Pipeline(push("main"))
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"a: {script: x}", bomb(), "a: &a\n  <<: *a\n", "include: x.yml", "x: {script: [!reference [x, script]]}",
		"stages: [a]\nj: {stage: a, script: [x], rules: [{if: '$A =~ /x/i && ($B || !$C)', changes: ['**/*.{a,b}'], exists: [x]}]}",
		"j: {script: x, parallel: {matrix: [{A: [1, 2], B: x}]}, needs: [{job: k, optional: true}]}", "spec: {inputs: {a: {default: 1}}}\n---\nx: {script: $[[ inputs.a ]]}",
		"j: {script: x, cache: [{key: {files: [a]}}], artifacts: {reports: {junit: x}}, only: [/x/, tags], variables: {A: 1.10}}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		include := func(Include) ([]byte, error) { return src, nil }
		c, err := ParseWith(src, "f", ParseOptions{Include: include})
		if (c == nil) == (err == nil) {
			t.Fatalf("%v and %v", c, err)
		}
		if err != nil {
			return
		}
		e := push("main")
		e.Changed, e.Files = []string{"a/b.c"}, func() []string { return []string{"a/b.c"} }
		p, err := c.Pipeline(e)
		if (p == nil) == (err == nil) {
			t.Fatalf("%v and %v", p, err)
		}
	})
}
