package runner

import "testing"

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
