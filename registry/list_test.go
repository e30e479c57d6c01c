package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	memory "github.com/google/go-containerregistry/pkg/registry"
	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
)

func apiClient(t *testing.T, url, token string) *gitlab.Client {
	t.Helper()
	client, err := gitlab.NewClient(token, gitlab.WithBaseURL(url+"/api/v4"), gitlab.WithCustomRetryMax(0))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// Against the forge of the tests and a registry with two images in it.
func TestListForge(t *testing.T) {
	store := httptest.NewServer(memory.New(memory.Logger(quiet)))
	defer store.Close()
	forge := heptapodtest.New(t, heptapodtest.WithRegistry(store.URL))
	for _, path := range []string{"tools/app", "tools/app-two", "tools/none"} {
		forge.CreateProject(t, path, "git")
	}
	want := map[string]string{}
	for _, name := range []string{"tools/app:v1", "tools/app/web:latest", "tools/app-two:v1", "else/where:v1"} {
		path, tag, _ := strings.Cut(name, ":")
		want[name] = pushed(t, store.URL, path, tag)
	}
	client := apiClient(t, forge.URL, forge.Token)
	list, err := List(t.Context(), client, ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range list {
		for _, tag := range r.Tags {
			got = append(got, fmt.Sprintf("%s %s:%s", r.Project, r.Path, tag.Name))
			if tag.Digest != want[r.Path+":"+tag.Name] || tag.Size < 100 || tag.Broken {
				t.Errorf("%s: %+v, want digest %s", r.Path, tag, want[r.Path+":"+tag.Name])
			}
		}
	}
	if d := cmp.Diff([]string{"tools/app tools/app:v1", "tools/app-two tools/app-two:v1", "tools/app tools/app/web:latest"}, got); d != "" {
		t.Error(d)
	}
	if list, err = List(t.Context(), client, ListOptions{Project: "tools/app-two"}); err != nil || len(list) != 1 || list[0].Path != "tools/app-two" {
		t.Errorf("one project: %+v, %v", list, err)
	}
	if _, err := List(t.Context(), client, ListOptions{Project: "tools/nothing"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("no project: %v", err)
	}
}

// pushed puts a small image into a registry without tokens.
func pushed(t *testing.T, url, path, tag string) string {
	t.Helper()
	c, err := connect(nil, url)
	if err != nil {
		t.Fatal(err)
	}
	i, err := newImage()
	if err != nil {
		t.Fatal(err)
	}
	if err := (&transfer{conn: c, repository: path}).push(t.Context(), i, tag); err != nil {
		t.Fatal(err)
	}
	return i.digest().String()
}

// What a GitLab may answer besides: several pages, projects without a
// registry, a tag that cannot be read.
func TestList(t *testing.T) {
	const each = 3 // entries a page
	paged := func(w http.ResponseWriter, r *http.Request, all []string) {
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		from, to := min((page-1)*each, len(all)), min(page*each, len(all))
		if to < len(all) {
			w.Header().Set("X-Next-Page", strconv.Itoa(page+1))
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, "["+strings.Join(all[from:to], ",")+"]")
	}
	var projects, tags []string
	for i := 1; i <= 7; i++ {
		level := "enabled"
		if i == 4 {
			level = "disabled"
		}
		projects = append(projects, fmt.Sprintf(`{"id":%d,"path_with_namespace":"g/p%d","container_registry_access_level":%q}`, i, i, level))
		tags = append(tags, fmt.Sprintf(`{"name":"v%d"}`, 8-i))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v4/projects", func(w http.ResponseWriter, r *http.Request) { paged(w, r, projects) })
	mux.HandleFunc("GET /api/v4/projects/{id}/registry/repositories", func(w http.ResponseWriter, r *http.Request) {
		switch id := r.PathValue("id"); id {
		case "4":
			t.Error("a project without a registry is asked for repositories")
		case "5":
			says(403, `{"message":"403 Forbidden"}`)(w, r)
		case "6":
			says(404, `{"message":"404 Not Found"}`)(w, r)
		case "7":
			paged(w, r, []string{`{"id":70,"path":"g/p7"}`})
		default:
			paged(w, r, nil)
		}
	})
	mux.HandleFunc("GET /api/v4/projects/7/registry/repositories/70/tags", func(w http.ResponseWriter, r *http.Request) { paged(w, r, tags) })
	mux.HandleFunc("GET /api/v4/projects/7/registry/repositories/70/tags/{tag}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("tag") == "v2" {
			says(404, `{"message":"404 Tag Not Found"}`)(w, r)
			return
		}
		fmt.Fprintf(w, `{"name":%q,"digest":"sha256:x","total_size":7,"created_at":"2026-03-01T12:00:00.000+02:00"}`, r.PathValue("tag"))
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	list, err := List(t.Context(), apiClient(t, server.URL, canary), ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := []Repository{{Path: "g/p7", Project: "g/p7"}}
	for i := 1; i <= 7; i++ {
		tag := Tag{Name: fmt.Sprintf("v%d", i), Digest: "sha256:x", Size: 7, Created: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)}
		if i == 2 {
			tag = Tag{Name: "v2", Broken: true}
		}
		want[0].Tags = append(want[0].Tags, tag)
	}
	if d := cmp.Diff(want, list); d != "" {
		t.Error(d)
	}

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := List(ended, apiClient(t, server.URL, canary), ListOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
