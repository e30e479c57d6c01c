// Generate reads the keys of config.toml out of the structs that published
// versions of GitLab Runner decode it with, and writes them as keys.txt.
//
//	go generate ./runner/configkeys
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

const module = "gitlab.com/gitlab-org/gitlab-runner"

// versions are the versions that are read, in order of release. The module has
// no usable tags, so each goes by its pseudo-version.
var versions = []struct{ release, pseudo string }{
	{"12.8", "v1.11.1-0.20200110014830-8e5683f82927"},
	{"19.4", "v1.11.1-0.20260903214710-fc1f1862bd91"},
}

func main() {
	log.SetFlags(0)
	table, err := Table()
	if err != nil {
		log.Fatal(err)
	}
	if len(os.Args) != 2 {
		log.Fatal("usage: generate FILE, or - for standard output")
	}
	if os.Args[1] == "-" {
		_, err = os.Stdout.Write(table)
	} else {
		err = os.WriteFile(os.Args[1], table, 0o644)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// Table is the content of keys.txt.
func Table() ([]byte, error) {
	releasesByKey := map[string][]string{}
	for _, v := range versions {
		dir, err := download(v.pseudo)
		if err != nil {
			return nil, err
		}
		r := &reader{root: dir, packages: map[string]*source{}}
		config, err := r.load("common")
		if err != nil {
			return nil, err
		}
		if err := r.structure(config, "Config", "", nil); err != nil {
			return nil, fmt.Errorf("read runner %s: %w", v.release, err)
		}
		for _, line := range r.found {
			if !slices.Contains(releasesByKey[line], v.release) {
				releasesByKey[line] = append(releasesByKey[line], v.release)
			}
		}
	}
	var b bytes.Buffer
	b.WriteString("# Keys of GitLab Runner's config.toml: key, type, versions that have it with that type.\n")
	b.WriteString("# Made by go generate ./runner/configkeys from the runner's own structs; do not edit.\n")
	for _, line := range slices.Sorted(maps.Keys(releasesByKey)) {
		fmt.Fprintf(&b, "%s %s\n", line, strings.Join(releasesByKey[line], ","))
	}
	return b.Bytes(), nil
}

// download brings the module's sources and gives their directory. They need
// not build.
func download(version string) (string, error) {
	cmd := exec.Command("go", "mod", "download", "-json", module+"@"+version)
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod")
	out, err := cmd.Output()
	var answer struct{ Dir, Error string }
	if json.Unmarshal(out, &answer) == nil && answer.Error != "" {
		return "", fmt.Errorf("download %s@%s: %s", module, version, answer.Error)
	}
	if err != nil {
		return "", fmt.Errorf("download %s@%s: %w", module, version, err)
	}
	return answer.Dir, nil
}

// source is one package of the module.
type source struct {
	types   map[string]*ast.TypeSpec
	imports map[string]string // of the file that declares a type: "Type/name" → path
	custom  map[string]bool   // types that decode themselves
}

type reader struct {
	root     string
	packages map[string]*source
	found    []string
}

// load parses the package at a path below the module's root.
func (r *reader) load(dir string) (*source, error) {
	if s := r.packages[dir]; s != nil {
		return s, nil
	}
	s := &source{types: map[string]*ast.TypeSpec{}, imports: map[string]string{}, custom: map[string]bool{}}
	r.packages[dir] = s
	files, err := filepath.Glob(filepath.Join(r.root, filepath.FromSlash(dir), "*.go"))
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv != nil && d.Name.Name == "UnmarshalTOML" {
					s.custom[receiver(d.Recv.List[0].Type)] = true
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if t, ok := spec.(*ast.TypeSpec); ok {
						s.types[t.Name.Name] = t
						for _, i := range file.Imports {
							at, _ := strconv.Unquote(i.Path.Value)
							as := path.Base(at)
							if i.Name != nil {
								as = i.Name.Name
							}
							s.imports[t.Name.Name+"/"+as] = at
						}
					}
				}
			}
		}
	}
	return s, nil
}

func receiver(e ast.Expr) string {
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	if id, ok := e.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

// structure notes the keys of a struct below a key.
func (r *reader) structure(in *source, name, at string, seen []*ast.TypeSpec) error {
	spec, ok := in.types[name].Type.(*ast.StructType)
	if !ok {
		return fmt.Errorf("%s is no struct", name)
	}
	if slices.Contains(seen, in.types[name]) {
		return nil // a struct that holds itself
	}
	seen = append(slices.Clone(seen), in.types[name])
	for _, f := range spec.Fields.List {
		tag := reflect.StructTag("")
		if f.Tag != nil {
			text, err := strconv.Unquote(f.Tag.Value)
			if err != nil {
				return err
			}
			tag = reflect.StructTag(text)
		}
		key, _, _ := strings.Cut(tag.Get("toml"), ",")
		if key == "-" {
			continue
		}
		if len(f.Names) == 0 && key == "" { // embedded: its keys are ours
			if err := r.embedded(in, name, f.Type, at, seen); err != nil {
				return err
			}
			continue
		}
		for _, id := range f.Names {
			if !id.IsExported() {
				continue
			}
			as := key
			if as == "" {
				as = id.Name
			}
			if err := r.value(in, name, f.Type, join(at, as), "", seen); err != nil {
				return fmt.Errorf("%s: %w", join(at, as), err)
			}
		}
	}
	return nil
}

func join(at, key string) string {
	if at == "" {
		return key
	}
	return at + "." + key
}

func (r *reader) embedded(in *source, owner string, t ast.Expr, at string, seen []*ast.TypeSpec) error {
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	found, name, err := r.resolve(in, owner, t)
	if err != nil || found == nil {
		return err
	}
	return r.structure(found, name, at, seen)
}

// resolve finds the declaration of a named type; nil when it is of another module.
func (r *reader) resolve(in *source, owner string, t ast.Expr) (*source, string, error) {
	switch t := t.(type) {
	case *ast.Ident:
		if in.types[t.Name] != nil {
			return in, t.Name, nil
		}
	case *ast.SelectorExpr:
		dir, ours := strings.CutPrefix(in.imports[owner+"/"+t.X.(*ast.Ident).Name], module+"/")
		if !ours {
			return nil, "", nil
		}
		s, err := r.load(dir)
		if err != nil {
			return nil, "", err
		}
		if s.types[t.Sel.Name] != nil {
			return s, t.Sel.Name, nil
		}
	}
	return nil, "", nil
}

var basic = map[string]string{
	"string": "text", "bool": "boolean", "int": "integer", "int64": "integer", "int32": "integer",
	"uint": "integer", "uint32": "integer", "uint64": "integer", "float64": "number", "any": "any",
}

// value notes a key and what is below it. Prefix gathers lists and mappings:
// "list-of-", "mapping-of-".
func (r *reader) value(in *source, owner string, t ast.Expr, at, prefix string, seen []*ast.TypeSpec) error {
	note := func(kind string) { r.found = append(r.found, at+" "+prefix+kind) }
	switch t := t.(type) {
	case *ast.StarExpr:
		return r.value(in, owner, t.X, at, prefix, seen)
	case *ast.ArrayType:
		return r.value(in, owner, t.Elt, at, prefix+"list-of-", seen)
	case *ast.MapType:
		return r.value(in, owner, t.Value, at, prefix+"mapping-of-", seen)
	case *ast.InterfaceType:
		note("any")
		return nil
	case *ast.Ident:
		if kind := basic[t.Name]; kind != "" {
			note(kind)
			return nil
		}
	case *ast.SelectorExpr:
		switch t.X.(*ast.Ident).Name + "." + t.Sel.Name {
		case "time.Duration":
			note("duration")
			return nil
		case "time.Time":
			note("time")
			return nil
		}
	}
	found, name, err := r.resolve(in, owner, t)
	if err != nil {
		return err
	}
	if found == nil {
		note("any")
		return nil
	}
	if name == "StringOrArray" && found.custom[name] {
		note("text-or-list-of-text")
		return nil
	}
	if _, is := found.types[name].Type.(*ast.StructType); !is {
		return r.value(found, name, found.types[name].Type, at, prefix, seen)
	}
	note("table")
	return r.structure(found, name, at, seen)
}
