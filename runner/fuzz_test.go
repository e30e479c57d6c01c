package runner

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"github.com/heptaup/hepta/internal/fault"
)

// FuzzMergeConfig feeds MergeConfig with any file: it never panics, what it
// writes is TOML, what is not ours survives, merging again changes nothing,
// and a refusal names no value.
func FuzzMergeConfig(f *testing.F) {
	f.Add([]byte(byHand), "dind")
	f.Add([]byte(""), "a")
	f.Add([]byte("runners = [{name = 'a', docker = {image = \"y\", x.y = [1, 2]}}, {}]\r\nz = nan"), "a")
	f.Add([]byte("[[runners]]\nname=\"a\"\ndocker.volumes=[\n\"x\", # y\n]\ndocker.more=1979-05-27T07:32:00Z\n[[runners.docker.services]]\nname='s'"), "a")
	f.Add([]byte("s = \"\"\"\n# no comment\n[[runners]]\n\"\"\"\n# c\n[\"runners\".x]\n"), "b")
	f.Add([]byte("[[runners]]\nname = \"a\"\n[x]\n[[runners.docker]]\nimage = 1\n[runners.docker.y]\n"), "a")
	f.Add([]byte("[[ runners ]] # glrt-canary\n'name' = '''a'''\nlimit.x = 1\nenvironment = {}\n"), "a")
	f.Fuzz(func(t *testing.T, in []byte, name string) {
		if strings.ContainsRune(name, '\uFFFD') || strings.ToValidUTF8(name, "") != name {
			return // a name is text
		}
		want := Desired{Concurrent: 7, CheckInterval: 3, Remove: []string{"going"}, Runners: []Section{{
			Name: name,
			Set: map[string]any{"url": "https://hg.example.org", "token": "glrt-canary-new", "limit": 2,
				"docker":        map[string]any{"image": "docker:28", "volumes": []string{"/cache"}, "services": []any{map[string]any{"name": "s"}}},
				"feature_flags": map[string]any{"A B": true}},
			Unset: [][]string{{"environment"}, {"docker", "helper_image"}},
		}}}
		out, err := MergeConfig(in, want)
		if err != nil {
			text := fault.Describe(brokenConfig(err))
			if canary := secretIn(in); canary != "" && strings.Contains(text, canary) || strings.Contains(text, "canary") {
				t.Errorf("a value is in %q", text)
			}
			return
		}
		var before, after map[string]any
		if err := toml.Unmarshal(in, &before); err != nil {
			t.Fatalf("broken TOML was taken for good: %v", err)
		}
		if err := toml.Unmarshal(out, &after); err != nil {
			t.Fatalf("broken TOML was written: %v\n%s", err, out)
		}
		again, err := MergeConfig(out, want)
		if err != nil || !bytes.Equal(again, out) {
			t.Fatalf("merging again: %v\n%q\n%q", err, out, again)
		}
		if expect, got := text(t, expected(t, before, want)), text(t, after); expect != got {
			t.Errorf("want %s\n got %s", expect, got)
		}
	})
}

// expected says what a merge has to come to, on decoded values.
func expected(t *testing.T, file map[string]any, want Desired) map[string]any {
	t.Helper()
	v, err := normal(file)
	if err != nil {
		t.Fatal(err)
	}
	file = v.(map[string]any)
	file["concurrent"], file["check_interval"] = int64(want.Concurrent), int64(want.CheckInterval)
	s, err := want.Runners[0].normalized()
	if err != nil {
		t.Fatal(err)
	}
	old, _ := file["runners"].([]any)
	var list []any
	done := false
	for _, x := range old {
		table := x.(map[string]any)
		switch name, isText := table["name"].(string); {
		case name == s.Name && (isText || s.Name == "") && !done:
			s.apply(table)
			done = true
		case name != s.Name && name == "going":
			continue
		}
		list = append(list, table)
	}
	if !done {
		table := map[string]any{}
		s.apply(table)
		list = append(list, table)
	}
	file["runners"] = list
	return file
}

func text(t *testing.T, file map[string]any) string {
	t.Helper()
	v, err := normal(file)
	if err != nil {
		t.Fatal(err)
	}
	return inline(v)
}

// secretIn is the longest word of a file, which no error may repeat.
func secretIn(in []byte) string {
	best := ""
	for _, word := range strings.FieldsFunc(string(in), func(c rune) bool { return c <= ' ' || strings.ContainsRune(`"'=[]{}#,.`, c) }) {
		if len(word) > len(best) {
			best = word
		}
	}
	if len(best) < 12 { // a word that our own texts may hold
		return ""
	}
	return best
}

func FuzzRecords(f *testing.F) {
	f.Add([]byte(`{"runners": {"a": {"id": 1, "forge": "https://x", "keys": ["docker.\"a b\".c", "= ["]}}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, in []byte) {
		known, err := parseRecords(in)
		var told *fault.Error
		if err != nil {
			if !errors.As(err, &told) || told.Remedy == "" {
				t.Errorf("no remedy: %v", err)
			}
			return
		}
		for _, r := range known {
			for _, path := range r.unset(Section{}) {
				if len(path) == 0 {
					t.Errorf("an empty key of %q", in)
				}
			}
		}
		content, err := known.content()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseRecords(content); err != nil {
			t.Errorf("what was written cannot be read: %v", err)
		}
	})
}
