package runner

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/progress"
)

func TestBuildRefuses(t *testing.T) {
	dir := tree(t, map[string]string{"Dockerfile": "FROM scratch"})
	here := Source{Dir: dir}
	for want, o := range map[string]BuildOptions{
		"images are built in the modes":               {Source: here, Mode: Plain},
		"lies outside the context":                    {Source: here, Dockerfile: "../Dockerfile"},
		"it has no file none":                         {Source: here, Dockerfile: "none"},
		"that is no directory":                        {Source: Source{Dir: filepath.Join(dir, "Dockerfile")}},
		"that is no name for an image":                {Source: here, Tags: []string{"a", "a b"}},
		"a digest is what comes of a build":           {Source: here, Tags: []string{"a@sha256:" + strings.Repeat("0", 64)}},
		"without a name it cannot be pushed":          {Source: here, Push: true},
		"no variable with a value":                    {Source: here, Args: []string{"canary"}},
		"the Engine keeps a cache of its own":         {Source: here, Cache: "c"},
		"that is no name for a volume":                {Source: here, Mode: Dind, Cache: "/srv"},
		"hold no base image with what is built on":    {Source: here, Mode: Dind, Cache: "cache", CacheSize: 1},
		"and no cache":                                {Source: here, Mode: Dind, CacheSize: 1 << 40},
		"bytes hold no base":                          {Source: here, Mode: Dind, Cache: "cache", CacheSize: -1},
		"with image A B":                              {Source: here, Image: "A B"},
		"no path of a socket":                         {Source: here, Socket: "docker.sock"},
		"x: that is no path of a socket":              {Source: here, Socket: "/run/docker.sock:/x"},
		"no name of a stage":                          {Source: here, Target: "a b"},
		"no name of a file":                           {Source: here, Dockerfile: "a\nb"},
		"..: the Dockerfile lies outside":             {Source: here, Dockerfile: ".."},
		"argument WORD: its value is no text":         {Source: here, Args: []string{"WORD=canary\x00"}},
		"not both":                                    {Source: Source{Dir: dir, Tracked: true, Revision: "1"}},
		"no name of a revision":                       {Source: Source{Dir: dir, Revision: "a\nb"}},
		"no host, as images name it":                  {Source: here, Registry: BuildRegistry{Host: "https://a"}},
		"holds no certificate":                        {Source: here, Registry: BuildRegistry{Host: "a.b", CA: []byte("canary")}},
		"its host is missing":                         {Source: here, Registry: BuildRegistry{Plain: true}},
		"with host name a:1":                          {Source: here, Registry: BuildRegistry{Names: []string{"a:1"}}},
		"the id of secret 1 is no name":               {Source: here, Secrets: []BuildSecret{{ID: "canary,src=/etc", Value: NewSecret("canary")}}},
		"two of that id":                              {Source: here, Secrets: []BuildSecret{{"a", NewSecret("canary")}, {"a", NewSecret("canary")}}},
		"secret a: it is empty":                       {Source: here, Secrets: []BuildSecret{{ID: "a"}}},
		"more than 500 KiB":                           {Source: here, Secrets: []BuildSecret{{"a", NewSecret(strings.Repeat("canary", 100_000))}}},
		"to be no cache":                              {Source: here, NoCache: true, CacheFrom: []string{"a.b/c"}},
		"from type=registry,ref=: its ref is no":      {Source: here, CacheFrom: []string{"type=registry,ref="}},
		"from a=b: the keys of a cache":               {Source: here, CacheFrom: []string{"a=b"}},
		"from type=local: the types of a cache":       {Source: here, CacheFrom: []string{"type=local"}},
		"found by the image's name":                   {Source: here, CacheFrom: []string{"type=inline"}},
		"from a.b/c:1: buildah keeps":                 {Source: here, Mode: Rootless, CacheFrom: []string{"a.b/c:1"}},
		"to type=registry,ref=a.b/c:1: buildah keeps": {Source: here, Mode: Rootless, CacheTo: []string{"type=registry,ref=a.b/c:1"}},
		"buildah keeps no cache in an image":          {Source: here, Mode: Rootless, CacheTo: []string{"type=inline"}},
		"to a.b/c: a Docker daemon keeps":             {Source: here, Mode: Dind, CacheTo: []string{"a.b/c"}},
		"is the image that is pushed":                 {Source: here, CacheTo: []string{"type=inline,ref=a"}},
		"nobody finds a cache":                        {Source: here, CacheTo: []string{"type=inline"}},
	} {
		_, err := Build(t.Context(), o, WithHost("tcp://192.0.2.1:1")) // nobody: it must not be asked
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
			continue
		}
		if text := fault.Describe(err); fault.Remedy(err) == "" || strings.Contains(text, "canary") {
			t.Errorf("got %s", text)
		}
	}
	if _, err := Build(t.Context(), BuildOptions{Source: here, Dockerfile: "none"}); !errors.Is(err, ErrNoDockerfile) {
		t.Errorf("got %v, want ErrNoDockerfile", err)
	}
}

// The words of Engines 20.10 and 26 that give no privileges, and of one with
// user namespaces.
func TestBuildSaysThatPrivilegesAreRefused(t *testing.T) {
	dir := tree(t, map[string]string{"Dockerfile": "FROM scratch"})
	for _, words := range []string{
		"failed to create shim: OCI runtime create failed: container_linux.go:380: starting container process caused: apply caps: operation not permitted: unknown",
		"failed to create task for container: unable to apply caps: operation not permitted: unknown",
		"privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running privileged mode",
	} {
		removed := false
		engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			path := r.URL.Path[strings.Index(r.URL.Path[1:], "/")+1:]
			switch {
			case r.Method == http.MethodGet && strings.HasPrefix(path, "/images/"):
				fmt.Fprint(w, "{}")
			case r.Method == http.MethodPost && path == "/containers/create":
				w.WriteHeader(http.StatusCreated)
				fmt.Fprint(w, `{"Id":"made"}`)
			case r.Method == http.MethodPost && path == "/containers/made/attach":
				c, _, err := http.NewResponseController(w).Hijack()
				if err == nil {
					fmt.Fprint(c, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
					c.Close()
				}
			case r.Method == http.MethodPost && path == "/containers/made/start":
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusInternalServerError)
				_ = json.NewEncoder(w).Encode(map[string]string{"message": words})
			case r.Method == http.MethodPost && path == "/containers/made/wait":
				fmt.Fprint(w, `{"StatusCode":0}`)
			case r.Method == http.MethodDelete && path == "/containers/made":
				removed = true
				w.WriteHeader(http.StatusNoContent)
			case r.Method == http.MethodPut && path == "/containers/made/archive":
			default:
				t.Errorf("the Engine was asked for %s %s", r.Method, path)
			}
		}))
		docker, err := client.NewClientWithOpts(client.WithHost("tcp://"+engine.Listener.Addr().String()), client.WithVersion("1.41"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = Build(t.Context(), BuildOptions{Source: Source{Dir: dir}, Mode: Dind}, WithDocker(docker))
		docker.Close()
		engine.Close()
		if !errors.Is(err, ErrNoPrivileges) || !strings.Contains(fault.Remedy(err), "rootless") {
			t.Errorf("%s: got %s", words, fault.Describe(err))
		}
		if !removed {
			t.Errorf("%s: the container is left", words)
		}
	}
}

// What each mode's builder is told of secrets and caches.
func TestBuildCommand(t *testing.T) {
	secrets := []BuildSecret{{"netrc", NewSecret("canary")}, {"key", NewSecret("canary")}}
	for want, b := range map[string]builder{
		"docker build --progress=plain --iidfile /hepta/id --file /hepta/context/Dockerfile --tag a.b/c:1 --secret id=netrc,src=/hepta/secrets/0 --secret id=key,src=/hepta/secrets/1 " +
			"--cache-from type=registry,ref=a.b/c:0 --cache-from type=registry,ref=a.b/d --cache-to type=inline /hepta/context": {BuildOptions: BuildOptions{
			Mode: Dind, Dockerfile: "Dockerfile", Tags: []string{"a.b/c:1"}, Secrets: secrets, CacheFrom: []string{"a.b/c:0", "type=registry,ref=a.b/d"}, CacheTo: []string{"type=inline"}}},
		"buildah bud --isolation chroot --tls-verify=false --iidfile /hepta/id --file /hepta/context/app/Dockerfile --target x --secret id=netrc,src=/hepta/secrets/0 --secret id=key,src=/hepta/secrets/1 " +
			"--layers --cache-from a.b/d --cache-to a.b/e /hepta/context": {BuildOptions: BuildOptions{
			Mode: Rootless, Dockerfile: "app/Dockerfile", Target: "x", Secrets: secrets, CacheFrom: []string{"a.b/d"}, CacheTo: []string{"type=registry,ref=a.b/e"}, Registry: BuildRegistry{Host: "a.b", Plain: true}}},
	} {
		if got := strings.Join(b.buildCommand(), " "); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
	if got := cached(BuildOptions{CacheFrom: []string{"a.b/c:0"}, CacheTo: []string{"type=inline", "type=registry,ref=a.b/e"}}); !slices.Equal(got, []string{"a.b/c:0", "a.b/e"}) {
		t.Errorf("credentials are looked for, for %s", got)
	}
}

// A secret reaches the container as a file of its owner, and neither its
// configuration nor what is told holds it.
func TestBuildSecrets(t *testing.T) {
	var told []string
	b := &builder{
		BuildOptions: BuildOptions{Mode: Rootless, Image: "buildah", Tags: []string{"a"}, CacheSize: MinBuildCache, Secrets: []BuildSecret{
			{"token", NewSecret("canary\n")}, {"key", NewSecret("-- begin\r\ncanary-of-two\nab\n")},
		}},
		log: slog.New(slog.DiscardHandler), sink: func(e progress.Event) { told = append(told, e.Text) },
	}
	settings, err := b.settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for pack := tar.NewReader(settings); ; {
		h, err := pack.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(pack)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte("canary")) {
			found[h.Name] = string(content)
			if h.Mode != 0o600 {
				t.Errorf("%s has the mode %o", h.Name, h.Mode)
			}
		}
	}
	if want := map[string]string{"hepta/secrets/0": "canary\n", "hepta/secrets/1": "-- begin\r\ncanary-of-two\nab\n"}; !maps.Equal(found, want) {
		t.Errorf("the secrets are in %q", found)
	}
	config, host := b.spec()
	if spec, err := json.Marshal([]any{config, host, b.buildCommand()}); err != nil || bytes.Contains(spec, []byte("canary")) {
		t.Errorf("%v: the container is %s", err, spec)
	}
	out := &lines{tell: b.line, mask: b.mask()}
	fmt.Fprint(out, "#8 0.1 x=canary;canary-of-two -- begin ab\ncanary")
	out.flush()
	if want := []string{"#8 0.1 x=***;*** *** ab", "***"}; !slices.Equal(told, want) || !slices.Equal(out.tail, want) {
		t.Errorf("told %q, kept %q", told, out.tail)
	}
}

// What builds is told in whole lines, of which an error shows the last.
func TestBuildLines(t *testing.T) {
	var told []string
	l := &lines{tell: func(s string) { told = append(told, s) }}
	for _, part := range []string{"on", "e\r\ntwo\n\n", "three", ""} {
		fmt.Fprint(l, part)
	}
	if len(told) != 2 {
		t.Errorf("a line was told before its end: %q", told)
	}
	for i := range 2 * keptLines {
		fmt.Fprintf(l, " %d\n", i)
	}
	fmt.Fprint(l, "the end")
	l.flush()
	if len(told) != 2*keptLines+3 || told[0] != "one" || told[2] != "three 0" {
		t.Errorf("told %q", told)
	}
	if len(l.tail) != keptLines || l.tail[keptLines-1] != "the end" {
		t.Errorf("kept %q", l.tail)
	}
}

func TestBuildFaults(t *testing.T) {
	b := &builder{BuildOptions: BuildOptions{Tags: []string{"registry.example.org/a/b:1"}}}
	for words, want := range map[string]string{
		"denied: requested access to the resource is denied":                                        "docker login registry.example.org",
		"unauthorized: authentication required":                                                     "docker login registry.example.org",
		"x509: certificate signed by unknown authority":                                             "/etc/docker/certs.d/registry.example.org/ca.crt",
		"Get \"https://registry.example.org/v2/\": http: server gave HTTP response to HTTPS client": "insecure-registries",
		"dial tcp: lookup registry.example.org: no such host":                                       "cannot be reached",
	} {
		err := b.pushFault(b.Tags[0], []string{"Preparing", words})
		if !errors.Is(err, ErrPushRefused) || !strings.Contains(fault.Remedy(err), want) || !strings.Contains(fault.Describe(err), words) {
			t.Errorf("%s: got %s", words, fault.Describe(err))
		}
	}
	err := b.buildFault([]string{"RUN make", "make: *** no rule"})
	if !errors.Is(err, ErrBuildFailed) || !strings.Contains(fault.Describe(err), "RUN make\nmake: *** no rule") {
		t.Errorf("got %s", fault.Describe(err))
	}
}
