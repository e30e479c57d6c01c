package heptapod

import (
	"maps"
	"slices"
	"testing"

	"github.com/heptaup/hepta/internal/converge"
)

func TestDataIsLookedAtFirst(t *testing.T) {
	f := forge(t, Config{})
	s := resources(t, f)
	plan, err := converge.Up(&s, &converge.Observed{})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/first.plan", plan.String())
}

func TestSetupsPlan(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(setups(t))) {
		s := resources(t, forge(t, setups(t)[name]))
		if _, err := converge.Up(&s, &converge.Observed{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The forge's settings go back with its container, what it keeps for us stays.
func TestFilesThatGoBack(t *testing.T) {
	f := forge(t, Config{Image: "octobus/heptapod:17.8"})
	s := resources(t, f)
	o := seenHost("17.8.1", "running octobus/heptapod:17.8")
	o.Containers[0].Service, o.Networks = Service, []converge.ObservedNetwork{{ID: "n", Name: "web"}}
	for _, file := range s.Files {
		o.Files[file.Path] = converge.ObservedFile{Exists: true, Content: []byte("old\n")}
	}
	s.Containers[0].Env = []string{"A=b"}
	p, err := converge.Up(&s, o)
	if err != nil {
		t.Fatal(err)
	}
	all := func(int) bool { return true }
	list := converge.Undone(p, all, func(int) bool { return false })
	if len(list) != 1 {
		t.Fatalf("%+v in\n%s", list, p)
	}
	var back []string
	for _, op := range list[0].Operations {
		back = append(back, op.Files...)
	}
	if !slices.Contains(back, FileGitlabRB) || !slices.Contains(back, fileImage) || slices.Contains(back, FileToken) || slices.Contains(back, FileRootPassword) {
		t.Errorf("back go %q", back)
	}
}
