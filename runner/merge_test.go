package runner

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// byHand is a file as people leave it: their own comments, a runner that is
// nobody's business, tables between sections.
const byHand = `# forge.example.org, ask Ada before changing
concurrent = 1 # one is enough
log_level = "warning"

# sentry is gone
[session_server]
  session_timeout = 1800

# the old one
[[runners]]
  name = "elsewhere"   # do not touch
  url = "https://other.example.org"
  token = "foreign-token"
  executor = "shell"
  [runners.cache]

# dind, made by hand
[[runners]]
  name = "dind"
  url = "https://old.example.org"
  token = "kept-token"
  executor = "docker"
  request_concurrency = 2
  environment = [
    "A=1", # first
    "B=2",
  ]
  [runners.custom_build_dir]
  [runners.docker]
    tls_verify = false
    image = "docker:19.03.12"
    # certificates
    volumes = ["/certs/client", "/cache"]
    shm_size = 0
    [[runners.docker.services]]
      name = "docker:19.03.12-dind"
`

func TestMergeConfigKeepsWhatIsNotOurs(t *testing.T) {
	want := Desired{Concurrent: 4, CheckInterval: 3, Runners: []Section{{
		Name: "dind",
		Set: map[string]any{
			"url": "https://hg.example.org", "executor": "docker", "limit": 2,
			"docker":        map[string]any{"image": "docker:28", "privileged": true, "volumes": []string{"/certs/client", "/cache"}},
			"feature_flags": map[string]any{"FF_NETWORK_PER_BUILD": true},
		},
		Unset: [][]string{{"environment"}, {"docker", "helper_image"}, {"docker", "shm_size"}},
	}}}
	got, err := MergeConfig([]byte(byHand), want)
	if err != nil {
		t.Fatal(err)
	}
	expect := strings.NewReplacer(
		"concurrent = 1 #", "concurrent = 4 #",
		"log_level = \"warning\"\n", "log_level = \"warning\"\ncheck_interval = 3\n",
		"https://old.example.org", "https://hg.example.org",
		"  environment = [\n    \"A=1\", # first\n    \"B=2\",\n  ]\n", "",
		"  request_concurrency = 2\n", "  request_concurrency = 2\n  limit = 2\n",
		"docker:19.03.12\"\n    #", "docker:28\"\n    #",
		"    shm_size = 0\n", "    shm_size = 0\n    privileged = true\n",
		"docker:19.03.12-dind\"\n", "docker:19.03.12-dind\"\n  [runners.feature_flags]\n    FF_NETWORK_PER_BUILD = true\n",
	).Replace(byHand)
	if diff := cmp.Diff(expect, string(got)); diff != "" {
		t.Errorf("merged file (-want +got):\n%s", diff)
	}
	again, err := MergeConfig(got, want)
	if err != nil || !bytes.Equal(again, got) {
		t.Errorf("merging again: %v\n%s", err, cmp.Diff(string(got), string(again)))
	}
}

func TestMergeConfigRemovesOnlyOurs(t *testing.T) {
	got, err := MergeConfig([]byte(byHand), Desired{Concurrent: 1, CheckInterval: 3, Remove: []string{"dind", "never"}})
	if err != nil {
		t.Fatal(err)
	}
	if s := string(got); strings.Contains(s, "dind") || !strings.Contains(s, "# do not touch") || !strings.Contains(s, "[runners.cache]") {
		t.Errorf("got\n%s", s)
	}
}

func TestMergeConfigForms(t *testing.T) {
	want := Desired{Concurrent: 2, CheckInterval: 3, Runners: []Section{{Name: "a", Set: map[string]any{"docker": map[string]any{"image": "x"}}}}}
	for name, c := range map[string]struct{ in, out string }{
		"nothing": {"", "concurrent = 2\ncheck_interval = 3\n\n[[runners]]\n  name = \"a\"\n  [runners.docker]\n    image = \"x\"\n"},
		"no newline at the end": {"concurrent = 2\ncheck_interval = 3\n[[runners]]\nname = \"a\"",
			"concurrent = 2\ncheck_interval = 3\n[[runners]]\nname = \"a\"\n  [runners.docker]\n    image = \"x\"\n"},
		"inline table": {"concurrent = 2\ncheck_interval = 3\n[[runners]]\nname = \"a\"\nodd = 1\ndocker = { image = \"y\", more = [1] }\n",
			"concurrent = 2\ncheck_interval = 3\n[[runners]]\n  name = \"a\"\n  odd = 1\n  [runners.docker]\n    image = \"x\"\n    more = [1]\n"},
		"dotted key": {"concurrent = 2\ncheck_interval = 3\n[[runners]]\nname = \"a\"\ndocker.image = \"y\"\n",
			"concurrent = 2\ncheck_interval = 3\n[[runners]]\nname = \"a\"\ndocker.image = \"x\"\n"},
		"inline array": {"runners = [{ name = \"b\" }]\nconcurrent = 2\ncheck_interval = 3\n",
			"concurrent = 2\ncheck_interval = 3\n\n[[runners]]\n  name = \"b\"\n\n[[runners]]\n  name = \"a\"\n  [runners.docker]\n    image = \"x\"\n"},
		"tables between": {"concurrent = 2\ncheck_interval = 3\n[[runners]]\nname = \"a\"\n[session_server]\nx = 1\n[runners.docker]\nimage = \"y\"\n",
			"concurrent = 2\ncheck_interval = 3\n[[runners]]\nname = \"a\"\n[runners.docker]\nimage = \"x\"\n[session_server]\nx = 1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := MergeConfig([]byte(c.in), want)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.out, string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// What is written in several lines, twice or in tables of its own is found and
// changed without touching the rest.
func TestMergeConfigKeepsComments(t *testing.T) {
	top := "concurrent = 2\ncheck_interval = 3\n"
	for name, c := range map[string]struct{ in, out string }{
		"a value that looks like a comment": {
			top + "s = \"\"\"\n# text\"\"\"\n[[runners]]\nname = \"going\"\n",
			top + "s = \"\"\"\n# text\"\"\"\n\n[[runners]]\n  name = \"a\"\n  [runners.docker]\n    services = [{ name = \"s\" }]\n",
		},
		"two of one name": {
			top + "[[runners]]\nname = \"a\"\n[runners.docker]\nservices = [] # none\n[[runners]]\nname = \"a\" # dead\n",
			top + "[[runners]]\nname = \"a\"\n[runners.docker]\nservices = [{ name = \"s\" }] # none\n[[runners]]\nname = \"a\" # dead\n",
		},
		"tables where a list has to be": {
			top + "[[runners]]\nname = \"a\" # ours\n[runners.docker]\nimage = \"x\" # old\n[[runners.docker.services]]\nname = \"t\"\n[x]\n",
			top + "[[runners]]\nname = \"a\" # ours\n[runners.docker]\nimage = \"x\" # old\nservices = [{ name = \"s\" }]\n[x]\n",
		},
		"a section that has to be written anew": {
			top + "[[runners]]\nname = \"a\"\ndocker = { services = [] }\n\n# other\n[[runners]]\nname = \"b\"\n",
			top + "[[runners]]\n  name = \"a\"\n  [runners.docker]\n    services = [{ name = \"s\" }]\n\n# other\n[[runners]]\nname = \"b\"\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := MergeConfig([]byte(c.in), Desired{Concurrent: 2, CheckInterval: 3, Remove: []string{"going"}, Runners: []Section{
				{Name: "a", Set: map[string]any{"docker": map[string]any{"services": []any{map[string]any{"name": "s"}}}}},
			}})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.out, string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestMergeConfigRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"concurrent = 1\n[[runners]]\ntoken = glrt-canary\n": "merge config.toml: line 3, column 9: not valid TOML",
		"[runners]\ntoken = \"glrt-canary\"\n":               "merge config.toml: runners is not an array of tables: write each runner as a [[runners]] section",
		"runners = [\"glrt-canary\"]\n":                      "merge config.toml: runners[0] is not a table: write each runner as a [[runners]] section",
	} {
		_, err := MergeConfig([]byte(in), Desired{Concurrent: 1})
		if err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", in, err, want)
		}
	}
}
