package heptapodtest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
	"github.com/heptaup/hepta/internal/ci"
)

// payloadArtifacts is what a runner is to upload: the archive, and each report
// as one more artifact that is uploaded whatever the outcome.
func payloadArtifacts(a *ci.Artifacts) []artifacts {
	out := []artifacts{}
	if a == nil {
		return out
	}
	if len(a.Paths) > 0 || a.Untracked {
		out = append(out, artifacts{
			Name: a.Name, Untracked: a.Untracked, Paths: list(a.Paths), Exclude: a.Exclude, When: or(a.When, "on_success"),
			Type: "archive", Format: "zip", ExpireIn: a.ExpireIn,
		})
	}
	var kinds []string
	for kind := range a.Reports {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	for _, kind := range kinds {
		out = append(out, artifacts{
			Name: reportName(kind), Paths: a.Reports[kind], When: "always", Type: kind, Format: reportFormat(kind), ExpireIn: a.ExpireIn,
		})
	}
	return out
}

// reportFormat: most reports are gzipped, scanners' and terraform's are not.
func reportFormat(kind string) string {
	switch kind {
	case "codequality", "sast", "dast", "secret_detection", "dependency_scanning", "container_scanning", "terraform", "requirements", "load_performance", "browser_performance":
		return "raw"
	case "lsif":
		return "zip"
	}
	return "gzip"
}

func reportName(kind string) string {
	switch kind {
	case "junit":
		return "junit.xml"
	case "dotenv":
		return ".env"
	case "cobertura", "coverage_report", "jacoco":
		return "coverage.xml"
	}
	return kind
}

// dotenvLimit bounds a dotenv report, as GitLab's 5 KiB do.
const dotenvLimit = 5 << 10

// dotenvVariables bounds their number, as GitLab does by default.
const dotenvVariables = 20

// parseDotenv reads the variables of a dotenv report. Its rules are narrower
// than a shell's: every line is KEY=value, no quotes are taken away, and a
// comment or an empty line is refused.
func parseDotenv(data []byte, format string) ([]store.Variable, error) {
	if format == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("read dotenv: %w", err)
		}
		if data, err = io.ReadAll(io.LimitReader(z, dotenvLimit+1)); err != nil {
			return nil, fmt.Errorf("read dotenv: %w", err)
		}
	}
	if len(data) > dotenvLimit {
		return nil, errors.New("Dotenv Artifact Too Big. Maximum Allowable Size: 5120")
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	if !utf8.ValidString(text) {
		return nil, errors.New("Invalid Format: the file is not UTF-8")
	}
	var out []store.Variable
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, "=")
		key = strings.TrimSpace(key)
		if !ok {
			return nil, errors.New("Invalid Format")
		}
		if !variableKey.MatchString(key) {
			return nil, errors.New("Validation failed: Key can contain only letters, digits and '_'.")
		}
		out = slices.DeleteFunc(out, func(v store.Variable) bool { return v.Key == key })
		out = append(out, store.Variable{Key: key, Value: strings.TrimSpace(value)})
	}
	if len(out) > dotenvVariables {
		return nil, fmt.Errorf("Dotenv files cannot have more than %d variables", dotenvVariables)
	}
	return out, nil
}
