package hepta_test

import (
	"strings"
	"testing"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/registry"
	"github.com/heptaup/hepta/traefik"
)

// Parts that are not of one stack, or two of one kind, are refused before
// anything is contacted.
func TestCombineRefuses(t *testing.T) {
	proxy := func(stack, data string) hepta.Part {
		p, err := traefik.New(traefik.Config{Stack: stack, Data: data, TLS: traefik.TLS{Mode: traefik.TLSOff}})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for name, c := range map[string]struct {
		parts []hepta.Part
		want  string
	}{
		"nothing":       {nil, "there are none"},
		"another stack": {[]hepta.Part{proxy("lab", ""), registry.Mirror{Stack: "other"}}, "one is of stack lab with data in /srv/lab, another of stack other"},
		"other data":    {[]hepta.Part{proxy("lab", ""), registry.Mirror{Stack: "lab", Data: "/data"}}, "another of stack lab with data in /data"},
		"two proxies":   {[]hepta.Part{proxy("lab", ""), proxy("lab", "")}, "two of them describe the service"},
	} {
		_, err := hepta.Combine(c.parts)
		if err == nil || !strings.Contains(err.Error(), c.want) || fault.Remedy(err) == "" {
			t.Errorf("%s: got %v, want %q with a remedy", name, err, c.want)
		}
	}
	if _, err := hepta.Combine([]hepta.Part{proxy("lab", ""), registry.Mirror{Stack: "lab"}}); err != nil {
		t.Error(err)
	}
}
