package integration

import (
	"testing"

	"github.com/heptaup/hepta"
)

// A runner's settings hold from the end of `up` on: the next job has them, also
// where the runner was waiting for it with those of before.
func TestNextJobHasTheNewSettings(t *testing.T) {
	s := onSite(t)
	set := func(word string) *hepta.Stack {
		return s.lab(t, func(c *hepta.Config) {
			for i, r := range c.Runners {
				if r.Name == "socket" {
					c.Runners[i].Environment = []string{"WORD=" + word}
				}
			}
		})
	}
	p := s.project(t, set("of before"), "settings", git)
	set("of now")
	p.push(t, https, map[string]string{".gitlab-ci.yml": "say:\n  image: hepta/small:1\n  tags: [socket]\n  variables: {GIT_STRATEGY: none}\n  script: [\"echo it is $WORD\"]\n"})
	p.says(t, p.succeed(t, "say")["say"], "it is of now")
}
