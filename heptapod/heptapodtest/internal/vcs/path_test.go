package vcs

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckPath(t *testing.T) {
	t.Parallel()
	for _, p := range []string{"p", "g/p", "g/s/p", "My_Group/a.b-c", "0/1", "_x/y"} {
		if err := CheckPath(p); err != nil {
			t.Error(err)
		}
	}
	for _, p := range []string{
		"", "/", "/g/p", "g/p/", "g//p", ".", "..", "g/..", "../g", "g/../p", ".store/x", ".snapshots/g", "-g/p", "g/-p", "g/p.", "g/a..b",
		"g/p.git", "g/p.GIT", "g.hg/p", "g/p.atom", "g/p\x00", "g/p q", "g\\p", "g/é", "g/p\n", "C:/x", strings.Repeat("a", 256), strings.Repeat("a/", 600) + "a",
	} {
		if err := CheckPath(p); !errors.Is(err, ErrPath) {
			t.Errorf("%q: %v", p, err)
		}
	}
}

func TestStoreLifeCycle(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	f.create(t, "g/p", Git)
	f.create(t, "g/p/q", Hg)
	for path, want := range map[string]Kind{"g/p": Git, "g/p/q": Hg, "g": "", "g/p/q/r": "", "../x": ""} {
		if k, ok := f.Exists(path); k != want || ok != (want != "") {
			t.Errorf("%s: %s %v", path, k, ok)
		}
	}
	if err := f.Create(t.Context(), "g/p", Hg); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second of a path: %v", err)
	}
	if err := f.Create(t.Context(), "g/x", "svn"); err == nil {
		t.Error("made a repository of an unknown kind")
	}
	if err := f.Create(t.Context(), "../x", Git); !errors.Is(err, ErrPath) {
		t.Errorf("outside: %v", err)
	}
	if refs, err := f.Refs(t.Context(), "g/p"); len(refs) != 0 || err != nil {
		t.Errorf("empty git: %v %v", refs, err)
	}
	if refs, err := f.Refs(t.Context(), "g/p/q"); len(refs) != 0 || err != nil {
		t.Errorf("empty hg: %v %v", refs, err)
	}
	if _, err := f.Commit(t.Context(), "g/p/q", ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("commit of an empty repository: %v", err)
	}
	if err := f.Remove(t.Context(), "g/p"); err != nil {
		t.Error(err)
	}
	if err := f.Remove(t.Context(), "g/p"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("second removal: %v", err)
	}
	if _, ok := f.Exists("g/p/q"); !ok {
		t.Error("a project went with the one that its path starts with")
	}
	again, err := Open(f.root)
	if err != nil {
		t.Fatal(err)
	}
	if k, ok := again.Exists("g/p/q"); k != Hg || !ok {
		t.Error("lost after another Open")
	}
}

func TestSymbolicLinksAreRefused(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	other := newForge(t)
	other.create(t, "g/p", Git)
	for link, target := range map[string]string{
		"away":      filepath.Join(other.root, "g"),
		"whole.git": filepath.Join(other.root, "g", "p.git"),
	} {
		if err := os.Symlink(target, filepath.Join(f.root, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{"away/p", "whole"} {
		if _, ok := f.Exists(p); ok {
			t.Errorf("%s leads out of the store", p)
		}
		if code, _ := get(t, f.url+"/"+p+".git/info/refs?service=git-upload-pack"); code != http.StatusNotFound {
			t.Errorf("%s: %d", p, code)
		}
	}
	if err := f.Create(t.Context(), "away/new", Git); err == nil {
		t.Error("made a repository outside")
	}
}

func TestWantsWrite(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, target, project string
		header                  http.Header
		write                   bool
	}{
		{"GET", "/g/p.git/info/refs?service=git-upload-pack", "g/p", nil, false},
		{"GET", "/g/p/info/refs?service=git-receive-pack", "g/p", nil, true},
		{"POST", "/g/p.git/git-upload-pack", "g/p", nil, false},
		{"POST", "/g/p.git/git-receive-pack", "g/p", nil, true},
		{"GET", "/g/p?cmd=capabilities", "g/p", nil, false},
		{"GET", "/g/p/?cmd=heads", "g/p", nil, false},
		{"POST", "/g/p?cmd=unbundle", "g/p", nil, true},
		{"POST", "/g/p?cmd=pushkey&namespace=phases", "g/p", nil, true},
		{"GET", "/g/p?cmd=batch", "g/p", http.Header{"X-Hgarg-1": {"cmds=heads+%3Bknown+nodes%3D"}}, false},
		{"GET", "/g/p?cmd=batch", "g/p", http.Header{"X-Hgarg-1": {"cmds=heads+%3Bpush"}, "X-Hgarg-2": {"key+namespace%3Dphases"}}, true},
		{"GET", "/g/p?cmd=batch&cmds=unbundle+", "g/p", nil, true},
		{"POST", "/g/p?cmd=batch", "g/p", http.Header{"X-Hgargs-Post": {"30"}}, true},
		// none of the protocols
		{"GET", "/g/p", "", nil, false},
		{"POST", "/g/p?cmd=rm", "", nil, false},
		{"GET", "/g/p?cmd=heads&cmd=unbundle", "", nil, false},
		{"GET", "/g/p?cmd=heads;cmd=unbundle", "", nil, false},
		{"GET", "/g/p.git/HEAD", "", nil, false},
		{"GET", "/g/p.git/objects/info/packs", "", nil, false},
		{"GET", "/g/p.git/info/refs", "", nil, false},
		{"GET", "/g/p.git/info/refs?service=git-upload-archive", "", nil, false},
		{"GET", "/.snapshots/g/p.git/info/refs?service=git-upload-pack", "", nil, false},
		{"GET", "/g/../p?cmd=heads", "", nil, false},
		{"PUT", "/g/p?cmd=heads", "", nil, false},
	} {
		r := httptest.NewRequest(c.method, c.target, nil)
		if c.header != nil {
			r.Header = c.header
		}
		project, ok := Project(r)
		if ok != (c.project != "") || ok && project != c.project {
			t.Errorf("%s %s: project %q %v", c.method, c.target, project, ok)
		}
		if got := WantsWrite(r); got != c.write {
			t.Errorf("%s %s: write %v", c.method, c.target, got)
		}
	}
}

// hg reads the answer to a push only after it has sent all of it.
func TestRefusedPushIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	f.create(t, "g/p", Hg)
	for expect, want := range map[string]int{"": 0, "100-continue": 5} {
		body := strings.NewReader("12345")
		r := httptest.NewRequest("POST", "/g/p?cmd=unbundle", body)
		r.Header.Set("Expect", expect)
		w := httptest.NewRecorder()
		f.Handler("g/p", "bob", false).ServeHTTP(w, r)
		if w.Code != http.StatusForbidden || body.Len() != want {
			t.Errorf("expect %q: status %d, %d bytes left, want %d", expect, w.Code, body.Len(), want)
		}
	}
}

func FuzzRequest(f *testing.F) {
	for _, s := range []string{"/g/p.git/info/refs", "/g/p", "/%2e%2e/p.git/git-upload-pack", "/g/p.git/../../x/info/refs", "/.store/hgweb.py"} {
		f.Add("GET", s, "service=git-upload-pack")
		f.Add("POST", s, "cmd=unbundle")
	}
	f.Fuzz(func(t *testing.T, method, path, query string) {
		s := &store{root: "/store"}
		r := &http.Request{Method: method, URL: &url.URL{Path: path, RawQuery: query}, Header: http.Header{}}
		w, ok := parse(r)
		if !ok {
			if WantsWrite(r) {
				t.Error("a change of nothing")
			}
			return
		}
		dir, err := s.join("", w.project, ".git")
		if err != nil || !filepath.IsLocal(w.project) || !strings.HasPrefix(dir, "/store/") || strings.Contains(dir, "/.") {
			t.Errorf("%q leads to %q, %v", path, dir, err)
		}
		if strings.Contains(query, "unbundle") && w.service == "unbundle" && !w.write {
			t.Errorf("%s %q only reads", method, query)
		}
	})
}
