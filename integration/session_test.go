package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/heptaup/hepta"
)

// The forge reaches the session server of the stack's runner under the name
// that its certificate is for; when it is described no more, it is gone.
func TestSessionServerIsReached(t *testing.T) {
	s := onSite(t)
	const ask = `echo | openssl s_client -connect lab-runner:8093 2>/dev/null | openssl x509 -noout -ext subjectAltName; curl -sk -o /dev/null -w '%{http_code}\n' https://lab-runner:8093/ || true`
	stack := s.lab(t, func(c *hepta.Config) { c.Runner.SessionServer = &hepta.SessionServer{} })
	eventually(t, time.Minute, "the session server answers", func() bool {
		got := s.output(t, stack, "heptapod", ask)
		return strings.Contains(got, "DNS:lab-runner") && strings.Contains(got, "404")
	})
	if changes := plan(t, stack); !changes.Empty() {
		t.Errorf("something is to be done:\n%s", changes)
	}
	stack = s.lab(t)
	if got := s.output(t, stack, "heptapod", ask); !strings.Contains(got, "000") {
		t.Errorf("it still answers:\n%s", got)
	}
	if got := s.output(t, stack, "runner", "cat /etc/gitlab-runner/config.toml"); strings.Contains(got, "session_server") {
		t.Errorf("it is still described:\n%s", got)
	}
}
