package registry

import (
	"os"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// fluxSpecs are the schemas that Flux publishes of the specs of its objects.
func fluxSpecs(t *testing.T) map[string]*jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile("testdata/flux.schema.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("flux.json", doc); err != nil {
		t.Fatal(err)
	}
	specs := map[string]*jsonschema.Schema{}
	for _, kind := range []string{"ImageRepository", "ImagePolicy"} {
		if specs[kind], err = c.Compile("flux.json#/" + kind); err != nil {
			t.Fatal(err)
		}
	}
	return specs
}

// Whatever is asked for, Flux takes it.
func TestFluxTakesTheManifests(t *testing.T) {
	specs := fluxSpecs(t)
	for _, f := range []Flux{
		{Image: "group/app"}, {Image: "app", Interval: "1h30m", Semver: "1.x", Insecure: true},
		{Image: "app", Numerical: "desc", Pattern: "^main-(?P<ts>[0-9]+)$", Extract: "$ts"}, {Image: "app", Alphabetical: "asc", Pattern: "yes"},
	} {
		list := manifests(t, PullSecret{Host: "registry.example.org:5050", Credentials: alice, Flux: &f})
		if len(list) != 3 {
			t.Fatalf("%d manifests", len(list))
		}
		for i, kind := range []string{"ImageRepository", "ImagePolicy"} {
			m := list[i+1]
			if m["apiVersion"] != "image.toolkit.fluxcd.io/v1" || m["kind"] != kind {
				t.Errorf("%v of %v, want %s", m["kind"], m["apiVersion"], kind)
			}
			if err := specs[kind].Validate(m["spec"]); err != nil {
				t.Errorf("%+v: %v", f, err)
			}
		}
	}
	// The schemas see what is wrong.
	reference := map[string]any{"name": "a"}
	for kind, list := range map[string][]map[string]any{
		"ImageRepository": {
			{"image": "a"}, {"image": true, "interval": "5m"}, {"image": "a", "interval": "5 minutes"}, {"image": "a", "interval": "5m", "secretref": reference},
			{"image": "a", "interval": "5m", "secretRef": map[string]any{}},
		},
		"ImagePolicy": {
			{"policy": map[string]any{}}, {"imageRepositoryRef": reference, "policy": map[string]any{"semver": map[string]any{}}},
			{"imageRepositoryRef": reference, "policy": map[string]any{"numerical": map[string]any{"order": "up"}}},
			{"imageRepositoryRef": reference, "policy": map[string]any{}, "interval": "5m"},
		},
	} {
		for _, spec := range list {
			if specs[kind].Validate(spec) == nil {
				t.Errorf("it takes the %s %v", kind, spec)
			}
		}
	}
}
