package heptapodtest_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
)

func adminOf(t *testing.T, s *heptapodtest.Server) *heptapodtest.AdminClient {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "admin.sock")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: s.AdminHandler()}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(ln) }()
	t.Cleanup(func() { server.Close(); <-done })
	return heptapodtest.NewAdminClient(socket)
}

func newKey(t *testing.T) string {
	t.Helper()
	pub, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return string(ssh.MarshalAuthorizedKey(key))
}

func TestAdmin(t *testing.T) {
	s := heptapodtest.New(t)
	a := adminOf(t, s)
	ctx := within(t)
	u, err := a.FindUser(ctx, "ROOT")
	if err != nil || u.Username != "root" || !u.Admin {
		t.Errorf("root: %+v %v", u, err)
	}
	if _, err := a.FindUser(ctx, "nobody"); !errors.Is(err, heptapodtest.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	token, err := a.MintToken(ctx, heptapodtest.TokenRequest{User: "root", Name: "hepta", Scopes: []string{"api", "sudo"}})
	if err != nil || !strings.HasPrefix(token, "glpat-") {
		t.Fatalf("token: %v", err)
	}
	c := client{t: t, url: s.URL, token: token}
	if got := c.get("/user", 200)["username"]; got != "root" {
		t.Errorf("token is of %v", got)
	}
	// A token lives and dies with its owner's right.
	if _, err := s.CreateUser("second", "second@example.com", heptapodtest.NewSecret("second-password"), true); err != nil {
		t.Fatal(err)
	}
	for _, change := range []struct {
		path   string
		body   map[string]bool
		status int
	}{
		{"/user/root/blocked", map[string]bool{"blocked": true}, 403}, {"/user/root/blocked", map[string]bool{"blocked": false}, 200},
		{"/user/root/admin", map[string]bool{"admin": false}, 403}, {"/user/root/admin", map[string]bool{"admin": true}, 200},
	} {
		if err := a.Do(ctx, http.MethodPut, change.path, change.body, nil); err != nil {
			t.Fatal(err)
		}
		if status, body := c.do("GET", "/runners/all", nil, nil); status != change.status {
			t.Errorf("%v: %d %s", change.body, status, body)
		}
	}
	var users []heptapodtest.User
	if err := a.Do(ctx, http.MethodGet, "/users", nil, &users); err != nil || len(users) != 2 || users[1].Username != "second" || !users[1].Admin || users[1].State != "active" {
		t.Errorf("users %+v, %v", users, err)
	}
	if _, err := a.MintToken(ctx, heptapodtest.TokenRequest{User: "root", Name: "x", Scopes: []string{"no"}}); err == nil || !strings.Contains(err.Error(), "available scopes") {
		t.Errorf("bad scope: %v", err)
	}
	if err := a.ResetPassword(ctx, "root", heptapodtest.NewSecret("short")); err == nil {
		t.Error("a short password was taken")
	}
	if err := a.ResetPassword(ctx, "root", heptapodtest.NewSecret("long-enough-"+strings.Repeat("x", 100))); err != nil {
		t.Error(err)
	}
	key := newKey(t)
	if err := s.AddKey("root", "k", key); err != nil {
		t.Fatal(err)
	}
	if user, err := a.AuthorizedKey(ctx, key); err != nil || user != "root" {
		t.Errorf("key is of %q, %v", user, err)
	}
	if _, err := a.AuthorizedKey(ctx, newKey(t)); !errors.Is(err, heptapodtest.ErrNotFound) {
		t.Errorf("unknown key: %v", err)
	}
	if err := s.AddKey("root", "k", key); err == nil {
		t.Error("one key was taken twice")
	}
}

// A push over ssh makes a pipeline; strangers get nowhere.
func TestSSH(t *testing.T) {
	s := heptapodtest.New(t)
	p := s.CreateProject(t, "g/p", "git")
	a := adminOf(t, s)
	if _, err := s.CreateUser("stranger", "s@example.com", heptapodtest.NewSecret("stranger-password"), false); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ user, command, want string }{
		{"stranger", "git-upload-pack 'g/p.git'", "could not be found"},
		{"root", "git-upload-pack '../../etc'", ""},
		{"root", "bash", "only hg and git"},
		{"nobody", "git-upload-pack 'g/p.git'", "not found"},
		{"root", "git-receive-pack 'g/p.git'; id", ""},
	} {
		var out, errs bytes.Buffer
		exit, err := a.SSH(within(t), c.user, c.command, strings.NewReader(""), &out, &errs)
		if err != nil || exit == 0 || !strings.Contains(errs.String(), c.want) || out.Len() > 0 {
			t.Errorf("%s: %q: exit %d, %v, stderr %q", c.user, c.command, exit, err, errs.String())
		}
	}
	var out, errs bytes.Buffer
	// A client that pushes one new ref without objects: the wire's own words.
	exit, err := a.SSH(within(t), "root", "git-receive-pack '/g/p.git'", strings.NewReader("0000"), &out, &errs)
	if err != nil || exit != 0 || !strings.Contains(out.String(), "report-status") {
		t.Errorf("receive-pack: exit %d, %v, %q %q", exit, err, out.String(), errs.String())
	}
	work := filepath.Join(t.TempDir(), "w")
	push(t, p, work, map[string]string{".gitlab-ci.yml": simpleCI}, "x")
	out.Reset()
	exit, err = a.SSH(within(t), "root", "git-upload-pack 'g/p.git'", strings.NewReader("0000"), &out, &errs)
	if err != nil || exit != 0 || !strings.Contains(out.String(), "refs/heads/main") {
		t.Errorf("upload-pack: exit %d, %v, %q", exit, err, errs.String())
	}
}
