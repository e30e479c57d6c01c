package converge

import (
	"bytes"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// file is one file on its way from observed to desired.
type file struct {
	want    *File
	content []byte
	cause   string // why it has to be written; "" when it stands
	absent  bool   // it was looked for and not found
	newFor  string // new container that it is written for, "" for none
	changed bool   // it was there with other content
	pending bool   // it was written and its Apply not done

	write, apply *node
}

func (p *planner) file(path string) *file {
	i := slices.IndexFunc(p.files, func(f *file) bool { return f.want.Path == path })
	if i < 0 {
		return nil
	}
	return p.files[i]
}

// Perm is the mode that the file is written with.
func (f File) Perm() fs.FileMode {
	if f.Mode.Perm() == 0 {
		return 0o644
	}
	return f.Mode.Perm()
}

// Render is the file's content over what is there now (nil when absent).
func (f File) Render(o *Observed, current []byte) ([]byte, error) {
	if f.Merge == nil {
		return f.Content, nil
	}
	content, err := f.Merge(o, current)
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", f.Path, err)
	}
	return content, nil
}

// lookAtFiles compares every file with what was seen of it.
func (p *planner) lookAtFiles() error {
	for i := range p.s.Files {
		f := &file{want: &p.s.Files[i]}
		seen, looked := p.o.Files[f.want.Path]
		if f.want.Existing && !seen.Exists {
			continue
		}
		p.files = append(p.files, f)
		var current []byte
		if seen.Exists {
			current = seen.Content
		}
		var err error
		if f.content, err = f.want.Render(p.o, current); err != nil {
			return err
		}
		switch {
		case f.want.Once:
			switch {
			case looked && !seen.Exists:
				f.cause, f.absent = "not there", true
			case !looked && !p.shown(f.want.Path) && len(owned(p.o)) == 0:
				f.cause = CauseUnseen
			}
		case !looked:
			f.cause = CauseUnseen
		case !seen.Exists:
			f.cause, f.absent = "not there", true
		default:
			f.compare(seen)
			f.pending = seen.Pending
		}
		if f.cause == "" && f.want.Merge != nil {
			if t := p.dueBefore(f); t != "" {
				f.cause = "follows " + t
			}
		}
	}
	return nil
}

func (f *file) compare(seen ObservedFile) {
	var causes []string
	if !bytes.Equal(f.content, seen.Content) {
		f.changed = true
		text := "content changed"
		if !f.want.Secret {
			more, less := lineDiff(seen.Content, f.content)
			text += fmt.Sprintf(" (+%d −%d lines)", more, less)
		}
		causes = append(causes, text)
	}
	if mode := fs.FileMode(seen.Mode).Perm(); mode != f.want.Perm() {
		causes = append(causes, fmt.Sprintf("mode %04o → %04o", mode, f.want.Perm()))
	}
	if seen.UID != f.want.UID || seen.GID != f.want.GID {
		causes = append(causes, fmt.Sprintf("owner %d:%d → %d:%d", seen.UID, seen.GID, f.want.UID, f.want.GID))
	}
	f.cause = strings.Join(causes, ", ")
}

// lineDiff counts the lines that come and go; a moved line is neither.
func lineDiff(was, now []byte) (more, less int) {
	count := make(map[string]int)
	for line := range bytes.Lines(was) {
		count[strings.TrimSuffix(string(line), "\n")]--
	}
	for line := range bytes.Lines(now) {
		count[strings.TrimSuffix(string(line), "\n")]++
	}
	for _, n := range count {
		if n > 0 {
			more += n
		} else {
			less -= n
		}
	}
	return more, less
}

// dueBefore names a due task that the file says it waits for.
func (p *planner) dueBefore(f *file) string {
	for _, t := range p.tasks {
		if slices.Contains(f.want.After, t.Ref) || slices.Contains(t.Before, f.want.ref()) {
			return t.Name
		}
	}
	return ""
}

// planFiles adds the writes. What is only known once the services are decided
// is settled here: files for new containers, and marks that nobody takes away.
func (p *planner) planFiles() {
	for _, f := range p.files {
		if f.cause == "" || f.cause == CauseUnseen {
			if name := p.newContainerFor(f); name != "" {
				f.cause, f.newFor = "for the new container "+name, name
			}
		}
		if f.cause == CauseUnseen && !p.shown(f.want.Path) {
			p.note("no container of the stack mounts %s: it cannot be looked at and is written every time", f.want.Path)
		}
		if f.want.Once && f.cause != "" {
			f.cause += ", written only when it is not there"
		}
		applies := p.applies(f)
		if f.cause == "" && f.pending && !applies && f.want.Apply != nil {
			f.cause = "changed earlier, taken over by the start of " + f.want.Apply.Service
		}
		if f.cause == "" {
			continue
		}
		f.write = p.add(Operation{Kind: WriteFile, Resource: "file " + f.want.Path, Target: f.want.Path, Cause: f.cause, File: f.want,
			NewFile: f.absent || f.newFor != "", ForContainer: f.newFor})
		if applies {
			f.write.op.Apply = f.want.Apply
		}
		p.keepOld(f)
	}
	for i, f := range p.files {
		if !p.applies(f) || f.write == nil && !f.pending {
			continue
		}
		// One command takes all files over that name it.
		for _, g := range p.files[:i] {
			if g.apply != nil && g.want.Apply.Service == f.want.Apply.Service && slices.Equal(g.want.Apply.Cmd, f.want.Apply.Cmd) {
				f.apply = g.apply
			}
		}
		if f.apply == nil {
			f.apply = p.add(Operation{Kind: RunInContainer, Resource: "container " + p.service(f.want.Apply.Service).want.Name,
				Target: f.want.Apply.Service, Apply: f.want.Apply, Group: "apply to " + f.want.Apply.Service})
		}
		op := &f.apply.op
		if op.Cause != "" {
			op.Cause += ", "
		}
		op.Cause += f.want.Path + " changed"
		if said := p.o.Files[f.want.Path].Refused; said != "" && f.write == nil {
			op.Cause += fmt.Sprintf(" (%s has failed: %s)", strings.Join(f.want.Apply.Cmd, " "), said)
		}
		op.Applies = append(op.Applies, f.want.Path)
		f.apply.after(f.write)
	}
}

// newContainerFor names a container that the file has to be written for although
// nothing of it was seen, or "".
func (p *planner) newContainerFor(f *file) string {
	if _, looked := p.o.Files[f.want.Path]; looked {
		return ""
	}
	for _, v := range p.services {
		if _, shows := p.s.Shows(v.want, f.want.Path); !shows {
			continue
		}
		serving := v.serving()
		fresh := v.creates() || serving.State == "created"
		if old := v.cur; old != nil && old != serving && fresh {
			fresh = !p.showed(old, f.want.Path)
		}
		if fresh {
			return v.want.Name
		}
	}
	return ""
}

// showed reports whether an existing container shows the file that is meant now.
func (p *planner) showed(c *ObservedContainer, path string) bool {
	spec, err := parseSpec(c.Labels[LabelSpec])
	then := &Stack{Data: c.Labels[LabelData]}
	if then.Data == "" {
		then.Data = p.s.Data
	}
	_, ok := then.Shows(&spec, path)
	return err == nil && ok && then.FilePath(path) == p.s.FilePath(path)
}

// shown reports whether any service will see the file.
func (p *planner) shown(path string) bool {
	return slices.ContainsFunc(p.s.Containers, func(c Container) bool {
		_, ok := p.s.Shows(&c, path)
		return ok
	})
}

// applies reports whether a change of f has to be taken over by a command, which
// is so where the container does not start after the file was written.
func (p *planner) applies(f *file) bool {
	if f.want.Apply == nil {
		return false
	}
	v := p.service(f.want.Apply.Service)
	return v != nil && (!v.starts() || p.reaches(f.want.ref(), v.want.ref()))
}

// startApplies are the files whose new content the start of a service's new
// container takes over.
func (p *planner) startApplies(v *service) []string {
	var paths []string
	for _, f := range p.files {
		if f.write != nil && f.write.op.Keep != "" && f.write.op.Apply != nil && !p.applies(f) && p.service(f.want.Apply.Service) == v {
			paths = append(paths, f.want.Path)
		}
	}
	return paths
}

func (p *planner) service(name string) *service {
	i := slices.IndexFunc(p.services, func(v *service) bool { return v.want.Service == name })
	if i < 0 {
		return nil
	}
	return p.services[i]
}
