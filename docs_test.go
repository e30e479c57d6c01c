package hepta

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/registry"
	"github.com/heptaup/hepta/runner"
	"github.com/heptaup/hepta/traefik"
)

// docs/configuration.md is what the structs say.
func TestConfigurationIsDocumented(t *testing.T) {
	d := &documenter{t: t, comments: fieldComments(t)}
	d.out.WriteString("# hepta.yaml\n\nThis file is generated: `go test . -run Documented -update`.\n\n")
	d.out.WriteString(introduction)
	for _, name := range []string{"small", "large"} {
		text, err := os.ReadFile("testdata/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		title := map[string]string{"small": "The smallest that makes a forge with its registry and runners:", "large": "A longer one:"}[name]
		fmt.Fprintf(&d.out, "%s\n\n```yaml\n%s```\n\n", title, text)
	}
	d.section(reflect.TypeFor[Config](), "")
	golden(t, "docs/configuration.md", strings.TrimRight(d.out.String(), "\n")+"\n")
}

const introduction = `Keys are strict: an unknown key, a wrong type, an empty value or one out of bounds is an error with file, line and column,
and all of them are told at once. Every default needs no line. Anchors, aliases and ` + "`<<`" + ` work;
top-level keys that begin with ` + "`x-`" + ` are not read and hold what is repeated that way.

Names of files are relative to hepta.yaml, on the machine that reads it. Files with secrets are read whole, without the
final newline; one that everybody on the machine can read is a warning. Instead of a file with a secret, ` + "`env:NAME`" + ` takes it
from a variable of the environment and ` + "`-`" + ` from standard input. Sizes are bytes, or a number with k, m or g.

`

// roomDefaults are the defaults that rooms keep to themselves.
var roomDefaults = map[string]string{
	"traefik.image": traefik.DefaultImage, "traefik.socket_proxy_image": traefik.DefaultSocketProxyImage, "heptapod.image": heptapod.DefaultImage,
	"registry.mirror.image": registry.DefaultMirrorImage, "runner.image": runner.DefaultImage, "runners[].image": runner.DefaultJobImage,
}

type documenter struct {
	t        *testing.T
	comments map[string]string // "Config.Stack" → its comment
	out      strings.Builder
}

// section is a table of one struct's keys, then the sections of those that are structs.
func (d *documenter) section(s reflect.Type, path string) {
	title := "`" + path + "`"
	if path == "" {
		title = "Top level"
	}
	fmt.Fprintf(&d.out, "## %s\n\n| key | takes | default | |\n|---|---|---|---|\n", title)
	type part struct {
		t    reflect.Type
		path string
	}
	var parts []part
	for i := range s.NumField() {
		f := s.Field(i)
		key := f.Tag.Get("yaml")
		if key == "-" {
			continue
		}
		comment := d.comments[s.Name()+"."+f.Name]
		if comment == "" {
			d.t.Errorf("%s.%s has no comment", s.Name(), f.Name)
		}
		at := strings.TrimPrefix(path+"."+key, ".")
		elem := f.Type
		for elem.Kind() == reflect.Pointer || elem.Kind() == reflect.Slice {
			elem = elem.Elem()
		}
		if elem.Kind() == reflect.Struct {
			if f.Type.Kind() == reflect.Slice {
				at += "[]"
			}
			parts = append(parts, part{elem, at})
		}
		preset := f.Tag.Get("default")
		if preset == "" {
			preset = roomDefaults[at]
		}
		if preset != "" {
			preset = "`" + preset + "`"
		}
		fmt.Fprintf(&d.out, "| `%s` | %s | %s | %s |\n", key, takes(f), preset, strings.ReplaceAll(comment, "|", `\|`))
	}
	d.out.WriteByte('\n')
	for _, p := range parts {
		d.section(p.t, p.path)
	}
}

// takes says what a key takes.
func takes(f reflect.StructField) string {
	if values := f.Tag.Get("oneof"); values != "" {
		return "`" + strings.ReplaceAll(values, " ", "`, `") + "`"
	}
	if f.Tag.Get("into") != "" && f.Type.Kind() == reflect.Map {
		return "mapping of files"
	}
	if f.Tag.Get("into") != "" {
		return "file"
	}
	one := map[string]string{
		"name": "name", "netname": "name", "host": "host name", "port": "port", "published": "port, or address:port", "image": "image", "url": "URL",
		"registry": "host, or host:port", "dir": "directory", "hostentry": "name:address", "ip": "IP address",
		"email": "mail address", "abs": "absolute path", "text": "lines of text", "engine": "address", "volume": "/host:/container", "env": "NAME=value, or a mapping",
	}[f.Tag.Get("check")]
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true, false"
	case reflect.Int:
		return bounds(f, or(one, "number"))
	case reflect.Int64:
		return "size"
	case reflect.Struct:
		if short := f.Tag.Get("short"); short != "" {
			return "mapping, or its `" + short + "` alone"
		}
		return "mapping"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			return "list of mappings"
		}
		return "list: " + or(one, "text")
	case reflect.Map:
		return "mapping"
	}
	return or(one, "text")
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func bounds(f reflect.StructField, text string) string {
	low, high := f.Tag.Get("min"), f.Tag.Get("max")
	switch {
	case low != "" && high != "":
		return text + ", " + low + " to " + high
	case low != "":
		return text + ", " + low + " at least"
	}
	return text
}

// fieldComments are the doc comments of every struct's fields in this package.
func fieldComments(t *testing.T) map[string]string {
	t.Helper()
	comments := map[string]string{}
	for _, name := range []string{"config.go", "config_forge.go", "config_runner.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			s, ok := spec.Type.(*ast.StructType)
			if !ok {
				return true
			}
			for _, f := range s.Fields.List {
				for _, id := range f.Names {
					comments[spec.Name.Name+"."+id.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
				}
			}
			return false
		})
	}
	return comments
}
