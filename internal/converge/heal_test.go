package converge

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// walk executes a plan in an order that its dependencies allow and that pick
// chooses, up to limit operations, and says which it did.
func walk(w *hostModel, s *Stack, p *Plan, limit int, pick func(n int) int) ([]Operation, error) {
	var did []Operation
	done := make(map[int]bool)
	for len(did) < min(limit, len(p.Operations)) {
		var ready []Operation
		for _, op := range p.Operations {
			if !done[op.ID] && !slices.ContainsFunc(op.After, func(id int) bool { return !done[id] }) {
				ready = append(ready, op)
			}
		}
		op := ready[pick(len(ready))]
		if err := w.step(s, op, false); err != nil {
			return did, fmt.Errorf("#%d %s: %w in\n%s", op.ID, op.Text(), err, p)
		}
		done[op.ID] = true
		did = append(did, op)
	}
	return did, nil
}

// undone plays the executor's part after a failure, up to limit operations.
// What cannot be undone (a port went to someone who is through) is left.
func undone(w *hostModel, s *Stack, p *Plan, did []Operation, failed int, limit int) {
	done := func(id int) bool { return slices.ContainsFunc(did, func(o Operation) bool { return o.ID == id }) }
	for _, u := range Undone(p, func(id int) bool { return done(id) || id == failed }, done) {
		if b := w.find(u.Target); u.Stays != "" && b != nil && b.HasRun() {
			continue
		}
		for _, op := range u.Operations {
			if limit--; limit < 0 {
				return
			}
			_ = w.step(s, op, false)
		}
	}
}

// heals checks that a host model, left as it is, gets where the undisturbed one is.
func heals(t interface{ Fatalf(string, ...any) }, s *Stack, w *hostModel, undisturbed string, how string) {
	if err := w.up(s); err != nil {
		t.Fatalf("%s: the next up fails: %v", how, err)
	}
	if got := w.state(); got != undisturbed {
		t.Fatalf("%s: ends as\n%s\nundisturbed it is\n%s", how, got, undisturbed)
	}
	if err := w.sound(s); err != nil {
		t.Fatalf("%s: %v", how, err)
	}
	if p, err := Up(s, w.observe(s)); err != nil || !p.Empty() {
		t.Fatalf("%s: still to do: %v\n%s", how, err, p)
	}
}

// TestHealAfterEveryOperation kills the run after each operation, and in the
// middle of each that is more than one call, of every case that has a plan.
func TestHealAfterEveryOperation(t *testing.T) {
	for _, c := range append([]planCase{{"bare host", func(_ *Stack, w *hostModel) { *w = *newHostModel() }}}, cases...) {
		t.Run(c.name, func(t *testing.T) {
			s, w := testStack(), newHostModel()
			if err := w.up(s); err != nil {
				t.Fatal(err)
			}
			c.change(s, w)
			p, err := Up(s, w.observe(s))
			if err != nil {
				return
			}
			whole := w.clone()
			if err := whole.run(s, p); err != nil {
				t.Fatal(err)
			}

			for n := range len(p.Operations) + 1 {
				cut := w.clone()
				did, err := walk(cut, s, p, n, first)
				if err != nil {
					t.Fatal(err)
				}
				if n < len(p.Operations) {
					half := cut.clone()
					if op := p.Operations[n]; op.Kind == CreateContainer || op.Kind == RunInContainer || op.Kind == WriteFile {
						if err := half.step(s, op, true); err != nil {
							t.Fatal(err)
						}
						heals(t, s, half, whole.state(), fmt.Sprintf("killed in the middle of #%d", n+1))
					}
					for k := range 7 { // the next operation fails, and the undoing is killed too
						failed := cut.clone()
						undone(failed, s, p, did, n+1, k)
						heals(t, s, failed, whole.state(), fmt.Sprintf("undone %d operations after #%d", k, n))
					}
				}
				heals(t, s, cut, whole.state(), fmt.Sprintf("killed after #%d", n))
			}
		})
	}
}

// TestUndo fails the start and the wait of a replacement: what served before
// serves again, with the files that it was made for.
func TestUndo(t *testing.T) {
	for _, name := range []string{"image changed and is local", "file that needs a new container", "env and labels", "interrupted before the old one stopped", "file with a command and a new container"} {
		for _, kind := range []Kind{StopContainer, StartContainer, WaitContainer} {
			t.Run(name+"/"+string(kind), func(t *testing.T) {
				s, w := testStack(), newHostModel()
				if err := w.up(s); err != nil {
					t.Fatal(err)
				}
				before := w.state()
				i := slices.IndexFunc(cases, func(c planCase) bool { return c.name == name })
				cases[i].change(s, w)
				p, err := Up(s, w.observe(s))
				if err != nil {
					t.Fatal(err)
				}
				at := slices.IndexFunc(p.Operations, func(o Operation) bool { return o.Kind == kind })
				did, err := walk(w, s, p, at, func(int) int { return 0 })
				if err != nil {
					t.Fatal(err)
				}
				undone(w, s, p, did, at+1, 20)
				for _, c := range s.Containers {
					if b := w.find(c.Name); b == nil || !b.Running() {
						t.Errorf("%s does not run", c.Name)
					}
				}
				for i := range w.containers { // the old one starts again: not healthy at once
					if b := w.containers[i]; b.Health == "starting" {
						b.Health = "healthy"
					}
				}
				if got := w.state(); got != before {
					t.Errorf("it is now\n%s\nit was\n%s", got, before)
				}
			})
		}
	}
}

// TestHealAnyInterleaving kills runs at any point of any order that the
// dependencies allow, several times in a row, after any changes at once.
func TestHealAnyInterleaving(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, w := testStack(), newHostModel()
		if rapid.Bool().Draw(t, "was up before") {
			if err := w.up(s); err != nil {
				t.Fatal(err)
			}
			for range rapid.IntRange(1, 3).Draw(t, "changes") {
				c := cases[rapid.IntRange(0, len(cases)-1).Draw(t, "case")]
				if !applicable(s, w) {
					continue
				}
				t.Log(c.name)
				c.change(s, w)
			}
		}
		p, err := Up(s, w.observe(s))
		if err != nil {
			t.Skip("refused: ", err)
		}
		whole := w.clone()
		if err := whole.run(s, p); err != nil {
			t.Fatalf("undisturbed: %v in\n%s", err, p)
		}
		pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "which") }
		for range rapid.IntRange(1, 3).Draw(t, "kills") {
			if p, err = Up(s, w.observe(s)); err != nil {
				t.Fatalf("plan again: %v", err)
			}
			did, err := walk(w, s, p, rapid.IntRange(0, len(p.Operations)).Draw(t, "killed after"), pick)
			if err != nil {
				t.Fatalf("%v", err)
			}
			if rapid.Bool().Draw(t, "undone") {
				undone(w, s, p, did, rapid.IntRange(0, len(p.Operations)).Draw(t, "failed"), rapid.IntRange(0, 20).Draw(t, "undone up to"))
			}
		}
		heals(t, s, w, whole.state(), "after the kills")
	})
}

// applicable reports whether a change still finds what it is about.
func applicable(s *Stack, w *hostModel) bool {
	for _, n := range []string{"hepta-traefik", "hepta-heptapod", "hepta-runner"} {
		if w.find(n) == nil {
			return false
		}
	}
	if _, err := Up(s, w.observe(s)); err != nil {
		return false
	}
	return len(w.networks) > 1 && len(w.volumes) > 0 && len(s.Containers) == 3 && len(s.Networks) > 1 && s.Data == "/srv/hepta" && s.Containers[2].Service == "runner"
}
