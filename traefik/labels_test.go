package traefik

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
)

// FuzzHostRule reads rules as Traefik does, as a Go expression: whatever the
// host, a rule is one call of Host with that one literal.
func FuzzHostRule(f *testing.F) {
	for _, host := range []string{"hg.example.org", "", "a`) || PathPrefix(`/", `a") || Host("b`, "a\nb", "\\", "`", "\xff", "\r", "$1", "{host:.+}"} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		rule := Labels(Config{}, Route{Name: "x", Host: host, Port: 80})["traefik.http.routers.x.rule"]
		expr, err := parser.ParseExpr(rule)
		if err != nil {
			t.Fatalf("%s: %v", rule, err)
		}
		call, ok := expr.(*ast.CallExpr)
		if !ok || len(call.Args) != 1 {
			t.Fatalf("%s is no call with one argument", rule)
		}
		if name, ok := call.Fun.(*ast.Ident); !ok || name.Name != "Host" {
			t.Fatalf("%s does not call Host", rule)
		}
		literal, ok := call.Args[0].(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			t.Fatalf("%s has another argument than a string", rule)
		}
		if got, err := strconv.Unquote(literal.Value); err != nil || got != host {
			t.Fatalf("%s names %q instead of %q (%v)", rule, got, host, err)
		}
		if isHost(host) && rule != "Host(`"+host+"`)" {
			t.Errorf("a good name is written as %s", rule)
		}
	})
}

func TestRouteValidate(t *testing.T) {
	for _, c := range []struct {
		route Route
		why   string
	}{
		{Route{Name: "hepta-hg", Host: "hg.example.org", Port: 80}, ""},
		{Route{Name: "h", Host: "192.0.2.7", Port: 65535}, ""},
		{Route{Name: "a.b", Host: "hg.example.org", Port: 80}, "no name"},
		{Route{Host: "hg.example.org", Port: 80}, "no name"},
		{Route{Name: "hg", Host: "hg.example.org/x", Port: 80}, "no host"},
		{Route{Name: "hg", Host: "hg.example.org", Port: 0}, "no port"},
		{Route{Name: "hg", Host: "hg.example.org", Port: 65536}, "no port"},
	} {
		err := c.route.Validate()
		if (err == nil) != (c.why == "") || err != nil && !strings.Contains(err.Error(), c.why) {
			t.Errorf("%+v: got %v, want %q", c.route, err, c.why)
		}
	}
}

func TestIsHost(t *testing.T) {
	long := strings.Repeat("a.", 126)
	for name, want := range map[string]bool{
		"hg.example.org": true, "localhost": true, "HG.Example.Org": true, "xn--bcher-kva.example": true, "192.0.2.7": true,
		long + "a": true, long + "bc": false,
		"": false, ".": false, "a..b": false, "hg.example.org.": false, "-a.example": false, "a-.example": false, "a_b.example": false,
		"https://a.example": false, "a.example:443": false, "a.example/": false, "bücher.example": false, "*.example.org": false,
		"a b": false, "a`b": false, "1.2.3": false, "1.2.3.256": false, "2001:db8::1": false, strings.Repeat("a", 64): false,
	} {
		if got := isHost(name); got != want {
			t.Errorf("%q: got %v", name, got)
		}
	}
}
