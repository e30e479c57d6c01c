package converge

import (
	"errors"
	"fmt"
	"slices"

	"github.com/heptaup/hepta/internal/fault"
)

// ErrNewData says that a stack which has data would begin anew in an empty directory.
var ErrNewData = errors.New("the stack would begin anew in an empty data directory")

// checkNewData refuses another data directory than the one that the stack has
// run on, unless what it holds has been moved along. It can be seen only
// through the stack's lock: before, the plan tells what is going to be asked.
func (p *planner) checkNewData() error {
	was := p.leftData()
	if was == "" || p.s.Allow.NewData {
		return nil
	}
	looked := false
	for _, mark := range p.s.Marks {
		f, seen := p.o.Files[mark]
		if f.Exists {
			return nil
		}
		looked = looked || seen
	}
	if !looked {
		p.note("up refuses to begin anew when %s does not hold the data of this stack", p.s.Data)
		return nil
	}
	return &fault.Error{
		Op: "use data directory", What: p.s.Data, Err: ErrNewData,
		Why: fmt.Sprintf("%s: so far it has run on %s", ErrNewData, was),
		Remedy: fmt.Sprintf("Name the old one again (data: %[1]s in hepta.yaml). To move it: hepta down, move what is in %[1]s to %[2]s on the Docker host, hepta up. To begin anew all the same: hepta up --new-data",
			was, p.s.Data),
	}
}

// leftData is another data directory that a service with something to lose has
// run on, or "".
func (p *planner) leftData() string {
	for _, c := range owned(p.o) {
		was, d := c.Labels[LabelData], p.s.Container(c.Service)
		if was == "" || was == p.s.Data || d == nil || !c.HasRun() {
			continue
		}
		if slices.ContainsFunc(p.s.Marks, func(mark string) bool { _, ok := p.s.Shows(d, mark); return ok }) {
			return was
		}
	}
	return ""
}
