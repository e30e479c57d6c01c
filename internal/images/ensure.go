package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/docker/docker/client"
	"golang.org/x/sync/errgroup"

	"github.com/heptaup/hepta/internal/hosttool"
	"github.com/heptaup/hepta/internal/progress"
)

// Ensure makes the named images on the Engine, and those that they are made
// from, unless they are there with the same inputs. It takes milliseconds when
// all are there; a first run takes minutes (Traefik six of them on two cores)
// and needs Debian packages and Go modules, but no container registry.
// Two calls for the same image, in one process or two, wait for each other.
func Ensure(ctx context.Context, docker client.APIClient, sink progress.Sink, names ...Name) (map[Name]Ref, error) {
	m, err := newMaker(ctx, docker, sink)
	if err != nil {
		return nil, err
	}
	if err := m.plan(ctx, names); err != nil {
		return nil, err
	}
	missing, err := m.missing(ctx, names)
	if err != nil {
		return nil, err
	}
	if len(missing) > 0 {
		if err := m.make(ctx, missing); err != nil {
			return nil, err
		}
	}
	refs := map[Name]Ref{}
	for _, n := range names {
		refs[n] = m.jobs[n].ref
	}
	return refs, nil
}

// Compose is the name of the docker compose program, for Program.
const Compose = "docker-compose"

// Program builds a program for the machine that docker runs on and returns its
// file: Compose, or one of those that the images hold (traefik, registry,
// gitlab-runner, pebble, pebble-challtestsrv).
func Program(ctx context.Context, docker client.APIClient, sink progress.Sink, name string) (string, error) {
	m, err := newMaker(ctx, docker, sink)
	if err != nil {
		return "", err
	}
	for _, p := range programs() {
		if p.name == name {
			if err := m.hash(ctx, p); err != nil {
				return "", err
			}
			return m.build(ctx, p)
		}
	}
	return "", fmt.Errorf("find program %q: unknown program", name)
}

// maker makes images on one Engine.
type maker struct {
	docker client.APIClient
	sink   progress.Sink
	store  *store
	host   *hosttool.Host
	arch   string            // of the Engine's machine
	sums   map[string]string // program → hash of its inputs
	jobs   map[Name]*job
}

// job is one image to be made or found.
type job struct {
	recipe recipe
	ref    Ref // without ID until it is there
	done   chan struct{}
}

func newMaker(ctx context.Context, docker client.APIClient, sink progress.Sink) (*maker, error) {
	s, err := openStore()
	if err != nil {
		return nil, err
	}
	version, err := docker.ServerVersion(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask Docker Engine for its version: %w", err)
	}
	return &maker{docker: docker, sink: sink, store: s, host: hosttool.This(), arch: version.Arch,
		sums: map[string]string{}, jobs: map[Name]*job{}}, nil
}

// say returns a function that reports on an image.
func (m *maker) say(name Name) func(string) {
	return func(text string) {
		m.sink.Send(progress.Event{Kind: "image", Resource: "image " + string(name), State: progress.Running, Text: text})
	}
}

// plan computes what the named images and their parents are made from.
func (m *maker) plan(ctx context.Context, names []Name) error {
	for _, n := range names {
		if m.jobs[n] != nil {
			continue
		}
		r, err := recipeFor(n)
		if err != nil {
			return err
		}
		parent := ""
		if r.parent != "" {
			if err := m.plan(ctx, []Name{r.parent}); err != nil {
				return err
			}
			parent = m.jobs[r.parent].ref.Inputs
		} else {
			parent = digest(rootfsArgs(m.arch, "", r)...)
		}
		for _, p := range programs() {
			if r.uses(p.name) && m.sums[p.name] == "" {
				if err := m.hash(ctx, p); err != nil {
					return err
				}
			}
		}
		inputs, err := r.sum(parent, m.sums)
		if err != nil {
			return err
		}
		m.jobs[n] = &job{recipe: r, done: make(chan struct{}),
			ref: Ref{Name: n, Inputs: inputs, Local: local(n, inputs), Tags: r.tags}}
	}
	return nil
}

// hash fills in what the program is made from.
func (m *maker) hash(ctx context.Context, p program) (err error) {
	if p.module == "" {
		if err := m.host.Need(ctx, m.say(Name(p.name)), hosttool.Go()); err != nil {
			return err
		}
	}
	m.sums[p.name], err = p.sum(ctx, m.arch)
	return err
}

func (r recipe) uses(program string) bool {
	for _, p := range r.programs {
		if p == program {
			return true
		}
	}
	return false
}

// missing fills in the images that the Engine holds and returns the others:
// of the named ones, and of those that they need.
func (m *maker) missing(ctx context.Context, names []Name) ([]*job, error) {
	have, err := held(ctx, m.docker)
	if err != nil {
		return nil, err
	}
	var jobs []*job
	seen := map[Name]bool{}
	var visit func(Name)
	visit = func(n Name) {
		if n == "" || seen[n] {
			return
		}
		seen[n] = true
		j := m.jobs[n]
		if id := have[n][j.ref.Inputs].id; id != "" {
			j.ref.ID = id
			close(j.done)
			return
		}
		visit(j.recipe.parent)
		jobs = append(jobs, j)
	}
	for _, n := range names {
		visit(n)
	}
	return jobs, nil
}

// make makes images, all at once as far as they don't wait for each other. The
// Go programs are built one after the other, the quickest first: each of them
// fills every core.
func (m *maker) make(ctx context.Context, jobs []*job) error {
	group, ctx := errgroup.WithContext(ctx)
	built := map[string]chan string{}
	for _, p := range programs() {
		for _, j := range jobs {
			if j.recipe.uses(p.name) {
				built[p.name] = make(chan string, len(jobs))
			}
		}
	}
	group.Go(func() error {
		for _, p := range programs() {
			if built[p.name] == nil {
				continue
			}
			file, err := m.build(ctx, p)
			if err != nil {
				return err
			}
			for range jobs {
				built[p.name] <- file
			}
		}
		return nil
	})
	for _, j := range jobs {
		group.Go(func() error {
			if err := m.makeOne(ctx, j, built); err != nil {
				if !errors.Is(err, context.Canceled) {
					m.sink.Send(progress.Event{Kind: "image", Resource: "image " + string(j.recipe.name), State: progress.Failed, Text: firstLine(err)})
				}
				return err
			}
			close(j.done)
			return nil
		})
	}
	return group.Wait()
}

// makeOne makes one image once its parent and its programs are there.
func (m *maker) makeOne(ctx context.Context, j *job, built map[string]chan string) error {
	r := j.recipe
	rootfs := ""
	if r.parent == "" {
		file, err := m.rootfs(ctx, r)
		if err != nil {
			return err
		}
		rootfs = file
	} else {
		select {
		case <-m.jobs[r.parent].done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	binaries := map[string]string{}
	for _, name := range r.programs {
		select {
		case binaries[name] = <-built[name]:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	unlock, err := m.store.lock(ctx, "image-"+string(r.name))
	if err != nil {
		return err
	}
	defer unlock()
	have, err := held(ctx, m.docker)
	if err != nil {
		return err
	}
	if id := have[r.name][j.ref.Inputs].id; id != "" {
		j.ref.ID = id
		return nil
	}
	m.say(r.name)("making the image")
	began := time.Now()
	switch {
	case rootfs != "":
		f, err := os.Open(rootfs)
		if err != nil {
			return fmt.Errorf("open root file system: %w", err)
		}
		defer f.Close()
		j.ref.ID, err = m.importTar(ctx, r, j.ref.Inputs, f)
		if err != nil {
			return err
		}
	case r.name == Small:
		b, err := m.read(ctx, m.jobs[Base].ref.Local, busyboxFile, certificatesFile)
		if err != nil {
			return err
		}
		var layer bytes.Buffer
		if err := packSmall(&layer, b[0], b[1], strings.Fields(applets)); err != nil {
			return err
		}
		if j.ref.ID, err = m.importTar(ctx, r, j.ref.Inputs, &layer); err != nil {
			return err
		}
	default:
		if j.ref.ID, err = m.commit(ctx, r, j.ref.Inputs, m.jobs[r.parent].ref.Local, binaries); err != nil {
			return err
		}
	}
	m.forget(ctx, r.name, j.ref.Inputs)
	m.sink.Send(progress.Event{Kind: "image", Resource: "image " + string(r.name), State: progress.Done,
		Text: fmt.Sprintf("made in %s", time.Since(began).Round(100*time.Millisecond))})
	return nil
}

// build returns the file of a program.
func (m *maker) build(ctx context.Context, p program) (string, error) {
	return m.store.artefact(ctx, p.name+"-"+m.arch, m.sums[p.name], func(dir string) (string, error) {
		event := progress.Event{Kind: "program", Resource: "program " + p.name, State: progress.Running}
		say := func(text string) {
			event.Text = text
			m.sink.Send(event)
		}
		if err := m.host.Need(ctx, say, hosttool.Go()); err != nil {
			return "", err
		}
		say("building (" + p.about + " when nothing is cached)")
		began := time.Now()
		file, err := p.build(ctx, m.arch, dir, func(n int64) {
			event.Current = n
			say("building")
		})
		if err != nil {
			return "", err
		}
		event.State = progress.Done
		say(fmt.Sprintf("built in %s", time.Since(began).Round(100*time.Millisecond)))
		return file, nil
	})
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
