package runner

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/heptaup/hepta/internal/fault"
)

// Verdict is what a forge says about the token of one section of config.toml.
type Verdict struct {
	Name     string `json:"name"`
	Declared bool   `json:"declared"`
	ID       int64  `json:"id,omitempty"`
	Forge    string `json:"forge"`
	// Alive says that the forge takes the token, Dead that it refuses it;
	// neither that it could not be asked.
	Alive bool `json:"alive"`
	Dead  bool `json:"dead"`
	// Reached reports whether its jobs reach forge and registry; nil where nobody
	// looked: it takes no jobs, is not described or has no section.
	Reached *bool `json:"reached,omitempty"`
	// Done is what Repair did about it.
	Done    string `json:"done,omitempty"`
	Problem string `json:"problem,omitempty"`
	Remedy  string `json:"remedy,omitempty"`
}

const notThere = "not in " + FileConfig

// Verify asks each section's forge whether it takes the section's token. It
// needs no right but that token.
func (ro *Roster) Verify(ctx context.Context) ([]Verdict, error) {
	b, err := ro.read(ctx)
	if err != nil {
		return nil, err
	}
	return ro.verify(ctx, b), nil
}

// verify gives a verdict for each of b.list, in that order, and then one for
// each runner that is described and has no section.
func (ro *Roster) verify(ctx context.Context, b hostState) []Verdict {
	out := []Verdict{}
	for i, h := range b.list {
		v := Verdict{Name: h.name, Declared: ro.r.declares(h.name), Forge: h.url, ID: cmp.Or(b.known[h.name].ID, h.id)}
		if ro.twin(b, i) {
			v.Declared, v.ID = false, h.id
		}
		api, err := ro.r.forgeAt(ctx, ro.host, h.url)
		if err == nil {
			var id int64
			id, err = api.Verify(ctx, h.token)
			v.ID = cmp.Or(id, v.ID)
		}
		switch {
		case err == nil:
			v.Alive = true
		case errors.Is(err, ErrRefused) || errors.Is(err, ErrNotFound):
			v.Dead, v.Problem, v.Remedy = true, "the forge rejects its token", "Repair it: hepta runner verify --fix"
			if x := ro.given(v); x != nil {
				v.Remedy = remedyGiven(*x)
			}
		default:
			v.Problem, v.Remedy = "could not be asked: "+err.Error(), fault.Remedy(err)
		}
		out = append(out, v)
	}
	for _, x := range ro.r.cfg.Runners {
		if _, there := b.have[x.Name]; !there {
			out = append(out, Verdict{Name: x.Name, Declared: true, Forge: x.URL, ID: b.known[x.Name].ID, Problem: notThere, Remedy: "Bring it up: hepta up"})
		}
	}
	return out
}

// twin reports whether an earlier section has the same name: the earlier counts.
func (ro *Roster) twin(b hostState, i int) bool {
	return slices.ContainsFunc(b.list[:i], func(h held) bool { return h.name == b.list[i].name })
}

// given is the described runner of a verdict when its token was created by hand.
func (ro *Roster) given(v Verdict) *Runner {
	for i, x := range ro.r.cfg.Runners {
		if v.Declared && x.Name == v.Name && x.given() {
			return &ro.r.cfg.Runners[i]
		}
	}
	return nil
}

// Repair is Verify, and then puts in order what is dead: a described runner
// gets a new token, or is created again where the forge has lost it; a section
// that nothing describes is dropped. What could not be asked is left alone.
// It may be repeated and killed at any point.
func (ro *Roster) Repair(ctx context.Context) ([]Verdict, error) {
	b, err := ro.read(ctx)
	if err != nil {
		return nil, err
	}
	list := ro.verify(ctx, b)
	drop := map[int]bool{}
	for i, v := range list {
		if v.Dead && !v.Declared {
			drop[i] = true
			list[i].Done, list[i].Problem, list[i].Remedy = "dropped from "+FileConfig, "", ""
		}
	}
	if len(drop) > 0 {
		// What is recorded of it stays: by that the forge's side is removed.
		if err := ro.forgetEntries(ctx, b, func(i int) bool { return drop[i] }); err != nil {
			return list, err
		}
	}
	for i, v := range list {
		if !v.Dead || !v.Declared || ro.given(v) != nil {
			continue
		}
		id, err := ro.renew(ctx, v.Name)
		if err != nil {
			for j := range list { // the remedy of those that are left has just been tried
				if list[j].Dead && list[j].Done == "" && ro.given(list[j]) == nil {
					list[j].Remedy = ""
				}
			}
			return list, err
		}
		list[i].Done, list[i].Problem, list[i].Remedy = "given a new token", "", ""
		if id != v.ID {
			list[i].Done = "created again"
		}
		list[i].ID = id
	}
	return list, nil
}

// Reach completes verdicts: whether the jobs of the runners that are described
// and take jobs reach forge and registry. It takes seconds, for it runs
// containers where jobs would stand, and needs a Roster that holds the stack's
// lock. Nothing is changed.
func (ro *Roster) Reach(ctx context.Context, list []Verdict) error {
	seen, err := ro.r.probeAll(ctx, ro.host, func(x Runner) bool { return looksFor(list, x) >= 0 })
	if err != nil {
		return err
	}
	for _, o := range seen {
		v := &list[looksFor(list, ro.r.cfg.runner(o.runner))]
		err := o.err()
		if err != nil && !errors.Is(err, ErrUnreached) {
			return err
		}
		v.Reached = new(bool)
		*v.Reached = err == nil
		if err == nil {
			continue
		}
		why := "its jobs do not reach what they need: " + strings.ReplaceAll(err.Error(), "\n", "; ")
		v.Problem = strings.TrimPrefix(v.Problem+"; "+why, "; ")
		v.Remedy = strings.TrimSpace(v.Remedy + " " + remedies(err))
	}
	return nil
}

// Looks reports whether Reach would look for any of these.
func (ro *Roster) Looks(list []Verdict) bool {
	return slices.ContainsFunc(ro.r.cfg.Runners, func(x Runner) bool { return looksFor(list, x) >= 0 })
}

// looksFor is the place of the verdict that what x's jobs reach belongs to; -1
// where there is nothing to see.
func looksFor(list []Verdict, x Runner) int {
	return slices.IndexFunc(list, func(v Verdict) bool {
		return !x.Paused && v.Declared && v.Name == x.Name && v.Problem != notThere
	})
}

// remedies are those of what was not reached, each once.
func remedies(err error) string {
	var list []string
	var walk func(error)
	walk = func(err error) {
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range many.Unwrap() {
				walk(e)
			}
		} else if remedy := fault.Remedy(err); remedy != "" && !slices.Contains(list, remedy) {
			list = append(list, remedy)
		}
	}
	walk(err)
	return strings.Join(list, " ")
}

// renew brings the forge's side of a described runner in order and writes down
// what came of it.
func (ro *Roster) renew(ctx context.Context, name string) (int64, error) {
	if err := ro.r.settle(ctx, ro.host, name); err != nil {
		return 0, err
	}
	ro.r.mu.Lock()
	s := ro.r.settled[name]
	ro.r.mu.Unlock()
	ctx = context.WithoutCancel(ctx)
	if !s.token.Empty() {
		if err := ro.retoken(ctx, name, s.token); err != nil {
			return s.id, err
		}
	}
	b, err := ro.read(ctx)
	if err != nil {
		return s.id, err
	}
	x := ro.r.cfg.runner(name)
	now, want := b.known[name], ro.r.cfg.attributes(x)
	now.ID, now.Forge, now.Applied = s.id, x.URL, &want
	b.known[name] = now
	return s.id, ro.record(ctx, b.known)
}
