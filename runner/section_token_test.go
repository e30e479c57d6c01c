package runner

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/fault"
)

// Where a section gets another token, what said something about the token of
// before goes; where the token stays, all stays.
func TestWhatBelongsToATokenGoesWithIt(t *testing.T) {
	const section = `[[runners]]
  name = "My Runner"
  url = "https://gitlab.example.com"
  id = 7 # of the old one
  token = "glrt-old"
  token_obtained_at = 2026-01-01T00:00:00Z
  token_expires_at = 2026-02-01T00:00:00Z
  limit = 3
`
	set := func(token string) Desired {
		return Desired{Runners: []Section{{Name: "My Runner", Set: map[string]any{"token": token}}}}
	}
	got, err := MergeConfig([]byte(section), set("glrt-new"))
	want := "[[runners]]\n  name = \"My Runner\"\n  url = \"https://gitlab.example.com\"\n  token = \"glrt-new\"\n  limit = 3\n"
	if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
		t.Error(err, diff)
	}
	got, err = MergeConfig([]byte(section), set("glrt-old"))
	if diff := cmp.Diff(section, string(got)); err != nil || diff != "" {
		t.Error(err, diff)
	}
	inline := `runners = [{name = "My Runner", id = 7, token = "glrt-old", token_expires_at = 2026-02-01T00:00:00Z}]`
	got, err = MergeConfig([]byte(inline), set("glrt-new"))
	if err != nil || strings.Contains(string(got), "id =") || strings.Contains(string(got), "expires") {
		t.Error(err, string(got))
	}
	fresh := Section{Name: "My Runner", Set: map[string]any{}}
	tokenOf(Made{Token: NewSecret("glrt-new"), ExpiresAt: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}).setIn(&fresh)
	got, err = MergeConfig([]byte(section), Desired{Runners: []Section{fresh}})
	if err != nil || strings.Contains(string(got), "id =") || !strings.Contains(string(got), "token_expires_at = 2027-01-01T00:00:00Z") || strings.Contains(string(got), "2026-01-01") {
		t.Error(err, string(got))
	}
}

// Commands act on the runner whose token stands in the section, whatever
// number stands beside it or was written down for another one.
func TestCommandsActOnTheRunnerWhoseTokenStandsThere(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	add := func(name string) (int64, string) {
		_, made := f.add(map[string]any{"description": name}, "glrt-")
		return made.(map[string]any)["id"].(int64), made.(map[string]any)["token"].(string)
	}
	other, _ := add("somebody else's")
	mine, token := add("mine")
	m.byHand("given", f.URL, token)
	m.files[FileConfig] = strings.Replace(m.files[FileConfig], "name = \"given\"\n", fmt.Sprintf("name = \"given\"\n  id = %d\n", other), 1)
	cfg := at(f, Runner{Name: "given", Token: NewSecret(token)})
	roster := runners(t, cfg).roster(m)
	if err := roster.Pause(t.Context(), "given", true); err != nil {
		t.Fatal(err)
	}
	if f.get(mine, "paused") != true || f.get(other, "paused") == true {
		t.Error("another runner was paused")
	}

	cfg = at(f)
	if err := runners(t, cfg).roster(m).Rotate(t.Context(), "given"); err != nil {
		t.Fatal(err)
	}
	if m.token("given") != f.tokens[mine] || !strings.HasSuffix(f.tokens[mine], "-anew") || strings.HasSuffix(f.tokens[other], "-anew") {
		t.Errorf("tokens %v\n%s", f.tokens, m.files[FileConfig])
	}
	if err := runners(t, cfg).roster(m).Remove(t.Context(), "given"); err != nil {
		t.Fatal(err)
	}
	if f.runners[other] == nil || f.runners[mine] != nil {
		t.Errorf("left in the forge: %v", f.runners)
	}

	cfg = at(f, Runner{Name: "a"})
	m.must(runners(t, cfg))
	swapped, token := add("swapped")
	m.files[FileConfig] = strings.Replace(m.files[FileConfig], m.token("a"), token, 1)
	if err := runners(t, cfg).roster(m).Pause(t.Context(), "a", true); err != nil {
		t.Fatal(err)
	}
	if f.get(swapped, "paused") != true || f.get(m.known("a").ID, "paused") == true {
		t.Error("the runner of before was paused")
	}
	f.lose(swapped)
	err := runners(t, cfg).roster(m).Pause(t.Context(), "a", false)
	if err == nil || !strings.Contains(err.Error(), "rejects the token in its section") || !strings.Contains(fault.Remedy(err), "verify --fix") {
		t.Errorf("got %v", err)
	}
}

// An expiry that the forge gives a token stands in the section, wherever the
// token comes from: the runner renews it by itself by these times.
func TestExpiryOfTokens(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	f.online = true
	f.expires = "2027-06-01T00:00:00.000Z"
	cfg := at(f, Runner{Name: "a"})
	m.must(runners(t, cfg))
	check := func(when string) {
		t.Helper()
		text := m.files[FileConfig]
		if strings.Count(text, "token_expires_at = 2027-06-01T00:00:00Z\n") != 1 || strings.Count(text, "token_obtained_at = 20") != 1 {
			t.Errorf("%s:\n%s", when, text)
		}
	}
	check("made")
	if err := runners(t, cfg).roster(m).Rotate(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	check("rotated")
	m.settled(runners(t, cfg))
	f.lose(m.known("a").ID)
	if _, err := runners(t, cfg).roster(m).Repair(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("repaired")
	m.settled(runners(t, cfg))
	delete(m.files, FileConfig) // a token that is lost is reset
	m.must(runners(t, cfg))
	check("reset")
	f.expires = nil
	if err := runners(t, cfg).roster(m).Rotate(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(m.files[FileConfig], "token_expires_at") {
		t.Error(m.files[FileConfig])
	}
}
