package traefik

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/pki"
)

var update = flag.Bool("update", false, "write the golden files")

const bob = "bob:$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC"

// configs are the shapes of proxy that have a golden file each.
func configs(t *testing.T) map[string]Config {
	cert, key := ownPair(t, "hg.example.org")
	return map[string]Config{
		"acme": {TLS: TLS{Email: "admin@example.org"}},
		"acme-http": {
			Stack: "lab", Network: "edge", Hosts: []string{"registry.example.org", "hg.example.org"},
			TLS: TLS{
				Email: "admin@example.org", Challenge: ChallengeHTTP, CAServer: "https://acme.example.org/dir",
				CACertificates: cert,
			},
			Dashboard: Dashboard{Host: "monitor.example.org", Users: []string{bob}},
		},
		"internal": {
			HTTPPort: 8080, HTTPSPort: 8443, SSHPort: 2223, LogLevel: "debug", Hosts: []string{"hg.example.org"},
			Dashboard: Dashboard{Host: "monitor.example.org", Users: []string{bob, "eve" + bob[3:]}},
			Flags:     []string{"--api.debug=true"}, Labels: map[string]string{"org.example.owner": "lab"},
		},
		"files":  {Hosts: []string{"hg.example.org"}, TLS: TLS{Mode: TLSFiles, Certificate: cert, Key: bytes.TrimSpace(key)}},
		"off":    {TLS: TLS{Mode: TLSOff}, HTTPPort: 8000, Socket: "/run/user/1000/docker.sock"},
		"off-v2": {Image: "registry.example.org:5000/traefik:v2.11.40@sha256:0000000000000000000000000000000000000000000000000000000000000000", TLS: TLS{Mode: TLSOff}, Dashboard: Dashboard{Host: "monitor.example.org", Users: []string{bob}}},
	}
}

// ownPair is a certificate for host, valid now, and its key.
func ownPair(t *testing.T, host string) (cert, key []byte) {
	t.Helper()
	authority, err := pki.New("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := authority.Issue([]string{host}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndex(bundle, []byte("-----BEGIN"))
	return bundle[:at], bundle[at:]
}

func TestResources(t *testing.T) {
	for name, cfg := range configs(t) {
		t.Run(name, func(t *testing.T) {
			p, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name, render(t, p))
		})
	}
}

// render is everything that a proxy's host would get, and the labels that
// others publish themselves with.
func render(t *testing.T, p *Proxy) []byte {
	t.Helper()
	var b bytes.Buffer
	s := p.resources()
	fmt.Fprintf(&b, "stack %s in %s, networks %v, %d decisions\n", s.Name, s.Data, s.Networks, len(s.Decide))
	for _, c := range s.Containers {
		fmt.Fprintf(&b, "\ncontainer %s, service %s, recreated on %q\n", c.Name, c.Service, c.RecreateOn)
		for _, flag := range c.Cmd {
			fmt.Fprintln(&b, flag)
		}
		c.Cmd = nil
		text, err := json.MarshalIndent(c, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s\n", text)
	}
	for _, f := range s.Files {
		content := fmt.Sprintf("%d bytes\n", len(f.Content))
		switch {
		case f.Merge != nil:
			content = "merged\n"
		case f.Path == dynamicFile || f.Path == usersFile || f.Path == socketProxyFile:
			content = string(f.Content)
		case f.Path == leafFile || f.Path == acmeCAFile:
			content = fmt.Sprintf("%d PEM blocks\n", bytes.Count(f.Content, []byte("\n-----END ")))
		}
		fmt.Fprintf(&b, "\nfile %s %04o once=%v secret=%v after=%q\n%s", f.Path, f.Mode, f.Once, f.Secret, f.After, content)
	}
	labels := Labels(p.cfg,
		Route{Name: "hepta-hg", Host: "hg.example.org", Port: 80, HSTS: true},
		Route{Name: "hepta-registry", Host: "registry.example.org", Port: 5050})
	if p.cfg.SSHPort != 0 {
		maps.Copy(labels, SSHLabels(p.cfg, "hepta-ssh", 22))
	}
	fmt.Fprintln(&b, "\nlabels")
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		fmt.Fprintf(&b, "%s=%s\n", key, labels[key])
	}
	return b.Bytes()
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
