package paas

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/secret"
	"github.com/heptaup/hepta/runner/paas/clevertest"
)

// single is the organisation of a runner that has one.
func (c *Coordinator) single(k Clever) func(context.Context, string) (Organisation, error) {
	return func(ctx context.Context, tenant string) (Organisation, error) { return c.Organisation(ctx, k, tenant) }
}

const hostName = "hpd-job-D3adNQYu-7"

// From nothing to a job handed over, and to nothing again.
func TestCleverLife(t *testing.T) {
	c := newCloud(t)
	p := c.provider()
	flavors, err := p.Flavors(t.Context())
	if d := cmp.Diff(Flavors{{"XS", 1024, 1}, {"S", 2048, 2}, {"M", 8192, 4}}, flavors); d != "" || err != nil {
		t.Fatalf("%v\n%s", err, d)
	}
	h, err := p.Create(t.Context(), "", hostName, flavors[2])
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"zone": "par", "instanceLifetime": "TASK", "instanceType": "docker", "deploy": "git", "instanceVariant": defaultVariant,
		"instanceVersion": "20240101", "minFlavor": "heptapod-runner-M", "maxFlavor": "heptapod-runner-M", "minInstances": 1.0, "maxInstances": 1.0,
		"name": hostName,
	}
	if d := cmp.Diff(want, c.Ledger()[0].Body); d != "" {
		t.Error(d)
	}
	if h, err = p.Prepare(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{"CC_MOUNT_DOCKER_SOCKET": "true", "CC_ENABLE_HEPTAPOD_RUNNER": "true"}, c.Ledger()[0].Env); d != "" {
		t.Error(d)
	}
	cfg, _ := load(t, "single.toml")
	job, err := ParseJob([]byte(`{"id":7,"token":"t","big":9007199254740993}`))
	if err != nil {
		t.Fatal(err)
	}
	f, err := HandOverFiles(cfg.Runners[0], job)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Push(t.Context(), h, f); err != nil {
		t.Fatal(err)
	}
	// The second push finds the first, and leaves it as it is.
	if err := p.Push(t.Context(), h, Files{"job.json": []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	if got := c.pushed(h, "log", "--all", "--format=%D|%an|%ae|%s"); got != "HEAD -> master|Heptapod Paas Runner|paasrunner@heptapod.test|Job definition\n" {
		t.Errorf("log %q", got)
	}
	if got := c.pushed(h, "ls-tree", "--name-only", "master"); got != "Dockerfile\njob.json\nrunner.toml\n" {
		t.Errorf("tree %q", got)
	}
	if got := c.pushed(h, "show", "master:job.json"); got != job.Payload.Reveal() {
		t.Errorf("job.json %q", got)
	}
	wantFile := `FROM registry.heptapod.net:443/heptapod/heptapod-runner/runner:0.7.0
COPY runner.toml job.json /etc/heptapod-runner/
ENV DEBUG="true"
ENTRYPOINT ["/usr/bin/gitlab-runner", "exec-fetched-job", "--config", "/etc/heptapod-runner/runner.toml", "/etc/heptapod-runner/job.json"]
`
	if d := cmp.Diff(wantFile, c.pushed(h, "show", "master:Dockerfile")); d != "" {
		t.Error(d)
	}
	listed, err := p.List(t.Context(), "", "hpd-job-D3adNQYu-")
	if err != nil || len(listed) != 1 || listed[0].ID != h.ID || listed[0].Name != hostName {
		t.Errorf("listed %v, %v", listed, err)
	}
	for range 2 {
		if err := p.Delete(t.Context(), h); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(c.Alive()); n != 0 {
		t.Errorf("%d applications are left", n)
	}
}

// Whatever the API does to one call, the call ends with an error that says
// whether to try again, and shows no secret.
func TestCleverFaults(t *testing.T) {
	for name, c := range map[string]struct {
		trick     clevertest.Trick
		temporary bool
		text      string
		left      int // applications that exist after the call
	}{
		"silent":              {trick("POST", "/applications", false, 0, ""), true, "context deadline exceeded", 0},
		"silent but done":     {trick("POST", "/applications", true, 0, ""), true, "context deadline exceeded", 1},
		"broken":              {trick("POST", "/applications", false, 500, "<html>"), true, "500 Internal Server Error", 0},
		"broken but done":     {trick("POST", "/applications", true, 502, ""), true, "502 Bad Gateway", 1},
		"not JSON":            {trick("POST", "/applications", true, 200, "<html>"), false, "not the JSON", 1},
		"no id":               {trick("POST", "/applications", true, 200, "{}"), false, "no id", 1},
		"refused":             {trick("POST", "/applications", false, 400, `{"id":1,"message":"quota","type":"error"}`), false, "400 Bad Request: quota", 0},
		"version not to find": {trick("GET", "/products/instances", false, 503, ""), true, "503", 0},
	} {
		t.Run(name, func(t *testing.T) {
			k := newCloud(t)
			p := k.provider()
			if c.trick.Status == 0 {
				p.CallLimit = 2 * time.Second
			}
			k.Spoil(c.trick)
			_, err := p.Create(t.Context(), "", hostName, Flavor{Name: "M", Memory: 8192})
			if err == nil || !strings.Contains(err.Error(), c.text) || Temporary(err) != c.temporary || strings.Contains(err.Error(), clevertest.Token) {
				t.Fatalf("error %v", err)
			}
			// What came to be is found by its name.
			list, err := p.List(t.Context(), "", hostName)
			if err != nil || len(list) != c.left || len(k.Alive()) != c.left {
				t.Errorf("listed %v, %v; %d exist", list, err, len(k.Alive()))
			}
		})
	}
}

// The product got a new version while its old one was remembered.
func TestCleverNewVersion(t *testing.T) {
	c := newCloud(t)
	p := c.provider()
	for _, version := range []string{"1", "2"} {
		c.SetVersion(version)
		if _, err := p.Create(t.Context(), "", hostName, Flavor{Name: "M"}); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.Alive()) != 2 {
		t.Errorf("%d applications", len(c.Alive()))
	}
	// One that does not exist at all is not asked for again and again.
	c.Spoil(trick("POST", "/applications", false, 400, `{"id":9017}`))
	c.Spoil(trick("GET", "/products/instances", false, 200, `[{"name":"Docker","version":"3"}]`))
	c.Spoil(trick("POST", "/applications", false, 400, `{"id":9017,"message":"The specified instance does not exist"}`))
	if _, err := p.Create(t.Context(), "", hostName, Flavor{Name: "M"}); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("error %v", err)
	}
}

// A repository that does not come is not waited for for ever.
func TestCleverNotReady(t *testing.T) {
	c := newCloud(t)
	c.Looks = 1 << 30
	p := c.provider()
	p.Clever.RepoTimeout = 100 * time.Millisecond
	h, err := p.Create(t.Context(), "", hostName, Flavor{Name: "M"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Prepare(t.Context(), h); !errors.Is(err, ErrNotReady) {
		t.Errorf("error %v", err)
	}
}

// A host is gone only when Clever Cloud says so.
func TestCleverDeleteIsSure(t *testing.T) {
	c := newCloud(t)
	p := c.provider()
	h, err := p.Create(t.Context(), "", hostName, Flavor{Name: "M"})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []clevertest.Trick{
		trick("DELETE", "", false, 404, "<html>no such page"), trick("DELETE", "", false, 500, ""), trick("DELETE", "", false, 0, ""),
		trick("DELETE", "", false, 401, `{"id":2001}`), trick("DELETE", "", true, 0, ""),
	} {
		p.CallLimit = 0
		if s.Status == 0 {
			p.CallLimit = 2 * time.Second
		}
		c.Spoil(s)
		if err := p.Delete(t.Context(), h); err == nil {
			t.Errorf("%+v: deleted", s)
		}
	}
	if err := p.Delete(t.Context(), h); err != nil || len(c.Alive()) != 0 {
		t.Errorf("%v, %d alive", err, len(c.Alive()))
	}
}

// The credentials are wrong, or there is nobody: the error names no secret and
// nothing stays in the temporary directory.
func TestPushFails(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	c := newCloud(t)
	for _, url := range []string{c.URL + "/git/none.git", "http://127.0.0.1:1/x.git", "file:///etc", "--upload-pack=x"} {
		err := pushOnce(t.Context(), "", url, "Jenkins", secret.New("wr0ng"), Files{"job.json": []byte("{}")})
		if err == nil || strings.Contains(err.Error(), "wr0ng") || strings.Contains(err.Error(), "SmVua2luczp3cjBuZw") {
			t.Errorf("%s: %v", url, err)
		}
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestOrganisationOfTenant(t *testing.T) {
	full, _ := load(t, "full.toml")
	k := *full.Runners[0].Clever
	answers := map[string]string{
		"/api/v4/groups/a%2Fb/custom_attributes": `[{"key":"x","value":"y"},{"key":"cc_orga_id","value":"orga_1"},{"key":"cc_orga_token","value":"s3cr3t"}]`,
		"/api/v4/groups/half/custom_attributes":  `[{"key":"cc_orga_id","value":"orga_1"}]`,
		"/api/v4/groups/odd/custom_attributes":   `<html>`,
	}
	c := scripted(t, func(w http.ResponseWriter, r *http.Request) {
		text, known := answers[r.URL.EscapedPath()]
		switch {
		case r.Header.Get("Private-Token") != "attr":
			w.WriteHeader(401)
		case !known:
			w.WriteHeader(404)
		default:
			fmt.Fprint(w, text)
		}
	})
	o, err := c.Organisation(t.Context(), k, "a/b")
	if err != nil || o.ID != "orga_1" || o.Token.Reveal() != "s3cr3t" {
		t.Errorf("%v, %v", o, err)
	}
	for tenant, want := range map[string]string{
		"half": "no custom attribute cc_orga_token", "none": "404", "odd": "not valid JSON", "": "names no top-level group",
	} {
		_, err := c.Organisation(t.Context(), k, tenant)
		if err == nil || !strings.Contains(err.Error(), want) || (tenant == "half" || tenant == "none") && fault.Remedy(err) == "" {
			t.Errorf("%q: %v", tenant, err)
		}
	}
	// A tenant that cannot be found does not make its host look gone.
	p := &CleverCloud{Clever: k, Organisation: c.single(k)}
	if err := p.Delete(t.Context(), Host{ID: "app", Tenant: "none"}); err == nil {
		t.Error("deleted")
	}
}
