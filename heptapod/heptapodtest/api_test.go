package heptapodtest_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
)

func TestProjectsOverAPI(t *testing.T) {
	s := heptapodtest.New(t)
	c := client{t: t, url: s.URL, token: s.Token}
	g := c.call("POST", "/groups", map[string]any{"name": "Group", "path": "group"}, http.StatusCreated)
	p := c.call("POST", "/projects", map[string]any{"name": "One", "path": "one", "namespace_id": g["id"]}, http.StatusCreated)
	if p["vcs_type"] != "hg" || p["path_with_namespace"] != "group/one" || p["http_url_to_repo"] != s.URL+"/group/one" || p["ssh_url_to_repo"] != "ssh://git@127.0.0.1/group/one" {
		t.Errorf("project %v", p)
	}
	p2 := c.call("POST", "/projects?name=two&vcs_type=git", nil, http.StatusCreated)
	if p2["http_url_to_repo"] != s.URL+"/root/two.git" || p2["ssh_url_to_repo"] != "git@127.0.0.1:root/two.git" {
		t.Errorf("git project %v", p2)
	}
	c.call("POST", "/projects", map[string]any{"name": "two", "vcs_type": "git"}, http.StatusBadRequest)
	c.call("POST", "/projects", map[string]any{"name": "x", "vcs_type": "hg_git"}, http.StatusBadRequest)
	c.call("POST", "/projects", map[string]any{"path": "../x"}, http.StatusBadRequest)
	stats := c.get("/projects/vcs_type_stats", 200)
	if stats["hg"] != 1.0 || stats["git"] != 1.0 || stats["hg_git"] != 0.0 {
		t.Errorf("stats %v", stats)
	}
	for i := range 5 {
		c.call("POST", "/projects", map[string]any{"name": fmt.Sprint("many", i), "vcs_type": "git"}, http.StatusCreated)
	}
	var names []string
	for path := "/projects?per_page=2&search=many"; path != ""; {
		for _, p := range c.list(path) {
			names = append(names, p["path"].(string))
		}
		if c.header.Get("X-Total") != "5" || c.header.Get("X-Total-Pages") != "3" {
			t.Fatalf("headers %v", c.header)
		}
		path = ""
		if next := c.header.Get("X-Next-Page"); next != "" {
			path = "/projects?per_page=2&search=many&page=" + next
			if !strings.Contains(c.header.Get("Link"), `rel="next"`) {
				t.Errorf("link %q", c.header.Get("Link"))
			}
		}
	}
	slices.Sort(names)
	if got := strings.Join(names, " "); got != "many0 many1 many2 many3 many4" {
		t.Errorf("pages hold %s", got)
	}
	c.call("PUT", "/projects/group%2Fone/hgrc", map[string]any{"auto_publish": "nothing", "inherit": true}, 200)
	c.call("PUT", "/projects/group%2Fone/hgrc", map[string]any{"auto_publish": "all"}, 200)
	if got := c.get("/projects/group%2Fone/hgrc", 200); got["auto_publish"] != "all" || got["inherit"] != nil {
		t.Errorf("hgrc %v: PUT erases what it does not name", got)
	}
	c.call("DELETE", "/projects/group%2Fone", nil, http.StatusAccepted)
	c.get("/projects/group%2Fone", http.StatusNotFound)
	c.call("POST", "/projects", map[string]any{"name": "one", "namespace_id": g["id"]}, http.StatusCreated)

	plain := heptapodtest.New(t, heptapodtest.WithConfig(func(c *heptapodtest.Config) { c.Plain = true }))
	c = client{t: t, url: plain.URL, token: plain.Token}
	c.get("/projects/vcs_type_stats", http.StatusNotFound)
}

func TestVariablesOverAPI(t *testing.T) {
	s := heptapodtest.New(t)
	s.CreateProject(t, "g/p", "git")
	c := client{t: t, url: s.URL, token: s.Token}
	const base = "/projects/g%2Fp/variables"
	c.call("POST", base, map[string]any{"key": "A", "value": "one"}, 201)
	c.call("POST", base, map[string]any{"key": "A", "value": "two"}, 400)
	c.call("POST", base, map[string]any{"key": "B-C", "value": "x"}, 400)
	c.call("POST", base, map[string]any{"key": "M", "value": "short", "masked": true}, 400)
	c.call("PUT", base+"/A", map[string]any{"value": "three", "variable_type": "file"}, 200)
	if got := c.get(base+"/A", 200); got["value"] != "three" || got["variable_type"] != "file" || got["environment_scope"] != "*" {
		t.Errorf("variable %v", got)
	}
	if got := c.list(base); len(got) != 1 {
		t.Errorf("%d variables", len(got))
	}
	c.call("DELETE", base+"/A", nil, 204)
	c.get(base+"/A", 404)
}

func TestRunnersOverAPI(t *testing.T) {
	s := heptapodtest.New(t, heptapodtest.WithRegistrationToken("GR1348941legacy"))
	c := client{t: t, url: s.URL, token: s.Token}
	made := c.call("POST", "/user/runners", map[string]any{"runner_type": "instance_type", "description": "d", "tag_list": "b,a"}, 201)
	path := fmt.Sprintf("/runners/%v", made["id"])
	if got := c.get(path, 200); got["status"] != "never_contacted" || got["online"] != false || fmt.Sprint(got["tag_list"]) != "[a b]" {
		t.Errorf("runner %v", got)
	}
	r := runner{dialect: newest(), client: client{t: t, url: s.URL}, token: made["token"].(string)}
	r.do("POST", "/runners/verify", r.body(nil), nil)
	if got := c.get(path, 200); got["status"] != "online" || got["version"] != "19.4" || got["contacted_at"] == nil {
		t.Errorf("runner after contact %v", got)
	}
	if got := c.list("/runners/all?status=online&tag_list=a,b&type=instance_type"); len(got) != 1 {
		t.Errorf("%d runners found", len(got))
	}
	if got := c.list("/runners/all?status=offline"); len(got) != 0 {
		t.Errorf("%d runners offline", len(got))
	}
	if got := c.list(path + "/managers"); len(got) != 1 || got[0]["system_id"] != "s_0123456789ab" {
		t.Errorf("managers %v", got)
	}
	c.call("PUT", path, map[string]any{"paused": true, "tag_list": []string{"x"}}, 200)
	if got := c.list("/runners/all?status=paused&tag_list=x"); len(got) != 1 {
		t.Errorf("%d runners paused", len(got))
	}
	old := r.token
	r.token = c.call("POST", path+"/reset_authentication_token", nil, 201)["token"].(string)
	c.call("POST", "/runners/verify", map[string]any{"token": old}, 403)
	r.token = c.call("POST", "/runners/reset_authentication_token", map[string]any{"token": r.token}, 201)["token"].(string)
	c.call("DELETE", "/runners/managers", map[string]any{"token": r.token, "system_id": "s_0123456789ab"}, 204)
	c.call("POST", "/runners/verify", map[string]any{"token": r.token}, 200)
	c.call("DELETE", path, nil, 204)
	c.call("POST", "/runners/verify", map[string]any{"token": r.token}, 403)

	// Registration tokens.
	c.call("POST", "/runners", map[string]any{"token": "wrong"}, 403)
	legacy := c.call("POST", "/runners", map[string]any{"token": "GR1348941legacy", "tag_list": "a,b", "run_untagged": false}, 201)
	if strings.HasPrefix(legacy["token"].(string), "glrt-") {
		t.Error("a legacy runner got a token glrt-")
	}
	c.call("PUT", "/application/settings?allow_runner_registration_token=false", nil, 200)
	c.call("POST", "/runners", map[string]any{"token": "GR1348941legacy"}, 410)
	c.call("POST", "/runners/verify", map[string]any{"token": legacy["token"]}, 200) // existing ones keep working
	c.call("DELETE", "/runners", map[string]any{"token": legacy["token"]}, 204)
	c.call("DELETE", "/runners", map[string]any{"token": legacy["token"]}, 403)
	c.get("/runners/router/discovery", 501)
}

func TestLint(t *testing.T) {
	s := heptapodtest.New(t)
	s.CreateProject(t, "g/p", "git")
	c := client{t: t, url: s.URL, token: s.Token}
	for content, valid := range map[string]bool{simpleCI: true, "a: {script: [x], stage: nowhere}\n": false, "": false, "{": false} {
		got := c.call("POST", "/projects/g%2Fp/ci/lint", map[string]any{"content": content}, 200)
		if got["valid"] != valid || (len(got["errors"].([]any)) > 0) == valid {
			t.Errorf("%q: %v %v", content, got["valid"], got["errors"])
		}
	}
}

func TestHealthAndPages(t *testing.T) {
	s, _, id := forgeWith(t, "git", simpleCI)
	j := newRunner(t, s, newest()).take()
	j.patch("section_start:1:step_script\r\x1b[0K\x1b[32;1m$ <script>alert(1)</script>\x1b[0;m\n")
	j.put("success", nil)
	c := client{t: t, url: s.URL}
	for path, want := range map[string]int{
		"/-/health": 200, "/-/readiness": 200, "/-/readiness?all=1": 200, "/-/liveness": 200, "/users/sign_in": 200, "/help": 200,
		"/": 302, "/explore": 200, "/group/project": 302, "/group/project/-/jobs/1": 302, "/nothing/at/all": 302, "/group/project/-/jobs/1/raw": 302,
	} {
		if got, _ := c.do("GET", s.URL+path, nil, nil); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	if _, data := c.do("GET", s.URL+"/explore", nil, nil); strings.Contains(string(data), "group/project") {
		t.Error("a private project is listed for everybody")
	}
	c.token = s.Token
	for path, want := range map[string]string{
		"/": "group/project", "/group/project": id[:12], "/group/project/-/pipelines/1": "success", "/group/project/-/jobs/1": "&lt;script&gt;",
		"/group/project/-/jobs/1/raw": "section_start",
	} {
		status, data := c.do("GET", s.URL+path, nil, nil)
		if status != 200 || !strings.Contains(string(data), want) {
			t.Errorf("%s: %d without %q", path, status, want)
		}
		if path != "/group/project/-/jobs/1/raw" && strings.Contains(string(data), "<script") {
			t.Errorf("%s runs a job's output", path)
		}
	}
	if status, _ := c.do("GET", s.URL+"/group/project/-/jobs/99", nil, nil); status != 404 {
		t.Errorf("no such job: %d", status)
	}
	// The form, without JavaScript.
	c.token = ""
	sign := func(password string) int {
		form := url.Values{"user[login]": {"root"}, "user[password]": {password}}
		status, _ := c.do("POST", s.URL+"/users/sign_in", []byte(form.Encode()), map[string]string{"Content-Type": "application/x-www-form-urlencoded"})
		return status
	}
	if got := sign("wrong"); got != 401 {
		t.Errorf("wrong password: %d", got)
	}
	if got := sign(heptapodtest.TestPassword); got != 302 {
		t.Errorf("sign in: %d", got)
	}
	cookie, _, _ := strings.Cut(c.header.Get("Set-Cookie"), ";")
	if status, _ := c.do("GET", s.URL+"/group/project", nil, map[string]string{"Cookie": cookie}); status != 200 {
		t.Errorf("with the session: %d", status)
	}
}

func TestRepositoryOverAPI(t *testing.T) {
	for _, kind := range []string{"hg", "git"} {
		t.Run(kind, func(t *testing.T) {
			s := heptapodtest.New(t)
			p := s.CreateProject(t, "g/p", kind)
			id := push(t, p, filepath.Join(t.TempDir(), "w"), map[string]string{"dir/a b.txt": "hello\n", "x": "y"}, "title\n\nbody")
			c := client{t: t, url: s.URL, token: s.Token}
			base := fmt.Sprintf("/projects/%d/repository", p.ID)
			branch := url.PathEscape(branchOf(kind))
			got := c.get(base+"/branches/"+branch, 200)
			commit := got["commit"].(map[string]any)
			if got["default"] != true || commit["id"] != id || commit["title"] != "title" || commit["author_email"] != "alice@example.com" {
				t.Errorf("branch %v", got)
			}
			if got := c.list(base + "/commits"); len(got) != 1 || got[0]["id"] != id {
				t.Errorf("commits %v", got)
			}
			status, data := c.do("GET", base+"/files/dir%2Fa%20b.txt/raw?ref="+url.QueryEscape(branchOf(kind)), nil, nil)
			if status != 200 || string(data) != "hello\n" {
				t.Errorf("file: %d %q", status, data)
			}
			c.get(base+"/files/none/raw", 404)
			c.get(base+"/branches/none", 404)
			if got := c.list(base + "/tree"); len(got) != 2 {
				t.Errorf("tree %v", got)
			}
			if got := c.get("/projects/g%2Fp", 200); got["default_branch"] != branchOf(kind) || got["empty_repo"] != false {
				t.Errorf("project %v", got)
			}
		})
	}
}

// A daemon must not link the testing package.
func TestDaemonLinksNoTesting(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{.ImportPath}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range strings.Fields(string(out)) {
		if path == "testing" || strings.HasPrefix(path, "github.com/docker/docker/") {
			t.Errorf("links %s", path)
		}
	}
}

// No credential is in the data directory in clear, and none is logged or printed.
func TestSecretsStayHidden(t *testing.T) {
	dir := t.TempDir()
	var logged bytes.Buffer
	s, p, _ := forgeWith(t, "git", simpleCI, heptapodtest.WithLog(slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))),
		heptapodtest.WithConfig(func(c *heptapodtest.Config) { c.Dir = dir; c.RootPassword = heptapodtest.NewSecret("canary-password") }))
	r := newRunner(t, s, newest())
	j := r.take()
	c := client{t: t, url: s.URL, token: s.Token}
	c.do("GET", s.URL+"/jwt/auth?service=container_registry", nil, nil)
	c.do("GET", "/user?private_token=canary-wrong-token", nil, nil)
	if out, err := try(t, ".", "git", "ls-remote", strings.Replace(p.URL(), "://", "://root:canary-password@", 1)); err != nil {
		t.Fatal(out)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{"root's password": "canary-password", "root's token": s.Token, "a runner's token": r.token, "a job's token": j.Token, "a wrong token": "canary-wrong-token"}
	check := func(where string, data []byte) {
		for name, secret := range secrets {
			if bytes.Contains(data, []byte(secret)) {
				t.Errorf("%s is in %s", name, where)
			}
		}
	}
	check("the log", logged.Bytes())
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		check(path, data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := heptapodtest.Config{RootPassword: heptapodtest.NewSecret("canary-password")}
	check("the printed configuration", fmt.Appendf(nil, "%v %+v %#v", cfg, cfg, cfg))
}
