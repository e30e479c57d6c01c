package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

// identified is an Engine with containers and identity files that some show.
type identified struct {
	*fake
	list    []container.Summary
	content map[string]string // of the identity file, by container; "": it is not there
}

func (i *identified) ContainerList(ctx context.Context, _ container.ListOptions) ([]container.Summary, error) {
	return i.list, i.call(ctx, "list containers")
}

func (i *identified) ImageList(context.Context, image.ListOptions) ([]image.Summary, error) {
	return nil, nil
}

func (i *identified) ContainerStatPath(ctx context.Context, id, at string) (container.PathStat, error) {
	if err := i.call(ctx, "stat %s %s", id, at); err != nil {
		return container.PathStat{}, err
	}
	content := []byte(i.content[id])
	if len(content) == 0 {
		return container.PathStat{}, fmt.Errorf("could not find the file: %w", errdefs.ErrNotFound)
	}
	return container.PathStat{Size: int64(len(content)), Mode: 0o600, Mtime: stamp(time.Now(), content, 0, 0)}, nil
}

func (i *identified) CopyFromContainer(ctx context.Context, id, at string) (io.ReadCloser, container.PathStat, error) {
	s := shelf{fake: i.fake}
	if i.content[id] != "" {
		s.files = append(s.files, regular("../../"+strings.TrimPrefix(at, "/"), i.content[id]))
	}
	return s.CopyFromContainer(ctx, id, at)
}

func bind(source, target string, writable bool) container.MountPoint {
	return container.MountPoint{Type: "bind", Source: source, Destination: target, RW: writable}
}

// labelled is a container that bears every label of service a of the stack.
func labelled(id string, mounts ...container.MountPoint) container.Summary {
	return container.Summary{ID: id, Names: []string{"/" + id}, State: "running", Mounts: mounts, Labels: map[string]string{
		converge.LabelStack: "lab", converge.LabelService: "a", converge.LabelData: "/srv/lab", converge.LabelProof: "p"}}
}

// The files of a stack are looked at through what it made and nothing else: the
// container of a job has what labels its image bears, and may show any files.
func TestWindowGoesByMounts(t *testing.T) {
	f := &identified{fake: newFake(), content: map[string]string{}}
	f.list = []container.Summary{labelled("job", bind("/srv/lab/a/ca.crt", "/ca", false), bind("/elsewhere", "/srv/lab/a", true)), labelled("own", bind("/srv/lab/a", "/data", true))}
	s := &converge.Stack{Name: "lab", Data: "/srv/lab", Files: []converge.File{{Path: "a/x"}, {Path: "a/ca.crt"}}}
	o, err := New(f, nil, nil).Observe(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(slices.Values(f.order("stat "))); !slices.Equal(got, []string{"stat own /data/ca.crt", "stat own /data/x"}) {
		t.Errorf("looked at %q", got)
	}
	if got := []string{o.Containers[0].Service, o.Containers[1].Service}; !slices.Equal(got, []string{"", "a"}) {
		t.Errorf("services %q", got)
	}
}

// Whose a data directory is can be seen without a lock as soon as any
// container mounts the file, also one of the stack that it belongs to; most
// often by one look at its metadata.
func TestIdentityIsSeen(t *testing.T) {
	own := converge.Identity{Stack: "lab", Forge: "hg.example.org", ID: "p"}
	file := bind("/srv/lab/identity.json", converge.IdentityTarget, false)
	for name, c := range map[string]struct {
		list    []container.Summary
		lock    string
		content string
		want    converge.ObservedIdentity
		calls   int
	}{
		"unchanged":       {list: []container.Summary{labelled("c", file)}, content: string(own.Encode()), want: converge.ObservedIdentity{Looked: true, Exists: true, Identity: own}, calls: 1},
		"another stack's": {list: []container.Summary{labelled("c", file)}, content: `{"stack": "production", "id": "q"}`, want: converge.ObservedIdentity{Looked: true, Exists: true, Identity: converge.Identity{Stack: "production", ID: "q"}}, calls: 2},
		"not mounted":     {list: []container.Summary{labelled("c", file)}, want: converge.ObservedIdentity{Looked: true}, calls: 1},
		"nothing shows":   {list: []container.Summary{labelled("c", bind("/srv/lab/a", "/a", true))}},
		"a writable file": {list: []container.Summary{labelled("c", bind("/srv/lab/identity.json", "/x", true))}},
		"the own lock":    {list: []container.Summary{labelled("c", bind("/srv/lab", dataDir, true))}, lock: "c", content: string(own.Encode()), want: converge.ObservedIdentity{Looked: true, Exists: true, Identity: own}, calls: 2},
	} {
		t.Run(name, func(t *testing.T) {
			f := &identified{fake: newFake(), list: c.list, content: map[string]string{"c": c.content}}
			o, err := New(f, nil, nil).observeFrom(t.Context(), &converge.Stack{Name: "lab", Data: "/srv/lab", Forge: "hg.example.org"}, c.lock)
			if err != nil {
				t.Fatal(err)
			}
			if o.Identity != c.want || len(f.order("stat ", "get ")) != c.calls {
				t.Errorf("got %+v with %q, want %+v with %d", o.Identity, f.order("stat ", "get "), c.want, c.calls)
			}
		})
	}
}

// Under the lock a directory that is nobody's gets an identity that nobody can
// guess, another one each time.
func TestNewIdentity(t *testing.T) {
	seen := map[string]bool{}
	for range 3 {
		f := &identified{fake: newFake(), list: []container.Summary{labelled("c", bind("/srv/lab", dataDir, true))}, content: map[string]string{}}
		o, err := New(f, nil, nil).observeFrom(t.Context(), &converge.Stack{Name: "lab", Data: "/srv/lab", Forge: "hg.example.org"}, "c")
		if err != nil {
			t.Fatal(err)
		}
		if i := o.Identity; !i.Looked || i.Exists || i.Stack != "lab" || i.Forge != "hg.example.org" || len(i.ID) < 26 || seen[i.ID] {
			t.Errorf("got %+v", i)
		}
		seen[o.Identity.ID] = true
	}
}

// absent is what an Engine says of a mount whose source is not there.
func absent(path string) error {
	return fmt.Errorf(`invalid mount config for type "bind": bind source path does not exist: %s: %w`, path, errdefs.ErrInvalidArgument)
}

// A data directory that has been there and is not is not created again, and nobody
// who only ends the stack needs it.
func TestLockOnAMissingDataDirectory(t *testing.T) {
	s, o := replacing("a")
	e := func(f *fake) *Engine { return New(f, nil, nil) }
	f := newFake()
	f.fail["create s-lock"] = absent("/d")
	_, err := e(f).take(t.Context(), s, LockOptions{}, "a:1")
	if !errors.Is(err, converge.ErrNoIdentity) || fault.Remedy(err) == "" {
		t.Errorf("got %v", err)
	}
	for how, want := range map[dataMount]string{dataThere: "mount", dataMade: "bind", dataIfThere: "mount"} {
		f := newFake()
		if _, err := e(f).take(t.Context(), s, LockOptions{data: how}, "a:1"); err != nil {
			t.Fatal(err)
		}
		made := f.created["s-lock"].host
		got := map[bool]string{true: "mount", false: "bind"}[len(made.Mounts) == 1]
		if got != want || len(made.Mounts)+len(made.Binds) != 1 {
			t.Errorf("%d: binds %q, mounts %+v", how, made.Binds, made.Mounts)
		}
	}
	if madeWith(s, &converge.Observed{}) || !madeWith(s, o) {
		t.Error("who has made the directory is not known")
	}
}

// Marks are made once, with their directories, and one that is missing where
// others are, or where a container was made with it, is a disk that is not
// mounted: then nothing is made at all.
func TestMarksOfDirectories(t *testing.T) {
	for name, c := range map[string]struct {
		all  string
		have []string
		made string // "": refused
	}{
		"nothing there":                   {"no", nil, "a/.hepta b/.hepta c"},
		"all there":                       {"yes", []string{"a/.hepta", "b/.hepta", "c/x"}, "a/.hepta b/.hepta c/x"},
		"of a release without marks":      {"no", []string{"a/x", "b/y"}, "a/.hepta a/x b/.hepta b/y c"},
		"one is missing":                  {"no", []string{"a/.hepta"}, ""},
		"missing, and there were some":    {"yes", nil, ""},
		"a directory without one is gone": {"yes", []string{"a/.hepta", "b/.hepta"}, "a/.hepta b/.hepta c"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for _, f := range c.have {
				if err := os.MkdirAll(path.Dir(path.Join(root, f)), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path.Join(root, f), nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			at := func(p string) string { return path.Join(root, p) }
			out, err := exec.Command("sh", "-c", makeMarked, "hepta", c.all, "077", at("a"), at("a/.hepta"), "022", at("b"), at("b/.hepta"), "022", at("c"), "").CombinedOutput()
			var got []string
			for _, glob := range []string{"*/.hepta", "*/[xy]", "c"} {
				found, _ := filepath.Glob(at(glob))
				for _, f := range found {
					got = append(got, strings.TrimPrefix(f, root+"/"))
				}
			}
			slices.Sort(got)
			got = slices.DeleteFunc(got, func(f string) bool { return f == "c" && slices.Contains(got, "c/x") })
			if c.made == "" {
				if err == nil || !strings.HasPrefix(string(out), "unmarked "+root) || !slices.Equal(got, c.have) {
					t.Errorf("got %v %q with %q", err, out, got)
				}
			} else if err != nil || strings.Join(got, " ") != c.made {
				t.Errorf("got %v %q with %q", err, out, got)
			}
		})
	}
}

// An Engine starts nothing on a data directory without its disk, or on the
// place of a disk in it, whatever restarts the container; hepta refuses until
// the disk is back, and tells when another one was mounted under what runs.
func TestEngineDisk(t *testing.T) {
	st := newStage(t)
	parent := st.stack.Data
	st.stack.Data = parent + "/data"
	st.stack.Containers[0].Mounts[0].Marked = true
	onDisk := func(script string) string {
		t.Helper()
		l := &Lock{e: st.Engine, s: st.stack}
		out, err := l.runOnce(t.Context(), converge.OneOff{Container: converge.Container{Name: st.stack.Name + "-disk", Image: testImage,
			Entrypoint: []string{"sh", "-ec"}, Cmd: []string{"cd /parent; " + script}, Mounts: []converge.Mount{{Kind: converge.HostPath, Source: parent, Target: "/parent"}}}})
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	web := st.stack.Name + "-web"
	refused := func(when string, want error) {
		t.Helper()
		_, planned := st.Plan(t.Context(), st.stack)
		_, upped := st.Up(t.Context(), st.stack, UpOptions{})
		for _, err := range []error{planned, upped} {
			if !errors.Is(err, want) || fault.Remedy(err) == "" {
				t.Errorf("%s: got %v, want %v", when, err, want)
			}
		}
	}
	boots := func(when string) {
		t.Helper()
		if err := st.api.ContainerStop(t.Context(), web, container.StopOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := st.api.ContainerStart(t.Context(), web, container.StartOptions{}); !noSource(err) {
			t.Errorf("%s: the Engine starts it: %v", when, err)
		}
	}
	st.mustUp(t)
	st.mustBeDone(t)

	onDisk("mv data away; mkdir data")
	boots("without the disk")
	refused("without the disk", converge.ErrNoIdentity)
	onDisk("mv data place")
	refused("without the directory", converge.ErrNoIdentity)
	onDisk("mv place data")
	if made := onDisk("ls -A data"); made != "" {
		t.Errorf("in the place of the disk there is %q", made)
	}
	onDisk("rm -r data; mv away data")
	st.mustUp(t)
	st.mustBeServing(t)

	onDisk("mv data/web away; mkdir data/web")
	boots("without the disk of a service")
	for range 2 { // to start what is there, and to make it anew
		if _, err := st.Up(t.Context(), st.stack, UpOptions{}); err == nil || !strings.Contains(err.Error(), "is the disk") || fault.Remedy(err) == "" {
			t.Errorf("without the disk of a service: %v", err)
		}
		st.stack.Containers[0].Env = []string{"A=1"}
	}
	if made := onDisk("ls -A data/web"); made != "" {
		t.Errorf("in the place of the disk there is %q", made)
	}
	onDisk("rm -r data/web; mv away data/web")
	st.mustUp(t)
	st.mustBeServing(t)

	// Without a container nobody knows of the disk: what begins is a new stack,
	// and the old one is not lost on it.
	if _, err := st.Down(t.Context(), st.stack, DownOptions{}); err != nil {
		t.Fatal(err)
	}
	onDisk("mv data away")
	st.mustUp(t)
	onDisk("mv data new; mv away data")
	refused("over another disk", converge.ErrOtherDirectory)
	if _, err := st.Down(t.Context(), st.stack, DownOptions{}); err != nil {
		t.Fatal(err)
	}
	onDisk("echo mine >data/web/once")
	st.mustUp(t)
	st.mustBeDone(t)
	if got := st.onHost(t, "once"); string(got.Content) != "mine\n" {
		t.Errorf("it runs on another directory: %q", got.Content)
	}
	onDisk("mv data gone")
	if _, err := st.Down(t.Context(), st.stack, DownOptions{}); err != nil {
		t.Errorf("down without the disk: %v", err)
	}
}
