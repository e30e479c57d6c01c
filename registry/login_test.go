package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/fault"
)

func TestLogin(t *testing.T) {
	h := newHub(t, true)
	if err := Login(t.Context(), h.Client(), h.URL, alice); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(h.asked, ", "); got != "GET /v2/, GET /jwt/auth, GET /v2/" {
		t.Errorf("asked %s", got)
	}
	q := h.queries[0]
	if q.Get("account") != "alice" || q.Get("service") != "container_registry" || q.Has("scope") {
		t.Errorf("realm was asked %v", q)
	}
}

func TestLoginFails(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*hub)
		creds Credentials
		want  string
		is    error
	}{
		{"wrong password", func(*hub) {}, Credentials{"alice", NewSecret("wrong-" + canary)}, "denies access to alice: 401 Unauthorized: UNAUTHORIZED HTTP Basic: Access denied", ErrDenied},
		{"nobody", func(*hub) {}, Credentials{}, "missing", nil},
		{"no password", func(*hub) {}, Credentials{User: "alice"}, "missing", nil},
		{"token refused", func(h *hub) { h.root = says(401, "") }, alice, "Bearer challenge", nil},
		{"forge and registry disagree", func(h *hub) {
			h.realm = says(200, `{"token":"other-`+passport+`"}`)
		}, alice, "the registry refuses it", nil},
		{"no token", func(h *hub) { h.realm = says(200, `{}`) }, alice, "without a token", nil},
		{"no json", func(h *hub) { h.realm = says(200, passport) }, alice, "something else than a token", nil},
		{"forge fails", func(h *hub) { h.realm = says(500, "oops") }, alice, "500 Internal Server Error: oops", nil},
		{"registry fails", func(h *hub) { h.root = says(502, "") }, alice, "does not ask for a login but answers 502", nil},
		{"http realm", func(h *hub) { h.challenge = `Bearer realm="http://hg.example.org/jwt/auth"` }, alice, "is not https", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHub(t, true)
			c.spoil(h)
			path := filepath.Join(t.TempDir(), "config.json")
			err := Login(t.Context(), h.Client(), h.URL, c.creds, SaveTo(path))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v is no %v", err, c.is)
			}
			text := fault.Describe(err) + fmt.Sprintf("%+v", err)
			if strings.Contains(text, canary) || strings.Contains(text, passport) {
				t.Errorf("a secret shows: %s", text)
			}
			if _, err := os.Stat(path); err == nil {
				t.Error("bad credentials are kept")
			}
		})
	}
}

func TestPasswordIsNotSentToWhereARedirectLeads(t *testing.T) {
	h, thief := newHub(t, false), newHub(t, false)
	h.realm = redirects(thief.URL + "/jwt/auth")
	if err := Login(t.Context(), nil, h.URL, alice); err == nil {
		t.Error("it went through")
	}
	if len(thief.asked) > 0 {
		t.Errorf("asked elsewhere: %v", thief.asked)
	}
}

func TestSave(t *testing.T) {
	const auth = "YWxpY2U6czNjcjN0LWNhbmFyeQ=="
	for _, c := range []struct {
		name, before, after string
		bad                 string
	}{
		{"no file", "", `{"auths":{"HOST":{"auth":"` + auth + `"}}}`, ""},
		{"empty object", `{}`, `{"auths":{"HOST":{"auth":"` + auth + `"}}}`, ""},
		{"others stay", `{"psFormat":"x","detachKeys":1e400,"auths":{"a.example":{"auth":"eA==","x":1},"HOST":{"auth":"b2xk"}},"credHelpers":{"b.example":"ecr"}}`,
			`{"auths":{"HOST":{"auth":"` + auth + `"},"a.example":{"auth":"eA==","x":1}},"credHelpers":{"b.example":"ecr"},"detachKeys":1e400,"psFormat":"x"}`, ""},
		{"null auths", `{"auths":null}`, `{"auths":{"HOST":{"auth":"` + auth + `"}}}`, ""},
		{"store", `{"credsStore":"pass"}`, `{"credsStore":"pass"}`, "docker-credential-pass"},
		{"helper", `{"credHelpers":{"HOST":"ecr"}}`, `{"credHelpers":{"HOST":"ecr"}}`, "docker-credential-ecr"},
		{"damaged", `{"auths":{"x":{"auth":"` + canary, `{"auths":{"x":{"auth":"` + canary, "not what Docker writes"},
		{"another shape", `{"auths":["` + canary + `"]}`, `{"auths":["` + canary + `"]}`, "not what Docker writes"},
		{"null", `null`, `null`, "not what Docker writes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHub(t, false)
			path := filepath.Join(t.TempDir(), "new", "config.json")
			before, after := strings.ReplaceAll(c.before, "HOST", h.host()), strings.ReplaceAll(c.after, "HOST", h.host())
			if before != "" {
				write(t, path, before)
			}
			err := Login(t.Context(), nil, h.URL, alice, SaveTo(path))
			if (err == nil) != (c.bad == "") || err != nil && !strings.Contains(err.Error(), c.bad) {
				t.Fatalf("got %v, want %q", err, c.bad)
			}
			if err != nil && strings.Contains(fault.Describe(err), canary) {
				t.Errorf("the file shows: %s", fault.Describe(err))
			}
			got, readErr := os.ReadFile(path)
			if readErr != nil {
				t.Fatal(readErr)
			}
			squeezed := strings.NewReplacer("\n", "", "\t", "", ": ", ":").Replace(string(got))
			if diff := cmp.Diff(after, squeezed); diff != "" {
				t.Error(diff)
			}
			if err != nil {
				return
			}
			if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v", info.Mode())
			}
			if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
				t.Errorf("left over: %v", left)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), fs.FileMode(0o644)); err != nil {
		t.Fatal(err)
	}
}

func TestSaveFollowsALink(t *testing.T) {
	h := newHub(t, false)
	dir := t.TempDir()
	link, real := filepath.Join(dir, "config.json"), filepath.Join(dir, "real.json")
	write(t, real, "{}")
	if err := os.Symlink("real.json", link); err != nil {
		t.Fatal(err)
	}
	if err := Login(t.Context(), nil, h.URL, alice, SaveTo(link)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v", err)
	}
	if saved, err := os.ReadFile(real); err != nil || !strings.Contains(string(saved), h.host()) {
		t.Errorf("saved %s, %v", saved, err)
	}
}

func TestDockerConfig(t *testing.T) {
	t.Setenv("HOME", "/home/alice")
	t.Setenv("DOCKER_CONFIG", "")
	if got, err := DockerConfig(); err != nil || got != "/home/alice/.docker/config.json" {
		t.Errorf("got %s, %v", got, err)
	}
	t.Setenv("DOCKER_CONFIG", "/ci/docker")
	if got, err := DockerConfig(); err != nil || got != "/ci/docker/config.json" {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestClientIsLeftAlone(t *testing.T) {
	client := new(http.Client)
	h := newHub(t, false)
	if err := Login(t.Context(), client, h.URL, alice); err != nil {
		t.Fatal(err)
	}
	if client.CheckRedirect != nil {
		t.Error("the caller's client was changed")
	}
}
