package try

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"
	"github.com/gofrs/flock"

	"github.com/heptaup/hepta/internal/engine"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/images"
	"github.com/heptaup/hepta/internal/progress"
	"github.com/heptaup/hepta/internal/sandbox"
)

// alone keeps two trials of one user from working in the same sandbox. It is
// released by the end of the process too.
func alone(host, name string) (release func(), err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("find cache directory: %w; set HOME or XDG_CACHE_HOME", err)
	}
	dir := filepath.Join(cache, "hepta")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make cache directory: %w", err)
	}
	sum := sha256.Sum256([]byte(host + " " + name))
	lock := flock.New(filepath.Join(dir, "try-"+hex.EncodeToString(sum[:6])+".lock"))
	taken, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock trial: %w", err)
	}
	if !taken {
		return nil, &fault.Error{Op: "start trial in sandbox", What: name, Why: "another trial is at work in it", Remedy: "Wait until that one has ended."}
	}
	return func() { _ = lock.Close() }, nil
}

// Down removes every trace of a trial, its images on this machine excepted.
func Down(ctx context.Context, o Options) error {
	docker, err := engine.Dial(ctx, o.Host)
	if err != nil {
		return err
	}
	defer docker.Close()
	release, err := alone(docker.DaemonHost(), o.name())
	if err != nil {
		return err
	}
	defer release()
	there, err := sweep(ctx, docker, o, "remove sandbox "+o.name())
	if err == nil && !there {
		o.Sink.Send(progress.Event{State: progress.Info, Text: "there is no sandbox " + o.name()})
	}
	return err
}

// sweep removes the sandbox that an earlier trial left, and says so.
func sweep(ctx context.Context, docker client.APIClient, o Options, say string) (there bool, err error) {
	_, err = sandbox.Find(ctx, docker, o.name())
	switch {
	case err == nil:
		there = true
		o.Sink.Send(progress.Event{State: progress.Info, Text: say})
	case !errdefs.IsNotFound(err):
		return false, err
	}
	return there, sandbox.Sweep(ctx, docker, labelTrial+"="+o.name())
}

// leave ends the trial's hold on its sandbox and, without Keep, removes it,
// interrupted or not.
func (t *trial) leave(ctx context.Context) {
	if t.inner != nil {
		t.inner.Close()
	}
	if t.box == nil || t.Keep {
		return
	}
	t.Sink.Send(progress.Event{Kind: "step", State: progress.Info, Text: "remove the sandbox"})
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	if err := t.box.Remove(ctx); err != nil {
		t.Sink.Send(progress.Event{State: progress.Failed, Resource: "sandbox " + t.box.Name, Text: err.Error() + "; remove it with: hepta try --down"})
	}
}

// prepare makes or finds the images.
func (t *trial) prepare(ctx context.Context) error {
	names := []images.Name{images.Base, images.Small, images.Traefik, images.HAProxy, images.Runner, images.Helper, images.DockerCLI, images.Dind}
	if t.Image == "" {
		names = append(names, images.Heptapod)
	} else if err := t.fetch(ctx); err != nil {
		return err
	}
	made, err := images.Ensure(ctx, t.docker, t.Sink, names...)
	t.made = made
	return err
}

// fetch finds the image of Options.Image on the machine's engine, or pulls it.
func (t *trial) fetch(ctx context.Context) error {
	found, err := t.docker.ImageInspect(ctx, t.Image)
	if errdefs.IsNotFound(err) {
		if err := engine.New(t.docker, nil, t.Sink).Pull(ctx, t.Image); err != nil {
			return err
		}
		found, err = t.docker.ImageInspect(ctx, t.Image)
	}
	if err != nil {
		return fmt.Errorf("inspect image %s: %w", t.Image, err)
	}
	t.given = &images.Ref{ID: found.ID, Local: t.Image}
	return nil
}

// enter starts the sandbox and fills its image store.
func (t *trial) enter(ctx context.Context) error {
	if _, err := sweep(ctx, t.docker, t.Options, "remove the sandbox of an earlier trial"); err != nil {
		return err
	}
	box, err := sandbox.Start(ctx, t.docker, sandbox.Config{
		Name:     t.name(),
		Hostname: "hepta-try",
		Image:    t.made[images.Base].Local,
		Labels:   map[string]string{labelTrial: t.name()},
		// No DNS server knows the trial's names.
		ExtraHosts: []string{forgeHost + ":127.0.0.1", registryHost + ":127.0.0.1"},
		Publish:    []sandbox.Port{{HostIP: "127.0.0.1", Container: 443}, {HostIP: "127.0.0.1", Container: 80}},
	})
	t.box = box
	if err != nil {
		return err
	}
	inner, err := box.Client()
	if err != nil {
		return err
	}
	t.inner = inner
	var refs []images.Ref
	for _, r := range t.made {
		refs = append(refs, r)
	}
	if t.given != nil {
		refs = append(refs, *t.given)
	}
	return images.Copy(ctx, t.docker, t.inner, refs...)
}
