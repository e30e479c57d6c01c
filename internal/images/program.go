package images

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/heptaup/hepta/internal/hosttool"
)

// modules holds one go.mod and go.sum a program: versions are pinned there, and
// one program's dependencies don't touch another's nor this module's. They go
// by other names, because a file of a nested module can't be embedded.
//
//go:embed modules
var modules embed.FS

// program is a static binary built from a Go module, or a script that the
// module has.
type program struct {
	name    string
	module  string // file name in modules, without its ending; "" for this module's own programs
	pkg     string // import path
	script  string // where it lies in the module pkg
	patch   string // file name in modules, without its ending: what the module pkg gets before it is built
	ldflags string
	about   string // how long it takes when nothing is cached
}

// programs lists what is built, the quickest first.
func programs() []program {
	const runner = "gitlab.com/gitlab-org/gitlab-runner"
	version := "-X " + runner + "/common.VERSION=" + runnerVersion +
		" -X " + runner + "/common.REVISION=" + runnerRevision
	return []program{
		{name: "heptapod", pkg: standinPackage, about: "half a minute"},
		{name: "hepta", pkg: heptaPackage, about: "a minute"},
		{name: "pebble", module: "pebble", pkg: "github.com/letsencrypt/pebble/v2/cmd/pebble", about: "seconds"},
		{name: "pebble-challtestsrv", module: "pebble", pkg: "github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv", about: "seconds"},
		{name: "gitlab-runner", module: "gitlab-runner", pkg: runner, ldflags: version, about: "a minute"},
		{name: "gitlab-runner-networks", module: "gitlab-runner", pkg: runner, patch: "gitlab-runner-networks", ldflags: version, about: "half a minute"},
		{name: "gitlab-runner-helper", module: "gitlab-runner", pkg: runner + "/apps/gitlab-runner-helper", ldflags: version, about: "half a minute"},
		{name: "rootlesskit", module: "buildkit", pkg: "github.com/rootless-containers/rootlesskit/v2/cmd/rootlesskit", about: "seconds"},
		{name: "buildctl-daemonless.sh", module: "buildkit", pkg: "github.com/moby/buildkit", script: "examples/buildctl-daemonless/buildctl-daemonless.sh", about: "seconds"},
		{name: "buildctl", module: "buildkit", pkg: "github.com/moby/buildkit/cmd/buildctl", about: "half a minute"},
		{name: "buildkitd", module: "buildkit", pkg: "github.com/moby/buildkit/cmd/buildkitd", about: "a minute"},
		{name: "dockerfile-frontend", module: "buildkit", pkg: "github.com/moby/buildkit/frontend/dockerfile/cmd/dockerfile-frontend", about: "half a minute"},
		{name: "registry", module: "registry", pkg: "github.com/distribution/distribution/v3/cmd/registry", about: "two minutes"},
		{name: Compose, module: "compose", pkg: "github.com/docker/compose/v5/cmd", about: "two minutes"},
		{name: "traefik", module: "traefik", pkg: "github.com/traefik/traefik/v3/cmd/traefik", ldflags: "-X github.com/traefik/traefik/v3/pkg/version.Version=" + traefikVersion, about: "six minutes"},
	}
}

// What the programs of the nested modules are, by their own version numbers.
const (
	traefikVersion  = "3.6.12"
	registryVersion = "3.1.2"
	runnerVersion   = "12.8.0"
	runnerRevision  = "8e5683f8"
	pebbleVersion   = "2.10.1"
	buildKitVersion = "0.26.3"
)

// sum hashes everything that decides what the binary does.
func (p program) sum(ctx context.Context, arch string) (string, error) {
	if p.module == "" {
		sources, err := ownSources(ctx, p.pkg)
		if err != nil {
			return "", err
		}
		return digest("program", p.pkg, p.ldflags, arch, sources), nil
	}
	mod, err := modules.ReadFile("modules/" + p.module + ".mod")
	if err != nil {
		return "", fmt.Errorf("read module of %s: %w", p.name, err)
	}
	gosum, err := modules.ReadFile("modules/" + p.module + ".sum")
	if err != nil {
		return "", fmt.Errorf("read module of %s: %w", p.name, err)
	}
	parts := []string{"program", p.pkg, p.ldflags, arch, string(mod), string(gosum)}
	if p.patch != "" {
		patch, err := modules.ReadFile("modules/" + p.patch + ".patch")
		if err != nil {
			return "", fmt.Errorf("read patch of %s: %w", p.name, err)
		}
		parts = append(parts, string(patch))
	}
	return digest(parts...), nil
}

// build compiles p for arch into dir. step is told how many packages are done.
func (p program) build(ctx context.Context, arch, dir string, step func(packages int64)) (string, error) {
	src := dir
	if p.module == "" {
		root, err := ownModule(ctx, p.pkg, dir)
		if err != nil {
			return "", err
		}
		src = root
	} else {
		for _, kind := range []string{"mod", "sum"} {
			b, err := modules.ReadFile("modules/" + p.module + "." + kind)
			if err != nil {
				return "", fmt.Errorf("read module of %s: %w", p.name, err)
			}
			if err := os.WriteFile(filepath.Join(dir, "go."+kind), b, 0o644); err != nil {
				return "", fmt.Errorf("write module of %s: %w", p.name, err)
			}
		}
	}
	if p.script != "" {
		return p.find(ctx, src)
	}
	if p.patch != "" {
		if err := p.patched(ctx, src); err != nil {
			return "", err
		}
	}
	file := filepath.Join(dir, "program")
	cmd := exec.CommandContext(ctx, "go", "build", "-v", "-trimpath", "-buildvcs=false",
		"-ldflags=-s -w "+p.ldflags, "-o", file, p.pkg)
	cmd.Dir = src
	cmd.Env = append(ownEnv(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	out := &packageCounter{step: step}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return "", hosttool.CommandError(ctx, "go build "+p.pkg, out.said.String(), err)
	}
	return file, nil
}

// find gives the script as it lies in its module.
func (p program) find(ctx context.Context, src string) (string, error) {
	module, err := p.download(ctx, src)
	if err != nil {
		return "", err
	}
	content, err := os.ReadFile(filepath.Join(module, filepath.FromSlash(p.script)))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", p.name, err)
	}
	file := filepath.Join(src, "program")
	return file, os.WriteFile(file, content, 0o755)
}

// patched makes the build in src use a copy of the module pkg with the patch.
func (p program) patched(ctx context.Context, src string) error {
	module, err := p.download(ctx, src)
	if err != nil {
		return err
	}
	patch, err := modules.ReadFile("modules/" + p.patch + ".patch")
	if err != nil {
		return fmt.Errorf("read patch of %s: %w", p.name, err)
	}
	copied := filepath.Join(src, "patched")
	if err := os.CopyFS(copied, os.DirFS(module)); err != nil {
		return fmt.Errorf("copy module of %s: %w", p.name, err)
	}
	for _, c := range []struct {
		dir  string
		args []string
	}{
		{copied, []string{"chmod", "-R", "u+w", "."}}, // modules are kept read-only
		{copied, []string{"git", "apply", "-"}},
		{src, []string{"go", "mod", "edit", "-replace", p.pkg + "=./patched"}},
	} {
		cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
		cmd.Dir, cmd.Stdin, cmd.Env = c.dir, bytes.NewReader(patch), ownEnv()
		if out, err := cmd.CombinedOutput(); err != nil {
			return hosttool.CommandError(ctx, strings.Join(c.args, " "), string(out), err)
		}
	}
	return nil
}

// download gives the directory of the module pkg.
func (p program) download(ctx context.Context, src string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", p.pkg)
	cmd.Dir = src
	cmd.Env = ownEnv()
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", hosttool.CommandError(ctx, "go mod download "+p.pkg, said.String(), err)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		return "", fmt.Errorf("find module of %s: %w", p.name, err)
	}
	return module.Dir, nil
}

// packageCounter counts the lines of go build -v that are package names and
// keeps the others.
type packageCounter struct {
	step func(int64)
	n    int64
	last time.Time
	said bytes.Buffer
	rest []byte
}

func (c *packageCounter) Write(p []byte) (int, error) {
	c.rest = append(c.rest, p...)
	for {
		line, after, found := bytes.Cut(c.rest, []byte("\n"))
		if !found {
			return len(p), nil
		}
		c.rest = after
		if bytes.ContainsAny(line, " :") {
			c.said.Write(line)
			c.said.WriteByte('\n')
			continue
		}
		c.n++
		if now := time.Now(); c.step != nil && now.Sub(c.last) > time.Second {
			c.last = now
			c.step(c.n)
		}
	}
}
