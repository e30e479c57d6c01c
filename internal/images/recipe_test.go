package images

import (
	"archive/tar"
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func mustRecipe(t *testing.T, name Name) recipe {
	t.Helper()
	r, err := recipeFor(name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEveryNameHasARecipe(t *testing.T) {
	known := map[string]bool{}
	for _, p := range programs() {
		known[p.name] = true
	}
	for _, n := range append(Names(), Host, HeptapodAt("17.11.2"), forgeBase, forgeProgram, buildKitBase, Frontend, Postgres, RunnerNetworks) {
		r := mustRecipe(t, n)
		if r.name != n {
			t.Errorf("%s: the recipe makes %s", n, r.name)
		}
		for path, p := range r.programs {
			if !known[p] {
				t.Errorf("%s: %s is filled from %s, which is nowhere built", n, path, p)
			}
		}
		if r.parent != "" && r.parent != forgeBase && r.parent != forgeProgram && r.parent != buildKitBase && !slices.Contains(Names(), r.parent) {
			t.Errorf("%s: parent %s is no image", n, r.parent)
		}
	}
	for _, n := range []Name{"", "nothing", "heptapod-"} {
		if _, err := recipeFor(n); err == nil {
			t.Errorf("%q has a recipe", n)
		}
	}
}

func TestTags(t *testing.T) {
	for version, want := range map[string][]string{
		"17.8.1": {"octobus/heptapod:17.8.1", "octobus/heptapod:17.8"},
		"17.8":   {"octobus/heptapod:17.8"},
	} {
		if got := mustRecipe(t, HeptapodAt(version)).tags; !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", version, got, want)
		}
	}
	r := Ref{Tags: []string{"a"}}
	if got := r.As("b:1", "c").Tags; !slices.Equal(got, []string{"b:1", "c"}) || r.Tags[0] != "a" {
		t.Errorf("As gives %q and leaves %q", got, r.Tags)
	}
}

// Whatever goes into an image changes its hash, and nothing else does.
func TestSumFollowsWhatGoesIn(t *testing.T) {
	base := func() recipe {
		return recipe{name: "x", parent: "y", files: fstest.MapFS{"a": {Data: []byte("1")}}, programs: map[string]string{"bin/p": "p"},
			links: map[string]string{"l": "a"}, volumes: []string{"/v"}}
	}
	built := map[string]string{"p": "1", "other": "1"}
	sum := func(r recipe, parent string, programs map[string]string) string {
		s, err := r.sum(parent, programs)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := sum(base(), "parent", built)
	if sum(base(), "parent", built) != first {
		t.Error("the same inputs hash differently")
	}
	if sum(base(), "parent", map[string]string{"p": "1", "other": "2"}) != first {
		t.Error("a program that is not in the image changes its hash")
	}
	changes := map[string]func() string{
		"parent":  func() string { return sum(base(), "another", built) },
		"program": func() string { return sum(base(), "parent", map[string]string{"p": "2"}) },
		"content": func() string {
			r := base()
			r.files = fstest.MapFS{"a": {Data: []byte("2")}}
			return sum(r, "parent", built)
		},
		"path": func() string {
			r := base()
			r.files = fstest.MapFS{"b": {Data: []byte("1")}}
			return sum(r, "parent", built)
		},
		"text":   func() string { r := base(); r.texts = map[string]string{"t": "a"}; return sum(r, "parent", built) },
		"link":   func() string { r := base(); r.links = map[string]string{"l": "b"}; return sum(r, "parent", built) },
		"volume": func() string { r := base(); r.volumes = []string{"/w"}; return sum(r, "parent", built) },
		"config": func() string { r := base(); r.config.Env = []string{"A=b"}; return sum(r, "parent", built) },
		"name":   func() string { r := base(); r.name = "z"; return sum(r, "parent", built) },
		"dir": func() string {
			r := base()
			r.dirs = map[string]fs.FileMode{"d": 0o700}
			return sum(r, "parent", built)
		},
	}
	seen := map[string]string{first: "nothing"}
	for what, change := range changes {
		s := change()
		if other, ok := seen[s]; ok {
			t.Errorf("a change of %s hashes as a change of %s", what, other)
		}
		seen[s] = what
	}
}

func TestDigestKeepsPartsApart(t *testing.T) {
	if digest("ab", "c") == digest("a", "bc") || digest("a") == digest("a", "") {
		t.Error("different lists hash alike")
	}
}

// Programs of nested modules are pinned: every module that builds something has
// both files, and the version that the image's tag tells is the one required.
func TestModulesArePinned(t *testing.T) {
	versions := map[string]string{
		"traefik": "github.com/traefik/traefik/v3 v" + traefikVersion, "registry": "github.com/distribution/distribution/v3 v" + registryVersion,
		"pebble": "github.com/letsencrypt/pebble/v2 v" + pebbleVersion, "gitlab-runner": "-" + runnerRevision,
		"compose": "github.com/docker/compose/v5 v",
	}
	for _, p := range programs() {
		if p.module == "" {
			continue
		}
		mod, err := modules.ReadFile("modules/" + p.module + ".mod")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := modules.ReadFile("modules/" + p.module + ".sum"); err != nil {
			t.Error(err)
		}
		if !strings.Contains(string(mod), versions[p.module]) {
			t.Errorf("%s does not require %s", p.module, versions[p.module])
		}
		if !strings.Contains(string(mod), "tool "+p.pkg) && !strings.Contains(string(mod), "\t"+p.pkg+"\n") {
			t.Errorf("%s has no tool line for %s", p.module, p.pkg)
		}
	}
}

func entries(t *testing.T, r io.Reader) map[string]*tar.Header {
	t.Helper()
	found := map[string]*tar.Header{}
	for a := tar.NewReader(r); ; {
		h, err := a.Next()
		if err == io.EOF {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		found[h.Name] = h
	}
}

func TestPack(t *testing.T) {
	program := filepath.Join(t.TempDir(), "p")
	if err := os.WriteFile(program, []byte("binary"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := recipe{
		files:    fstest.MapFS{"usr/bin/script": {Data: []byte("#!/bin/sh\n")}, "etc/plain": {Data: []byte("text")}},
		programs: map[string]string{"usr/bin/p": "p"}, links: map[string]string{"usr/bin/q": "p"}, dirs: map[string]fs.FileMode{"srv/d": 0o700},
	}
	var b bytes.Buffer
	if err := r.pack(&b, map[string]string{"p": program}); err != nil {
		t.Fatal(err)
	}
	got := entries(t, &b)
	for name, mode := range map[string]int64{"usr/bin/script": 0o755, "etc/plain": 0o644, "usr/bin/p": 0o755, "usr/bin/q": 0o777, "srv/d/": 0o700} {
		if got[name] == nil || got[name].Mode != mode {
			t.Errorf("%s: got %+v, want mode %o", name, got[name], mode)
		}
	}
	if len(got) != 5 {
		t.Errorf("an entry for a directory that is not listed replaces links such as /bin: %v", got)
	}
	if err := r.pack(io.Discard, map[string]string{"p": program + ".gone"}); err == nil {
		t.Error("a missing program is packed")
	}
}

func TestPackSmall(t *testing.T) {
	var b bytes.Buffer
	if err := packSmall(&b, []byte("busybox"), []byte("certificates"), []string{"sh", "cat"}); err != nil {
		t.Fatal(err)
	}
	got := entries(t, &b)
	if h := got["bin/busybox"]; h == nil || h.Mode != 0o755 || h.Size != 7 {
		t.Errorf("busybox: %+v", h)
	}
	if h := got["bin/sh"]; h == nil || h.Linkname != "busybox" {
		t.Errorf("sh: %+v", h)
	}
	if h := got["tmp/"]; h == nil || h.Mode != 0o1777 {
		t.Errorf("tmp: %+v", h)
	}
	if got[certificatesFile] == nil {
		t.Error("no certificates")
	}
}

// People make the image of hosts by docs/paas.md.
func TestHostImageIsDocumented(t *testing.T) {
	script, err := files.ReadFile("files/host/usr/bin/gitlab-runner")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/paas.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```sh\n"+string(script)+"```") {
		t.Error("docs/paas.md has another gitlab-runner than the image")
	}
	r := mustRecipe(t, Host)
	for _, program := range []string{"/usr/local/bin/gitlab-runner", "/usr/local/bin/hepta"} {
		if r.programs[program[1:]] == "" || !strings.Contains(string(page), program) {
			t.Errorf("%s is not in both, the image and docs/paas.md", program)
		}
	}
}
