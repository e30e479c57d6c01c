package hepta

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/runner"
)

// A build has the image of the first runner of its mode, and the mode's own
// where there is none.
func TestBuildImage(t *testing.T) {
	cfg, err := Parse("hepta.yaml", []byte(`forge: hg.example.org
runners:
  - {name: a, mode: dind, image: "client:1"}
  - {name: b, mode: socket, image: "client:2"}
  - {name: c, mode: socket, image: "client:3"}
`))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[runner.Mode]string{"": "client:2", runner.Socket: "client:2", runner.Dind: "", runner.Rootless: ""} {
		if got := s.buildImage(mode); got != want {
			t.Errorf("mode %q: %q, want %q", mode, got, want)
		}
	}
}

// What a build has to be told about the registry depends on who knows its name
// and its authority.
func TestBuildRegistry(t *testing.T) {
	for text, want := range map[string]runner.BuildRegistry{
		"forge: hg.example.org": {},
		"{forge: hg.example.org, registry: registry.example.org, acme: {email: a@example.org}}":                            {Host: "registry.example.org"},
		"{forge: hg.example.org, registry: registry.example.org, tls: {mode: off}}":                                        {Host: "registry.example.org", Plain: true, Names: []string{"hg.example.org", "registry.example.org"}},
		"{forge: hg.example.org, registry: {port: 5050, certificate: c, key: k}, tls: {mode: acme, email: a@example.org}}": {Host: "hg.example.org:5050"},
	} {
		cfg, err := Parse("hepta.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Registry != nil && cfg.Registry.Port != "" {
			cfg.Registry.Certificate, cfg.Registry.Key = []byte("c"), []byte("k")
		}
		s := &Stack{cfg: cfg.normal()}
		got, err := s.buildRegistry(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", text, diff)
		}
	}
}
