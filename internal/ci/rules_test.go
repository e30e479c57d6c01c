package ci

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExpressions(t *testing.T) {
	t.Parallel()
	vars := map[string]string{"A": "a", "EMPTY": "", "B": "feature/x-1", "RE": "/^feature/", "NOTRE": "feature", "T": "true", "DOLLAR": "$A", "SLASH": "/^feature/x-.*$/"}
	get := func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
	for text, want := range map[string]bool{
		`$A`: true, `$EMPTY`: false, `$NONE`: false,
		`$A == "a"`: true, `$A == 'a'`: true, `"a" == $A`: true, `$A != "a"`: false, `$A == $A`: true,
		`$NONE == null`: true, `$EMPTY == null`: false, `$EMPTY == ""`: true, `$NONE == ""`: false, `$NONE != null`: false, `$A != null`: true,
		`$NONE == $OTHER`: true, `$T == "true"`: true, `null`: false,
		`$B =~ /^feature\/x-\d+$/`: true, `$B =~ /^FEATURE/i`: true, `$B =~ /^FEATURE/`: false, `$B !~ /^main/`: true, `$B !~ /feature/`: false,
		`$NONE =~ /xy/`: false, `$NONE !~ /xy/`: true, `$B =~ $RE`: true, `$B =~ $NOTRE`: false, `$B !~ $NOTRE`: true, `$B =~ $NONE`: false, `$B !~ $NONE`: true,
		`$NONE =~ /^$/ || $NONE =~ /^z*$/`: true, `$B =~ $SLASH`: true, `"23" =~ "1234"`: true, `"5" =~ "1234"`: false, `$A =~ "abcde"`: true,
		`"feature" =~ /eat/`: true, `$B =~ /a|x/ && $A`: true,
		`$A && $EMPTY`: false, `$A || $EMPTY`: true, `$EMPTY || $NONE`: false,
		// As in Ruby, empty text is not false: it ends an || and lets && go on.
		`$EMPTY || $A`: false, `$EMPTY && $A`: true, `$EMPTY && "text"`: true, `$NONE || $EMPTY || $A`: false, `" "`: false,
		`$NONE == "1" == $OTHER`: false,
		`$A || $NONE && $NONE`:   true, `($A || $NONE) && $NONE`: false, `$NONE && $NONE || $A`: true,
		`$A == "a" && $B =~ /^feature/ || $NONE`: true, `($A == "b" || ($B =~ /x-/))`: true,
		` $A=="a"&&$B!="b" `: true, "$A ==\n \"a\"": true,
		`$DOLLAR == "$A"`: true, // no expansion inside
	} {
		e, err := parseExpr(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := e(get).truthy(); got != want {
			t.Errorf("%s is %v", text, got)
		}
	}
	for _, text := range []string{
		"", " ", "$", "A", "${A}", "%A%", "$A ==", "== $A", "$A == b", "$A = \"a\"", "$A === \"a\"", "$A $B", "($A", "$A)", "()", "$A &&", "&& $A",
		"!$A", "!($A)", "$A && true", "true", "$A =~ /a/", "$A & $B", `"open`, `$A =~ /(/`, `$A =~ /open`, `$A =~ //`, "1 == 1", "$A == 1", strings.Repeat("$A || ", 60) + "$A", strings.Repeat("(", 11_000),
	} {
		if _, err := parseExpr(text); !errors.Is(err, errExpression) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzExpression(f *testing.F) {
	f.Add(`($A == "x" || !$B) && $C =~ /a\/b/i`)
	f.Add(`$A !~ $B && null != 'x'`)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := parseExpr(text)
		if err != nil {
			if !errors.Is(err, errExpression) {
				t.Error(err)
			}
			return
		}
		e(func(name string) (string, bool) { return text, len(name)%2 == 0 })
	})
}

func TestGlobs(t *testing.T) {
	t.Parallel()
	for pattern, paths := range map[string]string{
		"a.go":           "a.go !x/a.go !a_go",
		"*.go":           "a.go .go .hidden.go !x/a.go",
		"**/*.go":        "a.go x/a.go x/.y/z.go !a.gox",
		"x/**/*":         "x/a x/y/a !x !y/x/a",
		"x/**":           "x/a !x/y/a",
		"x/*":            "x/a x/.a !x/y/a",
		"{a,b}/*.{c,d}":  "a/x.c b/x.d !c/x.c !a/x.e",
		"a?c":            "abc !a/c !ac",
		"[ab]c":          "ac bc !cc",
		"[!ab]c":         "cc !ac !/c",
		"/a":             "a",
		"a[":             "a[",
		"a{b":            "a{b",
		"a.b(c)+":        "a.b(c)+ !aXb(c)+",
		`a\*`:            "a* !ab",
		"dir/**/x.{y,z}": "dir/x.y dir/a/b/x.z !dirx.y",
	} {
		for p := range strings.FieldsSeq(paths) {
			name, negative := strings.CutPrefix(p, "!")
			if got := compileGlobs([]string{pattern}).match([]string{name}); got == negative {
				t.Errorf("%s on %s: %v", pattern, name, got)
			}
		}
	}
	if !compileGlobs(make([]string, 51)).match(make([]string, 1000)) {
		t.Error("too many comparisons are no match")
	}
}

func TestDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"3h 30m": 12600, "1 hour": 3600, "90": 90, "2 hrs and 5 minutes": 7500, "1:30": 90, "1 week": 604800, "1h30m": 5400, "3 mins 4 sec": 184,
		"1.5 hours": 5400, "2 weeks, 1 day": 1296000, "": 0, "soon": 0, "0": 0, "-1h": 0, "1 parsec": 0, "h": 0, "1h x": 0, "1:99": 159,
	} {
		if got, ok := seconds(text); got != want || ok != (want > 0) {
			t.Errorf("%q: %d %v, want %d", text, got, ok, want)
		}
	}
}

func TestExpansion(t *testing.T) {
	t.Parallel()
	get := func(name string) (string, bool) {
		v, ok := map[string]string{"A": "1", "AB": "2", "E": ""}[name]
		return v, ok
	}
	for text, want := range map[string]string{
		"$A ${A}x $AB $E.": "1 1x 2 .", "$NONE ${NONE}": "$NONE ${NONE}", "$$A $$": "$$A $$", "$1 $": "$1 $", "${A": "${A", "%A%": "%A%", "$$$A": "$$1",
	} {
		if got := Expand(text, get); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	got := ExpandAll([]Variable{
		{Key: "C", Value: "$B-c"}, {Key: "B", Value: "$A-b"}, {Key: "A", Value: "a"}, {Key: "RAW", Value: "$A", Raw: true}, {Key: "D", Value: "$RAW"},
		{Key: "X", Value: "$Y"}, {Key: "Y", Value: "$X"}, {Key: "SELF", Value: "$SELF:x"},
	})
	want := []Variable{
		{Key: "C", Value: "a-b-c"}, {Key: "B", Value: "a-b"}, {Key: "A", Value: "a"}, {Key: "RAW", Value: "$A", Raw: true}, {Key: "D", Value: "$A"},
		{Key: "X", Value: "$Y"}, {Key: "Y", Value: "$X"}, {Key: "SELF", Value: "$SELF:x"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	e := push("main")
	e.Changed, e.Files = []string{"doc/a.md", "src/x.go"}, func() []string { return []string{"Dockerfile", "doc/a.md", "src/x.go"} }
	e.Variables["PROJECT"] = "set"
	fresh := e
	fresh.Changed = nil
	nothing := e
	nothing.Changed = []string{}
	for _, c := range []struct {
		name, rules string
		e           Event
		want        string // when, or "" when the job is not made
		allow       bool
	}{
		{"no match", `[{if: $NONE}]`, e, "", false},
		{"first match wins", `[{if: $CI_COMMIT_BRANCH == "main", when: manual}, {when: always}]`, e, "manual", false},
		{"never", `[{if: $CI, when: never}, {when: always}]`, e, "", false},
		{"default when", `[{if: $CI}]`, e, "on_success", false},
		{"allow_failure alone", `[{allow_failure: true}]`, e, "on_success", true},
		{"variables alone", `[{variables: {X: y}}]`, e, "on_success", false},
		{"changes", `[{changes: ["**/*.go"]}]`, e, "on_success", false},
		{"changes elsewhere", `[{changes: ["*.go"]}]`, e, "", false},
		{"changes with nothing to compare", `[{changes: [none]}]`, fresh, "on_success", false},
		{"changes of nothing", `[{changes: ["**/*"]}]`, nothing, "", false},
		{"changes as a hash", `[{changes: {paths: ["doc/*"]}}]`, e, "on_success", false},
		{"changes with a variable", `[{changes: ["$DIR/*.go"]}]`, e, "on_success", false},
		{"exists", `[{exists: [Dockerfile]}]`, e, "on_success", false},
		{"exists not", `[{exists: ["*.rb"]}]`, e, "", false},
		{"exists a directory", `[{exists: [doc/]}]`, e, "on_success", false},
		{"clauses are anded", `[{if: $CI, exists: [none]}]`, e, "", false},
		{"job's variable", `[{if: $DIR == "src"}]`, e, "on_success", false},
		{"global variable", `[{if: $GLOBAL == "g" && $CHAIN == "$GLOBAL!"}]`, e, "on_success", false},
		{"the project's variable wins", `[{if: $PROJECT == "set"}]`, e, "on_success", false},
		{"a predefined one can be covered", `[{if: $CI_DEFAULT_BRANCH == "mine"}]`, e, "on_success", false},
	} {
		src := "variables: {GLOBAL: g, CHAIN: $GLOBAL!, PROJECT: file, CI_DEFAULT_BRANCH: mine}\nother: {script: x}\njob:\n  script: x\n  variables: {DIR: src}\n  rules: " + c.rules + "\n"
		p := pipeline(t, src, c.e)
		got, allow := "", false
		for _, j := range p.Jobs {
			if j.Name == "job" {
				got, allow = j.When, j.AllowFailure
			}
		}
		if got != c.want || allow != c.allow {
			t.Errorf("%s: %q %v, want %q %v", c.name, got, allow, c.want, c.allow)
		}
	}
}

func TestRuleEffects(t *testing.T) {
	t.Parallel()
	p := pipeline(t, `
workflow:
  rules:
    - if: $CI_COMMIT_BRANCH == "gone"
      when: never
    - if: $CI
      variables: {FLOW: "on", DEPLOY: flow}
b: {script: x, stage: build}
c: {script: x, stage: build}
a:
  script: x
  needs: [b]
  variables: {OWN: 1, DEPLOY: job}
  rules:
    - if: $FLOW == "on"
      needs: [c]
      variables: {OWN: 2, NEW: 3}
      interruptible: true
`[1:], push("main"))
	j := p.Jobs[2]
	if d := cmp.Diff([]Need{{Job: "c", Artifacts: true}}, j.Needs); d != "" {
		t.Error(d)
	}
	want := []Variable{{Key: "FLOW", Value: "on"}, {Key: "DEPLOY", Value: "job"}, {Key: "OWN", Value: "2"}, {Key: "NEW", Value: "3"}}
	if d := cmp.Diff(want, j.Variables); d != "" {
		t.Error(d)
	}
	if !j.Interrupt {
		t.Error("not interruptible")
	}
}

func TestOnlyAndExcept(t *testing.T) {
	t.Parallel()
	branch, tag := push("feature/x"), push("v1.0")
	tag.Tag = true
	web := branch
	web.Source = "web"
	for _, c := range []struct {
		name, keys string
		e          Event
		want       bool
	}{
		{"nothing, branch", "", branch, true},
		{"nothing, tag", "", tag, true},
		{"only branches", "only: [branches]", branch, true},
		{"only branches, tag", "only: [branches]", tag, false},
		{"only tags", "only: [tags]", tag, true},
		{"only a name", "only: [feature/x]", branch, true},
		{"only another name", "only: [main]", branch, false},
		{"only a pattern", "only: [/^feature/]", branch, true},
		{"only a pattern with a flag", "only: [/^FEATURE/i]", branch, true},
		{"only web", "only: [web]", web, true},
		{"only web, pushed", "only: [web]", branch, false},
		{"only merge requests", "only: [merge_requests]", branch, false},
		{"only of another project", "only: [branches@other/p]", branch, false},
		{"only refs and variables", "only: {refs: [branches], variables: [$NONE]}", branch, false},
		{"only one of the variables", "only: {variables: [$NONE, $CI]}", branch, true},
		{"except tags", "except: [tags]", tag, false},
		{"except tags, branch", "except: [tags]", branch, true},
		{"except either", "except: {refs: [main], variables: [$CI]}", branch, false},
		{"both", "only: [branches]\n  except: [/^feature/]", branch, false},
		{"except changes", "except: {changes: ['*.md']}", branch, false},
	} {
		src := "other: {script: x}\njob:\n  script: x\n  " + c.keys + "\n"
		if got := strings.Contains(jobNames(pipeline(t, src, c.e)), "job"); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestNoPipeline(t *testing.T) {
	t.Parallel()
	for name, src := range map[string]string{
		"workflow without a match": "workflow: {rules: [{if: $NONE}]}\na: {script: x}\n",
		"workflow says never":      "workflow: {rules: [{when: never}]}\na: {script: x}\n",
		"no job":                   "a: {script: x, only: [tags]}\n",
		"only .pre and .post":      "a: {script: x, stage: .pre}\nb: {script: x, stage: .post}\n",
	} {
		if p, err := parse(t, src).Pipeline(push("main")); !errors.Is(err, ErrNoPipeline) || p != nil {
			t.Errorf("%s: %v %v", name, p, err)
		}
	}
}

func TestParallelAndNeeds(t *testing.T) {
	t.Parallel()
	src := `
n: {script: x, parallel: 3, stage: build}
m:
  script: x
  stage: build
  variables: {OS: none, Z: z}
  parallel:
    matrix:
      - {OS: linux, ARCH: [amd64, arm64]}
      - OS: [mac]
        ARCH: arm64
  rules: [{if: $OS == "mac" || $ARCH == "arm64"}]
gone: {script: x, stage: build, only: [tags]}
all: {script: x, needs: [n, {job: gone, optional: true}]}
some: {script: x, needs: [{job: m, artifacts: false, parallel: {matrix: [{OS: mac, ARCH: arm64}]}}, "n 2/3"], dependencies: []}
one: {script: x, needs: ["m: [linux, arm64]"]}
now: {script: x, needs: []}
`
	p := pipeline(t, src, push("main"))
	if got, want := strings.Join([]string{p.Jobs[0].Name, p.Jobs[2].Name, p.Jobs[3].Name, p.Jobs[4].Name}, "|"), "n 1/3|n 3/3|m: [linux, arm64]|m: [mac, arm64]"; got != want {
		t.Errorf("jobs %s, want %s", got, want)
	}
	if j := p.Jobs[1]; j.NodeIndex != 2 || j.NodeTotal != 3 {
		t.Errorf("node %d of %d", j.NodeIndex, j.NodeTotal)
	}
	vars := []Variable{{Key: "OS", Value: "linux"}, {Key: "Z", Value: "z"}, {Key: "ARCH", Value: "arm64"}}
	if d := cmp.Diff(vars, p.Jobs[3].Variables); d != "" {
		t.Error(d)
	}
	needs := map[string][]Need{}
	for _, j := range p.Jobs[5:] {
		needs[j.Name] = j.Needs
		if !j.HasNeeds {
			t.Errorf("%s lost its needs", j.Name)
		}
	}
	want := map[string][]Need{
		"all":  {{"n 1/3", true, false}, {"n 2/3", true, false}, {"n 3/3", true, false}},
		"some": {{"m: [mac, arm64]", false, false}, {"n 2/3", true, false}},
		"one":  {{"m: [linux, arm64]", true, false}},
		"now":  {},
	}
	if d := cmp.Diff(want, needs); d != "" {
		t.Error(d)
	}
	_, err := parse(t, "gone: {script: x, only: [tags]}\na:\n  script: x\n  needs: [gone]\n").Pipeline(push("main"))
	if err == nil || err.Error() != ".gitlab-ci.yml:4:11: 'a' job needs 'gone' job, but 'gone' does not exist in the pipeline. This might be because of the only, except, or rules keywords. To need a job that sometimes does not exist in the pipeline, use needs:optional." {
		t.Error(err)
	}
}
