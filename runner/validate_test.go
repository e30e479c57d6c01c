package runner

import (
	"fmt"
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/fault"
)

func TestValidate(t *testing.T) {
	no := false
	good := Forge{URL: "https://hg.example.org", Token: NewSecret("glpat-canary")}
	for want, cfg := range map[string]Config{
		`stack: "Lab" is no stack name`:                                                     {Stack: "Lab", Forge: good},
		`data: "srv" is no absolute directory`:                                              {Data: "srv", Forge: good},
		`runner.image: "UPPER" is no image reference`:                                       {Image: "UPPER", Forge: good},
		`runner.check_interval: -1 is less than 0`:                                          {CheckInterval: -1, Forge: good},
		`ca_file: "ca.crt" is no file in a directory below data`:                            {CAFile: "ca.crt", Forge: good},
		`runner.labels.hepta.stack: names that begin with hepta. are `:                      {Labels: map[string]string{"hepta.stack": "x"}, Forge: good},
		`forge.url: the address of the forge is missing`:                                    {Runners: []Runner{{Name: "a"}}},
		`forge.url: this is no http or https address`:                                       {Forge: Forge{URL: "hg.example.org"}},
		`forge.url: an address may not hold a password`:                                     {Forge: Forge{URL: "https://a:canary@hg.example.org"}},
		`forge.url: inside a job's containers localhost is the conta`:                       {Forge: Forge{URL: "http://localhost:8080"}},
		`runners[0].name: " a" begins or ends with white space`:                             {Forge: good, Runners: []Runner{{Name: " a"}}},
		`runners[0].name: "-f" begins with -, as an option of a command does`:               {Forge: good, Runners: []Runner{{Name: "-f"}}},
		`runners[0].name: "a\nb" has characters that cannot be seen`:                        {Forge: good, Runners: []Runner{{Name: "a\nb"}}},
		`runners[a].name: there are two runners of this name`:                               {Forge: good, Runners: []Runner{{Name: "a"}, {Name: "a"}}},
		`runners[a].tags: a runner without tags that takes no untagg`:                       {Forge: good, Runners: []Runner{{Name: "a", RunUntagged: &no}}},
		`runners[a].tags[1]: "x,y" is no tag`:                                               {Forge: good, Runners: []Runner{{Name: "a", Tags: []string{"z", "x,y"}}}},
		`runners[a].maximum_timeout: 599 seconds are less than the f`:                       {Forge: good, Runners: []Runner{{Name: "a", MaximumTimeout: 599}}},
		`runners[a].access_level: "all" is no access level`:                                 {Forge: good, Runners: []Runner{{Name: "a", AccessLevel: "all"}}},
		`runners[a].concurrent: -1 is less than 0`:                                          {Forge: good, Runners: []Runner{{Name: "a", Concurrent: -1}}},
		`runners[a].image: "a b" is no image reference`:                                     {Forge: good, Runners: []Runner{{Name: "a", Image: "a b"}}},
		`runners[a].mode: there is no mode "podman"`:                                        {Forge: good, Runners: []Runner{{Name: "a", Mode: "podman"}}},
		`runners[a].docker.privileged: a rootless runner gives no p`:                        {Forge: good, Runners: []Runner{{Name: "a", Mode: Rootless, Docker: map[string]any{"privileged": true}}}},
		`runners[a].tls: mode plain runs no Docker daemon`:                                  {Forge: good, Runners: []Runner{{Name: "a", Mode: Plain, TLS: &no}}},
		`runners[a].allowed_images[1]: "a b" is no pattern of images`:                       {Forge: good, Runners: []Runner{{Name: "a", AllowedImages: []string{"docker:*", "a b"}}}},
		`runners[a].allowed_services[0]: "[x" is no pattern of image`:                       {Forge: good, Runners: []Runner{{Name: "a", AllowedServices: []string{"[x"}}}},
		`runners[a].docker.allowed_images: it is given as allowed_images of the runner too`: {Forge: good, Runners: []Runner{{Name: "a", AllowedImages: []string{"x"}, Docker: map[string]any{"allowed_images": []any{"y"}}}}},
		`runners[a].dind_image: mode socket runs no Docker daemon`:                          {Forge: good, Runners: []Runner{{Name: "a", Mode: Socket, DindImage: "docker:dind"}}},
		`runners[a].dind_image: mode plain runs no Docker daemon`:                           {Forge: good, Runners: []Runner{{Name: "a", DindImage: "docker:dind"}}},
		`runners[a].build_cache: with the host's socket jobs have th`:                       {Forge: good, Runners: []Runner{{Name: "a", Mode: Socket, BuildCache: 20 << 30}}},
		`runners[a].build_cache: mode plain builds no images`:                               {Forge: good, Runners: []Runner{{Name: "a", Mode: Plain, BuildCache: 20 << 30}}},
		`runners[a].build_cache: 20 bytes hold no base image`:                               {Forge: good, Runners: []Runner{{Name: "a", Mode: Dind, BuildCache: 20}}},
		`runners[a].build_cache: docker.disable_cache leaves jobs wi`:                       {Forge: good, Runners: []Runner{{Name: "a", Mode: Dind, BuildCache: 20 << 30, Docker: map[string]any{"disable_cache": true}}}},
		`runners[a].docker.volumes[0]: services get the volumes of `:                        {Forge: good, Runners: []Runner{{Name: "a", Mode: Dind, Docker: map[string]any{"volumes": []any{"/run/x.sock:/var/run/docker.sock"}}}}},
		`runners[a].docker.privileged: with the host's socket a job`:                        {Forge: good, Runners: []Runner{{Name: "a", Mode: Socket, Docker: map[string]any{"privileged": true}}}},
		`runners[a].docker.services[0]: the host's socket would hid`:                        {Forge: good, Runners: []Runner{{Name: "a", Mode: Socket, Docker: map[string]any{"services": []any{map[string]any{"name": "docker:dind"}}}}}},
		`runners[a].docker.volumes: is not a list of texts`:                                 {Forge: good, Runners: []Runner{{Name: "a", Docker: map[string]any{"volumes": map[string]any{"a": "b"}}}}},
		`runners[a].settings.token: the runner has a key of its own`:                        {Forge: good, Runners: []Runner{{Name: "a", Settings: map[string]any{"token": "canary"}}}},
		`runners[a].settings.executor: the executor is docker`:                              {Forge: good, Runners: []Runner{{Name: "a", Settings: map[string]any{"executor": "shell"}}}},
		`runners[a].docker.dns: is empty: leave the key out`:                                {Forge: good, Runners: []Runner{{Name: "a", Docker: map[string]any{"dns": nil}}}},
		`runners[a].environment[0]: this is no variable with a value`:                       {Forge: good, Runners: []Runner{{Name: "a", Environment: []string{"canary"}}}},
		`runners[a].forge.token: a runner of another forge needs a`:                         {Forge: good, Runners: []Runner{{Name: "a", URL: "https://x.example.org"}}},
		`runners[a].group: a runner belongs to a group or to a proj`:                        {Forge: good, Runners: []Runner{{Name: "a", Group: 1, Project: 2}}},
		`forge.token: runner a has to be made in the forge, and ther`:                       {Forge: Forge{URL: good.URL}, Runners: []Runner{{Name: "a"}}},
	} {
		_, err := New(cfg)
		if err == nil || !strings.HasPrefix(err.Error(), "read configuration "+want) {
			t.Errorf("got %v, want %s", err, want)
			continue
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("more than one problem: %v", err)
		}
		key, _, _ := strings.Cut(want, ": ")
		if fault.Remedy(err) == "" || !strings.HasPrefix(fault.Remedy(err), key+": ") {
			t.Errorf("remedy of %s: %q", key, fault.Remedy(err))
		}
		if strings.Contains(fault.Describe(err), "canary") {
			t.Errorf("a secret is in %v", err)
		}
	}
}

func TestValidateSaysEverythingAtOnce(t *testing.T) {
	err := Config{Stack: "Lab", Forge: Forge{URL: "x"}, Runners: []Runner{{Name: "a", Mode: "b", MaximumTimeout: 1}}}.Validate()
	if n := strings.Count(fmt.Sprint(err), "read configuration"); n != 4 {
		t.Errorf("%d problems: %v", n, err)
	}
}

func TestValidateTakesWhatIsGood(t *testing.T) {
	for name, cfg := range presets() {
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (Config{}).Validate(); err != nil {
		t.Errorf("nothing described: %v", err)
	}
}
