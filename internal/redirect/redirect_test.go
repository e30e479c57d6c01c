package redirect

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/fault"
)

// A token goes to no other server, whatever the answer's status says about
// method and body; redirects of the server itself work.
func TestSameServer(t *testing.T) {
	var stolen []string
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		stolen = append(stolen, r.Header.Get("Private-Token")+string(body))
	}))
	defer thief.Close()
	forge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, thief.URL, http.StatusTemporaryRedirect)
		case "/away-later":
			http.Redirect(w, r, "/away", http.StatusPermanentRedirect)
		case "/within":
			http.Redirect(w, r, "/there", http.StatusFound)
		case "/for-ever":
			http.Redirect(w, r, "/for-ever", http.StatusFound)
		}
	}))
	defer forge.Close()
	ask := func(path string) error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, forge.URL+path, strings.NewReader("body s3cr3t"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Private-Token", "header s3cr3t")
		resp, err := SameServer(nil).Do(req)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	for _, path := range []string{"/away", "/away-later"} {
		err := ask(path)
		if !errors.Is(err, ErrElsewhere) || !strings.Contains(fault.Remedy(err), "in place of "+forge.URL) {
			t.Errorf("%s: %v, %q", path, err, fault.Remedy(err))
		}
	}
	if len(stolen) > 0 {
		t.Errorf("arrived elsewhere: %q", stolen)
	}
	if err := ask("/within"); err != nil {
		t.Error(err)
	}
	if err := ask("/for-ever"); err == nil || !strings.Contains(err.Error(), "for ever") {
		t.Error(err)
	}
	if http.DefaultClient.CheckRedirect != nil {
		t.Error("the default client was changed")
	}
}

func TestSame(t *testing.T) {
	for _, c := range []struct {
		from, to string
		same     bool
	}{
		{"https://a/x", "https://a/y", true},
		{"https://a/x", "https://a:443/y", true},
		{"http://a/x", "https://a/x", true},
		{"http://a:80/x", "https://a:443/x", true},
		{"https://a/x", "http://a/x", false},
		{"http://a:8080/x", "https://a:8443/x", false},
		{"https://a/x", "https://a:8443/x", false},
		{"https://a/x", "https://b.a/x", false},
		{"https://a/x", "https://b/x", false},
		{"http://a/x", "ftp://a/x", false},
	} {
		from, err := url.Parse(c.from)
		if err != nil {
			t.Fatal(err)
		}
		to, err := url.Parse(c.to)
		if err != nil {
			t.Fatal(err)
		}
		if got := same(from, to); got != c.same {
			t.Errorf("%s → %s: %v", c.from, c.to, got)
		}
	}
}

// Every client of the product is one of SameServer. These have a reason not to be.
var others = map[string]string{
	"internal/engine/dial.go":     "a Docker Engine's, which gets no token",
	"internal/redirect/":          "here it is made",
	"registry/transport.go":       "follows no redirect at all",
	"registry/route.go":           "is given to registry/transport.go",
	"heptapod/heptapodtest/":      "a forge for tests, and its clients",
	"heptapod/heptapodcontainer/": "for tests; sends no token",
	"runner/paas/clevertest/":     "for tests",
	"integration/":                "for tests",
}

func TestEveryClientKeepsItsToken(t *testing.T) {
	const root = "../.."
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		for prefix := range others {
			if strings.HasPrefix(name, prefix) {
				return nil
			}
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		guarded := map[ast.Node]bool{}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				s, outside := n.Fun.(*ast.SelectorExpr)
				own, inside := n.Fun.(*ast.Ident)
				if outside && s.Sel.Name == "SameServer" || inside && own.Name == "NewClient" { // heptapod's own uses SameServer
					for _, arg := range n.Args {
						ast.Inspect(arg, func(n ast.Node) bool { guarded[n] = true; return true })
					}
				}
			case *ast.CompositeLit:
				if is(n.Type, "Client") && !guarded[n] {
					t.Errorf("%s: give this client to redirect.SameServer, or say in others why not", files.Position(n.Pos()))
				}
			case *ast.SelectorExpr:
				for _, bare := range []string{"DefaultClient", "Get", "Head", "Post", "PostForm"} {
					if is(n, bare) && !guarded[n] {
						t.Errorf("%s: http.%s follows redirects to any server: use redirect.SameServer", files.Position(n.Pos()), bare)
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// is reports whether an expression is a name of net/http.
func is(e ast.Expr, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == "http"
}
