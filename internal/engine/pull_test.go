package engine

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/docker/docker/api/types/registry"

	"github.com/heptaup/hepta/internal/fault"
)

// noConfig keeps the configuration of whoever runs the tests out of them.
func noConfig(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	return dir
}

func TestPullTriesAgain(t *testing.T) {
	noConfig(t)
	synctest.Test(t, func(t *testing.T) {
		f, rec := newFake(), &recorder{}
		f.pulls = []string{"refused: Get https://x/v2/: net/http: TLS handshake timeout", `{"error":"toomanyrequests: slow down"}`, `{"status":"Pull complete","id":"a"}`}
		if err := New(f, nil, rec.sink).Pull(t.Context(), "traefik:v3"); err != nil {
			t.Fatal(err)
		}
		if n := f.count("pull traefik:v3"); n != 3 {
			t.Errorf("%d tries, want 3", n)
		}
		if !rec.saw("toomanyrequests: slow down, trying again") {
			t.Error("nobody was told why it takes longer")
		}
	})
}

func TestPullGivesUp(t *testing.T) {
	noConfig(t)
	for text, c := range map[string]struct {
		tries     int
		why, help string
	}{
		"Get https://registry-1.docker.io/v2/: dial tcp: lookup registry-1.docker.io: no such host":       {1, "the registry docker.io cannot be reached", "docker load"},
		"pull access denied for x, repository does not exist or may require 'docker login'":               {1, "does not let this account have it", "docker login docker.io"},
		"unauthorized: HTTP Basic: Access denied":                                                         {1, "does not let this account have it", "docker login docker.io"},
		"manifest for traefik:v3 not found: manifest unknown":                                             {1, "the registry has no such image", "Check the name and the tag"},
		"no matching manifest for linux/arm64/v8 in the manifest list entries":                            {1, "kind of processor", "another image"},
		"write /var/lib/docker/tmp/x: no space left on device":                                            {1, "disk is full", "docker image prune"},
		"toomanyrequests: You have reached your pull rate limit":                                          {pullTries, "too many requests", "docker login docker.io"},
		"Get https://registry-1.docker.io/v2/: context deadline exceeded (Client.Timeout exceeded while)": {pullTries, "broke", "Run again"},
		"something else": {1, "something else", "docker load"},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			for range pullTries {
				f.pulls = append(f.pulls, "refused: "+text)
			}
			err := New(f, nil, nil).Pull(t.Context(), "traefik:v3")
			var fl *fault.Error
			if !errors.As(err, &fl) || !strings.HasPrefix(err.Error(), "pull image traefik:v3: ") || !strings.Contains(err.Error(), c.why) || !strings.Contains(fl.Remedy, c.help) {
				t.Errorf("%s\ngives %s", text, fault.Describe(err))
			}
			if n := f.count("pull traefik:v3"); n != c.tries {
				t.Errorf("%s: %d tries, want %d", text, n, c.tries)
			}
		})
	}
}

func TestPullEnds(t *testing.T) {
	noConfig(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.pulls = []string{"refused: timeout"}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- New(f, nil, nil).Pull(ctx, "x") }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
	})
}

func TestPullMeter(t *testing.T) {
	var current, total int64
	m := &pullMeter{layers: make(map[string]layer), send: func(_ string, c, t int64) { current, total = c, t }}
	for _, msg := range []string{
		`{"status":"Pulling from library/x","id":"latest"}`,
		`{"status":"Downloading","id":"a","progressDetail":{"current":10,"total":100}}`,
		`{"status":"Downloading","id":"b","progressDetail":{"current":50,"total":300}}`,
		`{"status":"Download complete","id":"a"}`,
		`{"status":"Extracting","id":"b","progressDetail":{"current":1,"total":300}}`,
		`{"status":"Digest: sha256:1"}`,
	} {
		m.last = m.last.Add(-pullBeat)
		if err := m.read(strings.NewReader(msg)); err != nil {
			t.Fatal(err)
		}
		m.last = m.last.Add(-2 * pullBeat)
	}
	if current != 400 || total != 400 {
		t.Errorf("at the end %d of %d, want 400 of 400", current, total)
	}
	if err := m.read(strings.NewReader("{")); err == nil {
		t.Error("half a message is no error")
	}
}

func FuzzPullMeter(f *testing.F) {
	f.Add(`{"status":"Downloading","id":"a","progressDetail":{"current":10,"total":100}}`)
	f.Add(`{"status":"Extracting","id":"a","progressDetail":{"current":-1,"total":9223372036854775807}}{}`)
	f.Fuzz(func(t *testing.T, text string) {
		m := &pullMeter{layers: make(map[string]layer), send: func(string, int64, int64) {}}
		_ = m.read(strings.NewReader(text))
	})
}

func TestCredentials(t *testing.T) {
	dir := noConfig(t)
	bin := t.TempDir()
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	script := "#!/bin/sh\nread host\ncase $host in\n" +
		"store.example) echo '{\"Username\":\"stored\",\"Secret\":\"s\"}';;\n" +
		"token.example) echo '{\"Username\":\"<token>\",\"Secret\":\"identity\"}';;\n" +
		"broken.example) echo nonsense;;\n" +
		"*) echo credentials not found in native keychain; exit 1;;\nesac\n"
	if err := os.WriteFile(filepath.Join(bin, "docker-credential-test"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	config := `{"credHelpers":{"store.example":"test","token.example":"test","broken.example":"test","helper.example":"missing"},"auths":{
		"https://index.docker.io/v1/":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("hub:pass:word")) + `"},
		"https://old.example/v1/":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("old:x")) + `"},
		"plain.example":{"username":"alice","password":"s3cret"}, "identity.example":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("u:")) + `","identitytoken":"refresh"},
		"registry.example":{"registrytoken":"bearer"}, "bad.example":{"auth":"%%%"}, "store.example":{}}}`
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]registry.AuthConfig{
		"traefik:v3":            {Username: "hub", Password: "pass:word", ServerAddress: hubKey},
		"old.example/a/b:1":     {Username: "old", Password: "x", ServerAddress: "old.example"},
		"store.example/a:1":     {Username: "stored", Password: "s", ServerAddress: "store.example"},
		"token.example/a:1":     {IdentityToken: "identity", ServerAddress: "token.example"},
		"plain.example/a:1":     {Username: "alice", Password: "s3cret", ServerAddress: "plain.example"},
		"identity.example/a:1":  {Username: "u", IdentityToken: "refresh", ServerAddress: "identity.example"},
		"registry.example/a:1":  {RegistryToken: "bearer", ServerAddress: "registry.example"},
		"nobody.example:5000/a": {},
	} {
		got, err := registryAuth(t.Context(), ref)
		if err != nil {
			t.Errorf("%s: %v", ref, err)
			continue
		}
		var auth registry.AuthConfig
		if got != "" {
			raw, err := base64.URLEncoding.DecodeString(got)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(raw, &auth); err != nil {
				t.Fatal(err)
			}
		}
		if auth != want {
			t.Errorf("%s: other credentials than expected (user %q)", ref, auth.Username)
		}
	}
	for _, ref := range []string{"bad.example/x", "helper.example/x", "broken.example/x"} {
		if _, err := registryAuth(t.Context(), ref); err == nil || strings.Contains(err.Error(), "%%%") {
			t.Errorf("%s: error is %v", ref, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := registryAuth(t.Context(), "plain.example/a:1"); err != nil || got != "" {
		t.Errorf("an empty file: %v", err)
	}
}
