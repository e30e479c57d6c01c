package integration

import (
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

	"github.com/heptaup/hepta/internal/images"
	"github.com/heptaup/hepta/internal/sandbox"
	"github.com/heptaup/hepta/runner"
)

// What fills an Engine: an image of a job, one that somebody built, one that was
// pulled, one that a container uses, one without a name, and a build cache.
const fillsDisk = `set -e
docker run -d --name registry -p 5000:5000 registry:3 >/dev/null
build() { # name, label, what makes its layer another one
	printf 'FROM hepta/small:1\nRUN dd if=/dev/urandom of=/%s bs=1M count=4 2>/dev/null\n' "$3" | docker build -q -t "$1" --label "$2" -
}
build app:1 hepta.built-as=app:1 job
build shop:1 theirs=1 theirs
build used:1 theirs=1 used
docker create --name stopped used:1 true >/dev/null
build nameless:1 x=1 one
build nameless:1 x=1 two
build localhost:5000/pulled:1 x=1 pulled
until docker push -q localhost:5000/pulled:1; do :; done
docker rmi localhost:5000/pulled:1 >/dev/null
docker pull -q localhost:5000/pulled:1
`

// Of an Engine that others use as well only what a job has labelled goes, and
// of one that is for runners alone also what was pulled, what has no name and
// the build cache; what a container uses and what somebody built stay.
func TestPruneToASizeOnAnEngine(t *testing.T) {
	ctx := t.Context()
	_, docker := inside(t, sandbox.Config{}, images.Base, images.Small, images.Registry)
	output(t, docker, container.Config{Image: outer.refs[images.Base].Local, Cmd: []string{"sh", "-c", fillsDisk}},
		container.HostConfig{NetworkMode: "host", Binds: []string{"/var/run/docker.sock:/var/run/docker.sock"}})
	has := func() map[string]bool {
		t.Helper()
		list, err := docker.ImageList(ctx, image.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		for _, i := range list {
			if len(i.RepoTags) == 0 {
				found["nameless"] = true
			}
			for _, tag := range i.RepoTags {
				found[tag] = true
			}
		}
		return found
	}
	prune := func(dedicated bool) *runner.Pruned {
		t.Helper()
		p, err := runner.Prune(ctx, docker, runner.PruneOptions{Force: true, Age: 1, KeepCaches: true, Limit: &runner.DiskLimit{Keep: 1, Dedicated: dedicated}})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	cached := func(p *runner.Pruned) (bytes int64, removed bool) {
		for _, l := range p.Leftovers {
			if l.Kind == runner.LeftBuildCache {
				return l.Bytes, l.Removed
			}
		}
		return 0, false
	}
	check := func(when string, gone, stay []string) {
		t.Helper()
		left := has()
		for _, name := range gone {
			if left[name] {
				t.Errorf("%s: %s is still there", when, name)
			}
		}
		for _, name := range stay {
			if !left[name] {
				t.Errorf("%s: %s was taken", when, name)
			}
		}
	}

	all := []string{"app:1", "shop:1", "used:1", "nameless", "localhost:5000/pulled:1", "registry:3", "hepta/small:1"}
	check("before", nil, all)
	p := prune(false)
	check("shared", all[:1], all[1:])
	if _, removed := cached(p); removed {
		t.Error("shared: the build cache went")
	}
	p = prune(true)
	check("dedicated", []string{"app:1", "nameless", "localhost:5000/pulled:1"}, []string{"shop:1", "used:1", "registry:3", "hepta/small:1"})
	if bytes, removed := cached(p); !removed || bytes < 4<<20 {
		t.Errorf("dedicated: of the build cache went %d bytes", bytes)
	}
	if c, err := docker.ContainerInspect(ctx, "registry"); err != nil || !c.State.Running || p.Over == 0 {
		t.Errorf("the registry runs: %v, %v; over by %d", c.State, err, p.Over)
	}
}
