package paas

import (
	"testing"
	"time"

	"github.com/heptaup/hepta/runner/paas/clevertest"
)

// cloud is a Clever Cloud for one test.
type cloud struct {
	*clevertest.Cloud
	t *testing.T
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	return &cloud{clevertest.New(t), t}
}

func (c *cloud) provider() *CleverCloud {
	cfg, _ := load(c.t, "single.toml")
	k := *cfg.Runners[0].Clever
	k.API, k.RepoTimeout, k.RepoStep = c.URL+"/v2", time.Minute, time.Millisecond
	return &CleverCloud{Clever: k, Organisation: (&Coordinator{}).single(k)}
}

// pushed shows a file of the only commit in a repository.
func (c *cloud) pushed(h Host, args ...string) string {
	c.t.Helper()
	out, err := c.Git(h.ID, args...)
	if err != nil {
		c.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return out
}

func trick(method, path string, commit bool, status int, body string) clevertest.Trick {
	return clevertest.Trick{Method: method, Path: path, Commit: commit, Status: status, Body: body}
}
