package heptapod

import (
	"errors"
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

// seenHost is what is there: the release of the data ("" when there are none)
// and the forge's containers, each as "state image".
func seenHost(version string, containers ...string) *converge.Observed {
	o := &converge.Observed{Images: map[string]string{}, Files: map[string]converge.ObservedFile{}}
	for i, text := range containers {
		state, image, _ := strings.Cut(text, " ")
		name := []string{"hepta-heptapod", "hepta-heptapod_next"}[i]
		id := "sha256:" + image
		o.Images[converge.NormalizeImage(image)] = id
		o.Containers = append(o.Containers, converge.ObservedContainer{ID: name, Name: name, State: state, Service: Service, Labels: map[string]string{
			converge.LabelStack: "hepta", converge.LabelService: Service, converge.LabelSpec: converge.Container{Image: image}.Spec(), converge.LabelImageID: id,
		}})
	}
	o.Files[fileVersion] = converge.ObservedFile{Exists: version != "", Content: []byte(version)}
	return o
}

// An image that the data must not be started by is refused when planning, with
// the way to take.
func TestVersionOfTheData(t *testing.T) {
	const task = "task"
	for _, c := range []struct {
		name, image string
		seen        *converge.Observed
		want        string // "": nothing; task: a look into the image; else part of a refusal
	}{
		{"an upgrade", "octobus/heptapod:17.9", seenHost("17.8.1\n", "running octobus/heptapod:17.8"), ""},
		{"a way back", "octobus/heptapod:17.8", seenHost("17.9.0\n", "running octobus/heptapod:17.9"), "older code"},
		{"a long way back", "octobus/heptapod:16.0", seenHost("17.8.1\n", "running octobus/heptapod:17.8"), "GitLab 17.8.1 or newer"},
		{"a skipped stop", "octobus/heptapod:17.8", seenHost("16.0.5\n", "running octobus/heptapod:16.0"),
			"octobus/heptapod:0.41.1, octobus/heptapod:1.1, octobus/heptapod:1.5, octobus/heptapod:17.3, octobus/heptapod:17.5, octobus/heptapod:17.8."},
		{"from before the documented way", "octobus/heptapod:0.23.3", seenHost("13.1.5\n", "running octobus/heptapod:0.15.1"), "https://heptapod.net/pages/upgrade"},
		{"a skipped stop after down", "octobus/heptapod:17.8", seenHost("16.0.5\n"), "skip"},
		{"another registry", "registry.example.org/mirror/heptapod:17.11.3", seenHost("17.5.2\n", "running octobus/heptapod:17.5"), "registry.example.org/mirror/heptapod:17.8, "},
		{"a broken release", "gitlab/gitlab-ce:18.0.0-ce.0", seenHost("17.11.7\n", "running gitlab/gitlab-ce:17.11.7-ce.0"), "18.0.2 or newer"},
		{"what runs is what is described", "octobus/heptapod:17.8", seenHost("17.9.0\n", "running octobus/heptapod:17.8"), ""},
		{"no data", "octobus/heptapod:latest", seenHost(""), ""},
		{"nothing to be seen", "octobus/heptapod:17.8", &converge.Observed{}, ""},
		{"nothing to be seen, no version", "octobus/heptapod:latest", &converge.Observed{}, task},
		{"no version", "octobus/heptapod:latest", seenHost("17.8.1\n", "running octobus/heptapod:17.8"), task},
		{"a name of its own", "registry.example.org/forge:1.0", seenHost("17.8.1\n", "running octobus/heptapod:17.8"), task},
		{"a patch of the same release", "octobus/heptapod:17.8.2", seenHost("17.8.1\n", "running octobus/heptapod:17.8.1"), task},
		{"a patch of GitLab's", "gitlab/gitlab-ce:17.8.2-ce.0", seenHost("17.8.1\n", "running gitlab/gitlab-ce:17.8.1-ce.0"), ""},
		{"a patch back", "gitlab/gitlab-ce:17.8.0-ce.0", seenHost("17.8.1\n", "running gitlab/gitlab-ce:17.8.1-ce.0"), "older code"},
		{"a stopped forge starts again", "octobus/heptapod:latest", seenHost("17.8.1\n", "exited octobus/heptapod:latest"), ""},
		{"back while the newer one has migrated", "octobus/heptapod:17.8", seenHost("17.9.0\n", "exited octobus/heptapod:17.8", "exited octobus/heptapod:17.9"), "older code"},
		{"back before the newer one has begun", "octobus/heptapod:17.8", seenHost("17.8.1\n", "exited octobus/heptapod:17.8", "exited octobus/heptapod:17.9"), task},
		{"no image named", "", seenHost("17.8.1\n", "running octobus/heptapod:17.5"), ""},
		{"no image named, other data", "", seenHost("16.3.7\n"), "heptapod: {image: octobus/heptapod:0.41.1}"},
		{"no image named, data of the default", "", seenHost("17.8.4\n"), task},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := forge(t, Config{Image: c.image})
			tasks, err := f.decideVersion(c.seen)
			switch {
			case c.want != "" && c.want != task:
				if text := fault.Describe(err); err == nil || !strings.Contains(text, c.want) {
					t.Errorf("got %s\nwant %s", text, c.want)
				}
				if len(tasks) > 0 || fault.Remedy(err) == "" {
					t.Errorf("%d tasks, remedy %q", len(tasks), fault.Remedy(err))
				}
			case err != nil || (len(tasks) > 0) != (c.want == task):
				t.Errorf("%d tasks, %v", len(tasks), err)
			}
		})
	}
}

// An image whose name does not tell is asked before the forge is stopped.
func TestImageIsAsked(t *testing.T) {
	for _, c := range []struct{ data, inside, refused, said string }{
		{"17.8.1", "17.9.0\n", "", ""},
		{"17.8.1", "17.8.1\n", "", ""},
		{"17.8.4", "17.8.1\n", "older code", ""},
		{"17.9.0", "17.8.1\n", "older code", ""},
		{"16.11.10", "17.8.1\n", "octobus/heptapod:17.3, octobus/heptapod:17.5, octobus/heptapod:latest", ""},
		{"17.11.7", "18.0.1-ee\n", "use 18.0.2", ""},
		{"17.8.1", "cat: no such file\n", "", "does not tell its release"},
		{"", "17.9.0\n", "", ""},
	} {
		host := &fakeHost{files: map[string]string{fileVersion: c.data}, run: func(o converge.OneOff) ([]byte, error) {
			if o.Container.Image != "octobus/heptapod:latest" || o.Container.Entrypoint[0] != "cat" {
				t.Errorf("ran %+v", o.Container)
			}
			return []byte(c.inside), nil
		}}
		if c.data == "" {
			host.files = nil
		}
		f := forge(t, Config{Image: "octobus/heptapod:latest"})
		tasks, err := f.decideVersion(seenHost("17.8.1", "running octobus/heptapod:17.8"))
		if err != nil || len(tasks) != 1 {
			t.Fatal(tasks, err)
		}
		err = tasks[0].Run(t.Context(), host)
		if text := fault.Describe(err); (err == nil) != (c.refused == "") || !strings.Contains(text, c.refused) {
			t.Errorf("data %s, image %s: %s", c.data, c.inside, text)
		}
		var refused *UpgradeError
		if c.refused != "" && !errors.As(err, &refused) {
			t.Errorf("%v is no *UpgradeError", err)
		}
		if said := strings.Join(host.said, "\n"); !strings.Contains(said, c.said) || c.said == "" && said != "" {
			t.Errorf("told %q", said)
		}
	}
}

// Without an image in the configuration a forge keeps the one that it has, and
// its gitlab.rb follows that.
func TestImageIsKept(t *testing.T) {
	last := seenHost("16.3.7")
	last.Files[fileImage] = converge.ObservedFile{Exists: true, Content: []byte("octobus/heptapod:0.41.1\n")}
	for _, c := range []struct {
		name, named string
		seen        *converge.Observed
		want        string
	}{
		{"none is there", "", &converge.Observed{}, DefaultImage},
		{"one runs", "", seenHost("15.11.13", "running octobus/heptapod:0.38.1"), "octobus/heptapod:0.38.1"},
		{"one is stopped", "", seenHost("15.11.13", "exited octobus/heptapod:0.38.1"), "octobus/heptapod:0.38.1"},
		{"in the middle of an upgrade", "", seenHost("16.3.7", "exited octobus/heptapod:0.38.1", "running octobus/heptapod:0.41.1"), "octobus/heptapod:0.41.1"},
		{"one was there", "", last, "octobus/heptapod:0.41.1"},
		{"another is named", "octobus/heptapod:0.41.1", seenHost("15.11.13", "running octobus/heptapod:0.38.1"), "octobus/heptapod:0.41.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := resources(t, forge(t, Config{Image: c.named}))
			r, err := s.Resolved(c.seen)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Container(Service).Image; got != c.want || s.Container(Service).Image != (map[bool]string{true: DefaultImage, false: c.named})[c.named == ""] {
				t.Errorf("image %s, want %s; described %s", got, c.want, s.Container(Service).Image)
			}
			if got := string(r.File(fileImage).Content); got != c.want+"\n" {
				t.Errorf("kept %q", got)
			}
			rb, err := GitlabRB(Config{Host: "hg.example.org", Image: c.want})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := r.File(FileGitlabRB).Render(c.seen, nil); err != nil || string(got) != rb {
				t.Errorf("gitlab.rb is for another release: %v", err)
			}
		})
	}
	// Of lines that the image there does not take is told when it is known.
	s := resources(t, forge(t, Config{Ruby: "unicorn['worker_processes'] = 2"}))
	if _, err := s.Resolved(seenHost("15.11.13", "running octobus/heptapod:0.38.1")); err == nil || !strings.Contains(fault.Describe(err), "octobus/heptapod:0.38.1 would not boot with it") {
		t.Errorf("got %v", err)
	}
	if _, err := s.Resolved(seenHost("13.9.1", "running octobus/heptapod:0.19.3")); err != nil {
		t.Error(err)
	}
}

func TestVersionThatTellsNothing(t *testing.T) {
	f := forge(t, Config{Image: "octobus/heptapod:17.8"})
	for text, want := range map[string]int{"": 0, "17.8.1": 0, "broken": 1} {
		if notes := f.warnVersion(seenHost(text)); len(notes) != want {
			t.Errorf("%q: %q", text, notes)
		}
	}
}
