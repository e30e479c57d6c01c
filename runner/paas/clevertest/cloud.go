// Package clevertest is a Clever Cloud inside the process of a test: the part
// of its API that makes applications for jobs, with real Git repositories to
// push to, faults by script and a ledger of every application that ever was.
package clevertest

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// What the organisation is called that is there from the beginning, and what
// opens it. AddOrganisation adds others.
const (
	Organisation = "orga_07cf2ef0-c9ad-4f04-b492-94c164f95c76"
	Token        = "bb52e490-d47e-47a4-b190-73e23eb17111"
)

// TB is the part of testing.TB that New needs.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
	TempDir() string
}

// Cloud is a Clever Cloud. Its methods are safe for concurrent use.
type Cloud struct {
	URL string // of the server; the API is below /v2
	// Deploy is called, each time in a goroutine of its own, when an application
	// was pushed to for the first time. It is set before the first call.
	Deploy func(a App, files map[string][]byte)
	// Remove is called when an application was deleted, likewise.
	Remove func(a App)
	// Before, where it is set, is called instead of serving a request, and serves
	// it or not. It is set before the first call.
	Before func(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc)
	// Looks is how often an application has to be looked at until its repository
	// is there; default 2.
	Looks int

	server  *httptest.Server
	dir     string // of the repositories
	mu      sync.Mutex
	version string
	begin   string // how deployments begin
	script  []Trick
	tokens  map[string]string // of each organisation
	apps    map[string]*App
	ledger  []*App
	calls   []string
	gone    sync.WaitGroup
}

// App is an application, also one that was deleted.
type App struct {
	ID, Name string
	// Organisation is whose it is, and who pays for it.
	Organisation string
	Body         map[string]any    // as it was asked for
	Env          map[string]string // as it was set last
	Alive        bool
	Pushes       int    // commits that its repository got
	State        string // of its newest deployment: WIP, OK, FAIL; empty before the push

	looks int // until the repository is there
}

// Trick spoils the next call of a method to a path that contains Path. Tricks
// are used in their order.
type Trick struct {
	Method, Path string
	Commit       bool // it takes effect all the same
	Status       int  // answered; 0: no answer until the caller gives up
	Body         string
}

// New starts a cloud that ends with the test.
func New(t TB) *Cloud {
	t.Helper()
	return start(t, httptest.NewServer)
}

// NewTLS is New over TLS, for those who trust Certificate.
func NewTLS(t TB) *Cloud {
	t.Helper()
	return start(t, httptest.NewTLSServer)
}

func start(t TB, serve func(http.Handler) *httptest.Server) *Cloud {
	t.Helper()
	c := &Cloud{dir: t.TempDir(), version: "20240101", begin: "WIP", apps: map[string]*App{}, tokens: map[string]string{Organisation: Token}, Looks: 2}
	c.server = serve(c)
	t.Cleanup(func() {
		c.server.CloseClientConnections()
		c.server.Close()
		c.gone.Wait()
	})
	c.URL = c.server.URL
	return c
}

// Client is one that trusts the cloud.
func (c *Cloud) Client() *http.Client { return c.server.Client() }

// Certificate is the authority of a cloud over TLS, PEM.
func (c *Cloud) Certificate() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.server.Certificate().Raw})
}

// AddOrganisation makes another organisation, which its own token alone opens.
func (c *Cloud) AddOrganisation(id, token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens[id] = token
}

// Spoil adds a trick.
func (c *Cloud) Spoil(s Trick) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.script = append(c.script, s)
}

// SetVersion is that of the product Docker: applications of another one are refused.
func (c *Cloud) SetVersion(v string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version = v
}

// Begin sets how deployments from now on begin: WIP, or how they end at once.
func (c *Cloud) Begin(state string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begin = state
}

// SetState is that of an application's newest deployment.
func (c *Cloud) SetState(id, state string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.apps[id]; a != nil {
		a.State = state
	}
}

// Ledger is every application that ever was.
func (c *Cloud) Ledger() []App {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []App
	for _, a := range c.ledger {
		out = append(out, *a)
	}
	return out
}

// Alive are the applications that exist.
func (c *Cloud) Alive() (out []App) {
	for _, a := range c.Ledger() {
		if a.Alive {
			out = append(out, a)
		}
	}
	return out
}

// Calls are the calls to the API so far: method and path.
func (c *Cloud) Calls() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.calls...)
}

// Plant makes an application exist that nobody asked for.
func (c *Cloud) Plant(name string) App { return c.PlantIn(Organisation, name) }

// PlantIn is Plant in an organisation.
func (c *Cloud) PlantIn(organisation, name string) App {
	c.mu.Lock()
	defer c.mu.Unlock()
	return *c.add(organisation, name, nil)
}

func (c *Cloud) add(organisation, name string, body map[string]any) *App {
	a := &App{ID: fmt.Sprint("app_", len(c.ledger)+1), Name: name, Organisation: organisation, Body: body, Alive: true, looks: c.Looks}
	c.apps[a.ID], c.ledger = a, append(c.ledger, a)
	return a
}

// Git runs git in the repository of an application and gives what it says.
func (c *Cloud) Git(id string, args ...string) (string, error) {
	out, err := exec.Command("git", append([]string{"--git-dir", filepath.Join(c.dir, id+".git")}, args...)...).CombinedOutput()
	return string(out), err
}

func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c.Before != nil {
		c.Before(w, r, c.serve)
		return
	}
	c.serve(w, r)
}

func (c *Cloud) serve(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/git/") {
		c.serveGit(w, r)
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/v2")
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller is gone, and nothing has come of it
	}
	c.mu.Lock()
	c.calls = append(c.calls, r.Method+" "+path)
	var now *Trick
	if len(c.script) > 0 && c.script[0].Method == r.Method && strings.Contains(path, c.script[0].Path) {
		now, c.script = &c.script[0], c.script[1:]
	}
	if now == nil {
		defer c.mu.Unlock()
		c.answer(w, r, path, data)
		return
	}
	if now.Commit {
		c.answer(httptest.NewRecorder(), r, path, data)
	}
	c.mu.Unlock()
	if now.Status == 0 {
		<-r.Context().Done()
		return
	}
	w.WriteHeader(now.Status)
	fmt.Fprint(w, now.Body)
}

// serveGit is a repository that deploys what is pushed to it.
func (c *Cloud) serveGit(w http.ResponseWriter, r *http.Request) {
	id, call, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/git/"), ".git/")
	user, password, _ := r.BasicAuth()
	c.mu.Lock()
	a, known := c.apps[id], slices.Contains(slices.Collect(maps.Values(c.tokens)), password)
	there, opens := a != nil, a != nil && password == c.tokens[a.Organisation]
	c.mu.Unlock()
	if user != "Jenkins" || !known || there && !opens {
		w.Header().Set("WWW-Authenticate", "Basic")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if !there {
		http.NotFound(w, r)
		return
	}
	(&cgi.Handler{Path: "/usr/lib/git-core/git-http-backend", Root: "/git", Env: []string{"GIT_PROJECT_ROOT=" + c.dir, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=Jenkins"}}).ServeHTTP(w, r)
	if call != "git-receive-pack" {
		return
	}
	files := map[string][]byte{}
	for _, name := range []string{"Dockerfile", "runner.toml", "job.json"} {
		text, err := c.Git(id, "show", "master:"+name)
		if err != nil {
			return // nothing was pushed
		}
		files[name] = []byte(text)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if a = c.apps[id]; a == nil {
		return
	}
	if a.Pushes++; a.Pushes > 1 {
		return
	}
	a.State = c.begin
	if deploy, app := c.Deploy, *a; deploy != nil {
		c.gone.Go(func() { deploy(app, files) })
	}
}

func (c *Cloud) answer(w http.ResponseWriter, r *http.Request, path string, data []byte) {
	reply := func(status int, v any) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	refuse := func(status, code int, text string) {
		reply(status, map[string]any{"id": code, "message": text, "type": "error"})
	}
	switch path {
	case "/products/instances":
		reply(200, []map[string]any{{"name": "Go", "version": "1"}, {"name": "Docker", "version": c.version}, {"name": "Docker", "version": "old"}})
		return
	case "/products/flavors":
		reply(200, []map[string]any{
			{"name": "heptapod-runner-XS", "mem": 1024, "cpus": 1, "available": true}, {"name": "heptapod-runner-S", "mem": 2048, "cpus": 2, "available": true},
			{"name": "heptapod-runner-M", "mem": 8192, "cpus": 4, "available": true},
			{"name": "heptapod-runner-3XL", "mem": 65536, "cpus": 16, "available": false}, {"name": "S", "mem": 1, "cpus": 1, "available": true},
		})
		return
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "token ")
	if !ok || !slices.Contains(slices.Collect(maps.Values(c.tokens)), token) {
		refuse(401, 2001, "Not connected")
		return
	}
	below, _ := strings.CutPrefix(path, "/organisations/")
	organisation, rest, _ := strings.Cut(below, "/")
	if rest, ok = strings.CutPrefix(rest, "applications"); !ok || c.tokens[organisation] != token {
		refuse(403, 2002, "Not allowed")
		return
	}
	parts := strings.Split(strings.TrimPrefix(rest, "/"), "/")
	a := c.apps[parts[0]]
	switch {
	case rest == "" && r.Method == http.MethodPost:
		var body map[string]any
		_ = json.Unmarshal(data, &body)
		name, _ := body["name"].(string)
		if body["instanceVersion"] != c.version {
			refuse(400, 9017, "The specified instance does not exist")
			return
		}
		reply(200, c.shown(c.add(organisation, name, body)))
	case rest == "":
		list := []any{}
		for _, a := range c.ledger {
			if a.Alive && a.Organisation == organisation {
				list = append(list, c.shown(a))
			}
		}
		reply(200, list)
	case a == nil, a.Organisation != organisation:
		refuse(404, 4004, "The application does not exist")
	case len(parts) == 2 && parts[1] == "env" && r.Method == http.MethodPut:
		a.Env = map[string]string{}
		_ = json.Unmarshal(data, &a.Env)
		reply(200, map[string]any{"id": 328, "type": "success"})
	case len(parts) == 2 && parts[1] == "deployments":
		list := []any{}
		if a.State != "" {
			list = append(list, map[string]any{"state": a.State, "action": "DEPLOY"})
		}
		reply(200, list)
	case r.Method == http.MethodGet:
		if a.looks--; a.looks == 0 {
			if out, err := exec.Command("git", "init", "-q", "--bare", "-b", "master", filepath.Join(c.dir, a.ID+".git")).CombinedOutput(); err != nil {
				refuse(500, 1, "git init: "+err.Error()+string(out))
				return
			}
		}
		reply(200, c.shown(a))
	case r.Method == http.MethodDelete:
		a.Alive = false
		delete(c.apps, a.ID)
		if remove, app := c.Remove, *a; remove != nil {
			c.gone.Go(func() { remove(app) })
		}
		reply(200, map[string]any{"id": 302, "type": "success"})
	default:
		refuse(405, 1, "no")
	}
}

func (c *Cloud) shown(a *App) map[string]any {
	state := "CREATING"
	if a.looks <= 0 {
		state = "CREATED"
	}
	return map[string]any{"id": a.ID, "name": a.Name, "deployment": map[string]any{"httpUrl": c.URL + "/git/" + a.ID + ".git", "repoState": state}}
}
