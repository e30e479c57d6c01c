package runner

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/runner/configkeys"
)

// A runner finds every value in the type that it reads, whatever the way in
// which it was written, and keys of the future as they are.
func TestKeysArriveAsTheRunnerReadsThem(t *testing.T) {
	r := Runner{Name: "a", Mode: Plain, Token: NewSecret("glrt-x"),
		Settings: map[string]any{
			"feature_flags": map[string]any{"FF_NETWORK_PER_BUILD": "true"}, "Output_Limit": "8192",
			"cache":         map[string]any{"Type": "s3", "S3": map[string]any{"ServerAddress": "s3.example.org", "insecure": "no"}},
			"of_the_future": []any{int64(1), "x"},
		},
		Docker: map[string]any{
			"services": []any{"postgres:16"}, "shm_size": "256m", "memory": 512, "Volumes": "/data", "security_opt": "no-new-privileges",
			"ulimit": map[string]any{"nofile": 1024}, "of_the_future": map[string]any{"deep": map[string]any{"er": 1.5}},
		}}
	content, err := ConfigTOML(Config{Forge: Forge{URL: "https://hg.example.org"}, Runners: []Runner{r}}, "")
	if err != nil {
		t.Fatal(fault.Describe(err))
	}
	var file struct {
		Runners []map[string]any `toml:"runners"`
	}
	if err := toml.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	got := file.Runners[0]
	docker := got["docker"].(map[string]any)
	for name, want := range map[string]any{
		"feature_flags": map[string]any{"FF_NETWORK_PER_BUILD": true}, "output_limit": int64(8192),
		"cache":         map[string]any{"Type": "s3", "s3": map[string]any{"ServerAddress": "s3.example.org", "Insecure": false}},
		"of_the_future": []any{int64(1), "x"},
	} {
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for name, want := range map[string]any{
		"services": []any{map[string]any{"name": "postgres:16"}}, "shm_size": int64(256 << 20), "memory": "512",
		"volumes": []any{"/cache", "/data"}, "security_opt": []any{"no-new-privileges"},
		"ulimit": map[string]any{"nofile": "1024"}, "of_the_future": map[string]any{"deep": map[string]any{"er": 1.5}},
	} {
		if diff := cmp.Diff(want, docker[name]); diff != "" {
			t.Errorf("docker.%s: %s", name, diff)
		}
	}
	delete(got, "docker")
	for section, values := range map[string]map[string]any{configkeys.Runner: got, configkeys.Docker: docker} {
		again, problems := configkeys.Normal(section, values)
		for _, p := range problems {
			if !p.Ignored {
				t.Errorf("%s.%s %s", section, p.Key, p.Text)
			}
		}
		if diff := cmp.Diff(values, again); diff != "" {
			t.Errorf("%s is not what the runner reads (-written +read):\n%s", section, diff)
		}
	}
}

// A value that the runner cannot read makes it refuse its whole file: it is
// told before, with the key.
func TestKeysOfAnotherType(t *testing.T) {
	for name, r := range map[string]Runner{
		"docker.memory":                 {Docker: map[string]any{"memory": []any{"2g"}}},
		"docker.shm_size":               {Docker: map[string]any{"shm_size": "big"}},
		"docker.cpu_shares":             {Docker: map[string]any{"cpu_shares": 1.5}},
		"docker.privileged":             {Docker: map[string]any{"privileged": "perhaps"}},
		"docker.cap_add[1]":             {Docker: map[string]any{"cap_add": []any{"SYS_PTRACE", []any{1}}}},
		"docker.sysctls":                {Docker: map[string]any{"sysctls": []any{"a"}}},
		"docker.ulimit.nofile":          {Docker: map[string]any{"ulimit": map[string]any{"nofile": []any{1}}}},
		"docker.hostname":               {Docker: map[string]any{"hostname": nil}},
		"docker.services[0].entrypoint": {Docker: map[string]any{"services": []any{map[string]any{"name": "a", "entrypoint": map[string]any{}}}}},
		"settings.output_limit":         {Settings: map[string]any{"output_limit": "4 MB"}},
		"settings.pre_build_script":     {Settings: map[string]any{"pre_build_script": []any{"date", "id"}}},
		"settings.feature_flags":        {Settings: map[string]any{"feature_flags": "FF_NETWORK_PER_BUILD"}},
		"settings.request_concurrency":  {Settings: map[string]any{"request_concurrency": "many"}},
		"settings.cache.s3.Insecure":    {Settings: map[string]any{"cache": map[string]any{"s3": map[string]any{"Insecure": 5}}}},
	} {
		r.Name, r.Mode = "a", Plain
		err := Config{Forge: Forge{URL: "https://hg.example.org"}, Runners: []Runner{r}}.Validate()
		var f *fault.Error
		if !errors.As(err, &f) || f.What != "runners[a]."+name {
			t.Errorf("%s: %s", name, fault.Describe(err))
		}
	}
}

// What is said twice is refused, in whatever case its key is written: the
// runner does not look at case.
func TestNothingIsSaidTwice(t *testing.T) {
	for key, tt := range map[string]struct {
		runner Runner
		helper string
	}{
		"docker.Privileged beside docker.privileged": {runner: Runner{Docker: map[string]any{"Privileged": true, "privileged": true}}},
		"docker.privileged of rootless":              {runner: Runner{Mode: Rootless, Docker: map[string]any{"Privileged": true}}},
		"docker.privileged of dind":                  {runner: Runner{Mode: Dind, Docker: map[string]any{"PRIVILEGED": false}}},
		"docker.security_opt":                        {runner: Runner{Mode: Rootless, Docker: map[string]any{"Security_Opt": []any{"seccomp=unconfined"}}}},
		"docker.image":                               {runner: Runner{Image: "a", Docker: map[string]any{"Image": "b"}}},
		"docker.helper_image":                        {runner: Runner{Docker: map[string]any{"helper_image": "b"}}, helper: "a"},
		"docker.services":                            {runner: Runner{Mode: Dind, DindImage: "docker:28-dind", Docker: map[string]any{"services": []any{map[string]any{"name": "x", "alias": "a,docker"}}}}},
		"settings.Token":                             {runner: Runner{Settings: map[string]any{"Token": "glrt-x"}}},
	} {
		if tt.runner.Mode == "" {
			tt.runner.Mode = Plain
		}
		tt.runner.Name = "a"
		err := Config{HelperImage: tt.helper, Forge: Forge{URL: "https://hg.example.org"}, Runners: []Runner{tt.runner}}.Validate()
		name, _, _ := strings.Cut(key, " of ")
		if _, second, both := strings.Cut(name, " beside "); both {
			name = second
		}
		var f *fault.Error
		if !errors.As(err, &f) || f.What != "runners[a]."+name {
			t.Errorf("%s: %s", key, fault.Describe(err))
		}
	}
}

// What the mode gives stays beside what is added by hand.
func TestBothAreKept(t *testing.T) {
	content, err := ConfigTOML(Config{Forge: Forge{URL: "https://hg.example.org"}, Runners: []Runner{
		{Name: "a", Mode: Dind, DindImage: "docker:28-dind", Token: NewSecret("glrt-x"), Docker: map[string]any{"services": "postgres:16"}},
		{Name: "b", Mode: Rootless, Token: NewSecret("glrt-y"), Docker: map[string]any{"security_opt": "no-new-privileges"}},
		{Name: "c", Mode: Dind, Token: NewSecret("glrt-z"), Docker: map[string]any{"privileged": false, "services_privileged": true}},
	}}, "")
	if err != nil {
		t.Fatal(fault.Describe(err))
	}
	var file struct {
		Runners []struct {
			Docker struct {
				Services []struct {
					Name string `toml:"name"`
				} `toml:"services"`
				SecurityOpt []string `toml:"security_opt"`
				Privileged  bool     `toml:"privileged"`
			} `toml:"docker"`
		} `toml:"runners"`
	}
	if err := toml.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	if s := file.Runners[0].Docker.Services; len(s) != 2 || s[0].Name != "docker:28-dind" || s[1].Name != "postgres:16" {
		t.Errorf("services %v", s)
	}
	if opts := file.Runners[1].Docker.SecurityOpt; len(opts) != 3 || opts[2] != "no-new-privileges" {
		t.Errorf("security options %d, the last one is to be no-new-privileges", len(opts))
	}
	if file.Runners[2].Docker.Privileged {
		t.Error("privileged, though only its services are to be")
	}
}
