package engine

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"golang.org/x/sync/errgroup"

	"github.com/heptaup/hepta/internal/converge"
)

// maxFile bounds what is read of one file; rendered files are far smaller.
const maxFile = 16 << 20

// errContainerGone: the container through which a file was looked at has left
// since it was listed, as happens beside another command at work.
var errContainerGone = errors.New("the container that shows it is gone")

// maxDirectory bounds what is read of a directory to save calls for the single
// files in it. It is no whole number of an archive's blocks, so that a cut is
// not taken for the end.
const maxDirectory = 1<<20 + 1

// view is a file as a container shows it.
type view struct {
	file   converge.File
	inside string // where it lies in the container
	read   bool   // it is read, whatever its metadata say
}

// dirAt is a directory that a container shows.
type dirAt struct{ id, dir string }

// observeFiles looks at every file through a container that shows it.
func (e *Engine) observeFiles(ctx context.Context, s *converge.Stack, o *converge.Observed, lock string) (map[string]converge.ObservedFile, error) {
	seen := make(map[string]converge.ObservedFile)
	var mu sync.Mutex
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	look := func(id string, views ...view) {
		group.Go(func() error {
			found, err := e.observeTogether(gctx, id, views)
			if err != nil && gctx.Err() == nil && e.leaving(gctx, id) {
				err = fmt.Errorf("%w: %w", errContainerGone, err)
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			for i, v := range views {
				seen[v.file.Path] = found[i]
			}
			return nil
		})
	}
	shared := make(map[dirAt][]view)
	for _, f := range s.Files {
		id, inside := containerShowing(s, o.Containers, lock, f.Path)
		if id == "" || f.Once {
			continue
		}
		v := view{file: f, inside: inside, read: f.Merge != nil}
		if f.Apply != nil {
			look(id, v)
			continue
		}
		at := dirAt{id, path.Dir(inside)}
		shared[at] = append(shared[at], v)
	}
	for _, p := range s.ReadsOf(o) {
		if id, inside := containerShowing(s, o.Containers, lock, p); id != "" {
			look(id, view{file: converge.File{Path: p}, inside: inside, read: true})
		}
	}
	for at, views := range shared {
		if worthADirectory(views) {
			look(at.id, views...)
			continue
		}
		for _, v := range views {
			look(at.id, v)
		}
	}
	return seen, group.Wait()
}

// worthADirectory reports whether reading the directory of these files is less
// than looking at each: some of them have to be read in any case.
func worthADirectory(views []view) bool {
	for _, v := range views {
		if v.read {
			return len(views) > 1
		}
	}
	return false
}

// observeTogether looks at files of one directory.
func (e *Engine) observeTogether(ctx context.Context, id string, views []view) ([]converge.ObservedFile, error) {
	found := make([]converge.ObservedFile, len(views))
	if len(views) > 1 {
		e.readDirectory(ctx, id, views, found)
	}
	for i, v := range views {
		if found[i].Exists {
			continue
		}
		var err error
		if found[i], err = e.observeFile(ctx, v, id); err != nil {
			return nil, fmt.Errorf("look at file %s: %w", v.file.Path, err)
		}
	}
	return found, nil
}

// observeFile looks at one file inside a container. Its metadata are enough
// where they say that it still is what was written; reading it costs an old
// Engine a process of its own. The mark is looked at after the file, as
// whoever writes sets it before.
func (e *Engine) observeFile(ctx context.Context, v view, id string) (converge.ObservedFile, error) {
	file, err := e.observeContent(ctx, v, id)
	if err != nil || v.file.Apply == nil || !file.Exists {
		return file, err
	}
	mark, err := e.api.ContainerStatPath(ctx, id, markOf(v.inside))
	if noFile(err) {
		return file, nil
	}
	if file.Pending = err == nil; !file.Pending || mark.Size == 0 {
		return file, err
	}
	said, err := e.readFile(ctx, id, markOf(v.inside))
	file.Refused = strings.TrimSpace(string(said.Content))
	return file, err
}

func (e *Engine) observeContent(ctx context.Context, v view, id string) (converge.ObservedFile, error) {
	f := v.file
	if v.read {
		return e.readFile(ctx, id, v.inside)
	}
	seen, err := e.api.ContainerStatPath(ctx, id, v.inside)
	if noFile(err) {
		return converge.ObservedFile{}, nil
	}
	if err != nil {
		return converge.ObservedFile{}, err
	}
	if seen.Mode.IsRegular() && seen.Size == int64(len(f.Content)) && seen.Mtime.Equal(stamp(seen.Mtime, f.Content, f.UID, f.GID)) {
		return converge.ObservedFile{Exists: true, Content: f.Content, Mode: uint32(seen.Mode.Perm()), UID: f.UID, GID: f.GID}, nil
	}
	return e.readFile(ctx, id, v.inside)
}

// readDirectory reads files of one directory with one call and fills in those
// that it has found. A directory that holds much is not read to its end, and an
// Engine leaves out what it cannot read: what is not found here has to be
// looked at by itself.
func (e *Engine) readDirectory(ctx context.Context, id string, views []view, found []converge.ObservedFile) {
	dir := path.Dir(views[0].inside)
	body, _, err := e.api.CopyFromContainer(ctx, id, dir)
	if err != nil {
		return
	}
	defer body.Close()
	wanted := make(map[string]int, len(views))
	for i, v := range views {
		wanted[path.Join(path.Base(dir), path.Base(v.inside))] = i
	}
	archive := tar.NewReader(io.LimitReader(body, maxDirectory))
	for len(wanted) > 0 {
		head, err := archive.Next()
		if err != nil {
			return
		}
		name := path.Clean(head.Name)
		i, ours := wanted[name]
		if !ours || head.Typeflag != tar.TypeReg {
			continue
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			return
		}
		delete(wanted, name)
		found[i] = observedHead(head)
		found[i].Content = content
	}
}

func observedHead(h *tar.Header) converge.ObservedFile {
	return converge.ObservedFile{Exists: true, Mode: uint32(h.Mode) & 0o7777, UID: h.Uid, GID: h.Gid, ModTime: h.ModTime}
}

// noFile reports whether a path is not there in a container that is.
func noFile(err error) bool {
	return errdefs.IsNotFound(err) && !strings.Contains(strings.ToLower(err.Error()), "no such container")
}

// leaving reports whether a container is gone or about to be. What Engines answer
// about its files meanwhile differs from one moment to the next.
func (e *Engine) leaving(ctx context.Context, id string) bool {
	seen, err := e.api.ContainerInspect(ctx, id)
	if err != nil {
		return errdefs.IsNotFound(err)
	}
	return seen.State.Status == container.StateRemoving || seen.State.Status == container.StateDead
}

// containerShowing finds a container of the stack through whose mounts a file can be
// seen, and where it lies in there. It is one of a service or the caller's own
// lock: any other lock leaves with its owner.
func containerShowing(s *converge.Stack, containers []converge.ObservedContainer, lock, file string) (id, inside string) {
	for _, c := range containers {
		if c.Service == "" && c.ID != lock {
			continue
		}
		if at, ok := shows(s, c, file); ok {
			return c.ID, at
		}
	}
	return "", ""
}

// shows reports whether a file of the stack can be seen through a bind mount of
// a container, and where it lies in there.
func shows(s *converge.Stack, c converge.ObservedContainer, file string) (inside string, ok bool) {
	if c.State == container.StateDead || c.State == container.StateRemoving {
		return "", false
	}
	mounts := converge.Container{}
	for _, m := range c.Mounts {
		if m.Volume == "" {
			mounts.Mounts = append(mounts.Mounts, converge.Mount{Kind: converge.HostPath, Source: m.Source, Target: m.Target})
		}
	}
	return s.Shows(&mounts, file)
}

// readFile reads one file out of a container, running or not. What is there
// but is no regular file reads as empty and of another owner, so that it is
// replaced.
func (e *Engine) readFile(ctx context.Context, id, name string) (converge.ObservedFile, error) {
	body, _, err := e.api.CopyFromContainer(ctx, id, name)
	if noFile(err) {
		return converge.ObservedFile{}, nil
	}
	if err != nil {
		return converge.ObservedFile{}, err
	}
	defer body.Close()
	archive := tar.NewReader(body)
	head, err := archive.Next()
	if err != nil {
		return converge.ObservedFile{}, fmt.Errorf("read %s: %w", name, err)
	}
	seen := observedHead(head)
	switch {
	case head.Typeflag == tar.TypeDir:
		return seen, fmt.Errorf("read %s: it is a directory", name)
	case head.Typeflag != tar.TypeReg:
		seen.UID = -1
		return seen, nil
	case head.Size > maxFile:
		return seen, fmt.Errorf("read %s: %d bytes are more than expected", name, head.Size)
	}
	if seen.Content, err = io.ReadAll(archive); err != nil && !errors.Is(err, io.EOF) {
		return seen, fmt.Errorf("read %s: %w", name, err)
	}
	return seen, nil
}

// markOf is the file beside file that says: written, not yet taken over. It
// holds what the command said that was to do it, when that has failed.
func markOf(file string) string {
	return path.Join(path.Dir(file), "."+path.Base(file)+".hepta-pending")
}
