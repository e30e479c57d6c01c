package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var hosts = []string{"hg.example.org", "registry.example.org", "192.0.2.7"}

func authority(t *testing.T) *Authority {
	t.Helper()
	a, err := New("hepta lab", now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issue(t *testing.T, a *Authority, hosts []string, at time.Time) []byte {
	t.Helper()
	bundle, err := a.Issue(hosts, at)
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

func TestLeafIsTrustedThroughTheRoot(t *testing.T) {
	at := time.Now()
	a, err := New("hepta lab", at)
	if err != nil {
		t.Fatal(err)
	}
	bundle := issue(t, a, []string{"hg.example.org", "127.0.0.1"}, at)
	cert, err := tls.X509KeyPair(bundle, bundle)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(a.Root()) {
		t.Fatal("root is no certificate")
	}
	dial := func(name string) error {
		conn, err := tls.Dial("tcp", server.Listener.Addr().String(), &tls.Config{RootCAs: roots, ServerName: name})
		if err == nil {
			conn.Close()
		}
		return err
	}
	for _, name := range []string{"hg.example.org", "127.0.0.1"} {
		if err := dial(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	var wrong x509.HostnameError
	if err := dial("other.example.org"); !errors.As(err, &wrong) {
		t.Errorf("another name: %v", err)
	}
}

func TestDue(t *testing.T) {
	a := authority(t)
	bundle := issue(t, a, hosts, now)
	other := issue(t, a, hosts, now)
	key := other[bytes.LastIndex(other, []byte("-----BEGIN")):]
	stranger := append(bytes.Clone(bundle[:bytes.LastIndex(bundle, []byte("-----BEGIN"))]), key...)
	for _, c := range []struct {
		name   string
		bundle []byte
		hosts  []string
		at     time.Time
		want   string
	}{
		{"fresh", bundle, hosts, now, ""},
		{"another order, twice", bundle, []string{hosts[2], hosts[1], hosts[0], hosts[1]}, now, ""},
		{"last day", bundle, hosts, now.Add(LeafLife - LeafRenew), ""},
		{"expiring", bundle, hosts, now.Add(LeafLife - LeafRenew + time.Second), "the certificate expires on 2028-02-29"},
		{"expired", bundle, hosts, now.Add(LeafLife), "the certificate expired on 2028-02-29"},
		{"clock behind", bundle, hosts, now.Add(-2 * time.Hour), "the certificate is not valid before 2026-03-01"},
		{"absent", nil, hosts, now, "no certificate yet"},
		{"damaged", bundle[:200], hosts, now, "the certificate is damaged"},
		{"another key", stranger, hosts, now, "the certificate is damaged"},
		{"host added", bundle, append([]string{"new.example.org"}, hosts...), now, "host names changed: +new.example.org"},
		{"host replaced", bundle, []string{hosts[0], "new.example.org", hosts[2]}, now, "host names changed: +new.example.org -registry.example.org"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Due(c.bundle, c.hosts, c.at); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestReadGoesByTheKey(t *testing.T) {
	a := authority(t)
	key, err := a.Key()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		root    []byte
		at      time.Time
		renewed bool
	}{
		{"both", a.Root(), now, false},
		{"root lost", nil, now, true},
		{"root damaged", a.Root()[:100], now, true},
		{"another's root", authority(t).Root(), now, true},
		{"root ends before a leaf would", a.Root(), now.Add(RootLife - LeafLife), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, renewed, err := Read(key, c.root, "hepta lab", c.at)
			if err != nil {
				t.Fatal(err)
			}
			if renewed != c.renewed {
				t.Errorf("renewed %v, want %v", renewed, c.renewed)
			}
			if again, _ := got.Key(); !bytes.Equal(again, key) {
				t.Error("key changed")
			}
			leaf, err := firstCertificate(issue(t, got, hosts, c.at))
			if err != nil {
				t.Fatal(err)
			}
			for what, root := range map[string][]byte{"its root": got.Root(), "the first root": a.Root()} {
				pool := x509.NewCertPool()
				pool.AppendCertsFromPEM(root)
				if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: c.at}); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
	if _, _, err := Read([]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), a.Root(), "x", now); err == nil {
		t.Error("a damaged key is taken")
	}
}

func TestRootOf(t *testing.T) {
	a := authority(t)
	if got := RootOf(issue(t, a, hosts, now)); !bytes.Equal(got, a.Root()) {
		t.Errorf("got %s", got)
	}
	if got := RootOf([]byte("nothing")); got != nil {
		t.Errorf("root of nothing: %s", got)
	}
}

func TestCheck(t *testing.T) {
	a := authority(t)
	bundle, other := issue(t, a, hosts, now), issue(t, a, hosts, now)
	for _, c := range []struct {
		name      string
		cert, key []byte
		hosts     []string
		at        time.Time
		want      error
		text      string
	}{
		{"good", bundle, bundle, hosts, now, nil, ""},
		{"another key", bundle, other, hosts, now, ErrMismatch, ""},
		{"not yet valid", bundle, bundle, hosts, now.AddDate(-1, 0, 0), ErrExpired, "its time has not begun"},
		{"expired", bundle, bundle, hosts, now.Add(LeafLife + time.Second), ErrExpired, "it has ended, it was valid from 2026-03-01 to 2028-02-29"},
		{"host not covered", bundle, bundle, []string{"a.example.org", hosts[0]}, now, ErrHost, "host: a.example.org; it names 192.0.2.7 hg.example.org"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Check(c.cert, c.key, c.hosts, c.at)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if c.text != "" && !strings.Contains(err.Error(), c.text) {
				t.Errorf("%q does not say %q", err, c.text)
			}
		})
	}
	if err := Check([]byte("no pem"), bundle, hosts, now); err == nil {
		t.Error("no certificate is taken")
	}
}

func TestAuthorityDoesNotPrintItsKey(t *testing.T) {
	a := authority(t)
	raw, err := a.key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	d := new(big.Int).SetBytes(raw).String()
	for _, verb := range []string{"%v", "%+v", "%s", "%#v"} {
		if text := fmt.Sprintf(verb, a); strings.Contains(text, d) {
			t.Errorf("%s shows the key", verb)
		}
	}
}

func TestIssueTakesAddresses(t *testing.T) {
	leaf, err := firstCertificate(issue(t, authority(t), hosts, now))
	if err != nil {
		t.Fatal(err)
	}
	if len(leaf.IPAddresses) != 1 || !leaf.IPAddresses[0].Equal(net.ParseIP("192.0.2.7")) || len(leaf.DNSNames) != 2 {
		t.Errorf("names %v, addresses %v", leaf.DNSNames, leaf.IPAddresses)
	}
	if _, err := authority(t).Issue(nil, now); err == nil {
		t.Error("a certificate for nobody")
	}
}
