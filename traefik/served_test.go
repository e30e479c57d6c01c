package traefik

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/opaque"
	"github.com/heptaup/hepta/internal/pki"
)

// kept is what Traefik keeps of an ACME server that has certified each of hosts.
func kept(t *testing.T, now time.Time, hosts ...string) []byte {
	t.Helper()
	server, err := pki.New("acme server", now)
	if err != nil {
		t.Fatal(err)
	}
	list := []any{}
	for _, host := range hosts {
		bundle, err := server.Issue([]string{host}, now)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, map[string]any{"domain": map[string]any{"main": host}, "certificate": base64.StdEncoding.EncodeToString(bundle), "key": "", "Store": "default"})
	}
	text, err := json.Marshal(map[string]any{"hepta": map[string]any{"Account": map[string]any{}, "Certificates": list}})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Of each host it is told until when it has a certificate, and which has none.
func TestCertificates(t *testing.T) {
	now := time.Now()
	authority, err := pki.New("hepta lab", now)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := authority.Issue([]string{"hg.example.org", "registry.example.org"}, now)
	if err != nil {
		t.Fatal(err)
	}
	acme, hosts := TLS{Email: "admin@example.org"}, []string{"hg.example.org", "registry.example.org"}
	last := now.Add(pki.LeafLife).UTC().Format(time.DateOnly)
	both := "certificate of hg.example.org, registry.example.org: "
	for name, c := range map[string]struct {
		tls  TLS
		file string
		text []byte
		want []string
	}{
		"internal":            {TLS{}, leafFile, leaf, []string{both + "ends on " + last + ", issued by hepta lab"}},
		"internal, damaged":   {TLS{}, leafFile, []byte("x"), []string{both + "there is none"}},
		"internal, unseen":    {TLS{}, "", nil, nil},
		"off":                 {TLS{Mode: TLSOff}, "", nil, nil},
		"acme, all":           {acme, acmeFile, kept(t, now, hosts...), []string{"certificate of registry.example.org: ends on " + last, "certificate of hg.example.org: ends on " + last}},
		"acme, one":           {acme, acmeFile, kept(t, now, hosts[0], "old.example.org"), []string{"certificate of hg.example.org: ends on " + last, "certificate of registry.example.org: there is none"}},
		"acme, none so far":   {acme, acmeFile, nil, []string{both + "there is none"}},
		"acme, being written": {acme, acmeFile, kept(t, now, hosts...)[:100], []string{both + "there is none"}},
		"acme, unseen":        {acme, "", nil, nil},
	} {
		p, err := New(Config{Hosts: hosts, TLS: c.tls})
		if err != nil {
			t.Fatal(err)
		}
		o := &converge.Observed{Files: map[string]converge.ObservedFile{}}
		if c.file != "" {
			o.Files[c.file] = converge.ObservedFile{Exists: true, Content: c.text}
		}
		var got []string
		for _, x := range p.Certificates(opaque.Hide(o)) {
			got = append(got, x.String())
			if x.Good(now) == strings.Contains(x.String(), "there is none") {
				t.Errorf("%s: %s counts as good: %v", name, x, x.Good(now))
			}
		}
		slices.Sort(got)
		slices.Sort(c.want)
		if !slices.EqualFunc(got, c.want, strings.HasPrefix) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestACMEFailure(t *testing.T) {
	const line = "\x1b[90m2026-11-29T04:35:15Z\x1b[0m \x1b[31mERR\x1b[0m \x1b[1mUnable to obtain ACME certificate for domains\x1b[0m " +
		`error="unable to generate a certificate for the domains [hg.acme.test]: error: one or more domains had a problem:\n[hg.acme.test] acme: error: 400 :: connection refused\n" domains=["hg.acme.test"]`
	why, ok := ACMEFailure(line)
	if !ok || !strings.HasPrefix(why, "Unable to obtain ACME certificate for domains error=") || !strings.Contains(why, "had a problem: [hg.acme.test] acme: error: 400") || strings.Contains(why, "\x1b") {
		t.Errorf("%v, %q", ok, why)
	}
	for _, line := range []string{"", `172.19.0.1 - - [29/Nov/2026:04:35:00 +0000] "POST - HTTP/1.1" 204 0`, "2026-11-29T04:35:15Z WRN Failed to inspect container"} {
		if why, ok := ACMEFailure(line); ok {
			t.Errorf("%q is a failure: %s", line, why)
		}
	}
}
