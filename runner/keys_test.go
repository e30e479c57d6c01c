package runner

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"

	"github.com/heptaup/hepta/internal/fault"
)

// Every key can be given, and arrives as the runner reads it: one whose type
// is known in any of the ways in which people write it, another one as it is.
func TestEveryKeyArrives(t *testing.T) {
	written := map[kind][]any{
		asText: {"a", 2, 1.5}, asNumber: {7}, asTruth: {true}, asTexts: {[]any{"a", "b"}, "a"}, asTable: {map[string]any{"k": "v"}},
		asPairs: {map[string]any{"k": "v", "n": 1024}},
	}
	arrives := map[kind][]any{
		asText: {"a", "2", "1.5"}, asNumber: {int64(7)}, asTruth: {true}, asTexts: {[]any{"a", "b"}, []any{"a"}}, asTable: {map[string]any{"k": "v"}},
		asPairs: {map[string]any{"k": "v", "n": "1024"}},
	}
	sections, dockers := map[string]any{"of_the_future": []any{int64(1), "x"}}, map[string]any{"of_the_future": map[string]any{"deep": map[string]any{"er": 1.5}}}
	for n := range 3 {
		r := Runner{Name: "a", Mode: Plain, Token: NewSecret("glrt-x"), Settings: map[string]any{}, Docker: map[string]any{}}
		wantSection, wantDocker := map[string]any{}, map[string]any{}
		fill := func(kinds map[string]kind, further, given, want map[string]any) {
			for name, k := range kinds {
				if name == "volumes" || name == "extra_hosts" || name == "image" {
					continue // have defaults that they are added to, or a key of their own
				}
				i := min(n, len(written[k])-1)
				given[name], want[name] = written[k][i], arrives[k][i]
			}
			for name, v := range further {
				given[name], want[name] = v, v
			}
		}
		fill(sectionKeys, sections, r.Settings, wantSection)
		fill(dockerKeys, dockers, r.Docker, wantDocker)
		content, err := ConfigTOML(Config{Forge: Forge{URL: "https://hg.example.org"}, Runners: []Runner{r}}, "")
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Runners []map[string]any `toml:"runners"`
		}
		if err := toml.Unmarshal(content, &file); err != nil {
			t.Fatal(err)
		}
		got := file.Runners[0]
		docker := got["docker"].(map[string]any)
		for name, want := range wantSection {
			if diff := cmp.Diff(want, got[name]); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
		for name, want := range wantDocker {
			if diff := cmp.Diff(want, docker[name]); diff != "" {
				t.Errorf("docker.%s: %s", name, diff)
			}
		}
	}
}

// A value that the runner cannot read makes it refuse its whole file: it is
// told before, with the key.
func TestKeysOfAnotherType(t *testing.T) {
	for name, r := range map[string]Runner{
		"docker.memory":                {Docker: map[string]any{"memory": []any{"2g"}}},
		"docker.shm_size":              {Docker: map[string]any{"shm_size": "256m"}},
		"docker.cpu_shares":            {Docker: map[string]any{"cpu_shares": 1.5}},
		"docker.privileged":            {Docker: map[string]any{"privileged": "yes"}},
		"docker.cap_add":               {Docker: map[string]any{"cap_add": []any{"SYS_PTRACE", 1}}},
		"docker.volumes":               {Docker: map[string]any{"volumes": 3}},
		"docker.sysctls":               {Docker: map[string]any{"sysctls": []any{"a=b"}}},
		"docker.ulimit":                {Docker: map[string]any{"ulimit": map[string]any{"nofile": true}}},
		"docker.hostname":              {Docker: map[string]any{"hostname": nil}},
		"settings.output_limit":        {Settings: map[string]any{"output_limit": "4096"}},
		"settings.pre_build_script":    {Settings: map[string]any{"pre_build_script": []any{"date", "id"}}},
		"settings.feature_flags":       {Settings: map[string]any{"feature_flags": "FF_NETWORK_PER_BUILD"}},
		"settings.request_concurrency": {Settings: map[string]any{"request_concurrency": true}},
	} {
		r.Name, r.Mode = "a", Plain
		err := Config{Forge: Forge{URL: "https://hg.example.org"}, Runners: []Runner{r}}.Validate()
		var f *fault.Error
		if !errors.As(err, &f) || f.What != "runners[a]."+name || !strings.Contains(f.Remedy, name+": give it ") {
			t.Errorf("%s: %s", name, fault.Describe(err))
		}
	}
}
