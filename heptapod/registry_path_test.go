package heptapod

import (
	"slices"
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/converge"
)

// A directory of images that changes hides those that are there: the plan says
// so, with the command that brings them along.
func TestChangedRegistryPathIsTold(t *testing.T) {
	config := func(path, ruby string) Config {
		return Config{Host: "hg.example.org", Registry: &Registry{ExternalURL: "https://registry.example.org", Path: path}, Volumes: []string{"/mnt/x:/srv/images"}, Ruby: ruby}
	}
	without := config("", "")
	without.Registry = nil
	for name, c := range map[string]struct {
		was, is Config
		want    string
	}{
		"set":               {config("", ""), config("/srv/images", ""), "cp -an /var/opt/gitlab/gitlab-rails/shared/registry/. /srv/images"},
		"taken out":         {config("/srv/images", ""), config("", ""), "cp -an /srv/images/. /var/opt/gitlab/gitlab-rails/shared/registry"},
		"by own lines":      {config("", ""), config("/var/opt/gitlab/a", "gitlab_rails['registry_path'] = '/var/opt/gitlab/b'\n"), "cp -an /var/opt/gitlab/gitlab-rails/shared/registry/. /var/opt/gitlab/b"},
		"the same":          {config("/srv/images", ""), config("/srv/images", "nginx['x'] = 1\n"), ""},
		"the default":       {config("", ""), config(defaultRegistryPath, ""), ""},
		"the first":         {without, config("/srv/images", ""), ""},
		"no registry more":  {config("/srv/images", ""), without, ""},
		"another's setting": {config("", "# gitlab_rails['registry_path'] = '/x'\n"), config("", ""), ""},
	} {
		rb, err := GitlabRB(c.was)
		if err != nil {
			t.Fatal(err)
		}
		f, err := New(c.is)
		if err != nil {
			t.Fatal(err)
		}
		s, err := f.resources()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, warn := range s.Warn {
			got = append(got, warn(&converge.Observed{Files: map[string]converge.ObservedFile{FileGitlabRB: {Exists: true, Content: []byte(rb)}}})...)
		}
		told := slices.ContainsFunc(got, func(n string) bool { return c.want != "" && strings.Contains(n, c.want) })
		if told != (c.want != "") || c.want == "" && len(got) > 0 {
			t.Errorf("%s: the plan notes %q, want %q", name, got, c.want)
		}
		for _, warn := range s.Warn {
			if notes := warn(&converge.Observed{}); len(notes) > 0 {
				t.Errorf("%s: on a new host the plan notes %q", name, notes)
			}
		}
	}
}
