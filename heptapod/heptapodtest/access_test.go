package heptapodtest_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
)

// everyone makes users of each kind around one private project and returns
// their tokens.
func everyone(t *testing.T, s *heptapodtest.Server, p *heptapodtest.Project) map[string]string {
	t.Helper()
	tokens := map[string]string{"root": s.Token, "anonymous": "", "wrong": "glpat-" + strings.Repeat("x", 20)}
	for name, level := range map[string]int{"stranger": 0, "guest": 10, "reporter": 20, "developer": 30, "maintainer": 40} {
		if _, err := s.CreateUser(name, name+"@example.com", heptapodtest.NewSecret(name+"-password"), false); err != nil {
			t.Fatal(err)
		}
		if level > 0 {
			if err := s.AddMember(p.Path, name, level); err != nil {
				t.Fatal(err)
			}
		}
		token, err := s.MintToken(heptapodtest.TokenRequest{User: name, Name: "t", Scopes: []string{"api"}})
		if err != nil {
			t.Fatal(err)
		}
		tokens[name] = token
	}
	return tokens
}

// Tokens do what their scopes say, until they expire or are revoked.
func TestScopesOfTokens(t *testing.T) {
	k := &clock{now: time.Now()}
	s := heptapodtest.New(t, heptapodtest.WithClock(k.Now))
	mint := func(scopes ...string) string {
		token, err := s.MintToken(heptapodtest.TokenRequest{User: "root", Name: "x", Scopes: scopes, ExpiresAt: k.Now().AddDate(0, 0, 7).Format(time.DateOnly)})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	for _, c := range []struct {
		scope, method, path string
		want                int
	}{
		{"read_api", "GET", "/runners/all", 200}, {"read_api", "POST", "/projects", 403},
		{"read_user", "GET", "/user", 200}, {"read_user", "GET", "/projects", 403},
		{"create_runner", "POST", "/user/runners", 400}, {"create_runner", "GET", "/runners/all", 403},
		{"manage_runner", "GET", "/runners/all", 200}, {"read_repository", "GET", "/user", 403},
		{"read_registry", "GET", "/personal_access_tokens/self", 200}, {"api", "GET", "/runners/all", 200},
	} {
		cl := client{t: t, url: s.URL, token: mint(c.scope)}
		if got, data := cl.do(c.method, c.path, map[string]any{}, nil); got != c.want {
			t.Errorf("%s: %s %s: %d %s, want %d", c.scope, c.method, c.path, got, data, c.want)
		}
	}
	cl := client{t: t, url: s.URL, token: mint("read_user")}
	cl.call("DELETE", "/personal_access_tokens/self", nil, http.StatusNoContent)
	cl.get("/user", http.StatusUnauthorized)
	cl.token = mint("api")
	if status, _ := (&client{t: t, url: s.URL}).do("GET", "/user", nil, map[string]string{"Authorization": "Bearer " + cl.token}); status != http.StatusOK {
		t.Errorf("bearer: %d", status)
	}
	k.pass(8 * 24 * time.Hour)
	cl.get("/user", http.StatusUnauthorized)
	for name, req := range map[string]heptapodtest.TokenRequest{
		"no such scope":  {User: "root", Name: "x", Scopes: []string{"everything"}},
		"no scope":       {User: "root", Name: "x"},
		"no such user":   {User: "nobody", Name: "x", Scopes: []string{"api"}},
		"beyond a year":  {User: "root", Name: "x", Scopes: []string{"api"}, ExpiresAt: k.Now().AddDate(2, 0, 0).Format(time.DateOnly)},
		"in the past":    {User: "root", Name: "x", Scopes: []string{"api"}, ExpiresAt: "2020-01-01"},
		"text too short": {User: "root", Name: "x", Scopes: []string{"api"}, Value: "short"},
	} {
		if token, err := s.MintToken(req); err == nil || token != "" {
			t.Errorf("%s: a token was minted", name)
		}
	}
}

// Who may fetch and push over HTTP.
func TestAccessOfRepositories(t *testing.T) {
	s, p, _ := forgeWith(t, "git", simpleCI)
	tokens := everyone(t, s, p)
	job := newRunner(t, s, newest()).take()
	other := s.CreateProject(t, "group/other", "git")
	push(t, other, filepath.Join(t.TempDir(), "w"), map[string]string{"x": "x"}, "x")
	get := func(user, secret, path string) int {
		h := map[string]string{}
		if user != "" {
			h["Authorization"] = "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+secret))
		}
		c := client{t: t, url: s.URL}
		status, _ := c.do("GET", s.URL+path, nil, h)
		if challenge := c.header.Get("WWW-Authenticate"); (status == 401) != strings.HasPrefix(challenge, "Basic realm=") {
			t.Errorf("%s %s: %d with challenge %q", user, path, status, challenge)
		}
		return status
	}
	const fetch, send = ".git/info/refs?service=git-upload-pack", ".git/info/refs?service=git-receive-pack"
	for _, c := range []struct {
		user, secret string
		fetch, send  int
	}{
		{"", "", 401, 401},
		{"root", heptapodtest.TestPassword, 200, 200},
		{"root", "wrong", 401, 401},
		{"root", "", 401, 401},
		{"root", s.Token, 200, 200},
		{"anything", s.Token, 200, 200}, // a token stands for its user
		{"guest", s.Token, 401, 401},    // but not under another's name
		{"stranger", "stranger-password", 404, 404},
		{"stranger", tokens["stranger"], 404, 404},
		{"guest", "guest-password", 404, 404},
		{"reporter", "reporter-password", 200, 403},
		{"developer", "developer-password", 200, 200},
		{"nobody", "nobody-password", 401, 401},
		{"gitlab-ci-token", job.Token, 200, 403},
		{"gitlab-ci-token", "glcbt-64_wrong", 401, 401},
		{"root", job.Token, 401, 401},
	} {
		if a, b := get(c.user, c.secret, "/group/project"+fetch), get(c.user, c.secret, "/group/project"+send); a != c.fetch || b != c.send {
			t.Errorf("%s: fetch %d, push %d; want %d, %d", c.user, a, b, c.fetch, c.send)
		}
	}
	// A job reads its own project only.
	if got := get("gitlab-ci-token", job.Token, "/group/other"+fetch); got != 404 {
		t.Errorf("job in another project: %d, want 404", got)
	}
	// What does not exist looks like what is private.
	if got := get("", "", "/group/nothing"+fetch); got != 401 {
		t.Errorf("nothing, anonymous: %d, want 401", got)
	}
	c := client{t: t, url: s.URL, token: s.Token}
	c.call("PUT", "/projects/group%2Fproject", map[string]any{"visibility": "public"}, 200)
	if a, b := get("", "", "/group/project"+fetch), get("", "", "/group/project"+send); a != 200 || b != 401 {
		t.Errorf("public, anonymous: fetch %d, push %d; want 200, 401", a, b)
	}
	if got := get("root", "wrong", "/group/project"+fetch); got != 401 {
		t.Errorf("public with a wrong password: %d, want 401", got)
	}
}

// registryAccess asks for a token and returns what it grants.
func registryAccess(t *testing.T, s *heptapodtest.Server, user, secret string, scopes ...string) (int, string) {
	t.Helper()
	h := map[string]string{}
	if user != "" {
		h["Authorization"] = "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+secret))
	}
	c := client{t: t, url: s.URL}
	status, data := c.do("GET", s.URL+"/jwt/auth?"+url.Values{"service": {"container_registry"}, "scope": scopes}.Encode(), nil, h)
	return status, grants(t, data)
}

func grants(t *testing.T, data []byte) string {
	t.Helper()
	var out struct {
		Token     string
		ExpiresIn int `json:"expires_in"`
	}
	if json.Unmarshal(data, &out) != nil || out.Token == "" {
		return ""
	}
	parts := strings.Split(out.Token, ".")
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Iss, Aud, Sub string
		Access        []struct {
			Name    string
			Actions []string
		}
	}
	if err := json.Unmarshal(body, &claims); err != nil {
		t.Fatal(err)
	}
	if claims.Iss != "omnibus-gitlab-issuer" || claims.Aud != "container_registry" || out.ExpiresIn != 300 {
		t.Errorf("claims %+v, expires_in %d", claims, out.ExpiresIn)
	}
	var all []string
	for _, a := range claims.Access {
		all = append(all, a.Name+":"+strings.Join(a.Actions, ","))
	}
	return strings.Join(all, " ")
}

func TestAccessOfRegistry(t *testing.T) {
	s, p, _ := forgeWith(t, "git", simpleCI, heptapodtest.WithRegistry("http://registry.test"))
	tokens := everyone(t, s, p)
	job := newRunner(t, s, newest()).take()
	s.CreateProject(t, "group/other", "hg")
	only := func(scope string) string {
		token, err := s.MintToken(heptapodtest.TokenRequest{User: "root", Name: "x", Scopes: []string{scope}})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	const own, sub, all = "repository:group/project:pull,push", "repository:group/project/a/b:pull,push", "registry:catalog:*"
	for _, c := range []struct {
		user, secret, scope string
		status              int
		want                string
	}{
		{"", "", own, 403, ""},
		{"", "", "", 403, ""},
		{"root", "wrong", own, 401, ""},
		{"root", heptapodtest.TestPassword, "", 200, ""},
		{"root", heptapodtest.TestPassword, own, 200, "group/project:pull,push"},
		{"root", heptapodtest.TestPassword, sub, 200, "group/project/a/b:pull,push"},
		{"root", heptapodtest.TestPassword, all, 200, "catalog:*"},
		{"root", heptapodtest.TestPassword, "repository:group/project:delete", 200, "group/project:delete"},
		{"root", heptapodtest.TestPassword, "repository:group:push", 200, ""},
		{"root", heptapodtest.TestPassword, "repository:nothing/here:push", 200, ""},
		{"root", heptapodtest.TestPassword, "repository:group/../group/project:push", 200, ""},
		{"root", only("read_registry"), own, 200, "group/project:pull"},
		{"root", only("write_registry"), own, 200, "group/project:pull,push"},
		{"root", only("read_user"), own, 401, ""},
		{"developer", "developer-password", own, 200, "group/project:pull,push"},
		{"developer", "developer-password", all, 200, ""},
		{"reporter", tokens["reporter"], own, 200, "group/project:pull"},
		{"guest", "guest-password", own, 200, ""},
		{"stranger", "stranger-password", own, 200, ""},
		{"gitlab-ci-token", job.Token, sub, 200, "group/project/a/b:pull,push"},
		{"gitlab-ci-token", job.Token, "repository:group/project:delete,*", 200, ""},
		{"gitlab-ci-token", job.Token, "repository:group/other:pull,push", 200, ""},
		{"gitlab-ci-token", job.Token, all, 200, ""},
		{"gitlab-ci-token", "glcbt-64_wrong", own, 401, ""},
	} {
		var scopes []string
		if c.scope != "" {
			scopes = []string{c.scope}
		}
		if status, got := registryAccess(t, s, c.user, c.secret, scopes...); status != c.status || got != c.want {
			t.Errorf("%s %s: %d %q, want %d %q", c.user, c.scope, status, got, c.status, c.want)
		}
	}
	// Two scopes, in one parameter or in two.
	for _, scopes := range [][]string{{own, "repository:group/other:pull"}, {own + " repository:group/other:pull"}} {
		if _, got := registryAccess(t, s, "root", heptapodtest.TestPassword, scopes...); got != "group/project:pull,push group/other:pull" {
			t.Errorf("two scopes: %q", got)
		}
	}
	// The form that buildkit tries first.
	c := client{t: t, url: s.URL}
	form := url.Values{"grant_type": {"password"}, "service": {"container_registry"}, "scope": {own}, "username": {"root"}, "password": {heptapodtest.TestPassword}, "client_id": {"buildkit"}}
	status, data := c.do("POST", s.URL+"/jwt/auth", []byte(form.Encode()), map[string]string{"Content-Type": "application/x-www-form-urlencoded"})
	if got := grants(t, data); status != 200 || got != "group/project:pull,push" {
		t.Errorf("form: %d %q", status, got)
	}
	if status, _ := c.do("GET", s.URL+"/jwt/auth?service=other", nil, nil); status != 404 {
		t.Errorf("unknown service: %d, want 404", status)
	}
	job.put("success", nil)
	if status, _ := registryAccess(t, s, "gitlab-ci-token", job.Token, own); status != 401 {
		t.Errorf("token of a job that is over: %d, want 401", status)
	}
	if status, _ := registryAccess(t, heptapodtest.New(t), "root", heptapodtest.TestPassword); status != 404 {
		t.Errorf("without a registry: %d, want 404", status)
	}
}
