package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// certify writes a self-signed certificate with a name of its own.
func certify(t *testing.T, cert, key, name string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

func says(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s", text, r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-For"))
	})
}

func TestNginxServesTwoHostsOnOnePortAndAThirdWithTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "crt"), filepath.Join(dir, "key")
	certify(t, cert, key, "first")
	plain, secure := freePort(t), freePort(t)
	quiet := log.New(io.Discard, "", 0)
	at := func(text string, port int) site {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return site{url: u, port: port}
	}
	own := at("https://hg.test:5050", secure)
	own.tls, own.cert, own.key = true, cert, key
	n := &nginx{log: quiet}
	n.configure(nil,
		virtualHost{at("https://hg.test", plain), says("forge")},
		virtualHost{at("http://registry.test", plain), upstream("unix", filepath.Join(dir, "nothing.socket"), quiet)},
		virtualHost{own, says("own")})
	if err := n.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.stop() })

	get := func(host string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", plain), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		req.Header.Set("X-Forwarded-For", "192.0.2.1") // nobody is trusted
		resp, err := http.DefaultClient.Do(req)
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
	for _, host := range []string{"hg.test", "HG.test:80", "unknown.test"} {
		if status, body := get(host); status != http.StatusOK || body != "forge https 127.0.0.1" {
			t.Errorf("%s: %d %q", host, status, body)
		}
	}
	if status, _ := get("registry.test"); status != http.StatusBadGateway {
		t.Errorf("upstream that is not there: %d, want 502", status)
	}

	subject := func() string {
		c, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", secure), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if got := subject(); got != "first" {
		t.Errorf("certificate of %q", got)
	}
	certify(t, cert, key, "second")
	if got := subject(); got != "first" {
		t.Errorf("a new file is taken over without a hup: %q", got)
	}
	if err := n.hup(); err != nil {
		t.Fatal(err)
	}
	if got := subject(); got != "second" {
		t.Errorf("after the hup: certificate of %q", got)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if err := n.hup(); err == nil {
		t.Error("a missing key is no fault")
	}
	if got := subject(); got != "second" {
		t.Errorf("after a failed hup: certificate of %q", got)
	}
}
