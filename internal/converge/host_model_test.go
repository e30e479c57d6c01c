package converge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/heptaup/hepta/internal/progress"
)

// hostModel is a model of an Engine's host: it does what operations say and
// refuses what an Engine would refuse.
type hostModel struct {
	serial     int
	images     map[string]string // reference → id
	networks   []ObservedNetwork
	volumes    []ObservedVolume
	containers []*box
	disk       map[string]ObservedFile // by path on the host
	kept       map[kept]ObservedFile
}

// kept is what a file held when a container served.
type kept struct{ host, container string }

// box is a container and what its program has read.
type box struct {
	ObservedContainer
	mounts []Mount // with absolute sources
	want   *Container
	loaded map[string]string // path on the host → content at the start or the last Apply
}

func newHostModel() *hostModel {
	return &hostModel{images: make(map[string]string), disk: make(map[string]ObservedFile), kept: make(map[kept]ObservedFile)}
}

func (w *hostModel) clone() *hostModel {
	c := &hostModel{serial: w.serial, images: maps.Clone(w.images), networks: slices.Clone(w.networks), volumes: slices.Clone(w.volumes), disk: maps.Clone(w.disk), kept: maps.Clone(w.kept)}
	for _, b := range w.containers {
		d := *b
		d.Networks, d.loaded = maps.Clone(b.Networks), maps.Clone(b.loaded)
		c.containers = append(c.containers, &d)
	}
	return c
}

func (w *hostModel) id(kind string) string {
	w.serial++
	return fmt.Sprintf("%s%04d", kind, w.serial)
}

// sees reports whether a container shows a path of the host.
func (b *box) sees(host string) bool {
	return slices.ContainsFunc(b.mounts, func(m Mount) bool {
		return host == m.Source || strings.HasPrefix(host, m.Source+"/")
	})
}

func (w *hostModel) observe(s *Stack) *Observed {
	o := &Observed{Images: make(map[string]string), Files: make(map[string]ObservedFile),
		Networks: slices.Clone(w.networks), Volumes: slices.Clone(w.volumes)}
	for ref, id := range w.images {
		o.Images[NormalizeImage(ref)] = id
	}
	for _, b := range w.containers {
		c := b.ObservedContainer
		c.Networks = maps.Clone(b.Networks)
		if !c.Running() {
			c.Ports = nil
		}
		o.Containers = append(o.Containers, c)
	}
	// As the owner of the lock sees it, who makes the identity where there is none.
	if o.Identity = IdentityIn(w.disk[s.FilePath(FileIdentity)]); !o.Identity.Exists {
		o.Identity.Identity = Identity{Stack: s.Name, ID: "proof of " + s.Data}
	}
	s.Recognize(o)
	for _, f := range s.Files {
		host := s.FilePath(f.Path)
		if f.Once || !slices.ContainsFunc(w.containers, func(b *box) bool { return s.ours(b.Labels) && b.sees(host) }) {
			continue
		}
		o.Files[f.Path] = w.disk[host]
	}
	for _, path := range s.ReadsOf(o) {
		if host := s.FilePath(path); slices.ContainsFunc(w.containers, func(b *box) bool { return s.ours(b.Labels) && b.sees(host) }) {
			o.Files[path] = w.disk[host]
		}
	}
	return o
}

func (w *hostModel) find(target string) *box {
	for _, b := range w.containers {
		if b.ID == target || b.Name == target {
			return b
		}
	}
	return nil
}

func (w *hostModel) network(name string) (ObservedNetwork, bool) {
	for _, n := range w.networks {
		if n.Name == name {
			return n, true
		}
	}
	return ObservedNetwork{}, false
}

// step does one operation. With half it stops in the middle of those that
// are more than one call on an old Engine.
func (w *hostModel) step(s *Stack, op Operation, half bool) error {
	if at := s.FilePath(FileIdentity); !w.disk[at].Exists {
		w.disk[at] = ObservedFile{Exists: true, Content: w.observe(s).Identity.Encode(), Mode: 0o600}
	}
	switch op.Kind {
	case CreateNetwork:
		w.networks = append(w.networks, ObservedNetwork{ID: w.id("net"), Name: op.Network.Name, Driver: "bridge", Internal: op.Network.Internal, Labels: op.Labels})
	case RemoveNetwork:
		for _, b := range w.containers {
			for _, id := range b.Networks {
				if id == op.Target && b.Running() {
					return fmt.Errorf("network %s has active endpoints", op.Target)
				}
			}
		}
		w.networks = slices.DeleteFunc(w.networks, func(n ObservedNetwork) bool { return n.ID == op.Target })
	case ConnectNetwork:
		n, ok := w.network(op.Network.Name)
		if !ok {
			return fmt.Errorf("no network %s", op.Network.Name)
		}
		w.find(op.Target).Networks[n.Name] = n.ID
	case CreateVolume:
		w.volumes = append(w.volumes, ObservedVolume{Name: op.Volume.Name, Labels: op.Labels})
	case RemoveVolume:
		w.volumes = slices.DeleteFunc(w.volumes, func(v ObservedVolume) bool { return v.Name == op.Target })
	case PullImage:
		w.images[op.Target] = "sha256:" + op.Target
	case CreateContainer:
		return w.create(s, op, half)
	case StartContainer:
		return w.start(s, op)
	case StopContainer:
		if b := w.find(op.Target); b != nil && b.Running() {
			b.State, b.Health, b.Status = "exited", "", "Exited (0) 1 second ago"
		}
	case RemoveContainer:
		b := w.find(op.Target)
		w.containers = slices.DeleteFunc(w.containers, func(c *box) bool { return c == b })
		w.forget(s, op.Files)
	case RenameContainer:
		if other := w.find(op.NewName); other != nil {
			return fmt.Errorf("the name %s is taken", op.NewName)
		}
		b := w.find(op.Target)
		if b == nil {
			return fmt.Errorf("no container %s", op.Target)
		}
		b.Name = op.NewName
	case WaitContainer:
		b := w.find(op.Target)
		if b == nil || !b.Running() {
			return fmt.Errorf("container %s does not run", op.Target)
		}
		if b.want.Health != nil {
			b.Health = "healthy"
		}
		w.forget(s, op.Files)
	case RestoreFiles:
		for _, path := range op.Files {
			at := kept{s.FilePath(path), op.Keep}
			if was, ok := w.kept[at]; ok {
				delete(w.kept, at)
				w.disk[at.host] = was
			}
		}
	case WriteFile:
		host := s.FilePath(op.File.Path)
		was := w.disk[host]
		if op.File.Once && was.Exists {
			return nil
		}
		content, err := op.File.Render(w.observe(s), was.Content)
		if err != nil {
			return err
		}
		w.keep(kept{host, op.Keep}, was, half)
		if half {
			return nil
		}
		w.disk[host] = ObservedFile{Exists: true, Content: content, Mode: uint32(op.File.Perm()), UID: op.File.UID, GID: op.File.GID, Pending: op.Apply != nil}
	case RunInContainer:
		return w.apply(s, op, half)
	case RunTask:
		return op.Task.Run(context.Background(), modelHost{w, s})
	default:
		return fmt.Errorf("model knows no %q", op.Kind)
	}
	return nil
}

// keep keeps what a file holds; with half the run ends just after that.
func (w *hostModel) keep(at kept, was ObservedFile, half bool) {
	maps.DeleteFunc(w.kept, func(k kept, _ ObservedFile) bool { return k.host == at.host && k.container != at.container })
	if _, there := w.kept[at]; !there && at.container != "" {
		was.Pending = false
		w.kept[at] = was
	}
}

func (w *hostModel) forget(s *Stack, files []string) {
	maps.DeleteFunc(w.kept, func(k kept, _ ObservedFile) bool {
		return slices.ContainsFunc(files, func(f string) bool { return s.FilePath(f) == k.host })
	})
}

func (w *hostModel) create(s *Stack, op Operation, half bool) error {
	c := op.Container
	if w.find(op.Target) != nil {
		return fmt.Errorf("the name %s is taken", op.Target)
	}
	image, ok := w.observe(s).ImageID(c.Image)
	if !ok {
		return fmt.Errorf("no image %s", c.Image)
	}
	labels := maps.Clone(op.Labels)
	labels[LabelImageID] = image
	b := &box{ObservedContainer: ObservedContainer{ID: w.id("c"), Name: op.Target, Image: c.Image, ImageID: image, State: "created",
		Status: "Created", Labels: labels, Networks: make(map[string]string), Ports: slices.Clone(c.Ports)}, want: c}
	for i, a := range c.Networks {
		n, ok := w.network(a.Network)
		if !ok && i > 0 {
			return fmt.Errorf("no network %s", a.Network)
		}
		if i == 0 || !half {
			b.Networks[a.Network] = n.ID // none as long as there is no network
		}
	}
	for _, m := range c.Mounts {
		if source := s.HostPath(m); source != "" {
			b.mounts = append(b.mounts, Mount{Source: source, Target: m.Target})
			b.Mounts = append(b.Mounts, ObservedMount{Source: source, Target: m.Target, ReadOnly: m.ReadOnly})
		} else if !slices.ContainsFunc(w.volumes, func(v ObservedVolume) bool { return v.Name == m.Source }) {
			return fmt.Errorf("no volume %s", m.Source)
		}
	}
	w.containers = append(w.containers, b)
	return nil
}

func (w *hostModel) start(s *Stack, op Operation) error {
	b := w.find(op.Target)
	if b == nil {
		return fmt.Errorf("no container %s", op.Target)
	}
	if b.Running() {
		return nil
	}
	for _, r := range op.Container.After {
		name, ok := strings.CutPrefix(string(r), "container:")
		if d := w.serving(name); ok && op.ID != 0 && (d == nil || d.want.Health != nil && d.Health != "healthy") {
			return fmt.Errorf("start %s: %s is not ready", b.Name, name)
		}
	}
	for name, id := range b.Networks {
		if n, ok := w.network(name); ok && id == "" {
			b.Networks[name] = n.ID
		}
	}
	for _, n := range b.Networks {
		if !slices.ContainsFunc(w.networks, func(o ObservedNetwork) bool { return o.ID == n }) {
			return fmt.Errorf("network %s not found", n)
		}
	}
	for _, other := range w.containers {
		for _, p := range other.Ports {
			if other.Running() && slices.ContainsFunc(b.Ports, p.Overlaps) {
				return fmt.Errorf("start %s: port %s is already allocated by %s", b.Name, p, other.Name)
			}
		}
	}
	b.State, b.Status, b.Health = "running", "Up 1 second", ""
	if b.want.Health != nil {
		b.Health = "starting"
	}
	w.load(b)
	for _, path := range op.Applies {
		f := w.disk[s.FilePath(path)]
		f.Pending = false
		w.disk[s.FilePath(path)] = f
	}
	return nil
}

// serving is the running container of a service.
func (w *hostModel) serving(service string) *box {
	for _, b := range w.containers {
		if b.Labels[LabelService] == service && b.Running() {
			return b
		}
	}
	return nil
}

func (w *hostModel) load(b *box) {
	b.loaded = make(map[string]string)
	for host, f := range w.disk {
		if b.sees(host) {
			b.loaded[host] = string(f.Content)
		}
	}
}

func (w *hostModel) apply(s *Stack, op Operation, half bool) error {
	b := w.serving(op.Target)
	if b == nil {
		return fmt.Errorf("service %s does not run", op.Target)
	}
	w.load(b)
	if half {
		return nil
	}
	for _, p := range op.Applies {
		f := w.disk[s.FilePath(p)]
		f.Pending, f.Refused = false, ""
		w.disk[s.FilePath(p)] = f
	}
	return nil
}

// modelHost is what tasks see of the host model.
type modelHost struct {
	w *hostModel
	s *Stack
}

func (h modelHost) ReadFile(_ context.Context, p string) ([]byte, error) {
	f := h.w.disk[h.s.FilePath(p)]
	if !f.Exists {
		return nil, fs.ErrNotExist
	}
	return f.Content, nil
}

func (h modelHost) WriteFile(_ context.Context, p string, content []byte, mode fs.FileMode, uid, gid int) error {
	h.w.disk[h.s.FilePath(p)] = ObservedFile{Exists: true, Content: content, Mode: uint32(mode), UID: uid, GID: gid}
	return nil
}

func (h modelHost) Exec(_ context.Context, service string, _ []string, _ []byte) (ExecResult, error) {
	if b := h.w.serving(service); b != nil && (b.want.Health == nil || b.Health == "healthy") {
		return ExecResult{}, nil
	}
	return ExecResult{}, fmt.Errorf("service %s is not ready", service)
}

func (h modelHost) Run(context.Context, OneOff) ([]byte, error) { return nil, nil }

func (h modelHost) Progress(string)     {}
func (h modelHost) Sink() progress.Sink { return nil }

// run executes a whole plan in its order.
func (w *hostModel) run(s *Stack, p *Plan) error {
	for _, op := range p.Operations {
		if err := w.step(s, op, false); err != nil {
			return fmt.Errorf("#%d %s: %w", op.ID, op.Text(), err)
		}
	}
	return nil
}

// up plans and runs.
func (w *hostModel) up(s *Stack) error {
	p, err := Up(s, w.observe(s))
	if err != nil {
		return err
	}
	if err := w.run(s, p); err != nil {
		return fmt.Errorf("%w in\n%s", err, p)
	}
	return nil
}

// state is everything that counts at the end, without ids and order.
func (w *hostModel) state() string {
	var lines []string
	names := make(map[string]string)
	for _, n := range w.networks {
		names[n.ID] = n.Name
		lines = append(lines, fmt.Sprintf("network %s %v", n.Name, n.Labels))
	}
	for _, v := range w.volumes {
		lines = append(lines, fmt.Sprintf("volume %s %v", v.Name, v.Labels))
	}
	for _, b := range w.containers {
		var on []string
		for _, id := range b.Networks {
			on = append(on, names[id])
		}
		sort.Strings(on)
		lines = append(lines, fmt.Sprintf("container %s %s %s %v %v", b.Name, b.State, b.Health, on, b.Labels))
	}
	for host, f := range w.disk {
		lines = append(lines, fmt.Sprintf("file %s %q %o %d:%d pending=%v", host, f.Content, f.Mode, f.UID, f.GID, f.Pending))
	}
	for at, f := range w.kept {
		lines = append(lines, fmt.Sprintf("kept %s for %s: %q", at.host, at.container, f.Content))
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n") + "\n"
}

// sound says what is wrong with a host model that s was brought up in.
func (w *hostModel) sound(s *Stack) error {
	var errs []error
	for _, c := range s.Containers {
		b := w.find(c.Name)
		if b == nil || !b.Running() {
			errs = append(errs, fmt.Errorf("%s does not run", c.Name))
			continue
		}
		for _, f := range s.Files {
			host := s.FilePath(f.Path)
			if !b.sees(host) {
				continue
			}
			reads := slices.Contains(c.RecreateOn, f.Path) || f.Apply != nil && f.Apply.Service == c.Service
			if got, want := b.loaded[host], string(w.disk[host].Content); reads && got != want {
				errs = append(errs, fmt.Errorf("%s has read %q of %s, which holds %q", c.Name, got, path.Base(host), want))
			}
		}
	}
	return errors.Join(errs...)
}
