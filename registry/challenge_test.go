package registry

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func bearer(params ...string) challenge {
	c := challenge{"bearer", map[string]string{}}
	for i := 0; i < len(params); i += 2 {
		c.params[params[i]] = params[i+1]
	}
	return c
}

func TestParseChallenges(t *testing.T) {
	basic := challenge{"basic", map[string]string{"realm": "a, b"}}
	for _, c := range []struct {
		name    string
		headers []string
		want    []challenge
		bad     bool
	}{
		{"the forge's", []string{`Bearer realm="https://hg.example.org/jwt/auth",service="container_registry"`},
			[]challenge{bearer("realm", "https://hg.example.org/jwt/auth", "service", "container_registry")}, false},
		{"with scope and error", []string{`Bearer realm="https://x/t",service="s",scope="repository:g/p:pull,push",error="insufficient_scope"`},
			[]challenge{bearer("realm", "https://x/t", "service", "s", "scope", "repository:g/p:pull,push", "error", "insufficient_scope")}, false},
		{"loose", []string{`bEARER  Realm = "r" ,, SERVICE=s , `}, []challenge{bearer("realm", "r", "service", "s")}, false},
		{"bare URL", []string{`Bearer realm=https://x/t?a=b,service=s`}, []challenge{bearer("realm", "https://x/t?a=b", "service", "s")}, false},
		{"escapes", []string{`Basic realm="a, b"`, `Bearer realm="a\"b\\c"`}, []challenge{basic, bearer("realm", `a"b\c`)}, false},
		{"two in one", []string{`Basic realm="a, b", Bearer realm="r"`}, []challenge{basic, bearer("realm", "r")}, false},
		{"opaque", []string{`Negotiate, NTLM abc==, Bearer realm=r`},
			[]challenge{{"negotiate", map[string]string{}}, {"ntlm", map[string]string{}}, bearer("realm", "r")}, false},
		{"none", nil, nil, false},
		{"empty", []string{"", " , "}, nil, false},
		{"open string", []string{`Bearer realm="r`}, nil, true},
		{"escape at the end", []string{`Bearer realm="r\`}, nil, true},
		{"no value", []string{`Bearer service=s, realm=`}, nil, true},
		{"no comma", []string{`Bearer realm="a" service="b"`}, nil, true},
		{"no scheme", []string{`"x"`}, nil, true},
		{"parameter first", []string{`realm="x"`}, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseChallenges(c.headers)
			if (err != nil) != c.bad {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(challenge{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// FuzzParseChallenges: it ends, and a value that a well-behaved server writes
// comes out as it went in.
func FuzzParseChallenges(f *testing.F) {
	for _, s := range []string{`Bearer realm="https://x/y",service="s"`, `Basic`, `a b==, c d="e\"f"`, "\x00", `=`, `x =`, `a  ,b`} {
		f.Add(s, `https://x/"y\`)
	}
	f.Fuzz(func(t *testing.T, header, value string) {
		list, err := parseChallenges([]string{header})
		if err == nil {
			for _, c := range list {
				if c.scheme == "" || c.scheme != strings.ToLower(c.scheme) {
					t.Errorf("scheme %q", c.scheme)
				}
			}
		}
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
		got, err := parseChallenges([]string{"Basic realm=x, Bearer realm=" + quoted + `, service="s"`})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(bearer("realm", value, "service", "s"), got[1], cmp.AllowUnexported(challenge{})); diff != "" {
			t.Error(diff)
		}
	})
}
