package heptapodtest_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
)

// grounds is a private project with one job that is over, one that runs and one
// that runs in another project, and what callers may show for themselves.
type grounds struct {
	s              *heptapodtest.Server
	id             int64 // of the project
	over, runs     *heldJob
	other          *heldJob
	runner, second string
	ids            map[string]any // of what there is to be deleted
	users          map[string]string
	dead           map[string]string
}

func newGrounds(t *testing.T) *grounds {
	t.Helper()
	k := &clock{now: time.Now()}
	registry := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(registry.Close)
	s, p, _ := forgeWith(t, "git", simpleCI, heptapodtest.WithClock(k.Now), heptapodtest.WithRegistry(registry.URL), heptapodtest.WithRegistrationToken("registration"))
	admin := client{t: t, url: s.URL, token: s.Token}
	dead := map[string]string{"wrong": "glpat-" + strings.Repeat("x", 20)}
	for name, days := range map[string]int{"expired": 3, "revoked": 30} {
		token, err := s.MintToken(heptapodtest.TokenRequest{User: "root", Name: name, Scopes: []string{"api"}, ExpiresAt: k.Now().AddDate(0, 0, days).Format(time.DateOnly)})
		if err != nil {
			t.Fatal(err)
		}
		dead[name] = token
	}
	if err := s.RevokeToken(dead["revoked"]); err != nil {
		t.Fatal(err)
	}
	k.pass(4 * 24 * time.Hour)
	again(t, s, p)
	r := newRunner(t, s, newest())
	g := &grounds{s: s, id: p.ID, ids: map[string]any{}, users: everyone(t, s, p), dead: dead}
	g.over = r.take()
	g.over.patch("said\n")
	g.over.upload("archive", "zip", "a.zip", zipBytes)
	g.over.put("success", nil)
	g.runs = r.take()
	g.runner = r.token
	second := newRunner(t, s, newest(), "second")
	g.second = second.token
	// The two jobs wait in projects of their own, apart from each other.
	q := s.CreateProject(t, "elsewhere/other", "git")
	push(t, q, t.TempDir()+"/w", map[string]string{".gitlab-ci.yml": simpleCI}, "x")
	g.other = r.take()

	g.dead["a runner's"] = g.runner

	admin.call("POST", fmt.Sprintf("/projects/%d/variables", p.ID), map[string]any{"key": "KEY", "value": "v"}, 201)
	for _, name := range []string{"empty", "member"} {
		out := admin.call("POST", "/groups", map[string]any{"name": name, "path": name}, 201)
		g.ids[name] = out["id"]
	}
	doomed := s.CreateProject(t, "doomed/project", "hg")
	if err := s.AddMember(doomed.Path, "maintainer", 40); err != nil {
		t.Fatal(err)
	}
	g.ids["doomed"] = doomed.ID
	g.ids["runner"] = admin.call("POST", "/user/runners", map[string]any{"runner_type": "project_type", "project_id": p.ID}, 201)["id"]
	g.ids["root"] = admin.get("/user", 200)["id"]
	g.ids["guest"] = admin.list("/users?username=guest")[0]["id"]
	own := admin.call("POST", fmt.Sprintf("/users/%v/personal_access_tokens", g.ids["root"]), map[string]any{"name": "x", "scopes": []string{"api"}}, 201)
	g.ids["token"] = own["id"]
	g.ids["pipeline"] = again(t, s, p)
	g.ids["pending"] = admin.list(fmt.Sprintf("/projects/%d/pipelines/%v/jobs", p.ID, g.ids["pipeline"]))[0]["id"]
	return g
}

// replacer puts the numbers of the grounds into a row.
func (g *grounds) replacer() *strings.Replacer {
	pairs := []string{"{p}", fmt.Sprint(g.id), "{over}", fmt.Sprint(g.over.ID), "{runs}", fmt.Sprint(g.runs.ID)}
	for name, id := range g.ids {
		pairs = append(pairs, "{"+name+"}", fmt.Sprint(id))
	}
	return strings.NewReplacer(pairs...)
}

// as asks as somebody and gives the status.
func (g *grounds) as(t *testing.T, who, method, path, body string) int {
	t.Helper()
	c := client{t: t, url: g.s.URL}
	h := map[string]string{}
	switch {
	case who == "job":
		h["JOB-TOKEN"] = g.runs.Token
	case who == "other job":
		h["JOB-TOKEN"] = g.other.Token
	case who == "job over":
		h["JOB-TOKEN"] = g.over.Token
	case g.dead[who] != "":
		c.token = g.dead[who]
	default:
		c.token = g.users[who]
	}
	var send any
	if body != "" {
		send = body
	}
	if !strings.HasPrefix(path, "/api/") {
		path = g.s.URL + path
	} else {
		path = strings.TrimPrefix(path, "/api/v4")
	}
	status, _ := c.do(method, path, send, h)
	return status
}

// Every route of the API and every page, by every kind of credential. A route
// without a row fails the test. Credentials that are dead (a token that is
// wrong, expired, revoked or a runner's, that of a job that is over) open
// nothing more than the column says.
func TestAccessOfEveryRoute(t *testing.T) {
	g := newGrounds(t)
	columns := []string{"anonymous", "dead", "stranger", "guest", "reporter", "developer", "maintainer", "job", "other job", "root"}
	replace := g.replacer()
	rows := accessRows()
	served := g.s.Patterns()
	for _, row := range rows {
		if !slices.Contains(served, row.route) {
			t.Errorf("%s: no such route", row.route)
		}
		method, path, _ := strings.Cut(row.route, " ")
		if row.path != "" {
			path = replace.Replace(row.path)
		}
		var got []string
		for _, who := range columns {
			if who != "dead" {
				got = append(got, fmt.Sprint(g.as(t, who, method, path, replace.Replace(row.body))))
				continue
			}
			var all []string
			for _, name := range []string{"wrong", "expired", "revoked", "a runner's", "job over"} {
				all = append(all, fmt.Sprint(g.as(t, name, method, path, replace.Replace(row.body))))
			}
			if len(slices.Compact(slices.Clone(all))) == 1 {
				all = all[:1]
			}
			got = append(got, strings.Join(all, "/"))
		}
		if line := strings.Join(got, " "); line != row.want {
			t.Errorf("%s %s\n got %s\nwant %s\n     %s", method, path, line, row.want, strings.Join(columns, " "))
		}
	}
	for _, pattern := range served {
		if !slices.ContainsFunc(rows, func(r accessRow) bool { return r.route == pattern }) && !slices.Contains(runnerRoutes(), pattern) {
			t.Errorf("%s has no row: say who may call it", pattern)
		}
	}
}

// accessRow is a route, an example of it and who gets which status. Who may
// delete something does, and those to the right find it gone.
type accessRow struct {
	route, path, body, want string
}

// What runners call, by whose token is shown: their own protocol looks for it in
// other places, and knows no users.
func TestAccessOfRunnersProtocol(t *testing.T) {
	g := newGrounds(t)
	columns := []string{"none", "wrong", "registration", "root's", "runner's", "other runner's", "job", "other job", "job over"}
	tokens := map[string]string{
		"none": "", "registration": "registration", "wrong": "glrt-" + strings.Repeat("x", 20), "root's": g.s.Token, "runner's": g.runner, "other runner's": g.second,
		"job": g.runs.Token, "other job": g.other.Token, "job over": g.over.Token,
	}
	rows := protocolRows()
	for _, row := range rows {
		method, path, _ := strings.Cut(row.route, " ")
		if row.path != "" {
			path = g.replacer().Replace(row.path)
		}
		var got []string
		for _, who := range columns {
			h := map[string]string{"Content-Range": "0-0"}
			if who != "none" {
				h["RUNNER-TOKEN"], h["JOB-TOKEN"], h["PRIVATE-TOKEN"] = tokens[who], tokens[who], tokens[who]
			}
			c := client{t: t, url: g.s.URL}
			status, data := c.do(method, strings.TrimPrefix(path, "/api/v4"), strings.ReplaceAll(row.body, "{token}", tokens[who]), h)
			got = append(got, fmt.Sprint(status))
			var out struct{ Token string }
			if strings.HasSuffix(path, "/reset_authentication_token") && json.Unmarshal(data, &out) == nil && out.Token != "" {
				tokens[who] = out.Token
			}
		}
		if line := strings.Join(got, " "); line != row.want {
			t.Errorf("%s %s %s\n got %s\nwant %s\n     %s", method, path, row.body, line, row.want, strings.Join(columns, ", "))
		}
	}
	for _, route := range runnerRoutes() {
		if !slices.ContainsFunc(rows, func(r accessRow) bool { return r.route == route }) {
			t.Errorf("%s has no row: say who may call it", route)
		}
	}
}

// What is dead is so for hg, git and the registry as well.
func TestDeadCredentialsOpenNothing(t *testing.T) {
	g := newGrounds(t)
	dead := map[string]string{"gitlab-ci-token": g.over.Token}
	for name, token := range g.dead {
		dead[name] = token
	}
	c := client{t: t, url: g.s.URL}
	for name, secret := range dead {
		for _, user := range []string{"root", "gitlab-ci-token"} {
			h := map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+secret))}
			for _, path := range []string{
				"/group/project.git/info/refs?service=git-upload-pack", "/group/project.git/info/refs?service=git-receive-pack",
				"/doomed/project?cmd=capabilities", "/doomed/project?cmd=unbundle", "/jwt/auth?service=container_registry&scope=repository:group/project:pull",
			} {
				if status, _ := c.do("GET", g.s.URL+path, nil, h); status != http.StatusUnauthorized {
					t.Errorf("%s, a token that is %s, as %s: %d, want 401", path, name, user, status)
				}
			}
		}
	}
}
