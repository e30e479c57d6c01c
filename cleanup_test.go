package hepta

import (
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/converge"
)

// The cleanup of the registry is set in the forge when hepta.yaml says another
// one than was set last, and only then.
func TestCleanupIsDue(t *testing.T) {
	stack := func(cleanup string) *Stack {
		t.Helper()
		cfg, err := Parse("hepta.yaml", []byte("forge: hg.example.org\nregistry: {host: registry.example.org"+cleanup+"}\n"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	const set = `{"keep":10,"older_than":"30d","tags":".*","every":"1d","enabled":true}` + "\n"
	for _, c := range []struct {
		name, cleanup string
		file          *converge.ObservedFile
		cause         string
	}{
		{"nothing is said", "", &converge.ObservedFile{}, ""},
		{"no container shows the file", ", cleanup: {keep: 10, older_than: 30d}", nil, converge.CauseUnseen},
		{"never set", ", cleanup: {keep: 10, older_than: 30d}", &converge.ObservedFile{}, "it was not set yet"},
		{"as it was set", ", cleanup: {keep: 10, older_than: 30d}", &converge.ObservedFile{Exists: true, Content: []byte(set)}, ""},
		{"other projects", ", cleanup: {keep: 10, older_than: 30d, projects: [group]}", &converge.ObservedFile{Exists: true, Content: []byte(set)}, "registry.cleanup changed"},
		{"off", ", cleanup: {enabled: no}", &converge.ObservedFile{Exists: true, Content: []byte(set)}, "registry.cleanup changed"},
	} {
		s := stack(c.cleanup)
		o := &converge.Observed{Files: map[string]converge.ObservedFile{}}
		if c.file != nil {
			o.Files[fileCleanup] = *c.file
		}
		cause := ""
		for _, decide := range s.want.Decide {
			tasks, err := decide(o)
			if err != nil {
				continue // of others, who want to see more
			}
			for _, task := range tasks {
				if task.Ref == "task:registry-cleanup" {
					cause = task.Cause
				}
			}
		}
		if cause != c.cause {
			t.Errorf("%s: %q, want %q", c.name, cause, c.cause)
		}
	}
	for text, want := range map[string]string{
		"cleanup: {tags: x}":                      "hepta.yaml:2:", // everything but latest would go
		"cleanup: {keep: 7}":                      "7 is none of 1, 5, 10, 25, 50, 100",
		"cleanup: {older_than: 31d}":              "31d",
		"cleanup: {keep: 5, tags: '('}":           "no regular expression",
		"cleanup: {keep: 5, keep_tags: '(?<x'}":   "no regular expression",
		"cleanup: {keep: 5, older_than: 30 days}": "30 days",
	} {
		_, err := Parse("hepta.yaml", []byte("forge: a.b\nregistry: {host: r.b, "+text+"}\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// What says nothing about what stays, or is off, removes nothing, and no forge
// is asked.
func TestPruneWithoutCleanup(t *testing.T) {
	for cleanup, want := range map[string]string{"": "does not say what may go", ", cleanup: {enabled: no}": "registry.cleanup is off"} {
		cfg, err := Parse("hepta.yaml", []byte("forge: hg.example.org\nregistry: {host: registry.example.org"+cleanup+"}\n"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(cfg, WithHost("unix:///nonexistent/docker.sock"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.PruneRegistry(t.Context(), RegistryPrune{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", cleanup, err, want)
		}
	}
}
