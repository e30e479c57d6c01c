package integration

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/pki"
)

// waysYAML is a forge on ports of its own, which jobs have to find, too.
const waysYAML = `stack: ways
data: /srv/ways
network: ways
heptapod: {host: hg.ways.test, image: octobus/heptapod:17.8, ssh: {via: none}}
traefik: {image: traefik:v3.6.12, http_port: 8080, https_port: 8443}
tls: {mode: internal}
registry: {host: registry.ways.test, nginx_port: 5050, path: /var/opt/gitlab/images}
runner: {image: gitlab/gitlab-runner:latest, check_interval: 1, drain_seconds: 5}
runners:
  - {name: ways, mode: plain, tags: [socket], image: "docker:26", docker: {pull_policy: if-not-present}}
`

// The registry on the forge's host with a port and a certificate of its own,
// then on a name behind the proxy with nginx on a port of its own. What was
// pushed one way is pulled the other.
func TestRegistryWays(t *testing.T) {
	s := onSite(t)
	authority, err := pki.New("ways", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Issue([]string{"hg.ways.test"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	stack := s.stack(t, waysYAML, func(c *hepta.Config) {
		c.Runners = nil
		c.Registry = &hepta.Registry{Port: "5050", Certificate: pair, Key: pair, Path: "/var/opt/gitlab/images"}
	})
	s.explain(t, stack)
	s.removeAtEnd(t, stack)
	up(t, stack)
	shelf := s.project(t, stack, "shelf", git)
	ca, err := stack.CACertificate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rt := s.client(t, append(ca, authority.Root()...)).Transport
	password, err := stack.Forge().RootPassword(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := &customer{t: t, rt: rt, auth: &authn.Basic{Username: "root", Password: password.Reveal()}}
	pushed := c.push("hg.ways.test:5050/" + shelf.Path + ":first")
	if got := c.digest("hg.ways.test:5050/" + shelf.Path + ":first"); got != pushed {
		t.Errorf("pulled %s, want %s", got, pushed)
	}
	if out := s.output(t, stack, "heptapod", "find /var/opt/gitlab/images -name "+strings.TrimPrefix(pushed.String(), "sha256:")); out == "" {
		t.Error("the image is not where registry.path says")
	}

	proxied := s.stack(t, waysYAML)
	up(t, proxied)
	const front = "registry.ways.test:8443/"
	if got := c.digest(front + shelf.Path + ":first"); got != pushed {
		t.Errorf("pulled the other way %s, want %s", got, pushed)
	}
	again := c.push(front + shelf.Path + ":second")
	if got := c.digest(front + shelf.Path + ":second"); got != again {
		t.Errorf("pulled %s, want %s", got, again)
	}
	if out := s.output(t, proxied, "heptapod", "curl -s -o /dev/null -w '%{http_code}' -H 'Host: registry.ways.test' http://localhost:5050/v2/"); out != "401" {
		t.Errorf("nginx on the port of the registry answers %s", out)
	}
	t.Run("large and slow", func(t *testing.T) { largeAndSlow(t, c, front+shelf.Path) })
	t.Run("job", func(t *testing.T) {
		p := s.project(t, proxied, "ways", git)
		p.push(t, https, map[string]string{"word.txt": "odd\n", ".gitlab-ci.yml": lightYAML})
		p.says(t, p.succeed(t, "light")["light"], "the word is odd")
	})
}

// largeAndSlow pushes a layer of 2 GiB, and beside it one that takes longer
// than a proxy's usual minute.
func largeAndSlow(t *testing.T, c *customer, repository string) {
	const large, pieces, piece = 2 << 30, 70, 16 << 10
	t.Run("large", func(t *testing.T) {
		t.Parallel()
		start := time.Now()
		digest := sum(t, io.LimitReader(zeros{}, large))
		d := *c
		d.t = t
		d.upload(repository, digest, large, func() io.Reader { return io.LimitReader(zeros{}, large) })
		if got := d.download(repository, digest); got != large {
			t.Errorf("%d bytes come back, want %d", got, int64(large))
		}
		t.Logf("2 GiB there and back in %s", time.Since(start).Round(time.Second))
	})
	t.Run("slow", func(t *testing.T) {
		t.Parallel()
		start := time.Now()
		content := bytes.Repeat([]byte("slow"), pieces*piece/4)
		digest := sum(t, bytes.NewReader(content))
		d := *c
		d.t = t
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		d.upload(repository, digest, int64(len(content)), func() io.Reader { return &dripping{bytes.NewReader(content), piece, tick.C} })
		if took := time.Since(start); took < 65*time.Second {
			t.Errorf("it took only %s", took)
		}
		if got := d.download(repository, digest); got != int64(len(content)) {
			t.Errorf("%d bytes come back, want %d", got, len(content))
		}
	})
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// dripping gives a piece of its content at each tick.
type dripping struct {
	from  io.Reader
	piece int
	tick  <-chan time.Time
}

func (d *dripping) Read(b []byte) (int, error) {
	<-d.tick
	return d.from.Read(b[:min(len(b), d.piece)])
}

func sum(t *testing.T, r io.Reader) string {
	t.Helper()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		t.Fatal(err)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// customer pushes and pulls as somebody.
type customer struct {
	t    *testing.T
	rt   http.RoundTripper
	auth authn.Authenticator
}

func (c *customer) push(image string) v1.Hash {
	c.t.Helper()
	ref, err := name.NewTag(image)
	if err != nil {
		c.t.Fatal(err)
	}
	made, err := random.Image(1<<10, 2)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := remote.Write(ref, made, remote.WithContext(c.t.Context()), remote.WithTransport(c.rt), remote.WithAuth(c.auth)); err != nil {
		c.t.Fatal(err)
	}
	digest, err := made.Digest()
	if err != nil {
		c.t.Fatal(err)
	}
	return digest
}

// digest pulls an image with every layer.
func (c *customer) digest(image string) v1.Hash {
	c.t.Helper()
	ref, err := name.NewTag(image)
	if err != nil {
		c.t.Fatal(err)
	}
	made, err := remote.Image(ref, remote.WithContext(c.t.Context()), remote.WithTransport(c.rt), remote.WithAuth(c.auth))
	if err != nil {
		c.t.Fatal(err)
	}
	layers, err := made.Layers()
	if err != nil {
		c.t.Fatal(err)
	}
	for _, l := range layers {
		r, err := l.Compressed()
		if err != nil {
			c.t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, r)
		r.Close()
		if err != nil {
			c.t.Fatal(err)
		}
	}
	digest, err := made.Digest()
	if err != nil {
		c.t.Fatal(err)
	}
	return digest
}

// client knows the registry's tokens for a repository.
func (c *customer) client(repository string) (*http.Client, string) {
	c.t.Helper()
	repo, err := name.NewRepository(repository)
	if err != nil {
		c.t.Fatal(err)
	}
	rt, err := transport.NewWithContext(c.t.Context(), repo.Registry, c.auth, c.rt, []string{repo.Scope(transport.PushScope)})
	if err != nil {
		c.t.Fatal(err)
	}
	return &http.Client{Transport: rt}, "https://" + repo.RegistryStr() + "/v2/" + repo.RepositoryStr() + "/blobs/"
}

// upload pushes one blob as Docker does: in one request whose end is not known
// when it begins.
func (c *customer) upload(repository, digest string, size int64, content func() io.Reader) {
	c.t.Helper()
	client, blobs := c.client(repository)
	do := func(method, address string, body io.Reader, want int) *url.URL {
		c.t.Helper()
		req, err := http.NewRequestWithContext(c.t.Context(), method, address, body)
		if err != nil {
			c.t.Fatal(err)
		}
		if body != nil {
			req.Header.Set("Content-Type", "application/octet-stream")
			req.ContentLength = -1
		}
		resp, err := client.Do(req)
		if err != nil {
			c.t.Fatal(err)
		}
		defer resp.Body.Close()
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		if resp.StatusCode != want {
			c.t.Fatalf("%s of a blob of %d bytes: %s, %s", method, size, resp.Status, said)
		}
		next, err := resp.Location()
		if err != nil {
			c.t.Fatal(err)
		}
		return next
	}
	next := do(http.MethodPost, blobs+"uploads/", nil, http.StatusAccepted)
	next = do(http.MethodPatch, next.String(), content(), http.StatusAccepted)
	q := next.Query()
	q.Set("digest", digest)
	next.RawQuery = q.Encode()
	do(http.MethodPut, next.String(), nil, http.StatusCreated)
}

// download pulls a blob and says how large it was; it has to be the right one.
func (c *customer) download(repository, digest string) int64 {
	c.t.Helper()
	client, blobs := c.client(repository)
	resp, err := client.Get(blobs + digest)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	h := sha256.New()
	n, err := io.Copy(h, resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || fmt.Sprintf("sha256:%x", h.Sum(nil)) != digest {
		c.t.Fatalf("pull a blob: %s, %d bytes, %v", resp.Status, n, err)
	}
	return n
}
