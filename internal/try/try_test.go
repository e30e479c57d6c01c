package try

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/progress"
)

// recorder keeps the events of a trial.
type recorder struct {
	mu     sync.Mutex
	events []progress.Event
}

func (r *recorder) sink(e progress.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorder) texts(kind string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var texts []string
	for _, e := range r.events {
		if e.Kind == kind {
			texts = append(texts, e.Text)
		}
	}
	return texts
}

func TestJobLog(t *testing.T) {
	const esc = "\x1b"
	for _, c := range []struct {
		name  string
		looks []string // the whole log at each look; the last one is after the end
		want  []string
	}{
		{"lines come once", []string{"a\n", "a\nb\n", "a\nb\n"}, []string{"a", "b"}},
		{"half a line waits", []string{"a\nhal", "a\nhalf\n", "a\nhalf\n"}, []string{"a", "half"}},
		{"the last line needs no end", []string{"a\nlast", "a\nlast"}, []string{"a", "last"}},
		{"sections and colours go", []string{
			"section_start:1700000000:prepare_executor\r" + esc + "[0K" + esc + "[0K" + esc + "[36;1mPreparing" + esc + "[0;m\n" +
				"section_end:1700000001:prepare_executor\r" + esc + "[0K\n" +
				"section_start:1700000001:step_script[collapsed=true]\r" + esc + "[0KRunning\n", "",
		}[:1], []string{"Preparing", "Running"}},
		{"time stamps go", []string{
			"2026-01-31T12:00:00.123456Z 00O Running\n2026-01-31T12:00:01.000000Z 01E+on\n2026 is a year\n",
		}, []string{"Running", "on", "2026 is a year"}},
		{"a line that was written over", []string{"10%\r50%\r100%\r\n"}, []string{"100%"}},
		{"empty lines go", []string{"\n \n\r\na\n\n"}, []string{"a"}},
		{"a log that began anew", []string{"first try\nbroke\n", "second\n", "second\n"}, []string{"first try", "broke", "second"}},
		{"nothing at all", []string{""}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r recorder
			l := jobLog{name: "build", sink: r.sink}
			for i, look := range c.looks {
				if err := l.show(strings.NewReader(look), i == len(c.looks)-1); err != nil {
					t.Fatal(err)
				}
			}
			if d := cmp.Diff(c.want, r.texts("log")); d != "" {
				t.Error(d)
			}
			for _, e := range r.events {
				if e.Resource != "job build" {
					t.Errorf("said of %q", e.Resource)
				}
			}
		})
	}
}

func FuzzJobLog(f *testing.F) {
	f.Add("section_start:1:a\r\x1b[0Kx\nhalf", 5)
	f.Add("2026-01-31T12:00:00Z 00O a\r\nb", 30)
	f.Fuzz(func(t *testing.T, text string, at int) {
		if at < 0 || at > len(text) {
			at = len(text) / 2
		}
		var once, twice recorder
		whole := jobLog{sink: once.sink}
		if err := whole.show(strings.NewReader(text), true); err != nil {
			t.Fatal(err)
		}
		grown := jobLog{sink: twice.sink}
		for _, part := range []string{text[:at], text} {
			if err := grown.show(strings.NewReader(part), part == text); err != nil {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff(once.texts("log"), twice.texts("log")); at < len(text) && d != "" {
			t.Errorf("a log that grows says something else:\n%s", d)
		}
	})
}

func TestDemoArchive(t *testing.T) {
	files, err := projectFiles("trial/project")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, file{path: "trial/hgrc", content: []byte("secret"), mode: 0o600})
	pack, err := archive(files)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for r := tar.NewReader(pack); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for dir := range got {
			if strings.HasSuffix(h.Name, "/") && dir == h.Name {
				t.Errorf("%s comes twice", h.Name)
			}
		}
		if i := strings.LastIndexByte(strings.TrimSuffix(h.Name, "/"), '/'); i > 0 && got[h.Name[:i+1]] == 0 {
			t.Errorf("%s comes before its directory", h.Name)
		}
		got[h.Name] = h.Mode
	}
	want := map[string]int64{
		"trial/": 0o755, "trial/project/": 0o755, "trial/project/Dockerfile": 0o644, "trial/project/requirements.txt": 0o644,
		"trial/project/.gitlab-ci.yml": 0o644, "trial/hgrc": 0o600,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// The trial's own configuration is a good one, with any image, and names what
// the trial counts on.
func TestConfiguration(t *testing.T) {
	for _, image := range []string{"", "octobus/heptapod:17.8.1", "gitlab/gitlab-ce:17.8.1-ce.0"} {
		cfg, err := Options{Image: image}.config()
		if err != nil {
			t.Errorf("%s: %v", image, err)
			continue
		}
		if image != "" && cfg.Heptapod.Image != image {
			t.Errorf("the image is %s", cfg.Heptapod.Image)
		}
		if cfg.Heptapod.Host != forgeHost || cfg.Registry.Host != registryHost {
			t.Errorf("the hosts are %s and %s", cfg.Heptapod.Host, cfg.Registry.Host)
		}
		if _, err := hepta.New(cfg); err != nil {
			t.Error(err)
		}
	}
	var wrong *hepta.ConfigError
	if _, err := Run(t.Context(), Options{Image: "no image"}); !errors.As(err, &wrong) {
		t.Errorf("got %v", err)
	}
}

// The last line of --json has every key, also of a trial that came nowhere.
func TestSummary(t *testing.T) {
	s, err := Run(t.Context(), Options{Host: "unix:///nonexistent/docker.sock"})
	if err == nil || fault.Remedy(err) == "" || !strings.Contains(err.Error(), "no Docker Engine answers") {
		t.Errorf("got %v with the remedy %q", err, fault.Remedy(err))
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got["event"] != "summary" || got["ok"] != false || !strings.Contains(got["error"].(string), "no Docker Engine answers") {
		t.Errorf("got %s", text)
	}
	for _, key := range []string{"seconds", "jobs", "images", "urls"} {
		if got[key] == nil {
			t.Errorf("there is no %s: %s", key, text)
		}
	}
	text, err = json.Marshal(Summary{Event: "summary", OK: true, Seconds: 46.2,
		Jobs: []Job{{"build_dind", "dind", "success", 9.5}}, Images: []Image{{"r.test/a:dind", "sha256:1"}}, URLs: map[string]string{"forge": "https://hg.test"}})
	const want = `{"event":"summary","ok":true,"seconds":46.2,"jobs":[{"name":"build_dind","mode":"dind","status":"success","seconds":9.5}],` +
		`"images":[{"ref":"r.test/a:dind","digest":"sha256:1"}],"urls":{"forge":"https://hg.test"}}`
	if err != nil || string(text) != want {
		t.Errorf("got %s, %v\nwant %s", text, err, want)
	}
}

// Two trials do not share a sandbox; another name or Engine is another one.
func TestOneTrialAtATime(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	release, err := alone("unix:///a", "one")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alone("unix:///a", "one"); err == nil || fault.Remedy(err) == "" {
		t.Errorf("a second trial gets %v", err)
	}
	for _, other := range [][2]string{{"unix:///a", "two"}, {"unix:///b", "one"}} {
		r, err := alone(other[0], other[1])
		if err != nil {
			t.Errorf("%v: %v", other, err)
			continue
		}
		r()
	}
	release()
	again, err := alone("unix:///a", "one")
	if err != nil {
		t.Fatal(err)
	}
	again()
}

// A step that was interrupted says so, however the call that it hit puts it.
func TestInterruptedStep(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var r recorder
	tr := &trial{Options: Options{Sink: r.sink}}
	err := tr.step(ctx, "push", func(context.Context) error { return errors.New("use of closed connection") })
	if !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "push: ") {
		t.Errorf("got %v", err)
	}
	if got := r.texts("step"); !slices.Equal(got, []string{"push"}) {
		t.Errorf("said %v", got)
	}
}
