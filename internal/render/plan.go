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
		if group := creates[o.ForContainer]; group != "" {
			c := &list[at[group]]
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
		reason := reasonOf(c.calls)
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

// signOf is + when a group adds and removes nothing, - when all it does is to
// remove.
func signOf(calls []converge.Operation) byte {
	does := map[converge.Effect]bool{}
	for _, o := range calls {
		does[o.Effect()] = true
	}
	switch {
	case does[converge.EffectAdd] && !does[converge.EffectRemove]:
		return '+'
	case does[converge.EffectRemove] && !does[converge.EffectAdd] && !does[converge.EffectChange]:
		return '-'
	}
	return '~'
}

// reasonOf is the call of a group whose cause is that of the group: what it
// creates, starts or renames; the first where it does nothing of that.
func reasonOf(calls []converge.Operation) converge.Operation {
	for _, kind := range []converge.Kind{converge.CreateContainer, converge.StartContainer, converge.RenameContainer} {
		if i := slices.IndexFunc(calls, func(o converge.Operation) bool { return o.Kind == kind }); i >= 0 {
			return calls[i]
		}
	}
	return calls[0]
}
