package runner

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

// logs appends lines to the log of the runner container, a second apart.
func (m *machine) logs(lines ...string) {
	for _, text := range lines {
		m.log = append(m.log, converge.LogLine{At: noon.Add(time.Duration(len(m.log)) * time.Second), Text: text})
	}
}

// forbidden is the line of a runner that shows all of its token: those of these
// tests begin alike.
func forbidden(token string) string {
	return "ERROR: Checking for jobs... forbidden                       runner=" + token
}

// Which lines of a log say that a token is refused.
func TestRefused(t *testing.T) {
	const token = "glrt-W81abcdefghijk"
	r := runners(t, Config{Stack: "lab", Forge: Forge{URL: "https://hg.example.org", Token: NewSecret("x")}, Runners: []Runner{{Name: "a"}}})
	for name, c := range map[string]struct {
		log  []string
		want int // line, from 1
	}{
		"12.8":                {[]string{"Configuration loaded  builds=0", "ERROR: Checking for jobs... forbidden                      runner=glrt-W81"}, 2},
		"12.8, coloured":      {[]string{"\x1b[31;1mERROR: Checking for jobs... forbidden             \x1b[0;m  \x1b[31;1mrunner\x1b[0;m=glrt-W81"}, 1},
		"15":                  {[]string{"ERROR: Checking for jobs... forbidden                       runner=W81abcde"}, 1},
		"17":                  {[]string{"ERROR: Checking for jobs... forbidden                       runner=W81abcdef status=POST http://x/api/v4/jobs/request: 403 Forbidden"}, 1},
		"as JSON":             {[]string{`{"level":"error","msg":"Checking for jobs... forbidden","runner":"W81abcdef","time":"2026-01-31T12:00:00Z"}`}, 1},
		"the last one counts": {[]string{"Checking for jobs... forbidden  runner=W81abcdef", "x", "Checking for jobs... forbidden  runner=W81abcdef", "Runner https://x is not healthy and will be disabled!"}, 3},
		"jobs since":          {[]string{"Checking for jobs... forbidden  runner=W81abcdef", "Checking for jobs... received  job=7 repo_url=x runner=W81abcdef"}, 0},
		"jobs of another":     {[]string{"Checking for jobs... forbidden  runner=W81abcdef", "Checking for jobs... received  job=7 repo_url=x runner=otherone1"}, 1},
		"jobs before":         {[]string{"Checking for jobs... received  job=7 repo_url=x runner=W81abcdef", "Checking for jobs... forbidden  runner=W81abcdef"}, 2},
		"another token":       {[]string{"Checking for jobs... forbidden  runner=W82abcdef"}, 0},
		"a job's own token":   {[]string{"Submitting job to coordinator... forbidden  job=7 runner=W81abcdef"}, 0},
		"another failure":     {[]string{"WARNING: Checking for jobs... failed  runner=W81abcdef status=500 Internal Server Error"}, 0},
		"nothing":             {nil, 0},
	} {
		m := newMachine(t)
		m.logs(c.log...)
		o := &converge.Observed{Containers: []converge.ObservedContainer{{State: "running", Service: Service, Heard: m.log}}}
		var want time.Time
		if c.want > 0 {
			want = m.log[c.want-1].At
		}
		if got := r.refused(o, NewSecret(token)); !got.Equal(want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		if got := r.refused(o, Secret{}); !got.IsZero() {
			t.Errorf("%s: no token is refused at %v", name, got)
		}
		o.Containers[0].Service = ""
		if got := r.refused(o, NewSecret(token)); !got.IsZero() {
			t.Errorf("%s: the log of another container counts", name)
		}
	}
}

// A runner whose token the forge refuses, as the log says, is put in order by
// the next up, which says so beforehand; then nothing is left to do.
func TestRefusedRunnerIsMended(t *testing.T) {
	for name, c := range map[string]struct {
		harm  func(f *forge)
		calls []string
	}{
		"deleted":        {func(f *forge) { f.lose(1) }, []string{"POST user/runners"}},
		"token reset":    {func(f *forge) { f.tokens[1] = "glrt-reset-canary" }, []string{"POST runners/1/reset_authentication_token"}},
		"nothing at all": {func(*forge) {}, nil},
	} {
		for _, paused := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, paused %v", name, paused), func(t *testing.T) {
				f, m := newForge(t), newMachine(t)
				f.online = true
				cfg := at(f, Runner{Name: "a", Paused: paused}, Runner{Name: "well"})
				m.must(runners(t, cfg))
				f.took()
				c.harm(f)
				was, well := m.token("a"), m.token("well")
				m.logs(forbidden("glrt-other-token"), forbidden(was))
				m.settledBut(runners(t, cfg), "repair runner a: the forge refuses its token, says the runner's log")
				plan := m.must(runners(t, cfg))
				if diff := cmp.Diff(fmt.Sprint(c.calls), fmt.Sprint(f.took())); diff != "" {
					t.Errorf("%s\n%s", diff, plan)
				}
				id := m.known("a").ID
				if f.count() != 2 || m.token("a") != f.tokens[id] || m.token("well") != well || f.get(id, "paused") != paused {
					t.Errorf("%d runners, runner %v\n%s", f.count(), f.runners[id], plan)
				}
				if same := m.token("a") == was; same != (c.calls == nil) {
					t.Errorf("the token is the same: %v", same)
				}
				if online := strings.Contains(plan.String(), "runner a online"); online == paused {
					t.Errorf("plan\n%s", plan)
				}
				// The log still has those lines; a later refusal is another matter.
				m.settled(runners(t, cfg))
				m.logs(forbidden(m.token("a")))
				m.settledBut(runners(t, cfg), "repair runner a: the forge refuses its token, says the runner's log")
				m.must(runners(t, cfg))
				if calls := f.took(); len(calls) != 0 {
					t.Errorf("a false refusal: %v", calls)
				}
			})
		}
	}
}

// settledBut is a plan that has these calls of the forge or of what jobs reach
// to do, apart from those that follow.
func (m *machine) settledBut(r *Runners, want ...string) {
	m.t.Helper()
	s := r.resources()
	plan, err := converge.Up(&s, m.observe(&s))
	if err != nil {
		m.t.Fatal(err)
	}
	var got []string
	for _, o := range plan.Operations {
		if o.Kind == converge.RunTask && !strings.HasSuffix(o.Task.Name, " online") {
			got = append(got, o.Name()+": "+o.Cause)
		}
	}
	if !slices.Equal(got, want) {
		m.t.Errorf("calls %q, want %q\n%s", got, want, plan)
	}
}

// What else is due about the runner is done in the same call.
func TestRefusedAndChanged(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	f.online = true
	cfg := at(f, Runner{Name: "a"})
	m.must(runners(t, cfg))
	m.logs(forbidden(m.token("a")))
	f.lose(1)
	cfg.Runners[0].Tags = []string{"x"}
	m.settledBut(runners(t, cfg), "update runner a: tags [] → [x], run_untagged true → false, the forge refuses its token, says the runner's log")
	m.must(runners(t, cfg))
	if f.count() != 1 || m.token("a") != f.tokens[2] || fmt.Sprint(f.get(2, "tag_list")) != "[x]" {
		t.Errorf("runners %v", f.runners)
	}
}

// A run that dies on the way has dealt with nothing: the next one goes on.
func TestMendingThatDies(t *testing.T) {
	for _, step := range []string{"POST runners/1/reset_authentication_token", FileConfig, FileRecords} {
		t.Run(step, func(t *testing.T) {
			f, m := newForge(t), newMachine(t)
			f.online = true
			cfg := at(f, Runner{Name: "a"})
			m.must(runners(t, cfg))
			m.logs(forbidden(m.token("a")))
			f.tokens[1] = "glrt-reset-canary"
			f.breakAfter, m.die = step, step
			if _, err := m.apply(runners(t, cfg)); err == nil {
				t.Fatal("it did not die")
			}
			m.die = ""
			if step == FileRecords {
				m.settled(runners(t, cfg)) // the new token is there, and the refusal is of the old one
			}
			m.must(runners(t, cfg))
			if f.count() != 1 || m.token("a") != f.tokens[1] {
				t.Errorf("%d runners; the token is good: %v", f.count(), m.token("a") == f.tokens[1])
			}
		})
	}
}

// A refused token that was created by hand can be repaired there alone: up fails
// and says so, until another one is given.
func TestRefusedTokenMadeElsewhere(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	f.online = true
	f.add(map[string]any{"description": "x"}, "glrt-there-")
	cfg := at(f, Runner{Name: "there", Token: NewSecret(f.tokens[1])}, Runner{Name: "a"})
	m.must(runners(t, cfg))
	m.logs(forbidden(m.token("there")))
	m.settledBut(runners(t, cfg), "see runner there: the forge refuses its token, says the runner's log")
	m.must(runners(t, cfg)) // it does not: that is noted
	f.tokens[1] = "glrt-canary-anew"
	m.logs(forbidden(m.token("there")))
	f.took()
	for range 2 {
		_, err := m.apply(runners(t, cfg))
		text := fault.Describe(err)
		if !errors.Is(err, ErrRefused) || !strings.Contains(text, "runner there") || !strings.Contains(text, "created by hand") || !strings.Contains(text, "Make a new token in "+f.URL) || strings.Contains(text, "canary") {
			t.Errorf("got %s", text)
		}
	}
	if calls := f.took(); len(calls) != 0 {
		t.Errorf("calls %v", calls)
	}
	// It keeps nothing else from being done.
	cfg.Runners[1].Tags = []string{"x"}
	if plan, err := m.apply(runners(t, cfg)); !errors.Is(err, ErrRefused) || fmt.Sprint(f.get(m.known("a").ID, "tag_list")) != "[x]" || fmt.Sprint(m.known("a").Applied.Tags) != "[x]" {
		t.Errorf("%v\n%s", err, plan)
	}
	cfg.Runners[0].Token = NewSecret("glrt-canary-anew")
	m.settledBut(runners(t, cfg))
	m.must(runners(t, cfg))

	// A forge that cannot be asked is no proof of the contrary.
	cfg.Runners[0].URL = "http://forge.invalid"
	m.must(runners(t, cfg))
	m.logs(forbidden(m.token("there")))
	if _, err := m.apply(runners(t, cfg)); err == nil || !strings.Contains(err.Error(), "could not be asked from here") || strings.Contains(fault.Describe(err), "canary") {
		t.Errorf("got %v", err)
	}
}
