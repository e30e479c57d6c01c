package vcs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The test binary is also the ssh program of the clients under test: it runs
// the command it is given against the store named in its environment.
func TestMain(m *testing.M) {
	if root := os.Getenv("VCS_TEST_SSH_ROOT"); root != "" {
		os.Exit(fakeSSH(root))
	}
	os.Exit(m.Run())
}

func fakeSSH(root string) int {
	s, err := Open(root)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 255
	}
	allow := func(_ string, write bool) error {
		if write && os.Getenv("VCS_TEST_SSH_READONLY") != "" {
			return errors.New("you may only read")
		}
		return nil
	}
	defer s.Close()
	exit, _ := s.SSH(context.Background(), os.Args[len(os.Args)-1], "ann", allow, os.Stdin, os.Stdout, os.Stderr)
	return exit
}

// forge is a store behind an HTTP server that lets everybody read and the
// user ann, with the password of the test, write.
type forge struct {
	*store
	url string // http://host
}

func newForge(t testing.TB) *forge {
	t.Helper()
	s, err := open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, ok := Project(r)
		if !ok {
			http.NotFound(w, r)
			return
		}
		user, pass, _ := r.BasicAuth()
		known := user == "ann" && pass == "x"
		if WantsWrite(r) && !known && user == "" {
			Drain(r)
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		s.Handler(path, user, known).ServeHTTP(w, r)
	}))
	t.Cleanup(func() { srv.Close(); s.Close() })
	return &forge{s, srv.URL}
}

func (f *forge) create(t testing.TB, path string, k Kind) {
	t.Helper()
	if err := f.Create(t.Context(), path, k); err != nil {
		t.Fatal(err)
	}
}

// lacksFiles wants none of the names to be a file, however they are written.
func (f *forge) lacksFiles(t *testing.T, path, rev string, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := f.File(t.Context(), path, rev, name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("file %q: %v, want not exist", name, err)
		}
	}
}

// lacksRevisions wants none of the words to name a revision, or to be an option
// or an expression.
func (f *forge) lacksRevisions(t *testing.T, path string, revs ...string) {
	t.Helper()
	for _, rev := range revs {
		if _, err := f.Commit(t.Context(), path, rev); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("revision %q: %v, want not exist", rev, err)
		}
	}
}

// as puts credentials into the forge's URL.
func (f *forge) as(user string) string {
	return strings.Replace(f.url, "://", "://"+user+":x@", 1)
}

// client runs the host's own hg and git, without anybody's configuration.
type client struct {
	t   *testing.T
	dir string
	env []string
}

func newClient(t *testing.T) *client {
	t.Helper()
	home := t.TempDir()
	rc := "[ui]\nusername = Ann <ann@example.org>\ninteractive = false\n[auth]\n"
	for name, text := range map[string]string{
		"hgrc":      rc,
		"gitconfig": "[user]\nname = Ann\nemail = ann@example.org\n[init]\ndefaultBranch = main\n[protocol]\nversion = 2\n",
	} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &client{t, t.TempDir(), []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "HGPLAIN=1", "LC_ALL=C.UTF-8",
		"HGRCPATH=" + filepath.Join(home, "hgrc"), "GIT_CONFIG_GLOBAL=" + filepath.Join(home, "gitconfig"),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
	}}
}

func (c *client) in(dir string) *client {
	d := *c
	d.dir = filepath.Join(c.dir, dir)
	return &d
}

func (c *client) try(args ...string) (string, error) {
	cmd := exec.CommandContext(c.t.Context(), args[0], args[1:]...)
	cmd.Dir, cmd.Env = c.dir, c.env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return strings.TrimSpace(out.String()), err
}

func (c *client) run(args ...string) string {
	c.t.Helper()
	out, err := c.try(args...)
	if err != nil {
		c.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (c *client) write(name, text string) {
	c.t.Helper()
	name = filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// ssh makes the client use the test binary in ssh's place.
func (c *client) ssh(root string, readonly bool) *client {
	d := *c
	self, err := os.Executable()
	if err != nil {
		c.t.Fatal(err)
	}
	d.env = append(append([]string{}, c.env...), "VCS_TEST_SSH_ROOT="+root, "GIT_SSH_COMMAND="+self, "GIT_SSH_VARIANT=simple")
	if readonly {
		d.env = append(d.env, "VCS_TEST_SSH_READONLY=1")
	}
	return &d
}

// noise is text of n bytes that does not compress, the same each time.
func noise(n int) string {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	for i := 0; i+8 <= n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
	return string(b)
}

func names(refs []Ref) string {
	var list []string
	for _, r := range refs {
		n := r.Name
		if r.Tag {
			n = "tag:" + n
		}
		list = append(list, n)
	}
	return strings.Join(list, " ")
}

func get(t testing.TB, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}
