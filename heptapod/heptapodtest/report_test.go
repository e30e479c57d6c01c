package heptapodtest

import (
	"strings"
	"testing"
)

// A dotenv report is as narrow as GitLab has it.
func TestDotenv(t *testing.T) {
	for text, want := range map[string]string{
		"A=1\nB = two \r\n":                   "",
		"\ufeffA=1\n":                         "",
		"A=\n":                                "",
		"A=1\n\nB=2\n":                        "Invalid Format",
		"# comment\nA=1\n":                    "Invalid Format",
		"A\n":                                 "Invalid Format",
		"A-B=1\n":                             "Validation failed: Key",
		"A=\xff\n":                            "Invalid Format",
		"A=" + strings.Repeat("x", 5200):      "Dotenv Artifact Too Big",
		strings.Repeat("A=1\n", 30):           "",
		strings.Join(manyVariables(21), "\n"): "Dotenv files cannot have more than 20 variables",
	} {
		_, err := parseDotenv([]byte(text), "raw")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.30q: %v, want %q", text, err, want)
		}
	}
}

func manyVariables(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = "V" + strings.Repeat("X", i) + "=1"
	}
	return list
}
