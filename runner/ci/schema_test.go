package ci_test

import (
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/heptaup/hepta/runner/ci"
)

// gitlabSchema is what GitLab publishes about .gitlab-ci.yml.
func gitlabSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	f, err := os.Open("testdata/gitlab-ci.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	doc, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("gitlab-ci.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("gitlab-ci.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Whatever is asked for, GitLab's own schema takes the pipeline.
func TestPipelinesAreOfGitLabsSchema(t *testing.T) {
	s := gitlabSchema(t)
	valid := func(text string) error {
		var v any
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			return err
		}
		return s.Validate(v)
	}
	for _, pipeline := range ci.Pipelines() {
		for _, mode := range ci.Modes() {
			for name, tags := range map[string][]string{"tagged": nil, "untagged": {}, "tags": {"a", "b c", "yes", "1"}} {
				t.Run(string(pipeline)+" "+string(mode)+" "+name, func(t *testing.T) {
					text, err := ci.Draft{Pipeline: pipeline, Mode: mode, Tags: tags}.YAML()
					if err != nil {
						t.Fatal(err)
					}
					if err := valid(string(text)); err != nil {
						t.Errorf("%v in\n%s", err, text)
					}
				})
			}
		}
	}
	// The schema sees what is wrong.
	good, err := ci.Draft{Pipeline: ci.Test, Mode: ci.Modes()[0]}.YAML()
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{
		"\n  stage: build\n":   "\n  stages: build\n",
		"\n  rules:\n    - if": "\n  rules:\n    - when: sometimes\n      if",
		"\n  image: ":          "\n  image: {entrypoint: [a]}\n  # ",
		"\n  tags: [dind]":     "\n  tags: dind",
		"\n  script:\n":        "\n  script: []\n  before_script:\n",
	} {
		bad := strings.Replace(string(good), from, to, 1)
		if bad == string(good) {
			t.Fatalf("there is no %q in\n%s", from, good)
		}
		if err := valid(bad); err == nil {
			t.Errorf("it takes\n%s", bad)
		}
	}
}
