package hepta

import (
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/traefik"
)

// The labels that docs/publish.md tells people to use are those by which the
// proxy publishes, no more and no less.
func TestPublishingIsDocumented(t *testing.T) {
	text, err := os.ReadFile("docs/publish.md")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, m := range regexp.MustCompile(`--label (?:'([^']+)'|(\S+))`).FindAllStringSubmatch(string(text), -1) {
		key, value, _ := strings.Cut(m[1]+m[2], "=")
		got[key] = value
	}
	s := stackOf(t, "forge: hg.example.org\nacme: {email: admin@example.org}\n")
	want := map[string]string{converge.LabelProof: got[converge.LabelProof]}
	maps.Copy(want, traefik.Labels(s.cfg.traefik(), traefik.Route{Name: "wiki", Host: "wiki.example.org", Port: 8000}))
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
