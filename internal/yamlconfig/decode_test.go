package yamlconfig

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type sample struct {
	Name  string            `yaml:"name" default:"x" check:"name"`
	Host  string            `yaml:"host" check:"host"`
	Image string            `yaml:"image" check:"image"`
	URL   string            `yaml:"url" check:"url"`
	Mail  string            `yaml:"mail" check:"email"`
	Dir   string            `yaml:"dir" check:"abs"`
	Mode  string            `yaml:"mode" oneof:"on off auto"`
	Text  string            `yaml:"text" check:"text"`
	Port  int               `yaml:"port" default:"80" check:"port"`
	Size  int64             `yaml:"size" min:"0"`
	Yes   bool              `yaml:"yes"`
	Maybe *bool             `yaml:"maybe"`
	Tags  []string          `yaml:"tags" max:"10"`
	Ports []int             `yaml:"ports" check:"port"`
	Env   map[string]string `yaml:"env" check:"var"`
	On    map[string]bool   `yaml:"on"`
	More  map[string]any    `yaml:"more"`
	Inner inner             `yaml:"inner" short:"level"`
	Deep  *inner            `yaml:"deep" short:"level"`
	List  []inner           `yaml:"list" key:"label"`
	Skip  string            `yaml:"-"`
}

type inner struct {
	Level int    `yaml:"level" min:"1" max:"9"`
	Label string `yaml:"label"`
}

// checked is what Check says beyond what Decode has said.
func checked(s *sample, at Positions, known []Problem) []Problem {
	return slices.DeleteFunc(Check(s, at), func(p Problem) bool { return Covered(p.Path, known) })
}

func load(text string) (sample, string) {
	var s sample
	at, problems := Decode([]byte(text), &s)
	problems = append(problems, checked(&s, at, problems)...)
	if err := NewError("f", at, problems); err != nil {
		return s, err.Error()
	}
	return s, ""
}

func TestDecode(t *testing.T) {
	yes := true
	for name, c := range map[string]struct {
		text string
		want sample
	}{
		"empty":         {"", sample{}},
		"comment":       {"# nothing\n", sample{}},
		"null document": {"~\n", sample{}},
		"scalars":       {"name: a.b\nport: 8080\nyes: on\nmaybe: yes\nmode: off\n", sample{Name: "a.b", Port: 8080, Yes: true, Maybe: &yes, Mode: "off"}},
		"sizes":         {"size: 256m\n", sample{Size: 256 << 20}},
		"size in GiB":   {"size: 2GiB\n", sample{Size: 2 << 30}},
		"bytes":         {"size: 268_435_456\n", sample{Size: 256 << 20}},
		"numbers as text": {"tags: [3.10, 0x10, 2024-01-02]\n",
			sample{Tags: []string{"3.10", "0x10", "2024-01-02"}}},
		"maps":        {"env: {A: 1, B: b}\n\"on\": {x: off, y: yes}\n", sample{Env: map[string]string{"A": "1", "B": "b"}, On: map[string]bool{"x": false, "y": true}}},
		"free form":   {"more: {a: 1, b: [x, 1.5, true], c: {d: e}}\n", sample{More: map[string]any{"a": Scalar{"1", 1}, "b": []any{"x", Scalar{"1.5", 1.5}, Scalar{"true", true}}, "c": map[string]any{"d": "e"}}}},
		"short forms": {"inner: 3\ndeep: 4\n", sample{Inner: inner{Level: 3}, Deep: &inner{Level: 4}}},
		"long forms":  {"inner: {level: 3}\ndeep: {label: x}\n", sample{Inner: inner{Level: 3}, Deep: &inner{Label: "x"}}},
		"list":        {"list: [{label: a}, {label: b, level: 2}]\n", sample{List: []inner{{Label: "a"}, {Label: "b", Level: 2}}}},
		"alias":       {"inner: &i {level: 2}\ndeep: *i\n", sample{Inner: inner{Level: 2}, Deep: &inner{Level: 2}}},
		"merge": {"inner: &i {level: 2, label: a}\nlist:\n- {<<: *i, label: b}\n",
			sample{Inner: inner{Level: 2, Label: "a"}, List: []inner{{Label: "b", Level: 2}}}},
		"keys for anchors": {"x-common: &c {level: 2, else: [1]}\nx-list: [*c]\nlist:\n- {<<: &d {level: 3}, label: b}\ndeep: {<<: *d}\nx-null:\n",
			sample{Deep: &inner{Level: 3}, List: []inner{{Label: "b", Level: 3}}}},
		"lines": {"text: |\n  a\n  \tb\n", sample{Text: "a\n\tb\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, errs := load(c.text)
			if errs != "" {
				t.Fatal(errs)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestProblems(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for text, want := range map[string]string{
		"hots: x":                              `f:1:1: unknown key "hots": did you mean "host"?`,
		"prot: 80":                             `f:1:1: unknown key "prot": did you mean "port"?`,
		"level: 1":                             `f:1:1: unknown key "level": did you mean "inner.level"?`,
		"inner: {size: 1}":                     `f:1:9: unknown key "size" in inner`, // another section's
		"inner: {x-y: 1}":                      `f:1:9: unknown key "x-y" in inner`,
		"inner: {lable: x}":                    `f:1:9: unknown key "lable" in inner: did you mean "label"?`,
		"-: x":                                 `f:1:1: unknown key "-"`,
		"Skip: x":                              `f:1:1: unknown key "Skip"`,
		"utterly_else: x":                      `f:1:1: unknown key "utterly_else"`,
		"host:":                                `f:1:6: host: has no value: leave the key out to get the default`,
		"host: ''":                             `f:1:7: host: is empty: leave the key out to get the default`,
		"host: true":                           `f:1:7: host: true means yes or no; put it in quotes if it is text`,
		"host: [a]":                            `f:1:7: host: is a list, not a single value`,
		"host: https://a.b":                    `f:1:7: host: "https://a.b" is a URL: write the host name alone`,
		"host: a:80":                           `f:1:7: host: "a:80" is not a host name: leave out path and port`,
		"host: A.b":                            `f:1:7: host: "A.b" is not a host name: write it in lower case`,
		"host: a..b":                           `f:1:7: host: "a..b" is not a host name: each part has letters, digits and inner hyphens, 63 at most`,
		"host: -a":                             `f:1:7: host: "-a" is not a host name: each part has letters, digits and inner hyphens, 63 at most`,
		"host: a.\n":                           `f:1:7: host: "a." is not a host name: each part has letters, digits and inner hyphens, 63 at most`,
		"name: " + long:                        `f:1:7: name: has 2000 characters, more than 1024`,
		"name: \"a\\eb\"":                      `f:1:7: name: has the control character U+001B in place 2`,
		"name: \"a\\nb\"":                      `f:1:7: name: has a line break in place 2`,
		"name: \"hunter22\\n\"":                `f:1:7: name: has a line break at its end`,
		"text: \"a\\0b\"":                      `f:1:7: text: has the control character U+0000 in place 2`,
		"port: 0":                              `f:1:7: port: 0 is not a port (1 to 65535)`,
		"port: 65536":                          `f:1:7: port: 65536 is not a port (1 to 65535)`,
		"port: x":                              `f:1:7: port: "x" is not a whole number`,
		"port: 1.5":                            `f:1:7: port: "1.5" is not a whole number`,
		"port: 99999999999999999999":           `f:1:7: port: "99999999999999999999" is not a whole number`,
		"ports: [1, 0]":                        `f:1:12: ports[1]: 0 is not a port (1 to 65535)`,
		"ports: 80":                            `f:1:8: ports: is a number, not a list`,
		"size: 9999999999g":                    `f:1:7: size: 9999999999g is too large`,
		"size: -1":                             `f:1:7: size: -1 is less than 0`,
		"size: many":                           `f:1:7: size: "many" is not a size: write bytes, or a number with k, m or g`,
		"yes: maybe":                           `f:1:6: yes: "maybe" is neither true nor false`,
		"mode: offf":                           `f:1:7: mode: "offf" is none of on, off, auto: did you mean off?`,
		"image: 'A:b'":                         `f:1:8: image: "A:b" is not an image: write it as in registry.example.org/group/name:tag, in lower case but for the tag`,
		"url: ftp://x":                         `f:1:6: url: "ftp://x" is not a URL: write it as in https://hg.example.org`,
		"url: https://u:secret@h":              `f:1:6: url: "https://***@h" has a user or password in it: those go elsewhere`,
		"mail: a":                              `f:1:7: mail: "a" is not a mail address: write it as in hg@example.org`,
		"dir: a/b":                             `f:1:6: dir: "a/b" is not an absolute path in its shortest form, without colons`,
		"dir: /a/../b":                         `f:1:6: dir: "/a/../b" is not an absolute path in its shortest form, without colons`,
		"dir: /":                               `f:1:6: dir: "/" is not an absolute path in its shortest form, without colons`,
		"tags: ['']":                           `f:1:8: tags[0]: is empty: leave the key out to get the default`,
		"tags: [aaaaaaaaaaa]":                  `f:1:8: tags[0]: has 11 characters, more than 10`,
		"env: {'a b': x}":                      `f:1:14: env.a b: is not the name of a variable`,
		"env: {A: no}\nenv: {}":                `f:2:1: key "env" is there twice, first in line 1`,
		"[a]":                                  `f:1:1: is a list, not a mapping (name, host, image, url, mail, dir, mode, text, port, size, yes, maybe, tags, ports, env, on, more, inner, deep, list)`,
		"inner: {level: 10}":                   `f:1:16: inner.level: 10 is more than 9`,
		"inner: x":                             `f:1:8: inner.level: "x" is not a whole number`,
		"list: [{level: 1}]":                   `f:1:8: list[0].label: is missing`,
		"list: [{label: a}, {label: a}]":       `f:1:28: list[1].label: "a" is taken by list[0]`,
		"? [a]\n: b":                           `f:1:3: a key must be text, this one is a list`,
		"more: {a: .nan}":                      `f:1:11: more.a: is a number, which has no meaning here`,
		"more: {a: ~}":                         `f:1:11: more.a: has no value: leave the key out to get the default`,
		"more: &m {a: *m}":                     `f:1:7: more.a: the alias contains itself`,
		"a: [":                                 `f:1: this is not YAML: did not find expected node content`,
		"name: a\n---\nname: b":                `f:2:1: a second document begins here, one is read`,
		"host: !!binary aGk=":                  `f:1:7: host: is binary, not text`,
		"port: 1\nhots: a\nyes: x":             "f:2:1: unknown key \"hots\": did you mean \"host\"?\nf:3:6: yes: \"x\" is neither true nor false",
		"<<: {port: 0}":                        `f:1:12: port: 0 is not a port (1 to 65535)`,
		"<<: x":                                `f:1:5: << takes a mapping or a list of them`,
		"name: \xff":                           `f: this is not YAML: invalid leading UTF-8 octet`,
		strings.Repeat("# xxxxxxx\n", 110_000): `f: the file has more than 1048576 bytes`,
	} {
		_, got := load(text)
		if got != want {
			t.Errorf("%.60q:\n got %s\nwant %s", text, got, want)
		}
	}
}

// A few lines of aliases that would unfold to a billion values end early.
func TestAliasBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("more:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range 9 {
		fmt.Fprintf(&b, "  a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i+1, i+1, i, i, i, i, i, i, i, i, i, i)
	}
	_, got := load(b.String())
	if strings.Count(got, "too much: more than") != 1 {
		t.Errorf("got %.300s", got)
	}
}

func TestDepth(t *testing.T) {
	_, got := load("more: {a: " + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "}")
	if strings.Count(got, "too much: more than") != 1 {
		t.Errorf("got %.300s", got)
	}
}

func TestSetDefaults(t *testing.T) {
	s := sample{Port: 81}
	SetDefaults(&s)
	if s.Name != "x" || s.Port != 81 {
		t.Errorf("got name %q port %d", s.Name, s.Port)
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", "host: a", "inner: 3", "list: [{label: a}]", "more: {a: [1, *x]}", "<<: {a: b}", "&a {b: *a}", "size: 3g", "a: !!x y"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var s sample
		at, problems := Decode(data, &s)
		problems = append(problems, checked(&s, at, problems)...)
		if err := NewError("f", at, problems); err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, "f:") {
					t.Fatalf("a problem spans lines: %q", line)
				}
			}
			if strings.ContainsFunc(strings.ReplaceAll(err.Error(), "\n", ""), func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Fatalf("control characters in %q", err.Error())
			}
		}
		SetDefaults(&s)
	})
}

func TestManyProblems(t *testing.T) {
	var b strings.Builder
	for i := range 200 {
		fmt.Fprintf(&b, "unknown%d: x\n", i)
	}
	_, got := load(b.String())
	if lines := strings.Split(got, "\n"); len(lines) != maxProblems+1 || lines[maxProblems] != "f: and 150 more" {
		t.Errorf("got %d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}
