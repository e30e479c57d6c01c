package runner

import (
	"slices"
	"testing"

	"github.com/heptaup/hepta/internal/converge"
)

// A configuration that has jobs run a file must not reach the runner before
// that file. Rootless jobs have none without a cache; what daemons are told
// depends on the host, too.
func TestBuildCacheBringsItsProgram(t *testing.T) {
	given := NewSecret("glrt-given")
	forge := Forge{URL: "https://hg.example.org"}
	for _, c := range []struct {
		mode Mode
		size int64
		want []string
	}{{Plain, 0, nil}, {Rootless, 0, nil}, {Dind, 0, []string{FileDockerd}}, {Dind, MinBuildCache, []string{FileDockerd}}, {Rootless, MinBuildCache, []string{FileBuildah, FileBuildKit}}} {
		r, err := New(Config{Forge: forge, Runners: []Runner{{Name: "plain", Mode: Plain, Token: given}, {Name: "a", Mode: c.mode, Token: given, BuildCache: c.size}}})
		if err != nil {
			t.Fatal(err)
		}
		files := r.resources().Files
		config := files[slices.IndexFunc(files, func(f converge.File) bool { return f.Path == FileConfig })]
		for _, path := range []string{FileDockerd, FileBuildah, FileBuildKit} {
			program := slices.IndexFunc(files, func(f converge.File) bool { return f.Path == path })
			if got := program >= 0; got != slices.Contains(c.want, path) {
				t.Errorf("%s, cache of %d bytes: %s is written: %t", c.mode, c.size, path, got)
			}
			if got := slices.Contains(config.After, converge.Ref("file:"+path)); got != slices.Contains(c.want, path) {
				t.Errorf("%s, cache of %d bytes: %s waits for %s: %t", c.mode, c.size, FileConfig, path, got)
			}
			if program >= 0 && (files[program].Mode != 0o755 || len(files[program].Content) == 0) {
				t.Errorf("%s has mode %o and %d bytes", path, files[program].Mode, len(files[program].Content))
			}
		}
	}
}

// What is written without a host to write the program to is refused.
func TestBuildCacheNeedsAHost(t *testing.T) {
	_, err := ConfigTOML(Config{Forge: Forge{URL: "https://hg.example.org"},
		Runners: []Runner{{Name: "dind", Mode: Dind, Token: NewSecret("glrt-given"), BuildCache: MinBuildCache}}}, "")
	if err == nil {
		t.Error("config.toml names a file that nobody writes")
	}
}
