package integration

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	gitlab "gitlab.com/gitlab-org/api/client-go"
	"go.yaml.in/yaml/v3"

	"github.com/heptaup/hepta"
)

// Tags that nobody needs go: by the forge's own policy, which `up` sets where
// hepta.yaml says and `registry list` shows, and at once by `registry prune`,
// also in projects that came later. A pull secret brings a token of its own,
// with which the image that is left can be pulled and nothing pushed.
func TestRegistryCleanup(t *testing.T) {
	s := onSite(t)
	stack := s.lab(t)
	root, err := stack.CACertificate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	password, err := stack.Forge().RootPassword(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	transport := remote.WithTransport(s.client(t, root).Transport)
	asRoot := []remote.Option{remote.WithContext(t.Context()), transport, remote.WithAuth(&authn.Basic{Username: "root", Password: password.Reveal()})}
	api, err := stack.Forge().Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	project := func(path string) {
		t.Helper()
		p, _, err := api.Projects.CreateProject(&gitlab.CreateProjectOptions{Path: &path}, gitlab.WithContext(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if _, err := api.Projects.DeleteProject(p.ID, nil); err != nil {
				t.Error(err)
			}
		})
		for tag, days := range map[string]int{"main-new": 1, "main-old": 40, "v1.0": 400} {
			ref, err := name.NewTag(labRegistry + "/root/" + path + ":" + tag)
			if err != nil {
				t.Fatal(err)
			}
			image, err := random.Image(1000, 1)
			if err == nil {
				image, err = mutate.CreatedAt(image, v1.Time{Time: time.Now().AddDate(0, 0, -days)})
			}
			if err == nil {
				err = remote.Write(ref, image, asRoot...)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	project("cleaned")

	described := strings.Replace(labYAML, "registry: registry.lab.test", "registry: {host: registry.lab.test, cleanup: {older_than: 30d, tags: 'main-.*', every: 7d}}", 1)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hepta.yaml"), []byte(described), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (out, errs string) {
		t.Helper()
		out, errs, code := s.heptaIn(t, dir, s.socket, args...)
		if code != 0 {
			t.Fatalf("hepta %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
		}
		return out, errs
	}
	run("up")
	if out, _ := run("registry", "list"); !strings.Contains(out, "Cleanup of root/cleaned: removes tags main-.* older than 30d, every 7d.") {
		t.Errorf("registry list:\n%s", out)
	}
	project("later")
	if out, _ := run("plan"); !strings.Contains(out, "Nothing to do") {
		t.Errorf("a plan after the policy was set:\n%s", out)
	}

	var dry, done hepta.Pruned
	for _, c := range []struct {
		args []string
		into *hepta.Pruned
	}{{[]string{"registry", "prune", "--dry-run", "--json"}, &dry}, {[]string{"registry", "prune", "--yes", "--json"}, &done}} {
		out, _ := run(c.args...)
		if err := json.Unmarshal([]byte(out), c.into); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		var gone []string
		for _, r := range c.into.Removed {
			gone = append(gone, r.Repository+":"+r.Tag)
		}
		slices.Sort(gone)
		if want := []string{"root/cleaned:main-old", "root/later:main-old"}; !slices.Equal(gone, want) {
			t.Errorf("%v: %q, want %q", c.args, gone, want)
		}
	}
	if len(dry.Set) != 0 || !slices.Contains(done.Set, "root/later") {
		t.Errorf("projects that got the policy: %q in a dry run, %q", dry.Set, done.Set)
	}
	for _, path := range []string{"root/cleaned", "root/later"} {
		repository, err := name.NewRepository(labRegistry + "/" + path)
		if err != nil {
			t.Fatal(err)
		}
		left, err := remote.List(repository, asRoot...)
		if slices.Sort(left); err != nil || !slices.Equal(left, []string{"main-new", "v1.0"}) {
			t.Errorf("%s has %q, %v", path, left, err)
		}
	}

	manifest, errs := run("registry", "secret", "--create-token", "--project", "root/cleaned", "--expires", "30")
	if !strings.Contains(errs, "lasts until "+time.Now().UTC().AddDate(0, 0, 30).Format(time.DateOnly)) || !strings.Contains(manifest, "imagePullSecrets: [{name: regcred}]") ||
		!strings.Contains(manifest, "/etc/containerd/certs.d/"+labRegistry+"/ca.crt") {
		t.Errorf("registry secret:\n%s\n%s", errs, manifest)
	}
	var secret struct {
		Data map[string]string `yaml:"data"`
	}
	if err := yaml.Unmarshal([]byte(manifest), &secret); err != nil {
		t.Fatal(err)
	}
	asPod := []remote.Option{remote.WithContext(t.Context()), transport, remote.WithAuth(podLogin(t, secret.Data[".dockerconfigjson"]))}
	ref, err := name.NewTag(labRegistry + "/root/cleaned:v1.0")
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(ref, asPod...)
	if err != nil {
		t.Fatalf("pull with the token: %v", err)
	}
	if err := remote.Write(ref.Context().Tag("pushed"), image, asPod...); err == nil {
		t.Error("a token for pulling pushes")
	}
	other, err := name.NewTag(labRegistry + "/root/later:v1.0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Image(other, asPod...); err == nil {
		t.Error("a token of one project pulls from another")
	}
}

// podLogin is what a kubelet finds in a pull secret.
func podLogin(t *testing.T, encoded string) authn.Authenticator {
	t.Helper()
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	var config struct{ Auths map[string]authn.AuthConfig }
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	return authn.FromConfig(config.Auths[labRegistry])
}
