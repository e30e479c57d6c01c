package engine

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

	"github.com/heptaup/hepta/internal/converge"
)

// shelf is an Engine whose only container shows some files below /data/d.
type shelf struct {
	*fake
	files []tar.Header // in the order of the archive; Linkname is the content
	cut   int          // bytes of a directory's archive that arrive; 0: all
}

func (s *shelf) ContainerList(ctx context.Context, _ container.ListOptions) ([]container.Summary, error) {
	return []container.Summary{showing("c", map[string]string{converge.LabelService: "a"})}, s.call(ctx, "list containers")
}

func (s *shelf) ImageList(context.Context, image.ListOptions) ([]image.Summary, error) {
	return nil, nil
}

func (s *shelf) ContainerStatPath(ctx context.Context, _, at string) (container.PathStat, error) {
	return container.PathStat{}, s.call(ctx, "stat %s", at)
}

func (s *shelf) CopyFromContainer(ctx context.Context, _, at string) (io.ReadCloser, container.PathStat, error) {
	if err := s.call(ctx, "get %s", at); err != nil {
		return nil, container.PathStat{}, err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range s.files {
		name := path.Join("/data/d", h.Name)
		if name != at && !strings.HasPrefix(name, at+"/") {
			continue
		}
		content := h.Linkname
		h.Name = strings.TrimPrefix(name, path.Dir(at)+"/")
		if h.Typeflag == tar.TypeReg {
			h.Linkname, h.Size = "", int64(len(content))
		}
		if err := w.WriteHeader(&h); err != nil {
			return nil, container.PathStat{}, err
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := io.WriteString(w, content); err != nil {
				return nil, container.PathStat{}, err
			}
		}
	}
	if b.Len() == 0 {
		return nil, container.PathStat{}, fmt.Errorf("could not find the file: %w", errdefs.ErrNotFound)
	}
	if err := w.Close(); err != nil {
		return nil, container.PathStat{}, err
	}
	if s.cut > 0 && at == "/data/d" {
		b.Truncate(s.cut)
	}
	return io.NopCloser(&b), container.PathStat{}, nil
}

func regular(name, content string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o640, Uid: 3, Gid: 4, Linkname: content}
}

func TestFilesOfOneDirectory(t *testing.T) {
	keep := func(_ *converge.Observed, current []byte) ([]byte, error) { return current, nil }
	big := strings.Repeat("x", maxDirectory)
	a, b := regular("a", "one"), regular("b", "two")
	for name, c := range map[string]struct {
		files   []tar.Header
		cut     int
		missing bool // b is not there
		gets    int
	}{
		"one call":                             {files: []tar.Header{a, b, regular("other", "")}, gets: 1},
		"one below is another":                 {files: []tar.Header{regular("0/b", "no"), a, b}, gets: 1},
		"what is missing is asked for":         {files: []tar.Header{a}, missing: true, gets: 2},
		"much before it is not read":           {files: []tar.Header{regular("0", big), a, b}, gets: 3},
		"an archive that ends early is no end": {files: []tar.Header{a, b}, cut: 1024, gets: 2},
		"a link is looked at by itself":        {files: []tar.Header{{Name: "a", Typeflag: tar.TypeLink, Linkname: "0"}, b}, gets: 2},
	} {
		t.Run(name, func(t *testing.T) {
			f := &shelf{fake: newFake(), files: c.files, cut: c.cut}
			s := &converge.Stack{Name: "lab", Data: "/srv/lab", Files: []converge.File{{Path: "d/a", Merge: keep}, {Path: "d/b", Merge: keep}}}
			o, err := New(f, nil, nil).Observe(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			seen := o.Files["d/b"]
			want := converge.ObservedFile{Exists: true, Content: []byte("two"), Mode: 0o640, UID: 3, GID: 4}
			if c.missing {
				want = converge.ObservedFile{}
			}
			if seen.Exists != want.Exists || string(seen.Content) != string(want.Content) || seen.Mode != want.Mode || seen.UID != want.UID || seen.GID != want.GID {
				t.Errorf("b: %+v, want %+v", seen, want)
			}
			if seen := o.Files["d/a"]; !seen.Exists || c.files[0].Typeflag == tar.TypeLink && seen.UID != -1 {
				t.Errorf("a: %+v", seen)
			}
			gets := f.count("get /data/d") + f.count("get /data/d/a") + f.count("get /data/d/b")
			if gets != c.gets || f.count("stat /data/d/a") != 0 {
				t.Errorf("calls %v, want %d of get", f.calls, c.gets)
			}
		})
	}
}

// A file whose change has to be taken over is looked at before its mark.
func TestMarkAfterFile(t *testing.T) {
	f := &shelf{fake: newFake(), files: []tar.Header{regular("a", "one")}}
	s := &converge.Stack{Name: "lab", Data: "/srv/lab", Files: []converge.File{{Path: "d/a", Content: []byte("one"), Apply: &converge.Apply{}}}}
	o, err := New(f, nil, nil).Observe(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if !o.Files["d/a"].Pending {
		t.Error("the mark was not seen")
	}
	order := strings.Join(f.calls, "\n")
	if file, mark := strings.Index(order, "stat /data/d/a"), strings.Index(order, "stat "+markOf("/data/d/a")); file < 0 || mark < file {
		t.Errorf("calls %v", f.calls)
	}
}

// What a service keeps for itself is read where the snapshot asks for it.
func TestReads(t *testing.T) {
	f := &shelf{fake: newFake(), files: []tar.Header{regular("VERSION", "17.8.1\n")}}
	s := &converge.Stack{Name: "lab", Data: "/srv/lab", Reads: []converge.Read{
		{Paths: []string{"d/VERSION", "d/absent"}},
		{Paths: []string{"d/unasked"}, When: func(o *converge.Observed) bool { return len(o.Containers) == 0 }},
	}}
	o, err := New(f, nil, nil).Observe(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if seen := o.Files["d/VERSION"]; !seen.Exists || string(seen.Content) != "17.8.1\n" {
		t.Errorf("seen %+v", seen)
	}
	if seen, looked := o.Files["d/absent"]; !looked || seen.Exists {
		t.Errorf("absent: %+v, %v", seen, looked)
	}
	if _, looked := o.Files["d/unasked"]; looked {
		t.Error("what nobody asks for was read")
	}
	if f.count("get /data/d/VERSION") != 1 || len(f.order("stat")) != 0 {
		t.Errorf("calls %v", f.calls)
	}
}

// marked is a shelf with a mark that holds something.
type marked struct{ *shelf }

func (m marked) ContainerStatPath(ctx context.Context, id, at string) (container.PathStat, error) {
	stat, err := m.shelf.ContainerStatPath(ctx, id, at)
	if at == markOf("/data/d/a") {
		stat.Size = 9
	}
	return stat, err
}

// A mark says what the command said that did not take the file over.
func TestMarkOfARefusal(t *testing.T) {
	f := marked{&shelf{fake: newFake(), files: []tar.Header{regular("a", "one"), regular(".a.hepta-pending", "no such setting\n")}}}
	s := &converge.Stack{Name: "lab", Data: "/srv/lab", Files: []converge.File{{Path: "d/a", Content: []byte("one"), Apply: &converge.Apply{}}}}
	o, err := New(f, nil, nil).Observe(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if seen := o.Files["d/a"]; !seen.Pending || seen.Refused != "no such setting" {
		t.Errorf("seen %+v", seen)
	}
}
