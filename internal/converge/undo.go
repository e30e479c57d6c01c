package converge

import "slices"

// Undo is what brings one service back that a plan was to replace.
type Undo struct {
	Service    string
	Operations []Operation // in order; a failing one is told and keeps no other from being done
	// Stays says why nothing is undone once Target, the container that was to
	// take over, has run; "" when that makes no difference.
	Stays, Target string
}

// Undone is what has to be done when a plan has failed, for every service
// that it has begun to replace and has not got through with. What begun and done
// say is by the number of an operation.
func Undone(p *Plan, begun, done func(id int) bool) []Undo {
	var list []Undo
	furthest, through := make(map[string]Operation), make(map[string]bool)
	for _, op := range p.Operations {
		if op.Replaces == "" {
			continue
		}
		through[op.Replaces] = done(op.ID) // of the last one in the plan
		if !begun(op.ID) {
			continue
		}
		was, known := furthest[op.Replaces]
		if !known {
			list = append(list, Undo{Service: op.Replaces})
		}
		if !known || len(op.Undo) >= len(was.Undo) {
			furthest[op.Replaces] = op
		}
	}
	list = slices.DeleteFunc(list, func(u Undo) bool { return through[u.Service] })
	for i := range list {
		op := furthest[list[i].Service]
		list[i].Operations, list[i].Stays, list[i].Target = op.Undo, op.Stays, op.NewTarget
	}
	return list
}

// The steps of a replacement, by how much of it has to be undone.
type stage int

const (
	created stage = iota // the new container is there
	written              // the files are those of the new container
	stopped              // the old container does not run
	started              // the new one may
)

// undoable lets an operation of a replacement be undone from a stage on.
func (p *planner) undoable(v *service, n *node, at stage) {
	if v.action != replace && v.action != resume {
		return
	}
	op := &n.op
	op.Replaces, op.NewTarget = v.want.Service, v.target()
	begun := v.next != nil && v.action == resume && v.next.HasRun()
	if p.commits(v) && (at == started || begun) {
		op.Stays = "it has begun to work on the data of " + v.want.Service + ", and what ran before must not do so any more"
	}
	step := func(kind Kind, name, target, cause string) {
		op.Undo = append(op.Undo, Operation{Kind: kind, Resource: "container " + name, Target: target, Cause: cause, Group: v.group, Container: v.want})
	}
	if at == started {
		step(StopContainer, v.name(), v.target(), "did not get ready")
	}
	// The new one goes after the files are back: while it is there, the next
	// run knows that the old one has not read them.
	if files := p.ownFiles(v); at >= written && len(files) > 0 {
		op.Undo = append(op.Undo, Operation{Kind: RestoreFiles, Resource: "files of " + v.want.Service, Target: v.want.Service, Cause: "as they were",
			Keep: v.cur.ID, Files: files, Group: v.group})
	}
	step(RemoveContainer, v.name(), v.target(), "did not get ready")
	if at >= stopped && p.startsAgain(v) {
		step(StartContainer, v.cur.Name, v.cur.ID, "is put back")
		step(WaitContainer, v.cur.Name, v.cur.ID, "until it serves again")
	}
}

// startsAgain reports whether the old container can be started where its
// replacement has failed.
func (p *planner) startsAgain(v *service) bool {
	if s := v.cur.State; s == "created" || s == "dead" || s == "removing" || !v.cur.Running() && len(p.lost(v.cur)) > 0 {
		return false
	}
	// A successor that is not wanted any more has run on its data.
	return !v.want.MigratesData || !v.stale || !v.next.HasRun() || v.next.sameImage(v.cur)
}

// commits reports whether the start of a replacement is for good: another
// program then changes the data.
func (p *planner) commits(v *service) bool {
	if !v.want.MigratesData {
		return false
	}
	if v.action == resume {
		return !v.next.sameImage(v.cur)
	}
	_, had := v.cur.MadeFrom()
	now := p.kept(v)
	if now == "" {
		now, _ = p.o.ImageID(v.want.Image)
	}
	return had == "" || had != now
}

// sameImage reports whether two containers are known to be of one image.
func (c *ObservedContainer) sameImage(d *ObservedContainer) bool {
	_, a := c.MadeFrom()
	_, b := d.MadeFrom()
	return a != "" && a == b
}

// ownFiles are the paths of the files that go back with the old container of a
// service: those that no other service sees. Files that others write into as
// well, which are merged and re-read, keep what is in them.
func (p *planner) ownFiles(v *service) []string {
	var paths []string
	for _, f := range p.files {
		if p.owner(f) == v {
			paths = append(paths, f.want.Path)
		}
	}
	return paths
}

// owner is the only service that sees a file which goes back with its
// container, nil when there is none.
func (p *planner) owner(f *file) *service {
	if f.want.Merge != nil && f.want.Apply == nil || f.want.Once || f.want.Existing || f.want.absolute() {
		return nil
	}
	var only *service
	for _, v := range p.services {
		if _, shows := p.s.Shows(v.want, f.want.Path); shows {
			if only != nil || p.reaches(f.want.ref(), v.want.ref()) {
				return nil
			}
			only = v
		}
	}
	return only
}

// keepOld lets the write of a file of a service that is replaced keep what the
// old container has read, until the new one is ready.
func (p *planner) keepOld(f *file) {
	v := p.owner(f)
	if v == nil || v.action != replace && v.action != resume {
		return
	}
	f.write.op.Keep = v.cur.ID
	if f.want.Apply != nil && f.want.Apply.Service == v.want.Service { // nobody has taken it over until the new container has started
		f.write.op.Apply = f.want.Apply
	}
	p.undoable(v, f.write, written)
}
