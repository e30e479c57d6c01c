package converge

import (
	"fmt"
	"slices"
	"testing"
)

// upgraded is a stack whose forge has got another image and other settings.
func upgraded(t *testing.T) (*Stack, *hostModel) {
	t.Helper()
	s, w := testStack(), newHostModel()
	s.container("heptapod").MigratesData = true
	if err := w.up(s); err != nil {
		t.Fatal(err)
	}
	s.file("forge/gitlab.rb").Content = []byte("y\n")
	s.file("forge/boot").Content = []byte("f\n")
	s.container("heptapod").Image = "octobus/heptapod:17.9"
	w.images["octobus/heptapod:17.9"] = "sha256:17.9"
	return s, w
}

func first(int) int { return 0 }

// What runs a newer program on its data is never put back once that has begun:
// it stays, and the next run goes on with it. Until then all is undone.
func TestMigratedDataStay(t *testing.T) {
	s, w := upgraded(t)
	before := w.state()
	p, err := Up(s, w.observe(s))
	if err != nil {
		t.Fatal(err)
	}
	whole := w.clone()
	if err := whole.run(s, p); err != nil {
		t.Fatal(err)
	}
	begun := false
	for n, op := range p.Operations {
		failed := w.clone()
		did, err := walk(failed, s, p, n, first)
		if err != nil {
			t.Fatal(err)
		}
		undone(failed, s, p, did, op.ID, 100)
		old, next := failed.find("hepta-heptapod"), failed.find("hepta-heptapod_next")
		switch begun {
		case true:
			if old != nil && old.Running() || next == nil && old.Image != "octobus/heptapod:17.9" || next != nil && !next.Running() {
				t.Errorf("#%d %s failed: the old program is back on the data:\n%s", op.ID, op.Text(), failed.state())
			}
		case false:
			for _, b := range failed.containers {
				if b.Health == "starting" {
					b.Health = "healthy"
				}
			}
			if got := failed.state(); got != before {
				t.Errorf("#%d %s failed: it is now\n%s\nit was\n%s", op.ID, op.Text(), got, before)
			}
		}
		heals(t, s, failed, whole.state(), fmt.Sprintf("after #%d", n))
		begun = begun || op.Kind == StartContainer && op.Replaces == "heptapod"
	}
	if !begun {
		t.Errorf("nothing was started in\n%s", p)
	}
}

// Another container of the same image may go back, and so may one that changes
// no data; not where a third one has run on them meanwhile.
func TestWhoIsPutBack(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Stack, *hostModel)
		back   bool
	}{
		{"same image", func(s *Stack, _ *hostModel) { s.container("heptapod").Env = []string{"A=b"} }, true},
		{"another image of one name", func(s *Stack, w *hostModel) { w.images["octobus/heptapod:17.8"] = "sha256:other" }, false},
		{"another image that is to be pulled", func(s *Stack, _ *hostModel) { s.container("heptapod").Image = "octobus/heptapod:18" }, false},
		{"the same image by another name", func(s *Stack, w *hostModel) {
			s.container("heptapod").Image, w.images["other:1"] = "other:1", w.images["octobus/heptapod:17.8"]
		}, true},
		{"a service that changes no data", func(s *Stack, _ *hostModel) {
			s.container("heptapod").Image, s.container("heptapod").MigratesData = "octobus/heptapod:18", false
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, w := testStack(), newHostModel()
			s.container("heptapod").MigratesData = true
			if err := w.up(s); err != nil {
				t.Fatal(err)
			}
			c.change(s, w)
			p, err := Up(s, w.observe(s))
			if err != nil {
				t.Fatal(err)
			}
			at := slices.IndexFunc(p.Operations, func(o Operation) bool { return o.Kind == WaitContainer && o.Replaces == "heptapod" })
			did, err := walk(w, s, p, at, first)
			if err != nil {
				t.Fatal(err)
			}
			undone(w, s, p, did, p.Operations[at].ID, 100)
			if old := w.find("hepta-heptapod"); old.Running() != c.back || (w.find("hepta-heptapod_next") == nil) != c.back {
				t.Errorf("put back: %v\n%s", old.Running(), w.state())
			}
		})
	}
}

// A successor that has run on the data is given up for another one, which fails
// too: the first of all must not run any more.
func TestThirdImage(t *testing.T) {
	s, w := upgraded(t)
	p, err := Up(s, w.observe(s))
	if err != nil {
		t.Fatal(err)
	}
	wait := func(p *Plan) int {
		return slices.IndexFunc(p.Operations, func(o Operation) bool { return o.Kind == WaitContainer && o.Replaces == "heptapod" })
	}
	if _, err := walk(w, s, p, wait(p), first); err != nil {
		t.Fatal(err)
	}
	s.container("heptapod").Image = "octobus/heptapod:17.10"
	if p, err = Up(s, w.observe(s)); err != nil {
		t.Fatal(err)
	}
	for n, op := range p.Operations {
		failed := w.clone()
		did, err := walk(failed, s, p, n, first)
		if err != nil {
			t.Fatal(err)
		}
		undone(failed, s, p, did, op.ID, 100)
		if old := failed.find("hepta-heptapod"); old != nil && old.Image == "octobus/heptapod:17.8" && old.Running() {
			t.Errorf("#%d %s failed: the oldest program runs on the data", op.ID, op.Text())
		}
	}
}

// A run is killed at any point, and the description goes back, whole or in part,
// before the next one: nothing is left over, and what runs has read its files.
func TestKilledAndDescribedAnew(t *testing.T) {
	type test struct {
		name string
		back func(*Stack)
		boot string // the file that needs a new container
	}
	var tests []test
	for name, back := range map[string]func(*Stack){
		"all": func(s *Stack) {
			*s.container("heptapod"), s.Files = *testStack().container("heptapod"), testStack().Files
		},
		"image": func(s *Stack) { *s.container("heptapod") = *testStack().container("heptapod") },
		"files": func(s *Stack) { s.Files = testStack().Files },
		"third": func(s *Stack) { s.file("forge/gitlab.rb").Content = []byte("z\n") },
	} {
		tests = append(tests, test{name, back, "e\n"}, test{name + ", with such a file", back, "f\n"})
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			described := func() (*Stack, *hostModel) {
				s, w := upgraded(t)
				s.container("heptapod").MigratesData = false
				s.file("forge/boot").Content = []byte(c.boot)
				return s, w
			}
			s, w := described()
			p, err := Up(s, w.observe(s))
			if err != nil {
				t.Fatal(err)
			}
			for n := range len(p.Operations) + 1 {
				for _, half := range []bool{false, true} {
					cut := w.clone()
					if _, err := walk(cut, s, p, n, first); err != nil {
						t.Fatal(err)
					}
					if half {
						if n == len(p.Operations) || p.Operations[n].Kind != WriteFile {
							continue
						}
						if err := cut.step(s, p.Operations[n], true); err != nil {
							t.Fatal(err)
						}
					}
					again, _ := described()
					c.back(again)
					what := fmt.Sprintf("killed after #%d (in the middle of the next: %v)", n, half)
					if err := cut.up(again); err != nil {
						t.Fatalf("%s: %v", what, err)
					}
					if err := cut.sound(again); err != nil {
						t.Errorf("%s: %v", what, err)
					}
					if len(cut.kept) > 0 {
						t.Errorf("%s: left over: %v", what, cut.kept)
					}
					if p, err := Up(again, cut.observe(again)); err != nil || !p.Empty() {
						t.Errorf("%s: still to do: %v\n%s", what, err, p)
					}
				}
			}
		})
	}
}
