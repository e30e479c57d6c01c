package ci_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/runner"
	"github.com/heptaup/hepta/runner/ci"
)

// file is what a .gitlab-ci.yml of ours may hold.
type file struct {
	Stages    []string          `yaml:"stages"`
	Variables map[string]string `yaml:"variables"`
	Default   struct {
		Image        any      `yaml:"image"`
		Services     []string `yaml:"services"`
		Tags         []string `yaml:"tags"`
		BeforeScript []string `yaml:"before_script"`
	} `yaml:"default"`
	Jobs map[string]struct {
		Stage        string              `yaml:"stage"`
		Rules        []map[string]string `yaml:"rules"`
		Script       []string            `yaml:"script"`
		AfterScript  []string            `yaml:"after_script"`
		BeforeScript []string            `yaml:"before_script"`
		Image        any                 `yaml:"image"`
		Services     []map[string]string `yaml:"services"`
		Variables    map[string]string   `yaml:"variables"`
	} `yaml:",inline"`
}

func parse(t *testing.T, d ci.Draft) (f file, text string) {
	t.Helper()
	content, err := d.YAML()
	if err != nil {
		t.Fatal(fault.Describe(err))
	}
	dec := yaml.NewDecoder(strings.NewReader(string(content)))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil {
		t.Fatalf("%v in\n%s", err, content)
	}
	return f, string(content)
}

// Every pipeline for every mode has to be a file in which each job works with
// the programs and images of that mode and no others, and can be read.
func TestDrafts(t *testing.T) {
	jobs := map[ci.Pipeline][]string{ci.Build: {"build"}, ci.Test: {"build", "test", "release"}, ci.Publish: {"publish"}}
	for _, pipeline := range ci.Pipelines() {
		for _, mode := range ci.Modes() {
			t.Run(string(pipeline)+" "+string(mode), func(t *testing.T) {
				f, text := parse(t, ci.Draft{Pipeline: pipeline, Mode: mode})
				if got := slices.Sorted(func(yield func(string) bool) {
					for name := range f.Jobs {
						if !yield(name) {
							return
						}
					}
				}); !slices.Equal(got, slices.Sorted(slices.Values(jobs[pipeline]))) {
					t.Errorf("jobs %q, want %q", got, jobs[pipeline])
				}
				if len(f.Stages) > 0 && !slices.Equal(f.Stages, jobs[pipeline]) {
					t.Errorf("stages %q", f.Stages)
				}
				docker := []string{"docker"}
				want := map[runner.Mode]struct {
					image    any
					tools    []string
					services []string
				}{
					runner.Dind:     {runner.DefaultJobImage, docker, []string{runner.DefaultDindImage}},
					runner.Socket:   {runner.DefaultJobImage, docker, nil},
					runner.Rootless: {withoutEntrypoint(runner.BuildKitImage), []string{"mkdir", "printf", "buildctl-daemonless.sh"}, nil},
				}[mode]
				if !cmp.Equal(f.Default.Image, want.image) || !slices.Equal(f.Default.Services, want.services) || !slices.Equal(f.Default.Tags, []string{string(mode)}) {
					t.Errorf("jobs begin with %+v", f.Default)
				}
				if (f.Variables["DOCKER_TLS_CERTDIR"] == "/certs") != (mode == runner.Dind) {
					t.Errorf("variables %v", f.Variables)
				}
				for name, j := range f.Jobs {
					tools := want.tools
					switch {
					case cmp.Equal(j.Image, withoutEntrypoint("$IMAGE")):
						continue // a job in the image itself
					case j.Image == runner.DefaultRootlessImage && mode == runner.Rootless:
						tools = append(tools[:2:2], "buildah")
					case j.Image != nil:
						t.Errorf("job %s has image %v", name, j.Image)
					}
					for _, line := range slices.Concat(f.Default.BeforeScript, j.Script, j.AfterScript) {
						line = strings.TrimPrefix(line, `echo "$CI_REGISTRY_PASSWORD" | `)
						if tool, _, _ := strings.Cut(line, " "); !slices.Contains(tools, tool) {
							t.Errorf("job %s works with %s: %s", name, tool, line)
						}
					}
					if name != "test" && !strings.Contains(strings.Join(j.Script, "\n"), "push") {
						t.Errorf("job %s pushes nothing: %q", name, j.Script)
					}
				}
				if publish, ok := f.Jobs["publish"]; ok {
					if d := cmp.Diff([]map[string]string{{"if": "$CI_COMMIT_TAG"}}, publish.Rules); d != "" {
						t.Error(d)
					}
					if f.Variables["IMAGE"] != "$CI_REGISTRY_IMAGE:$CI_COMMIT_TAG" {
						t.Errorf("image %s", f.Variables["IMAGE"])
					}
				}
				// It is text that people read.
				for n, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
					if strings.TrimRight(line, " \t") != line || strings.HasPrefix(strings.TrimSpace(line), "#") && len([]rune(line)) > 100 {
						t.Errorf("line %d: %q", n+1, line)
					}
				}
				if strings.Contains(text, "\n\n\n") || strings.HasSuffix(text, "\n\n") {
					t.Errorf("empty lines:\n%s", text)
				}
			})
		}
	}
}

// withoutEntrypoint is an image as a pipeline names it that has none of the
// image's own.
func withoutEntrypoint(image string) any {
	return map[string]any{"name": image, "entrypoint": []any{""}}
}

// Whatever a runner's tags are, the file has to name these.
func TestTags(t *testing.T) {
	for _, tags := range [][]string{{"docker"}, {"no"}, {"a b", "28", "1.0"}, {`x"y`, "[z]", "ü", "#1", "a: b", "~"}, {}} {
		f, text := parse(t, ci.Draft{Mode: runner.Dind, Tags: tags})
		if !slices.Equal(f.Default.Tags, tags) {
			t.Errorf("asked for %q, got %q in\n%s", tags, f.Default.Tags, text)
		}
		if strings.Contains(text, "[no]") {
			t.Error("GitLab's YAML reads no as false")
		}
		if len(tags) == 0 && strings.Contains(text, "tags:") {
			t.Errorf("tags in\n%s", text)
		}
	}
}

func TestWhatMakesNoPipeline(t *testing.T) {
	for _, d := range []ci.Draft{
		{}, {Mode: "fast"}, {Mode: runner.Plain}, {Mode: runner.Dind, Pipeline: "deploy"},
		{Mode: runner.Dind, Tags: []string{""}}, {Mode: runner.Dind, Tags: []string{"a,b"}}, {Mode: runner.Dind, Tags: []string{" a"}},
	} {
		if text, err := d.YAML(); err == nil || fault.Remedy(err) == "" {
			t.Errorf("%+v: %v\n%s", d, err, text)
		}
	}
}
