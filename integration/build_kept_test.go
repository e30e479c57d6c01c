package integration

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/image"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/images"
	"github.com/heptaup/hepta/runner"
)

// A step that cannot go on without a secret, shows it, and keeps only how long
// it is; and one that comes to something else each time it is run.
const secretDockerfile = `FROM scratch AS tool
COPY busybox /bin/busybox
COPY busybox /bin/sh
FROM tool
RUN --mount=type=secret,id=netrc /bin/busybox test -s /run/secrets/netrc && /bin/busybox cat /run/secrets/netrc && /bin/busybox wc -c </run/secrets/netrc >/length
RUN /bin/busybox cat /proc/sys/kernel/random/uuid >/made
`

// A secret reaches the step that names it and nothing else, not even what is
// told of it; and what a registry keeps of one build's steps spares the next,
// in a builder that knows nothing, to run them.
func TestBuildSecretsAndRegistryCaches(t *testing.T) {
	ctx := t.Context()
	s := onSiteAlone(t)
	s.lab(t)
	cfg, err := hepta.Parse("hepta.yaml", []byte(labYAML))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var told strings.Builder
	stack, err := hepta.New(cfg, hepta.WithDocker(s.docker), hepta.WithProgress(func(e hepta.Event) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(&told, e.Text)
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := images.Copy(ctx, outer.docker, s.docker, refs(images.Buildah)...); err != nil {
		t.Fatal(err)
	}
	p := s.project(t, stack, "kept-layers", git)
	password, err := stack.Forge().RootPassword(ctx)
	if err != nil {
		t.Fatal(err)
	}
	loggedIn(t, stack, password.Reveal())
	const canary = "machine example login me password k4n4rie"
	source := at(t, map[string]string{"Dockerfile": secretDockerfile, "busybox": busybox(t)})
	for mode, builds := range buildImages {
		t.Run(string(mode), func(t *testing.T) {
			before := s.volumes(t)
			tag := labRegistry + "/" + p.Path + ":" + string(mode)
			o := runner.BuildOptions{Mode: mode, Image: builds, Source: source, Push: true, Tags: []string{tag},
				Secrets: []runner.BuildSecret{{ID: "netrc", Value: runner.NewSecret(canary + "\n")}}, CacheTo: []string{"type=inline"}}
			from := tag
			if mode == runner.Rootless {
				from = labRegistry + "/" + p.Path + "/steps"
				o.CacheTo = []string{from}
			}
			told.Reset()
			s.build(t, stack, o)
			if words := told.String(); strings.Contains(words, "k4n4rie") || !strings.Contains(words, "***") {
				t.Errorf("told: %s", words)
			}
			if got := strings.TrimSpace(p.pulled(t, string(mode), "length")); got != strconv.Itoa(len(canary)+1) {
				t.Errorf("the step had a secret of %q bytes", got)
			}
			made := p.pulled(t, string(mode), "made")

			o.CacheFrom, o.CacheTo = []string{from}, nil
			o.Tags = []string{tag + "-again"}
			if mode == runner.Socket { // the Engine's own cache would hide the registry's
				if _, err := s.docker.BuildCachePrune(ctx, build.CachePruneOptions{All: true}); err != nil {
					t.Fatal(err)
				}
				if _, err := s.docker.ImageRemove(ctx, tag, image.RemoveOptions{Force: true}); err != nil {
					t.Fatal(err)
				}
			}
			s.build(t, stack, o)
			if again := p.pulled(t, string(mode)+"-again", "made"); again != made {
				t.Errorf("with the registry's cache the step was run again: %q, then %q", made, again)
			}
			o.CacheFrom, o.NoCache = nil, true
			o.Tags = []string{tag + "-anew"}
			s.build(t, stack, o)
			if anew := p.pulled(t, string(mode)+"-anew", "made"); anew == made {
				t.Error("without a cache the step was not run again")
			}
			s.leaves(t, before)

			o.Secrets = nil
			_, err := stack.Build(ctx, o)
			if !errors.Is(err, runner.ErrBuildFailed) {
				t.Errorf("without its secret: %s", fault.Describe(err))
			}
		})
	}
}
