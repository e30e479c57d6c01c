package pki

import (
	"bytes"
	"crypto/x509"
	"errors"
	"slices"
	"testing"
	"time"
)

// verifies reports whether who trusts root takes the leaf of bundle for host.
func verifies(t *testing.T, root, bundle []byte, host string) bool {
	t.Helper()
	leaf, err := firstCertificate(bundle)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(root) {
		t.Fatal("no root")
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: now})
	return err == nil
}

// Whoever gets hold of the authority's key can speak for the stack's names, and
// for nothing else of those who have installed its root.
func TestRootIsForTheStacksNamesAlone(t *testing.T) {
	for _, c := range []struct {
		hosts, own, others []string
	}{
		{[]string{"hg.example.org", "registry.example.org"}, []string{"hg.example.org", "registry.example.org", "new.example.org", "example.org"}, []string{"example.com", "google.com", "10.0.0.1", "org"}},
		{[]string{"hg.corp.example.org"}, []string{"hg.corp.example.org", "ci.corp.example.org"}, []string{"www.example.org", "example.org"}},
		{[]string{"example.co.uk"}, []string{"example.co.uk", "hg.example.co.uk"}, []string{"other.co.uk"}},
		{[]string{"forge.lan", "hg.other.net"}, []string{"forge.lan", "hg.other.net", "other.net"}, []string{"nas.lan", "x.org"}},
		{[]string{"forge"}, []string{"forge"}, []string{"example.org"}},
		{[]string{"192.0.2.7"}, []string{"192.0.2.7"}, []string{"192.0.2.8", "example.org"}},
		{[]string{"192.0.2.7", "hg.example.org"}, []string{"192.0.2.7", "hg.example.org"}, []string{"192.0.2.8", "example.com"}},
	} {
		a, err := New("hepta lab", now, c.hosts...)
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range slices.Concat(c.own, c.others) {
			bundle, err := a.Issue([]string{host}, now)
			if err != nil {
				t.Fatal(err)
			}
			want := slices.Contains(c.own, host)
			if got := verifies(t, a.Root(), bundle, host); got != want {
				t.Errorf("an authority for %v: a leaf for %s is taken: %v", c.hosts, host, got)
			}
			if outside, _ := Outside(a.Root(), []string{host}); (len(outside) == 0) != want {
				t.Errorf("an authority for %v: outside are %v of %s", c.hosts, outside, host)
			}
		}
		if !a.cert.PermittedDNSDomainsCritical {
			t.Error("who does not understand the restriction may overlook it")
		}
	}
}

// A root that people have installed stays, whether it is restricted or not; one
// that is restricted does not silently become another.
func TestReadKeepsTheScope(t *testing.T) {
	free := authority(t)
	key, err := free.Key()
	if err != nil {
		t.Fatal(err)
	}
	a, renewed, err := Read(key, free.Root(), "hepta lab", now, "hg.example.org")
	if err != nil || renewed || !bytes.Equal(a.Root(), free.Root()) {
		t.Errorf("a root of an earlier release: renewed %v, %v", renewed, err)
	}
	a, renewed, err = Read(key, nil, "hepta lab", now, "hg.example.org")
	if err != nil || !renewed {
		t.Fatal(renewed, err)
	}
	if outside, scope := Outside(a.Root(), []string{"a.example.org", "hg.example.net"}); !slices.Equal(outside, []string{"hg.example.net"}) || !slices.Equal(scope, []string{"example.org"}) {
		t.Errorf("outside are %v of %v", outside, scope)
	}
	if _, renewed, err := Read(key, a.Root(), "hepta lab", now.Add(time.Hour), "registry.example.org"); err != nil || renewed {
		t.Errorf("a name beside: renewed %v, %v", renewed, err)
	}
	if _, renewed, err := Read(key, a.Root(), "hepta lab", now, "hg.example.net"); !errors.Is(err, ErrScope) || renewed {
		t.Errorf("a name elsewhere: renewed %v, %v", renewed, err)
	}
}
