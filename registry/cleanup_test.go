package registry

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	memory "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
)

// What goes and what stays is what GitLab's own cleanup does: names, then the
// newest, then the age.
func TestExpiredTags(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tag := func(name string, days int) Tag { return Tag{Name: name, Created: now.AddDate(0, 0, -days)} }
	tags := []Tag{tag("main-3", 3), tag("latest", 400), tag("main-40", 40), tag("v1.0", 300), tag("main-10", 10), {Name: "broken", Broken: true}}
	for _, c := range []struct {
		name string
		c    Cleanup
		want string
	}{
		{"the newest stay", Cleanup{Keep: 1, Tags: ".*"}, "v1.0 main-40 main-10"},
		{"old ones go", Cleanup{OlderThan: "30d", Tags: ".*"}, "v1.0 main-40"},
		{"both", Cleanup{Keep: 1, OlderThan: "7d", Tags: "main-.*"}, "main-40 main-10"},
		{"more are kept than there are", Cleanup{Keep: 100, OlderThan: "7d", Tags: ".*"}, ""},
		{"the whole name counts", Cleanup{OlderThan: "7d", Tags: "main"}, ""},
		{"some names stay", Cleanup{OlderThan: "7d", Tags: ".*", KeepTags: `v\d.*`}, "main-40 main-10"},
		{"an alternative is one pattern", Cleanup{OlderThan: "7d", Tags: "x|v1"}, ""},
	} {
		list, err := c.c.expired(tags, now)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, tag := range list {
			names = append(names, tag.Name)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if _, err := (Cleanup{Tags: "("}).expired(tags, now); err == nil {
		t.Error("a pattern that is none is taken")
	}
}

// A policy comes to the projects that are named and to no other one, and what
// it names can be removed at once.
func TestCleanup(t *testing.T) {
	store := httptest.NewServer(memory.New(memory.Logger(quiet)))
	defer store.Close()
	var later atomic.Int64 // days
	forge := heptapodtest.New(t, heptapodtest.WithRegistry(store.URL), heptapodtest.WithClock(func() time.Time { return time.Now().AddDate(0, 0, int(later.Load())) }))
	for _, path := range []string{"tools/app", "tools/other", "else/where"} {
		forge.CreateProject(t, path, "git")
	}
	push := func(reference string, days int) {
		t.Helper()
		ref, err := name.NewTag(strings.TrimPrefix(store.URL, "http://") + "/" + reference)
		if err != nil {
			t.Fatal(err)
		}
		image, err := random.Image(100, 1)
		if err == nil {
			image, err = mutate.CreatedAt(image, v1.Time{Time: time.Now().AddDate(0, 0, -days)})
		}
		if err == nil {
			err = remote.Write(ref, image, remote.WithContext(t.Context()))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for reference, days := range map[string]int{"tools/app:main-1": 1, "tools/app:main-20": 20, "tools/app:v1": 90, "else/where:main-20": 20} {
		push(reference, days)
	}
	client, ctx := apiClient(t, forge.URL, forge.Token), t.Context()
	policies := func() map[string]string {
		t.Helper()
		list, err := List(ctx, client, ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		byPath := map[string]string{}
		for _, r := range list {
			byPath[r.Path] = r.Cleanup.String()
		}
		return byPath
	}

	c := Cleanup{OlderThan: "14d", Tags: "main-.*", Every: "7d", Enabled: true}
	for _, want := range [][]string{{"tools/app", "tools/other"}, nil} { // the second time nothing is to be done
		changed, err := SetCleanup(ctx, client, c, "tools")
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(changed)
		if d := cmp.Diff(want, changed); d != "" {
			t.Error(d)
		}
	}
	if d := cmp.Diff(map[string]string{"tools/app": "removes tags main-.* older than 14d, every 7d", "else/where": "off"}, policies()); d != "" {
		t.Error(d)
	}
	if _, err := SetCleanup(ctx, client, c, "tools", "tool"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a group that is not there: %v", err)
	}
	if _, err := SetCleanup(ctx, client, Cleanup{Keep: 7, Tags: ".*", Every: "1d", Enabled: true}); err == nil || !strings.Contains(err.Error(), "keep_n") {
		t.Errorf("a number that the forge does not take: %v", err)
	}

	for _, step := range []struct {
		name    string
		dryRun  bool
		removed []string
		left    int
	}{{"dry run", true, []string{"tools/app:main-20"}, 3}, {"run", false, []string{"tools/app:main-20"}, 2}, {"once more", false, nil, 2}} {
		removed, err := Prune(ctx, client, c, PruneOptions{Projects: []string{"tools/app"}, DryRun: step.dryRun})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range removed {
			got = append(got, r.Repository+":"+r.Tag)
		}
		if d := cmp.Diff(step.removed, got); d != "" {
			t.Errorf("%s: %s", step.name, d)
		}
		list, err := List(ctx, client, ListOptions{Project: "tools/app"})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(list[0].Tags); n != step.left {
			t.Errorf("%s leaves %d tags, want %d", step.name, n, step.left)
		}
	}
	if got := policies(); len(got) != 2 {
		t.Errorf("other repositories changed: %v", got)
	}

	// The forge does it by itself, when its time has come.
	push("tools/app:main-30", 30)
	for _, step := range []struct {
		days int64
		left string
	}{{6, "main-1 main-30 v1"}, {7, "main-1 v1"}, {14, "v1"}} {
		later.Store(step.days)
		if err := forge.ExpireTags(ctx); err != nil {
			t.Fatal(err)
		}
		list, err := List(ctx, client, ListOptions{Project: "tools/app"})
		if err != nil {
			t.Fatal(err)
		}
		var left []string
		for _, tag := range list[0].Tags {
			left = append(left, tag.Name)
		}
		if got := strings.Join(left, " "); got != step.left {
			t.Errorf("after %d days there are %s, want %s", step.days, got, step.left)
		}
	}
}

// A deploy token pulls from its project, from no other one, and pushes nowhere.
func TestCreateDeployToken(t *testing.T) {
	store := httptest.NewServer(memory.New(memory.Logger(quiet)))
	defer store.Close()
	forge := heptapodtest.New(t, heptapodtest.WithRegistry(store.URL))
	for _, path := range []string{"tools/app", "tools/other"} {
		forge.CreateProject(t, path, "git")
	}
	client := apiClient(t, forge.URL, forge.Token)
	ends := time.Now().UTC().AddDate(0, 0, 30).Truncate(24 * time.Hour)
	token, err := CreateDeployToken(t.Context(), client, "tools/app", "k8s", ends)
	if err != nil {
		t.Fatal(err)
	}
	if !token.Ends.Equal(ends) || token.Credentials.User == "" {
		t.Errorf("made %+v", token)
	}
	access := func(user, password, scope string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, forge.URL+"/jwt/auth?service=container_registry&scope="+scope, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(user, password)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var answer struct{ Token string }
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(answer.Token, ".")
		if len(parts) != 3 {
			return resp.Status
		}
		claims, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil {
			t.Fatal(err)
		}
		return string(claims)
	}
	user, password := token.Credentials.User, token.Credentials.Password.Reveal()
	if got := access(user, password, "repository:tools/app/web:pull,push"); !strings.Contains(got, `["pull"]`) {
		t.Errorf("its own project: %s", got)
	}
	if got := access(user, password, "repository:tools/other:pull"); strings.Contains(got, "pull") {
		t.Errorf("another project: %s", got)
	}
	if got := access("somebody", password, "repository:tools/app:pull"); !strings.HasPrefix(got, "401") {
		t.Errorf("another name: %s", got)
	}
	if _, err := client.DeployTokens.DeleteProjectDeployToken("tools/app", token.ID); err != nil {
		t.Fatal(err)
	}
	if got := access(user, password, "repository:tools/app:pull"); !strings.HasPrefix(got, "401") {
		t.Errorf("revoked: %s", got)
	}
	if _, err := CreateDeployToken(t.Context(), client, "tools/nothing", "k8s", ends); !errors.Is(err, ErrNotFound) {
		t.Errorf("no project: %v", err)
	}
}
