package paas

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestThroughProxy(t *testing.T) {
	const p = "forge:443/group/dependency_proxy/containers/"
	for name, want := range map[string]struct{ name, alias string }{
		"postgres":                    {p + "library/postgres", "postgres"},
		"postgres:13":                 {p + "library/postgres:13", "postgres"},
		"library/postgres:13":         {p + "library/postgres:13", "postgres"},
		"tutum/wordpress:1":           {p + "tutum/wordpress:1", "tutum-wordpress"},
		"docker.io/foo/bar":           {p + "foo/bar", "foo-bar"},
		"index.docker.io/foo":         {p + "library/foo", "foo"},
		"redis@sha256:abc":            {p + "library/redis@sha256:abc", "redis"},
		"$IMAGE:$TAG":                 {p + "library/debian:trixie", "debian"},
		"${IMAGE}":                    {p + "library/debian", "debian"},
		"quay.io/foo/bar":             {"quay.io/foo/bar", ""},
		"localhost/foo":               {"localhost/foo", ""},
		"host:5000/foo":               {"host:5000/foo", ""},
		"Upper/foo":                   {"Upper/foo", ""},
		"$UNKNOWN/foo":                {"$UNKNOWN/foo", ""},
		"$PATHLIKE":                   {"$PATHLIKE", ""},
		"$REGISTRY/foo":               {"$REGISTRY/foo", ""},
		"forge:443/group/x/container": {"forge:443/group/x/container", ""},
		"":                            {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			in := fmt.Sprintf(`{"id":9007199254740993,"strange":{"b":1.50,"a":[]},"image":{"name":%q,"entrypoint":["x"]},
				"services":[{"name":%q,"more":1},{"name":%q,"alias":"mine"},{"alias":"nameless"}],
				"variables":[{"key":"IMAGE","value":"old"},{"key":"IMAGE","value":"debian"},{"key":"TAG","value":"trixie"},
				{"key":"REGISTRY","value":"quay.io"},{"key":"PATHLIKE","value":"foo","file":true},
				{"key":"CI_DEPENDENCY_PROXY_GROUP_IMAGE_PREFIX","value":"forge:443/root/dependency_proxy/containers"},
				{"key":"CI_DEPENDENCY_PROXY_DIRECT_GROUP_IMAGE_PREFIX","value":"forge:443/group/dependency_proxy/containers"}]}`, name, name, name)
			out, err := throughProxy([]byte(in))
			if err != nil {
				t.Fatal(err)
			}
			expected := exact(t, []byte(in))
			expected["image"].(map[string]any)["name"] = want.name
			services := expected["services"].([]any)
			services[0].(map[string]any)["name"] = want.name
			if want.alias != "" {
				services[0].(map[string]any)["alias"] = want.alias
			}
			services[1].(map[string]any)["name"] = want.name
			if d := cmp.Diff(expected, exact(t, out)); d != "" {
				t.Error(d)
			}
		})
	}
}

// Without a proxy, not a byte changes.
func TestWithoutProxy(t *testing.T) {
	for _, in := range []string{`{}`, `{"image": null, "services": null, "variables": []}`, `{ "image": {"name": "debian"} }`} {
		if out, err := throughProxy([]byte(in)); err != nil || string(out) != in {
			t.Errorf("%s became %s, %v", in, out, err)
		}
	}
}

func FuzzThroughProxy(f *testing.F) {
	f.Add("debian:12", "a/b", "x")
	f.Add("$A$$", "docker.io/", "$A")
	f.Fuzz(func(t *testing.T, image, service, value string) {
		in, err := json.Marshal(map[string]any{
			"id": 1, "image": map[string]any{"name": image}, "services": []any{map[string]any{"name": service}, nil},
			"variables": []any{map[string]any{"key": "A", "value": value}, map[string]any{"key": "CI_DEPENDENCY_PROXY_GROUP_IMAGE_PREFIX", "value": "f:1/p"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		out, err := throughProxy(in)
		if err != nil || !json.Valid(out) {
			t.Fatalf("%s, %v", out, err)
		}
	})
}
