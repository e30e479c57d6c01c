package integration

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	tcexec "github.com/testcontainers/testcontainers-go/exec"

	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/internal/images"
	"github.com/heptaup/hepta/registry"
)

// inContainer is a registry.RunFunc.
func (s *standin) inContainer(ctx context.Context, out io.Writer, cmd ...string) (int, error) {
	code, r, err := s.Exec(ctx, cmd, tcexec.Multiplexed())
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(out, r)
	return code, err
}

// heptapod-docker 4: what package registry does works on a real registry
// behind the forge's tokens: check, list, collect.
func TestRegistryAtWork(t *testing.T) {
	besideSites(t)
	ctx := t.Context()
	s := startForge(t, images.Heptapod, forgeVolumes(t), map[string]string{"GITLAB_OMNIBUS_CONFIG": behindProxy, "GITLAB_ROOT_PASSWORD": rootPassword})
	token := s.token(t)
	client, err := heptapod.NewClient("http://hg.test", heptapod.NewSecret(token), s.http)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://hg.test/api/v4/projects", strings.NewReader(`{"name": "things"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("PRIVATE-TOKEN", token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()

	root := registry.Credentials{User: "root", Password: registry.NewSecret(rootPassword)}
	check := func(repository string, creds registry.Credentials) map[string]registry.Finding {
		t.Helper()
		report, err := registry.Check(ctx, s.http, "http://registry.test", repository, creds, registry.ForForge("http://hg.test"))
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]registry.Finding{}
		for _, f := range report.Findings {
			found[f.Check] = f
		}
		return found
	}
	for what, f := range check("root/things", root) {
		if !f.OK {
			t.Errorf("%s: %s", what, f.Saw)
		}
	}
	if f := check("root/things", root)["image is removed again"]; !strings.HasPrefix(f.Saw, "202") {
		t.Errorf("removal: %s", f.Saw)
	}
	if f := check("root/nothing", root)["image is pushed"]; f.OK || !strings.Contains(f.Means, "does not let") {
		t.Errorf("push to no project: %+v", f)
	}
	if f := check("root/things", registry.Credentials{User: "root", Password: registry.NewSecret("wrong")})["user logs in"]; f.OK || f.Saw == "" {
		t.Errorf("wrong password: %+v", f)
	}

	// An image that stays, beside what the checks have left behind.
	ref, err := name.NewTag("registry.test/root/things/part:v1", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(1<<10, 1)
	if err != nil {
		t.Fatal(err)
	}
	err = remote.Write(ref, image, remote.WithContext(ctx), remote.WithTransport(s.http.Transport),
		remote.WithAuth(&authn.Basic{Username: "root", Password: rootPassword}))
	if err != nil {
		t.Fatal(err)
	}
	list, err := registry.List(ctx, client, registry.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	tags := map[string]registry.Tag{}
	for _, r := range list {
		for _, tag := range r.Tags {
			tags[r.Path+":"+tag.Name] = tag
		}
	}
	kept := tags["root/things/part:v1"]
	if len(tags) != 1 || !strings.HasPrefix(kept.Digest, "sha256:") || kept.Size < 1000 || kept.Broken {
		t.Errorf("listed %+v", list)
	}

	if metadata, err := registry.FindMetadata(ctx, s.inContainer); err != nil || metadata != registry.Filesystem {
		t.Fatalf("metadata %s, %v", metadata, err)
	}
	var out bytes.Buffer
	if err := registry.Collect(ctx, s.inContainer, &out, registry.CollectOptions{Untagged: true}); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if !strings.Contains(out.String(), "blob eligible for deletion") {
		t.Errorf("collected nothing:\n%s", &out)
	}
	eventually(t, 20*time.Second, "the registry is back", func() bool {
		status, _ := s.get(t, "http://registry.test/v2/")
		return status == http.StatusUnauthorized
	})
	left, err := remote.Head(ref, remote.WithContext(ctx), remote.WithTransport(s.http.Transport),
		remote.WithAuth(&authn.Basic{Username: "root", Password: rootPassword}))
	if err != nil || left.Digest.String() != kept.Digest {
		t.Errorf("after that: %v, %v, want %s", left, err, kept.Digest)
	}
}
