package heptapod

import (
	"context"
	"fmt"
	"strings"

	"github.com/heptaup/hepta/internal/converge"
)

// ready asks the forge, from inside its container, whether all that it
// depends on serves. An own monitoring_whitelist may leave the container's own
// address out, which shows as 404; then the sign-in page is asked instead.
func (f *Forge) ready(ctx context.Context, host converge.Host) error {
	status, err := f.probe(ctx, host, "/-/readiness?all=1")
	if err == nil && status == "404" {
		status, err = f.probe(ctx, host, "/users/sign_in")
	}
	switch {
	case err != nil:
		return fmt.Errorf("ask heptapod whether it is ready: %w", err)
	case status != "200":
		return fmt.Errorf("ask heptapod whether it is ready: it answers %s", status)
	}
	return nil
}

// probe returns the status code of a page as the forge's own nginx gives it.
func (f *Forge) probe(ctx context.Context, host converge.Host, page string) (string, error) {
	result, err := host.Exec(ctx, Service, []string{
		"curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "20",
		"--output", "/dev/null", "--write-out", "%{http_code}",
		"--header", "Host: " + f.base.Host,
		innerURL + strings.TrimRight(f.base.Path, "/") + page,
	}, nil)
	if err != nil {
		return "", err
	}
	if result.ExitCode != 0 {
		return "", fmt.Errorf("curl: exit code %d: %s", result.ExitCode, firstLine(result.Stderr))
	}
	return strings.TrimSpace(string(result.Stdout)), nil
}

// innerURL is where the forge's nginx answers inside the container.
const innerURL = "http://localhost:80"

// firstLine is the first line of a program's output that says something.
func firstLine(output []byte) string {
	for line := range strings.Lines(string(output)) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return ""
}
