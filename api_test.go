package hepta_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Who imports a package of this module can name every type that its exported
// signatures speak of: none lies in internal/ alone. A type of internal/ that a
// package shows has another name there, an alias.
func TestExportedSignaturesNeedNoInternalType(t *testing.T) {
	imp, walked := exportData(t), 0
	for _, p := range packages(t) {
		if !importable(p.ImportPath) {
			continue
		}
		walked++
		pkg, err := imp.Import(p.ImportPath)
		if err != nil {
			t.Fatal(err)
		}
		w := apiWalk{pkg: pkg, named: map[*types.TypeName]bool{}, seen: map[types.Type]bool{}, hidden: map[string]string{}}
		w.walk()
		for _, name := range slices.Sorted(maps.Keys(w.hidden)) {
			t.Errorf("%s needs %s, which only this module can import: give it a name in package %s, or hide it", w.hidden[name], name, pkg.Name())
		}
	}
	if walked < 10 {
		t.Errorf("only %d packages were walked", walked)
	}
}

// importable reports whether a package is meant for other modules.
func importable(path string) bool {
	name, inside := strings.CutPrefix(path, module)
	if name = strings.TrimPrefix(name, "/"); !inside {
		return false
	}
	for _, top := range []string{"internal", "cmd", "integration"} {
		if name == top || strings.HasPrefix(name, top+"/") {
			return false
		}
	}
	return !strings.Contains(name, "/internal/")
}

// exportData imports packages as the compiler has understood them.
func exportData(t *testing.T) types.Importer {
	t.Helper()
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Export,Name", module+"/...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	fileByPath := map[string]string{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct{ ImportPath, Export, Name string }
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		fileByPath[p.ImportPath] = p.Export
	}
	return importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		if fileByPath[path] == "" {
			return nil, fmt.Errorf("no export data of %s", path)
		}
		return os.Open(fileByPath[path])
	})
}

// apiWalk follows the types that one package shows.
type apiWalk struct {
	pkg    *types.Package
	named  map[*types.TypeName]bool // types of internal/ that have a name in pkg
	seen   map[types.Type]bool
	hidden map[string]string // type of internal/ by name, and where it was met first
}

func (w *apiWalk) walk() {
	scope := w.pkg.Scope()
	for _, name := range scope.Names() {
		if o, ok := scope.Lookup(name).(*types.TypeName); ok && o.Exported() && o.IsAlias() {
			if n, ok := types.Unalias(o.Type()).(*types.Named); ok {
				w.named[n.Obj()] = true
			}
		}
	}
	for _, name := range scope.Names() {
		if o := scope.Lookup(name); o.Exported() {
			where := w.pkg.Name() + "." + name
			if o, ok := o.(*types.TypeName); ok && !o.IsAlias() {
				w.declared(o.Type(), where)
				continue
			}
			w.follow(o.Type(), where)
		}
	}
}

// declared follows what a type of this module shows: its fields and methods.
func (w *apiWalk) declared(t types.Type, where string) {
	if w.seen[t] {
		return
	}
	w.seen[t] = true
	w.follow(t.Underlying(), where)
	set := types.NewMethodSet(types.NewPointer(t))
	if types.IsInterface(t) {
		set = types.NewMethodSet(t)
	}
	for i := range set.Len() {
		if m := set.At(i).Obj(); m.Exported() {
			w.follow(m.Type(), where+"."+m.Name())
		}
	}
}

// forExecutor reports whether a field is of those of an Operation that say how
// it is done, for the executor: nobody else has to read them.
func forExecutor(tag string) bool { return reflect.StructTag(tag).Get("json") == "-" }

func (w *apiWalk) follow(t types.Type, where string) {
	if a, ok := t.(*types.Alias); ok && a.Obj().Pkg() != nil && a.Obj().Pkg() != w.pkg && importable(a.Obj().Pkg().Path()) {
		return // another package names it, and is walked itself
	}
	switch t := types.Unalias(t).(type) {
	case *types.Named:
		o := t.Obj()
		if o.Pkg() == nil || !strings.HasPrefix(o.Pkg().Path(), module) || importable(o.Pkg().Path()) {
			for arg := range t.TypeArgs().Types() {
				w.follow(arg, where)
			}
			return // walked with its own package, if it is of this module
		}
		// What a type parameter of internal/ stands for counts where a field or
		// a method shows it: internal/opaque shows nothing.
		if !w.named[o] {
			if name := short(o.Pkg().Path()) + "." + o.Name(); w.hidden[name] == "" {
				w.hidden[name] = where
			}
			return
		}
		w.declared(t, where)
	case *types.Signature:
		for v := range t.Params().Variables() {
			w.follow(v.Type(), where)
		}
		for v := range t.Results().Variables() {
			w.follow(v.Type(), where)
		}
		for p := range t.TypeParams().TypeParams() {
			w.follow(p.Constraint(), where)
		}
	case *types.Struct:
		for i, f := range slices.Collect(t.Fields()) {
			if f.Exported() && !forExecutor(t.Tag(i)) {
				w.follow(f.Type(), where+"."+f.Name())
			}
		}
	case *types.Interface:
		for m := range t.Methods() {
			if m.Exported() {
				w.follow(m.Type(), where+"."+m.Name())
			}
		}
	case *types.Map:
		w.follow(t.Key(), where)
		w.follow(t.Elem(), where)
	case interface{ Elem() types.Type }: // pointer, slice, array, channel
		w.follow(t.Elem(), where)
	}
}
