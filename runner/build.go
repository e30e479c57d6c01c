package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/internal/engine"
	"github.com/heptaup/hepta/internal/pattern"
	"github.com/heptaup/hepta/internal/progress"
	"github.com/heptaup/hepta/internal/wiring"
)

// BuildOptions is for Build.
type BuildOptions struct {
	// Mode is how it is built: Socket (the default) with the Engine itself,
	// Dind in a Docker daemon of the build's own, Rootless with buildah.
	Mode Mode
	Source
	// Dockerfile is its path below the context; default "Dockerfile".
	Dockerfile string
	// Tags are the image's names, the first of which the result speaks of.
	// Push needs one at least.
	Tags   []string
	Target string   // stage to end with; default the last
	Args   []string // NAME=value, for ARG; they can be seen in the image's history, so no secrets
	// Secrets are for RUN --mount=type=secret. They are in no layer, argument
	// or environment, and what the builder prints of them is masked.
	Secrets []BuildSecret
	// Push brings the image to the registries of its tags. In the modes Dind
	// and Rootless the image is gone without it.
	Push bool

	NoCache bool // run every step
	Pull    bool // ask for newer base images
	// Cache is a volume on the Docker host that keeps what was pulled and
	// built for the next build in that mode that names it; two at once may.
	// It is for the modes Dind and Rootless: Socket has the Engine's own cache.
	Cache string
	// CacheSize is the size in bytes beyond which a build begins with less;
	// default DefaultBuildCacheSize, at least MinBuildCache.
	CacheSize int64
	// CacheFrom are images of registries with steps to begin with, in the words
	// of docker build: a name, or type=registry,ref=NAME. In mode Rootless each
	// is a repository, without a tag.
	CacheFrom []string
	// CacheTo is where steps are kept for CacheFrom: type=inline in the image
	// that is pushed, modes Socket and Dind; or a repository in mode Rootless.
	CacheTo []string

	// Image holds what builds: the docker command in mode Socket, a Docker
	// daemon as well in mode Dind, buildah in mode Rootless. Default: as for
	// the jobs of a runner.
	Image string
	// Socket is the Engine's socket on its host, mode Socket; default
	// /var/run/docker.sock.
	Socket string
	// Registry is what a registry needs that is not public.
	Registry BuildRegistry
	// Site, where it is set, gives the Engine and what is to be known about the
	// registry beyond Registry. It is asked when everything else is known to be
	// good. The Engine's client stays open.
	Site func(context.Context, BuildRegistry) (client.APIClient, BuildRegistry, error)
}

// BuildRegistry is how a build reaches the registry of a stack.
type BuildRegistry struct {
	Host  string   // host[:port], as images name it; "" when there is nothing to say
	CA    []byte   // its authority, PEM; nil when the public ones are enough
	Plain bool     // it speaks http
	Names []string // host names that lead to the Docker host
	// Address is that of the Docker host which Names lead to; default the one
	// at which its containers reach it.
	Address string
}

// DefaultBuildCacheSize is BuildOptions.CacheSize in bytes when it is 0.
const DefaultBuildCacheSize = 20 << 30

// BuildResult is an image that was built.
type BuildResult struct {
	Mode   Mode     `json:"mode"`
	Image  string   `json:"image"`            // its id: the digest of its configuration
	Tags   []string `json:"tags,omitempty"`   // its names
	Digest string   `json:"digest,omitempty"` // of the manifest that was pushed; empty without a push
	// Reference is the first tag with that digest, as `docker pull` takes it.
	Reference string `json:"reference,omitempty"`
	// Kept reports whether the image is still somewhere: in the Engine or in a registry.
	Kept    bool          `json:"kept"`
	Context ContextReport `json:"context"`
	Seconds float64       `json:"seconds"`
}

// The errors of Build that a program can tell apart.
var (
	// ErrNoDockerfile: the context has no such file.
	ErrNoDockerfile = errors.New("there is no Dockerfile")
	// ErrBuildFailed: a step of the Dockerfile failed, or it cannot be read.
	ErrBuildFailed = errors.New("the build failed")
	// ErrPushRefused: a registry did not take the image.
	ErrPushRefused = errors.New("the push failed")
	// ErrNoPrivileges: the Engine runs no privileged containers.
	ErrNoPrivileges = errors.New("the Engine runs no privileged containers")
)

// Build builds an image from a Dockerfile without a pipeline, in a container
// like that of a job. The context goes to the Engine through its API, so the
// Engine may be anywhere. Registries are asked with the credentials of this
// machine's docker configuration. What the builder prints is told as progress,
// and its last lines with the error.
//
// When it returns, also because ctx has ended, nothing is left on the Docker
// host but the image in mode Socket and the volume Cache. Not even a process
// that is killed leaves a container.
func Build(ctx context.Context, o BuildOptions, opts ...Option) (*BuildResult, error) {
	began := time.Now()
	w := options{Options: wiring.Apply(nil)}
	for _, f := range opts {
		f(&w)
	}
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	files, err := o.Source.open(ctx, o.Dockerfile)
	if err != nil {
		return nil, err
	}
	defer files.close()
	docker := w.Docker
	switch {
	case o.Site != nil:
		if docker, o.Registry, err = o.Site(ctx, o.Registry); err != nil {
			return nil, err
		}
	case docker == nil:
		made, err := engine.Dial(ctx, w.Host)
		if err != nil {
			return nil, err
		}
		defer made.Close()
		docker = made
	}
	b := &builder{BuildOptions: o, bases: append(files.bases, cached(o)...), docker: docker, engine: engine.New(docker, w.Log, w.Progress), log: w.Log, sink: w.Progress}
	result := &BuildResult{Mode: o.Mode, Tags: o.Tags, Kept: o.Push || o.Mode == Socket}
	b.tell(progress.Running, "starting "+o.Image)
	err = b.run(ctx, files, result)
	result.Context = files.report
	result.Seconds = time.Since(began).Seconds()
	if err != nil {
		b.tell(progress.Failed, err.Error())
		return nil, err
	}
	b.tell(progress.Done, "")
	return result, nil
}

// builder is one build under way.
type builder struct {
	BuildOptions
	bases  []string // images that the Dockerfile or a cache names
	docker client.APIClient
	engine *engine.Engine
	log    *slog.Logger
	sink   progress.Sink
}

// name is the build in the words of progress.
func (b *builder) name() string {
	if len(b.Tags) > 0 {
		return b.Tags[0]
	}
	return "image"
}

func (b *builder) tell(state progress.State, text string) {
	b.sink.Send(progress.Event{Kind: "build", Resource: "build " + b.name(), State: state, Text: text})
}

// line tells a line that the builder has printed.
func (b *builder) line(text string) {
	b.sink.Send(progress.Event{Kind: "log", Resource: "build " + b.name(), State: progress.Info, Text: text})
}

func (b *builder) run(ctx context.Context, files *buildContext, result *BuildResult) error {
	site, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer site.close()
	b.tell(progress.Running, "sending the context")
	pack := files.tar()
	defer pack.Close()
	if err := site.send(ctx, pack); err != nil {
		return fmt.Errorf("send build context: %w", err)
	}
	b.tell(progress.Running, "building")
	if tail, code, err := site.exec(ctx, b.buildCommand()); err != nil {
		return err
	} else if code != 0 {
		return b.buildFault(tail)
	}
	if result.Image, err = site.read(ctx, "cat", idFile); err != nil {
		return err
	}
	if !b.Push {
		return nil
	}
	for i, tag := range b.Tags {
		b.tell(progress.Running, "pushing "+tag)
		if tail, code, err := site.exec(ctx, b.pushCommand(tag)); err != nil {
			return err
		} else if code != 0 {
			return b.pushFault(tag, tail)
		}
		digest, err := b.digest(ctx, site, tag)
		if err != nil {
			return err
		}
		if i == 0 {
			result.Digest, result.Reference = digest, repository(tag)+"@"+digest
		}
	}
	return nil
}

// repository is an image's name without its tag, written as it was given.
func repository(tag string) string {
	if i := strings.LastIndexByte(tag, ':'); i > strings.LastIndexByte(tag, '/') {
		return tag[:i]
	}
	return tag
}

var digestText = pattern.New(`sha256:[0-9a-f]{64}`)

// digest is that of the manifest which the last push of tag brought.
func (b *builder) digest(ctx context.Context, site *buildSite, tag string) (string, error) {
	text, err := "", error(nil)
	if b.Mode == Rootless {
		text, err = site.read(ctx, "cat", digestFile)
	} else {
		text, err = site.read(ctx, "docker", "image", "inspect", "--format", `{{range .RepoDigests}}{{println .}}{{end}}`, tag)
	}
	if err != nil {
		return "", err
	}
	want, err := reference.ParseNormalizedNamed(repository(tag))
	if err != nil {
		return "", err
	}
	for line := range strings.FieldsSeq(text) {
		if b.Mode == Rootless {
			return digestText().FindString(line), nil
		}
		if got, err := reference.ParseNormalizedNamed(line); err == nil && got.Name() == want.Name() {
			return digestText().FindString(line), nil
		}
	}
	return "", fmt.Errorf("find digest of %s: the builder does not tell it", tag)
}
