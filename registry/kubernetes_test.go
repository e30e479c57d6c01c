package registry

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func manifests(t *testing.T, p PullSecret) []map[string]any {
	t.Helper()
	text, err := p.YAML()
	if err != nil {
		t.Fatal(err)
	}
	var list []map[string]any
	for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var m map[string]any
		err := dec.Decode(&m)
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		list = append(list, m)
	}
}

// core/v1 Secret of the type kubernetes.io/dockerconfigjson: data is base64,
// inside it the entry of one registry.
func checkSecret(t *testing.T, m map[string]any, name, namespace, host, user, password string) {
	t.Helper()
	data, _ := m["data"].(map[string]any)
	encoded, _ := data[".dockerconfigjson"].(string)
	want := map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
		"metadata": map[string]any{"name": name, "namespace": namespace}, "data": map[string]any{".dockerconfigjson": encoded},
	}
	if d := cmp.Diff(want, m); d != "" {
		t.Error(d)
	}
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Auths map[string]struct{ Username, Password, Auth string }
	}
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	entry, there := config.Auths[host]
	auth, err := base64.StdEncoding.DecodeString(entry.Auth)
	if err != nil || !there || len(config.Auths) != 1 {
		t.Fatalf("auths of %d, %v", len(config.Auths), err)
	}
	if string(auth) != user+":"+password || entry.Username != user || entry.Password != password {
		t.Error("not the credentials")
	}
}

func TestPullSecret(t *testing.T) {
	const tricky = `p:"\<&>ä` + "\n"
	for _, c := range []struct{ user, password string }{{"alice", canary}, {"deploy+token", tricky}, {"null", "yes"}} {
		list := manifests(t, PullSecret{
			Name: "pull", Namespaces: []string{"flux-system", "default"}, Host: "registry.example.org:5050",
			Credentials: Credentials{c.user, NewSecret(c.password)},
		})
		if len(list) != 2 {
			t.Fatalf("%d manifests", len(list))
		}
		checkSecret(t, list[0], "pull", "flux-system", "registry.example.org:5050", c.user, c.password)
		checkSecret(t, list[1], "pull", "default", "registry.example.org:5050", c.user, c.password)
	}
	list := manifests(t, PullSecret{Host: "registry.example.org", Credentials: alice})
	checkSecret(t, list[0], "regcred", "default", "registry.example.org", "alice", canary)
}

// The definitions of image.toolkit.fluxcd.io/v1: image and interval are
// required of a repository, imageRepositoryRef and one policy of a policy.
func TestPullSecretForFlux(t *testing.T) {
	const host = "registry.example.org"
	span := regexp.MustCompile(`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`)
	for _, c := range []struct {
		name   string
		flux   Flux
		spec   map[string]any // of the repository, without interval
		policy map[string]any
	}{
		{"plain", Flux{Image: "group/some_app"},
			map[string]any{"image": host + "/group/some_app", "secretRef": map[string]any{"name": "regcred"}},
			map[string]any{"imageRepositoryRef": map[string]any{"name": "some-app"}, "policy": map[string]any{"semver": map[string]any{"range": ">=0.0.0"}}}},
		{"semver", Flux{Name: "app", Image: "group/app", Interval: "1h30m", Semver: "1.x", Insecure: true},
			map[string]any{"image": host + "/group/app", "insecure": true, "secretRef": map[string]any{"name": "regcred"}},
			map[string]any{"imageRepositoryRef": map[string]any{"name": "app"}, "policy": map[string]any{"semver": map[string]any{"range": "1.x"}}}},
		{"numerical", Flux{Image: "app", Numerical: "asc", Pattern: `^main-[a-f0-9]+-(?P<ts>[0-9]+)$`, Extract: "$ts"},
			map[string]any{"image": host + "/app", "secretRef": map[string]any{"name": "regcred"}},
			map[string]any{
				"imageRepositoryRef": map[string]any{"name": "app"}, "policy": map[string]any{"numerical": map[string]any{"order": "asc"}},
				"filterTags": map[string]any{"pattern": `^main-[a-f0-9]+-(?P<ts>[0-9]+)$`, "extract": "$ts"},
			}},
		{"alphabetical", Flux{Image: "app", Alphabetical: "desc", Pattern: "^RELEASE"},
			map[string]any{"image": host + "/app", "secretRef": map[string]any{"name": "regcred"}},
			map[string]any{
				"imageRepositoryRef": map[string]any{"name": "app"}, "policy": map[string]any{"alphabetical": map[string]any{"order": "desc"}},
				"filterTags": map[string]any{"pattern": "^RELEASE"},
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			list := manifests(t, PullSecret{Namespaces: []string{"flux-system", "default"}, Host: host, Credentials: alice, Flux: &c.flux})
			if len(list) != 4 {
				t.Fatalf("%d manifests", len(list))
			}
			name := c.policy["imageRepositoryRef"].(map[string]any)["name"]
			meta := map[string]any{"name": name, "namespace": "flux-system"}
			spec := list[2]["spec"].(map[string]any)
			if interval, _ := spec["interval"].(string); !span.MatchString(interval) {
				t.Errorf("interval %q", interval)
			}
			delete(spec, "interval")
			want := []map[string]any{
				{"apiVersion": "image.toolkit.fluxcd.io/v1", "kind": "ImageRepository", "metadata": meta, "spec": c.spec},
				{"apiVersion": "image.toolkit.fluxcd.io/v1", "kind": "ImagePolicy", "metadata": meta, "spec": c.policy},
			}
			if d := cmp.Diff(want, list[2:]); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestPullSecretRefuses(t *testing.T) {
	good := func() PullSecret {
		return PullSecret{Host: "registry.example.org", Credentials: alice, Flux: &Flux{Image: "g/p"}}
	}
	if _, err := good().YAML(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*PullSecret){
		"no host":        func(p *PullSecret) { p.Host = "" },
		"no user":        func(p *PullSecret) { p.Credentials.User = "" },
		"no password":    func(p *PullSecret) { p.Credentials.Password = Secret{} },
		"name":           func(p *PullSecret) { p.Name = "Reg_cred" },
		"namespace":      func(p *PullSecret) { p.Namespaces = []string{"ok", "not.one"} },
		"image":          func(p *PullSecret) { p.Flux.Image = "G/p" },
		"image with tag": func(p *PullSecret) { p.Flux.Image = "g/p:1" },
		"no image":       func(p *PullSecret) { p.Flux.Image = "" },
		"interval":       func(p *PullSecret) { p.Flux.Interval = "1d" },
		"two policies":   func(p *PullSecret) { p.Flux.Semver, p.Flux.Numerical = "1.x", "asc" },
		"order":          func(p *PullSecret) { p.Flux.Numerical = "up" },
		"pattern":        func(p *PullSecret) { p.Flux.Pattern = "(" },
		"extract":        func(p *PullSecret) { p.Flux.Extract = "$x" },
	} {
		p := good()
		spoil(&p)
		if text, err := p.YAML(); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %s, %v", name, text, err)
		}
	}
}
