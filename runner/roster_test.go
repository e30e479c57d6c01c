package runner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/fault"
)

// lose takes a runner out of the forge behind everybody's back.
func (f *forge) lose(id int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.runners, id)
	delete(f.tokens, id)
}

func (m *machine) known(name string) record {
	m.t.Helper()
	known, err := parseRecords([]byte(m.files[FileRecords]))
	if err != nil {
		m.t.Fatal(err)
	}
	return known[name]
}

func (m *machine) token(name string) string {
	m.t.Helper()
	have, err := holdings([]byte(m.files[FileConfig]))
	if err != nil {
		m.t.Fatal(err)
	}
	return have[name].token.Reveal()
}

// byHand appends a section that nobody described.
func (m *machine) byHand(name, url, token string) {
	m.files[FileConfig] += fmt.Sprintf("\n# made by hand\n[[runners]]\n  name = %q\n  url = %q\n  token = %q\n  executor = \"shell\"\n", name, url, token)
}

func TestList(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	cfg := at(f, Runner{Name: "a", Mode: Dind, Tags: []string{"x"}}, Runner{Name: "b", Mode: Plain}, Runner{Name: "c"}, Runner{Name: "d", Paused: true}, Runner{Name: "old"})
	m.must(runners(t, cfg))
	f.is(m.known("a").ID, "online", true)
	f.is(m.known("b").ID, "contacted_at", "2026-01-31T12:00:00Z")
	f.lose(m.known("d").ID)
	f.is(m.known("old").ID, "paused", true)
	cfg.Runners[4] = Runner{Name: "new"}
	m.byHand("hand", f.URL, "canary-hand")
	got, err := runners(t, cfg).roster(m).List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, s := range got {
		lines = append(lines, fmt.Sprintf("%s %v %s %v %v: %s: %s", s.Name, s.Declared, s.Mode, s.Tags, s.State, s.Problem, s.Remedy))
	}
	want := []string{
		"a true dind [x] online: : ",
		"b true plain [] offline: the forge does not hear of it: See why: hepta runner logs b",
		"c true plain [] never contacted: the forge does not hear of it: See why: hepta runner logs c",
		"d true plain [] gone in forge: the forge does not know it any more: Make it anew: hepta runner verify --fix",
		"new true plain [] not in config.toml: not in runner/config.toml: Bring it up: hepta up",
		"hand false  [] unknown: not described in the configuration: Describe it, or remove it: hepta runner remove hand",
		"old false  [] paused: not described in the configuration: Describe it, or remove it: hepta runner remove old",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if calls := f.took(); slices.ContainsFunc(calls, func(c string) bool { return c != "POST user/runners" }) {
		t.Errorf("listing changed something: %v", calls)
	}
}

func TestPauseLasts(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	cfg := at(f, Runner{Name: "a"})
	m.must(runners(t, cfg))
	id := m.known("a").ID
	if err := runners(t, cfg).roster(m).Pause(t.Context(), "a", true); err != nil {
		t.Fatal(err)
	}
	if f.get(id, "paused") != true {
		t.Error("not paused")
	}
	m.settled(runners(t, cfg)) // up has nothing to do about it
	cfg.Runners[0].Tags = []string{"x"}
	m.must(runners(t, cfg))
	if f.get(id, "paused") != true || fmt.Sprint(f.get(id, "tag_list")) != "[x]" {
		t.Errorf("another change undid the pause: %v", f.runners[id])
	}
	if err := runners(t, cfg).roster(m).Pause(t.Context(), "a", false); err != nil {
		t.Fatal(err)
	}
	if f.get(id, "paused") != false {
		t.Error("not resumed")
	}
	cfg.Runners[0].Paused = true
	m.must(runners(t, cfg))
	if f.get(id, "paused") != true {
		t.Error("the description does not count")
	}
}

func TestRotate(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	cfg := at(f, Runner{Name: "a", Docker: map[string]any{"shm_size": 1}}, Runner{Name: "given", Token: NewSecret("glrt-canary-given")})
	m.must(runners(t, cfg))
	m.files[FileConfig] = strings.Replace(m.files[FileConfig], "token = ", "token_expires_at = 2026-12-01T00:00:00Z\n  # kept\n  token = ", 1)
	before, was := m.files[FileConfig], m.token("a")
	if err := runners(t, cfg).roster(m).Rotate(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	now := m.token("a")
	if now == was || now != f.tokens[m.known("a").ID] {
		t.Errorf("the token is not the forge's new one")
	}
	want := strings.Replace(strings.Replace(before, was, now, 1), "  token_expires_at = 2026-12-01T00:00:00Z\n", "", 1)
	if diff := cmp.Diff(want, m.files[FileConfig]); diff != "" {
		t.Errorf("more than the token changed:\n%s", diff)
	}
	m.settled(runners(t, cfg))
	for name, text := range map[string]string{"given": "created by hand", "none": "no runner of that name"} {
		err := runners(t, cfg).roster(m).Rotate(t.Context(), name)
		if err == nil || !strings.Contains(err.Error(), text) || fault.Remedy(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// noWrites is a machine on which nothing can be written.
type noWrites struct{ *machine }

func (noWrites) WriteFile(context.Context, string, []byte, fs.FileMode, int, int) error {
	return errors.New("disk full")
}

// A rotation that dies after the forge has made the token is repaired by Repair.
func TestRotationThatIsLost(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	cfg := at(f, Runner{Name: "a"})
	m.must(runners(t, cfg))
	id := m.known("a").ID
	err := runners(t, cfg).roster(noWrites{m}).Rotate(t.Context(), "a")
	if err == nil || !strings.Contains(fault.Remedy(err), "hepta runner verify --fix") || strings.Contains(fault.Describe(err), "canary") {
		t.Fatalf("got %v", err)
	}
	list, err := runners(t, cfg).roster(m).Verify(t.Context())
	if err != nil || len(list) != 1 || !list[0].Dead || list[0].Remedy == "" {
		t.Fatalf("got %+v, %v", list, err)
	}
	list, err = runners(t, cfg).roster(m).Repair(t.Context())
	if err != nil || list[0].Done != "given a new token" || list[0].ID != id {
		t.Fatalf("got %+v, %v", list, err)
	}
	if m.token("a") != f.tokens[id] || f.count() != 1 {
		t.Errorf("%d runners", f.count())
	}
	m.settled(runners(t, cfg))
}

func TestRepair(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	cfg := at(f, Runner{Name: "well"}, Runner{Name: "dead"}, Runner{Name: "given", Token: NewSecret("glrt-canary-given")})
	m.must(runners(t, cfg))
	m.byHand("hand", f.URL, "canary-hand")                 // the forge refuses it
	m.byHand("dead", f.URL, "canary-twin")                 // a second one of that name
	m.byHand("far", "http://127.0.0.1:1", "canary-far")    // cannot be asked
	m.byHand("other", f.URL, f.tokens[m.known("well").ID]) // nobody described it, but it lives
	f.lose(m.known("dead").ID)
	well := m.token("well")
	cfg.Runners = append(cfg.Runners, Runner{Name: "new"})

	dead, err := runners(t, cfg).roster(m).Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list, err := runners(t, cfg).roster(m).Repair(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for i, v := range list {
		lines = append(lines, fmt.Sprintf("%s %v %v|%s|%v", v.Name, dead[i].Dead, v.Alive, v.Done, v.Problem != ""))
	}
	want := []string{
		"well false true||false", "dead true false|created again|false", "given true false||true", "hand true false|dropped from runner/config.toml|false",
		"dead true false|dropped from runner/config.toml|false", "far false false||true", "other false true||false", "new false false||true",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, v := range append(dead, list...) {
		if strings.Contains(v.Problem+v.Remedy, "canary") {
			t.Errorf("a token is told: %+v", v)
		}
	}
	if m.token("well") != well || m.token("dead") != f.tokens[m.known("dead").ID] || m.token("hand") != "" || m.token("far") == "" || m.token("other") == "" {
		t.Errorf("config.toml is\n%s", m.files[FileConfig])
	}
	again, err := runners(t, cfg).roster(m).Repair(t.Context())
	if err != nil || slices.ContainsFunc(again, func(v Verdict) bool { return v.Done != "" }) {
		t.Errorf("again: %+v, %v", again, err)
	}
	cfg.Runners = cfg.Runners[:3]
	m.settled(runners(t, cfg))
}

// A runner that was created again in a run that died before writing it down is
// found again, not made twice.
func TestRepairThatDied(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	cfg := at(f, Runner{Name: "a"})
	m.must(runners(t, cfg))
	f.lose(m.known("a").ID)
	if _, err := runners(t, cfg).roster(noWrites{m}).Repair(t.Context()); err == nil {
		t.Fatal("no error")
	}
	if _, err := runners(t, cfg).roster(m).Repair(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f.count() != 1 || m.token("a") != f.tokens[m.known("a").ID] {
		t.Errorf("%d runners in the forge", f.count())
	}
	m.settled(runners(t, cfg))
}

func TestRemove(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	cfg := at(f, Runner{Name: "a"}, Runner{Name: "old"})
	m.must(runners(t, cfg))
	_, made := f.add(map[string]any{"description": "hand"}, "glrt-")
	m.byHand("hand", f.URL, made.(map[string]any)["token"].(string))
	m.byHand("dead", f.URL, "canary-dead")
	cfg.Runners = cfg.Runners[:1]
	f.took()
	err := runners(t, cfg).roster(m).Remove(t.Context(), "a")
	if err == nil || !strings.Contains(err.Error(), "the configuration describes it") || fault.Remedy(err) == "" {
		t.Errorf("got %v", err)
	}
	for _, name := range []string{"old", "hand", "dead"} {
		if err := runners(t, cfg).roster(m).Remove(t.Context(), name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if m.token(name) != "" || m.known(name).Forge != "" {
			t.Errorf("%s is still there", name)
		}
	}
	if f.count() != 1 || m.token("a") == "" {
		t.Errorf("%d runners in the forge", f.count())
	}
	m.must(runners(t, cfg)) // fewer jobs at once, and nothing else
	if calls := f.took(); slices.ContainsFunc(calls, func(c string) bool { return !strings.HasPrefix(c, "DELETE ") }) {
		t.Errorf("calls %v", calls)
	}
}
