package runner

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A runner may be called as people call theirs: with spaces, capitals and what
// else can be seen. Every command takes the name, and remedies can be pasted.
func TestNamesAsPeopleGiveThem(t *testing.T) {
	for _, name := range []string{"My Docker Runner", "Büro #2 (gpu)", "it's [mine]", `a"b\c`, "runner@host/1", strings.Repeat("N", 255)} {
		f, m := newForge(t), newMachine(t)
		f.online = true
		cfg := at(f, Runner{Name: name, Mode: Dind, Tags: []string{"x"}}, Runner{Name: "other"})
		m.must(runners(t, cfg))
		id := m.known(name).ID
		if id == 0 || f.get(id, "description") != name {
			t.Fatalf("%s: %v", name, f.runners)
		}
		for _, box := range m.ran {
			if !stackName().MatchString(box.Container.Name) {
				t.Errorf("a container is called %q", box.Container.Name)
			}
		}
		roster := runners(t, cfg).roster(m)
		if err := roster.Pause(t.Context(), name, true); err != nil || f.get(id, "paused") != true {
			t.Errorf("%s: pause: %v", name, err)
		}
		if err := roster.Pause(t.Context(), name, false); err != nil {
			t.Error(err)
		}
		was := m.token(name)
		if err := roster.Rotate(t.Context(), name); err != nil || m.token(name) == was {
			t.Errorf("%s: rotate: %v", name, err)
		}
		about, err := roster.LogFilter(t.Context(), name)
		if err != nil || !about("Checking for jobs... received  job=1 runner="+m.token(name)) {
			t.Errorf("%s: logs: %v", name, err)
		}
		cfg.Runners[0].Tags = nil
		m.must(runners(t, cfg))
		cfg.Runners = cfg.Runners[1:]
		list, err := runners(t, cfg).roster(m).List(t.Context())
		if err != nil || len(list) != 2 || list[1].Name != name {
			t.Fatalf("%s: %+v %v", name, list, err)
		}
		if err := runners(t, cfg).roster(m).Remove(t.Context(), name); err != nil || m.token(name) != "" || f.count() != 1 {
			t.Errorf("%s: remove: %v, %d in the forge", name, err, f.count())
		}
	}
}

func TestRemediesQuoteNames(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	m.byHand("My Runner", f.URL, "canary-hand")
	list, err := runners(t, at(f)).roster(m).List(t.Context())
	if err != nil || len(list) != 1 || !strings.HasSuffix(list[0].Remedy, "hepta runner remove 'My Runner'") {
		t.Errorf("%+v %v", list, err)
	}
}

// What a file is called by, and a byte order mark before it, do not matter: a
// section that is there is taken over by its name, and nothing of it is lost.
func TestConfigThatIsThereIsTakenOver(t *testing.T) {
	const there = "\ufeffconcurrent = 1\ncheck_interval = 0\n\n[session_server]\n  session_timeout = 1800\n\n[[runners]]\n  name = \"My Docker Runner\"\n" +
		"  url = \"https://gitlab.example.com/\"\n  id = 7\n  token = \"glrt-OLD\"\n  executor = \"docker\"\n  [runners.custom_build_dir]\n  [runners.cache]\n" +
		"    MaxUploadedArchiveSize = 0\n    [runners.cache.s3]\n  [runners.docker]\n    privileged = true\n    volumes = [\"/certs/client\", \"/cache\"]\n" +
		"    [[runners.docker.services]]\n      name = \"docker:28-dind\"\n      command = [\"--registry-mirror\", \"https://mirror.example.net\"]\n"
	for how, text := range map[string]string{"as it is": there, "with CRLF": strings.ReplaceAll(there, "\n", "\r\n")} {
		t.Run(how, func(t *testing.T) {
			m := newMachine(t)
			m.files[FileConfig] = text
			cfg := Config{Forge: Forge{URL: "https://gitlab.example.com"}, Runners: []Runner{{Name: "My Docker Runner", Mode: Dind, Tags: []string{"docker"}, Token: NewSecret("glrt-canary")}}}
			r, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			m.must(r)
			got := m.files[FileConfig]
			for _, want := range []string{"session_timeout = 1800", "MaxUploadedArchiveSize = 0", "[runners.cache.s3]", `name = "docker:28-dind"`, "https://mirror.example.net", `token = "glrt-canary"`} {
				if strings.Count(got, want) != 1 {
					t.Errorf("%s is not there once", want)
				}
			}
			if strings.Contains(got, "\ufeff") || strings.Contains(got, "id = 7") || strings.Count(got, "[[runners]]") != 1 {
				t.Error(got)
			}
			plain := newMachine(t)
			plain.files[FileConfig] = strings.TrimPrefix(text, "\ufeff")
			if r, err = New(cfg); err != nil {
				t.Fatal(err)
			}
			plain.must(r)
			if diff := cmp.Diff(plain.files[FileConfig], got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
