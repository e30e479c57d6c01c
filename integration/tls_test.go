package integration

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/pki"
)

// A small stack beside the lab, whose certificates are looked at.
const (
	tlsHost = "hg.tls.test"
	tlsLeaf = "traefik/dynamic/leaf.pem"
	tlsYAML = `stack: tls
data: /srv/tls
network: tls
heptapod: {host: hg.tls.test, image: octobus/heptapod:17.8, ssh: {via: none}}
traefik: {image: traefik:v3.6.12, http_port: 8080, https_port: 8443}
`
	tlsFiles    = tlsYAML + "tls: {mode: files, certificate: crt.pem, key: key.pem}\n"
	tlsInternal = tlsYAML + "tls: {mode: internal}\n"
)

// TestCertificateFiles has the real program refuse certificates that cannot
// serve, on a host with nothing and on one that serves, and change nothing.
func TestCertificateFiles(t *testing.T) {
	s := onSite(t)
	stack := s.stack(t, tlsInternal) // to look at the host with
	s.removeAtEnd(t, stack)
	s.explain(t, stack)
	authority, err := pki.New("somebody's", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	issue := func(host string, at time.Time) (certificate, key string) {
		bundle, err := authority.Issue([]string{host}, at)
		if err != nil {
			t.Fatal(err)
		}
		certificate, key, _ = strings.Cut(string(bundle), "-----BEGIN PRIVATE KEY")
		return certificate, "-----BEGIN PRIVATE KEY" + key
	}
	dir := t.TempDir()
	write := func(certificate, key string) {
		for name, text := range map[string]string{"hepta.yaml": tlsFiles, "crt.pem": certificate, "key.pem": key} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	good, goodKey := issue(tlsHost, time.Now())
	_, otherKey := issue(tlsHost, time.Now())
	elsewhere, elsewhereKey := issue("hg.elsewhere.test", time.Now())
	expired, expiredKey := issue(tlsHost, time.Now().Add(-pki.LeafLife-48*time.Hour))
	early, earlyKey := issue(tlsHost, time.Now().Add(48*time.Hour))
	refused := func(t *testing.T) {
		for _, c := range []struct{ name, certificate, key, want string }{
			{"another key", good, otherKey, "hepta.yaml:6:47: tls.key: certificate and key do not belong together: name the key that the certificate was made for"},
			{"another host", elsewhere, elsewhereKey, "hepta.yaml:6:33: tls.certificate: certificate does not cover the host: " + tlsHost + "; it names hg.elsewhere.test: get a certificate for all of " + tlsHost},
			{"expired", expired, expiredKey, "hepta.yaml:6:33: tls.certificate: certificate is not valid at this time: it has ended, it was valid from "},
			{"of tomorrow", early, earlyKey, "hepta.yaml:6:33: tls.certificate: certificate is not valid at this time: its time has not begun, it is valid from "},
			{"no key", good, good, "hepta.yaml:6:47: tls.key: it holds a certificate and no key: name the file of the certificate's private key here"},
			{"no certificate", goodKey, goodKey, "hepta.yaml:6:33: tls.certificate: it holds a private key and no certificate: name the file of the certificate here"},
		} {
			t.Run(c.name, func(t *testing.T) {
				write(c.certificate, c.key)
				out, errs, code := s.heptaIn(t, dir, s.socket, "up")
				if code != 1 || out != "" || strings.Count(errs, "\n") != 1 || !strings.HasPrefix(errs, "error: "+c.want) {
					t.Errorf("exit code %d, %s%s", code, out, errs)
				}
			})
		}
	}

	t.Run("on a bare host", func(t *testing.T) {
		refused(t)
		s.bare(t, stack)
	})
	write(good, goodKey)
	if _, errs, code := s.heptaIn(t, dir, s.socket, "up"); code != 0 {
		t.Fatalf("exit code %d\n%s", code, errs)
	}
	eventually(t, time.Minute, "the proxy serves the certificate", func() bool { return s.serial(t) == serial(t, good) })
	t.Run("where another one is served", func(t *testing.T) {
		lives, file := s.lives(t, stack), s.stat(t, "/srv/tls", tlsLeaf)
		refused(t)
		for service, was := range lives {
			if now := s.lives(t, stack)[service]; now != was {
				t.Errorf("%s was replaced or restarted: %v, now %v", service, was, now)
			}
		}
		if now := s.stat(t, "/srv/tls", tlsLeaf); now != file || file.mode != "0600" {
			t.Errorf("%s was written: mode %s, before %s", tlsLeaf, now.mode, file.mode)
		}
		if got := s.serial(t); got != serial(t, good) {
			t.Errorf("certificate %s is served", got)
		}
	})
	t.Run("and then of an authority of its own", func(t *testing.T) {
		up(t, stack)
		root, err := stack.CACertificate(t.Context())
		if err != nil || s.file(t, "/srv/tls", "ca/ca.crt") != string(root) {
			t.Fatalf("the root that people are given is not the one of the leaf: %v", err)
		}
		eventually(t, time.Minute, "the proxy serves the new leaf", func() bool { return s.serial(t) == serial(t, s.file(t, "/srv/tls", tlsLeaf)) })
	})
}

// TestLeafIsRenewedUnderLoad lets clients ask over TLS without a pause, with
// connections of their own and with one that they keep, while up replaces a
// leaf that ends soon. No request may fail.
func TestLeafIsRenewedUnderLoad(t *testing.T) {
	s := onSite(t)
	s.network(t, "tls", "10.77.0.0/16")
	const data = "/srv/tls-load"
	stack := s.stack(t, tlsInternal, func(c *hepta.Config) { c.Data = data })
	s.removeAtEnd(t, stack)
	s.explain(t, stack)
	up(t, stack)
	root, err := stack.CACertificate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The way through the proxy is there as soon as up says so.
	if resp, err := s.client(t, root).Get("https://" + tlsHost + ":8443/users/sign_in"); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("after up: %v, %v", resp, err)
	} else {
		resp.Body.Close()
	}
	s.forgeKnowsWhoAsks(t, stack, s.client(t, root), "10.77.")
	// The leaf becomes one that was made long ago.
	authority, renewed, err := pki.Read([]byte(s.file(t, data, "ca/ca.key")), root, "hepta tls", time.Now())
	if err != nil || renewed {
		t.Fatal(renewed, err)
	}
	old, err := authority.Issue([]string{tlsHost}, time.Now().Add(48*time.Hour-pki.LeafLife))
	if err != nil {
		t.Fatal(err)
	}
	s.put(t, data+"/traefik/dynamic", filepath.Base(tlsLeaf), string(old))
	before := serial(t, string(old))
	eventually(t, time.Minute, "the proxy serves the old leaf", func() bool { return s.serial(t) == before })
	lives := s.lives(t, stack)

	load := s.ask(t, root)
	load.more(t, 50)
	done := up(t, stack)
	if done.Empty() || !strings.Contains(done.String(), "the certificate expires on "+time.Now().Add(48*time.Hour).UTC().Format(time.DateOnly)) {
		t.Errorf("up did\n%s", done)
	}
	renewedLeaf := serial(t, s.file(t, data, tlsLeaf))
	eventually(t, time.Minute, "the proxy serves the new leaf", func() bool { return load.served(renewedLeaf) > 0 })
	load.more(t, 50)
	load.stop()

	if failed := load.failed; len(failed) > 0 {
		t.Errorf("%d of %d requests failed, the first: %v, the last: %v", len(failed), load.asked, failed[0], failed[len(failed)-1])
		t.Logf("what the proxy said last:\n%s", words(t.Context(), s.docker, "tls-traefik"))
	}
	if load.served(before) == 0 || renewedLeaf == before {
		t.Errorf("leaf %s was served %d times before %s", before, load.served(before), renewedLeaf)
	}
	t.Logf("%d requests: %d with the old leaf, %d with the new", load.asked, load.served(before), load.served(renewedLeaf))
	for service, was := range lives {
		if now := s.lives(t, stack)[service]; now != was {
			t.Errorf("%s was replaced or restarted", service)
		}
	}
	if p := plan(t, stack); !p.Empty() {
		t.Errorf("the new leaf is not taken for good:\n%s", p)
	}
	if again, err := stack.CACertificate(t.Context()); err != nil || string(again) != string(root) {
		t.Errorf("the root that people trust has changed: %v", err)
	}
}

// asking is clients that ask the proxy over and over.
type asking struct {
	end  chan struct{}
	done sync.WaitGroup

	mu     sync.Mutex
	asked  int
	failed []error
	leaves map[string]int // requests by the serial number of the leaf
}

// ask starts four clients that make a connection for each request and one
// that keeps its connection.
func (s *site) ask(t *testing.T, root []byte) *asking {
	a := &asking{end: make(chan struct{}), leaves: map[string]int{}}
	for i := range 5 {
		client := s.client(t, root)
		client.Transport.(*http.Transport).DisableKeepAlives = i > 0
		a.done.Go(func() {
			for {
				select {
				case <-a.end:
					return
				default:
					a.once(client)
				}
			}
		})
	}
	t.Cleanup(a.stop)
	return a
}

func (a *asking) once(client *http.Client) {
	resp, err := client.Get("https://" + tlsHost + ":8443/users/sign_in")
	leaf := ""
	if err == nil {
		var body []byte
		body, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		leaf = resp.TLS.PeerCertificates[0].SerialNumber.String()
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s at %s: %.200q, headers %v", resp.Status, time.Now().Format(time.TimeOnly), body, resp.Header)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	a.leaves[leaf]++
	if err != nil {
		a.failed = append(a.failed, err)
	}
}

// served is how many requests a leaf was shown to.
func (a *asking) served(leaf string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.leaves[leaf]
}

// more waits for further requests.
func (a *asking) more(t *testing.T, n int) {
	t.Helper()
	count := func() int { a.mu.Lock(); defer a.mu.Unlock(); return a.asked }
	from := count()
	eventually(t, 2*time.Minute, "requests go on", func() bool { return count() >= from+n })
}

func (a *asking) stop() {
	select {
	case <-a.end:
	default:
		close(a.end)
	}
	a.done.Wait()
}

// serial is the serial number of the leaf that the proxy shows, "" without one.
func (s *site) serial(t *testing.T) string {
	t.Helper()
	dialer := &tls.Dialer{Config: &tls.Config{ServerName: tlsHost, InsecureSkipVerify: true}} // only looked at
	c, err := dialer.DialContext(t.Context(), "tcp", s.ports["8443"])
	if err != nil {
		return ""
	}
	defer c.Close()
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// serial is that of the first certificate of a PEM text.
func serial(t *testing.T, text string) string {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatal("no PEM")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return leaf.SerialNumber.String()
}
