package runner

import (
	"strings"
	"testing"
)

func TestLogLinesOfARunner(t *testing.T) {
	for _, c := range []struct {
		line, token string
		want        bool
	}{
		{"Checking for jobs... received  job=7 repo_url=http://x runner=abcdefgh", "abcdefghijkl", true},
		{"Checking for jobs... received  job=7 repo_url=http://x runner=glrt-abc", "glrt-abcdefghijkl", true},
		{"Checking for jobs... received  \x1b[0;mjob\x1b[0;m=7 \x1b[0;mrunner\x1b[0;m=abcdefghi", "glrt-abcdefghijkl", true},
		{`{"level":"info","msg":"x","runner":"abcdefghi"}`, "glrt-t1_abcdefghijkl", true},
		{"Checking for jobs... received  job=7 runner=abcdefghi", "glrtr-abcdefghijkl", true},
		{"Submitting job to coordinator...ok  job=7 runner=t1_abcdef", "glrt-t1_abcdefghijkl", true},
		{"Checking for jobs... received  runner=abcdefgx", "abcdefghijkl", false},
		{"Configuration loaded  builds=0", "abcdefghijkl", false},
		{"runner=abc", "abcdefghijkl", false},
	} {
		if got := about(c.line, c.token); got != c.want {
			t.Errorf("%q: %v", c.line, got)
		}
	}
}

// Newer runners name themselves, and say without any field that they ask no more.
func TestLogFilter(t *testing.T) {
	m := newMachine(t)
	m.byHand("My Runner", "https://hg.example.org/", "glrt-t3_abcdefghijkl")
	m.byHand("My", "https://hg.example.org", "glrt-t3_zyxwvutsrqpo")
	r, err := New(Config{Forge: Forge{URL: "https://hg.example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	mine, err := r.roster(m).LogFilter(t.Context(), "My Runner")
	if err != nil {
		t.Fatal(err)
	}
	other, err := r.roster(m).LogFilter(t.Context(), "My")
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"Checking for jobs... received  job=7 runner=t3_abcdef runner_name=My Runner":                                                 "mine",
		"Updating job...  runner_name=My Runner status=200 OK":                                                                        "mine",
		`time="x" level=info msg="Job succeeded" runner_name="My Runner" job=7`:                                                       "mine",
		`{"level":"info","msg":"x","runner_name":"My Runner"}`:                                                                        "mine",
		"Job succeeded  \x1b[0;mrunner_name\x1b[0;m=My job=7":                                                                         "other",
		"Job succeeded  runner_name=My":                                                                                               "other",
		"Job succeeded  runner_name=My Runner 2 job=7":                                                                                "",
		`ERROR: Runner "https://hg.example.orgt3_abcdef" is unhealthy and will be disabled for 1h0m0s seconds!  unhealthy_requests=3`: "mine",
		`ERROR: Runner "https://hg.example.org/t3_abcdef" is unhealthy and will be disabled for 1h0m0s`:                               "mine",
		`ERROR: Runner "https://hg.example.orgglrt-t3_zyxwvutsrqpo" is unhealthy and will be disabled for 1h0m0s seconds!`:            "other",
		`{"msg":"Runner \"https://hg.example.orgt3_zyxwv\" is unhealthy and will be disabled for 1h0m0s!"}`:                           "other",
		`ERROR: Runner "https://other.example.orgt3_abcdef" is unhealthy and will be disabled for 1h0m0s seconds!`:                    "",
		"Configuration loaded  builds=0":                                                                                              "",
	} {
		var got []string
		if mine(line) {
			got = append(got, "mine")
		}
		if other(line) {
			got = append(got, "other")
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v", line, got)
		}
	}
}
