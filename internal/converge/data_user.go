package converge

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/pattern"
)

// ErrDataInUse says that a container of somebody else writes to the data directory.
var ErrDataInUse = errors.New("the data directory is in use")

// dataUser is a container of somebody else that can write to the data directory.
type dataUser struct {
	container ObservedContainer
	dir       string // of the host, that it mounts
}

// checkDataUsers refuses a data directory that another container can write to:
// it may hold the data of another forge. What is only read harms nobody, and a
// mount of a directory above is told once the stack itself is at work there.
func (p *planner) checkDataUsers() error {
	var users []dataUser
	for _, c := range p.o.Containers {
		if p.s.mayUseData(c) {
			continue
		}
		dir := p.writesTo(c)
		switch {
		case dir == "":
		case !IsBelow(dir, p.s.Data) && p.s.other(c) == "" && p.usesData():
			p.note("container %s can write to %s, and so to the data directory: if it may, name it under share_data_with", c.Name, dir)
		default:
			users = append(users, dataUser{c, dir})
		}
	}
	if len(users) == 0 {
		return nil
	}
	return p.s.dataInUse(users)
}

// mayUseData reports whether a container is this stack's, a job of a runner, or
// one of those that the description names.
func (s *Stack) mayUseData(c ObservedContainer) bool {
	switch {
	case c.Service != "" || s.ours(c.Labels) && (c.Name == s.LockName() || c.Labels[LabelOnce] != ""):
		return true
	case s.other(c) == "" && slices.Contains(s.SharedWith, c.Name):
		return true
	}
	return jobName().MatchString(c.Name)
}

// jobName is how a runner names the containers of a job. Their labels may be
// those of any image.
var jobName = pattern.New(`^runner-.+-project-[0-9]+-concurrent-[0-9]+`)

// writesTo is the directory of the host through which a container can write to
// the data directory: that, one above it or one below it; "" when there is none.
func (p *planner) writesTo(c ObservedContainer) string {
	data := p.s.Data
	if data == "" {
		return ""
	}
	for _, m := range c.Mounts {
		dir := m.Source
		if m.Volume != "" {
			dir = p.device(m.Volume)
		}
		if dir == "" || m.ReadOnly {
			continue
		}
		if dir = path.Clean(dir); IsBelow(dir, data) || IsBelow(data, dir) {
			return dir
		}
	}
	return ""
}

// device is the directory of the host that a volume is, or "".
func (p *planner) device(volume string) string {
	i := slices.IndexFunc(p.o.Volumes, func(v ObservedVolume) bool { return v.Name == volume })
	if i < 0 {
		return ""
	}
	return p.o.Volumes[i].Device
}

// usesData reports whether the stack's own containers are on the data directory.
func (p *planner) usesData() bool {
	return slices.ContainsFunc(owned(p.o), func(c ObservedContainer) bool { return c.Labels[LabelData] == p.s.Data })
}

// other is the name of the other stack that a container was made for, or "".
func (s *Stack) other(c ObservedContainer) string {
	if c.Service != "" || c.Labels[LabelService] == "" || s.ours(c.Labels) {
		return ""
	}
	return c.Labels[LabelStack]
}

func (s *Stack) dataInUse(users []dataUser) error {
	slices.SortStableFunc(users, func(a, b dataUser) int { return -compareBool(s.other(a.container) != "", s.other(b.container) != "") })
	c := users[0].container
	f := &fault.Error{
		Op: "use data directory", What: s.Data, Err: ErrDataInUse,
		Why: fmt.Sprintf("%s: container %s (%s, %s) writes to %s", ErrDataInUse, c.Name, c.Image, c.State, users[0].dir),
		Remedy: fmt.Sprintf("Remove it when nobody needs it any more (docker rm %[1]s), or name another directory for this stack (data: in hepta.yaml). "+
			"If it may write there, as a backup program may, say so: share_data_with: [%[1]s]", c.Name),
	}
	if more := len(users) - 1; more > 0 {
		f.Why += fmt.Sprintf(", and %d more do so", more)
	}
	if other := s.other(c); other != "" {
		f.Why += fmt.Sprintf("; that is stack %s", other)
		f.Remedy = fmt.Sprintf("If this is that stack, name it so again (stack: %s). If it is to have a new name: hepta down under the old one, then hepta up --renamed under the new one. "+
			"For a second stack name another directory (data: %s).", other, DefaultData(s.Name))
	}
	return f
}

// IsBelow reports whether a path is a directory or lies in it.
func IsBelow(name, dir string) bool {
	return name == dir || strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
}
