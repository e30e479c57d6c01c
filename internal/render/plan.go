package render

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/heptaup/hepta/internal/converge"
)

// change is what a plan does to one thing, as a person sees it: all the calls
// of a group, or one call that has none.
type change struct {
	sign   byte // + added, ~ changed, - removed
	title  string
	causes []string
	calls  []converge.Operation
	files  int // written for a container that is new
}

// Plan writes what a plan would do: a line for each thing with its cause, a
// sum, and how to go on. verb is the command that would do it: "up", "down".
func Plan(out io.Writer, p *converge.Plan, verb string, color bool) error {
	paint := palette(color)
	var b strings.Builder
	if p.Empty() {
		fmt.Fprintf(&b, "%s Nothing to do: %s is up to date.\n", paint.good("✔"), clean(p.Stack))
	}
	counts := map[byte]int{}
	calls := 0
	for _, c := range changes(p) {
		counts[c.sign]++
		calls += len(c.calls)
		fmt.Fprintf(&b, "  %s %s", paint.sign(c.sign), paint.strong(clean(c.title)))
		if len(c.causes) == 1 {
			b.WriteString(paint.dim(": "+clean(c.causes[0])) + "\n")
			continue
		}
		b.WriteByte('\n')
		for _, cause := range c.causes {
			b.WriteString("      " + paint.dim(clean(cause)) + "\n")
		}
	}
	for _, n := range p.Notes {
		fmt.Fprintf(&b, "  %s %s\n", paint.accent("•"), clean(n))
	}
	if !p.Empty() {
		fmt.Fprintf(&b, "\n%d to add, %d to change, %d to remove, in %s. Do it with 'hepta %s'.\n",
			counts['+'], counts['~'], counts['-'], plural(calls, "call"), verb)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (p palette) sign(s byte) string {
	switch s {
	case '+':
		return p.good("+")
	case '-':
		return p.bad("-")
	}
	return p.change("~")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// changes gathers a plan's operations by group, in the order of their first one.
func changes(p *converge.Plan) []change {
	var list []change
	at := map[string]int{}
	creates := map[string]string{} // container → group that creates it
	for _, o := range p.Operations {
		key := o.Group
		if key == "" {
			key = fmt.Sprintf("#%d", o.ID)
		}
		if o.Kind == converge.CreateContainer {
			creates[o.Target] = key
		}
		if name, ok := strings.CutPrefix(o.Cause, forNewContainer); ok && creates[name] != "" {
			c := &list[at[creates[name]]]
			c.calls = append(c.calls, o)
			c.files++
			continue
		}
		i, known := at[key]
		if !known {
			i = len(list)
			at[key] = i
			list = append(list, change{})
		}
		list[i].calls = append(list[i].calls, o)
	}
	for i := range list {
		c := &list[i]
		c.sign = signOf(c.calls)
		reason := c.calls[0]
		for _, o := range c.calls {
			if o.Kind == converge.CreateContainer {
				reason = o
			}
		}
		c.causes = strings.Split(reason.Cause, "; ")
		if c.files > 0 {
			c.causes[len(c.causes)-1] += ", with " + plural(c.files, "file")
		}
		if c.title = reason.Group; c.title == "" || len(c.calls) == 1 && reason.Kind == converge.WaitContainer {
			c.title = strings.TrimPrefix(reason.Text(), "call ")
		}
	}
	return list
}

// forNewContainer begins the cause of a file that a new container needs; the
// container's name follows.
const forNewContainer = "for the new container "

// signOf is + when a group only adds, - when it only removes.
func signOf(calls []converge.Operation) byte {
	adds, removes := false, false
	for _, o := range calls {
		switch o.Kind {
		case converge.CreateNetwork, converge.CreateVolume, converge.CreateContainer, converge.PullImage:
			adds = true
		case converge.RemoveNetwork, converge.RemoveVolume, converge.RemoveContainer:
			removes = true
		case converge.RunTask:
			if o.Task != nil {
				adds = adds || slices.Contains([]string{"create", "issue", "mint"}, o.Task.Verb)
				removes = removes || slices.Contains([]string{"delete", "remove"}, o.Task.Verb)
			}
		case converge.WriteFile:
			adds = adds || strings.HasPrefix(o.Cause, "not ") || strings.HasPrefix(o.Cause, forNewContainer)
		}
	}
	switch {
	case adds && !removes:
		return '+'
	case removes && !adds:
		return '-'
	}
	return '~'
}
