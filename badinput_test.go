package hepta

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/pki"
)

// bait is a value that somebody writes by mistake or on purpose.
type bait struct{ name, yaml, text string }

// texts are baits for everything that takes text; § in a row's value is where
// they go.
var texts = []bait{
	{name: "long", text: strings.Repeat("x", 300_000)},
	{name: "unicode", text: "grüße 日本語 🦑"},
	{name: "direction", text: "a\u202eb"},
	{name: "separator", text: "a\u2028b"},
	{name: "newline", text: "a\nb: c"},
	{name: "nul", text: "a\x00b"},
	{name: "escape", text: "a\x1b[31mb"},
	{name: "spaces", text: "  z  "},
	{name: "ruby", text: `#{exit 1}'; exit 1; "#{exit 1}" \`},
	{name: "yaml", text: `"}, stack: [x] # &a *a {{ .Env }} !!y %`},
	{name: "toml", text: `"""]]''' = [[runners]] name='x'`},
	{name: "label", text: "`) || Host(`b\",=,"},
	{name: "shell", text: "$(exit 1) `exit 1` $HOME ${HOME} $$ && | > x ; 'a' \"b\" \\"},
	{name: "path", text: "../../etc/passwd"},
	{name: "option", text: "--privileged"},
}

// types are baits of a wrong type for each kind of value.
var types = map[reflect.Kind][]string{
	reflect.String: {`[a]`, `{a: b}`, `true`, `~`, `""`, `!!binary aGk=`},
	reflect.Int:    {`[1]`, `{a: 1}`, `x`, `1.5`, `0x10`, `""`, `~`, `true`, `-1`, `0`, `2001-01-01`, `99999999999999999999`, `"1\n"`, `١`},
	reflect.Bool:   {`[true]`, `{a: b}`, `maybe`, `1`, `""`, `~`},
	reflect.Slice:  {`x`, `{a: b}`, `~`, `""`, `[~]`, `[[x]]`, `[{name: r, a: b}]`, `[]`},
	reflect.Map:    {`x`, `[a]`, `~`, `""`, `{a: ~}`, `{"": b}`, `{[a]: b}`, `{a: {b: c}}`, `{}`},
	reflect.Struct: {`[a]`, `true`, `~`, `""`, `{nothing: 1}`},
}

// kindOf is the kind of a key's value, as far as a file can tell.
func kindOf(t reflect.Type) reflect.Kind {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Int64 {
		return reflect.Int
	}
	return t.Kind()
}

// keys are all keys of a configuration, with what each takes.
func keys(t reflect.Type, path string, each func(key string, f reflect.StructField)) {
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("yaml")
		if key == "-" {
			continue
		}
		at := strings.TrimPrefix(path+"."+key, ".")
		each(at, f)
		elem := f.Type
		if elem.Kind() == reflect.Pointer {
			elem = elem.Elem()
		}
		if elem.Kind() == reflect.Slice {
			at, elem = at+"[]", elem.Elem()
		}
		if elem.Kind() == reflect.Struct {
			keys(elem, at, each)
		}
	}
}

// badInput tries the baits on keys.
type badInput struct {
	*testing.T
	dir  string
	good *Stack    // from the good value of the row that is tried
	said []answers // of each row
	todo []rendering
}

// answers are what a row says to each bait.
type answers struct {
	row  string
	kind reflect.Kind
	to   map[string]string
}

// TestBadInput tries every key of hepta.yaml with every kind of bad value.
// Each is refused with one error that says where and why, before anything is
// written, or gives what it says: then it comes out of every file that is
// rendered, as the program reads it for which it is written, as the good
// value beside it does. What is said, and what is taken, is in
// testdata/badinput.txt.
func TestBadInput(t *testing.T) {
	b := &badInput{T: t, dir: t.TempDir()}
	for name, content := range besideBadInput(t) {
		b.write(name, content)
	}
	seen := map[string]bool{}
	keys(reflect.TypeFor[Config](), "", func(key string, f reflect.StructField) {
		seen[key] = true
		rows := slices.DeleteFunc(slices.Clone(badInputRows), func(r badInputRow) bool { return r.key != key })
		if len(rows) == 0 {
			t.Errorf("%s: no row in badInputRows tries it", key)
		}
		for _, r := range rows {
			b.said = append(b.said, answers{row: r.name(), kind: kindOf(f.Type), to: map[string]string{}})
			b.row(r, f)
			if f.Tag.Get("into") != "" {
				b.said = append(b.said, answers{row: r.name() + ", the file", kind: reflect.Uint8, to: map[string]string{}})
				b.file(r)
			}
		}
	})
	for _, r := range badInputRows {
		if !seen[r.key] {
			t.Errorf("%s: there is no such key", r.key)
		}
	}
	b.compare()
	golden(t, "testdata/badinput.txt", b.report())
}

// report has first what most keys of a kind say, then what each says beyond that.
func (b *badInput) report() string {
	usual := map[reflect.Kind]map[string]string{}
	for _, kind := range append(slices.Collect(maps.Keys(types)), reflect.Uint8) {
		count := map[string]map[string]int{}
		for _, a := range b.said {
			for name, text := range a.to {
				if a.kind != kind {
					continue
				}
				if count[name] == nil {
					count[name] = map[string]int{}
				}
				count[name][text]++
			}
		}
		usual[kind] = map[string]string{}
		for name, texts := range count {
			for text, n := range texts {
				if was := usual[kind][name]; n > 2 && (n > texts[was] || n == texts[was] && text < was) {
					usual[kind][name] = text
				}
			}
		}
	}
	var out strings.Builder
	out.WriteString("What each key of hepta.yaml says to bad values, after hepta.yaml:LINE:COLUMN: KEY:\n`go test . -run TestBadInput -update` writes it.\n")
	kinds := map[reflect.Kind]string{reflect.Int: "number", reflect.Slice: "list", reflect.Map: "mapping", reflect.Struct: "section", reflect.String: "text",
		reflect.Bool: "yes or no", reflect.Uint8: "content"}
	for _, kind := range []reflect.Kind{reflect.String, reflect.Int, reflect.Bool, reflect.Slice, reflect.Map, reflect.Struct, reflect.Uint8} {
		fmt.Fprintf(&out, "\nMost of: %s\n%s", kinds[kind], sayings(usual[kind], nil))
	}
	for _, a := range b.said {
		fmt.Fprintf(&out, "\n%s (%s)\n%s", a.row, kinds[a.kind], sayings(a.to, usual[a.kind]))
	}
	return out.String()
}

// sayings are a line for each text, with the baits that it answers.
func sayings(to, usual map[string]string) string {
	names := map[string][]string{}
	for name, text := range to {
		if usual[name] != text {
			names[text] = append(names[text], name)
		}
	}
	var lines []string
	for text, list := range names {
		slices.Sort(list)
		lines = append(lines, fmt.Sprintf("  %s → %s\n", strings.Join(list, "  "), text))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func (b *badInput) row(r badInputRow, f reflect.StructField) {
	b.Helper()
	good, err := b.load(r.with(r.good()))
	if err == nil {
		b.good, err = New(good)
	}
	if err != nil {
		b.Errorf("%s: the good value is refused: %v", r.name(), err)
		return
	}
	if !r.inner {
		for _, raw := range types[kindOf(f.Type)] {
			b.one(r, bait{name: raw, yaml: r.whole(raw)})
		}
	}
	for _, x := range texts {
		if r.takesText(f) {
			value := x.text
			if strings.Contains(r.value, "§") {
				value = strings.ReplaceAll(r.value, "§", x.text)
			}
			b.one(r, bait{name: x.name, yaml: r.with(quoteYAML(value)), text: x.text})
		}
	}
}

// contents are baits for files that keys name, beside the texts. § is where
// those go in what the file may hold.
var contents = map[string]string{
	"empty": "", "blank": " \n\t\n", "large": strings.Repeat("x\n", 200_000), "binary": "\x7fELF\x00\x01\xff", "latin-1": "Passw\xf6rd-x",
	"bom": "\ufeffPassw0rd-x", "lines": "Passw0rd-x\nPassw0rd-y\n", "crlf": "Passw0rd-x\r\n", "short": "x",
	"pem": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cut": "-----BEGIN CERTIFICATE-----\nMIIB",
}

// file tries baits as the content of the file that a key names.
func (b *badInput) file(r badInputRow) {
	b.Helper()
	in := "Passw0rd-§"
	if strings.HasSuffix(r.key, "users_file") {
		in = "u§:$2y$05$" + strings.Repeat("a", 53)
	}
	row := r
	b.write("bait", strings.ReplaceAll(in, "§", goodWord))
	if good, err := b.load(r.with("bait")); err == nil { // a file for text
		row.value = "§"
		if b.good, err = New(good); err != nil {
			b.Fatal(err)
		}
	}
	for _, x := range texts {
		x.text = x.text[:min(len(x.text), 100_000)]
		b.write("bait", strings.ReplaceAll(in, "§", x.text))
		b.one(row, bait{name: x.name, yaml: r.with("bait"), text: x.text})
	}
	for name, content := range contents {
		b.write("bait", content)
		b.one(r, bait{name: name, yaml: r.with("bait")})
	}
	if err := os.Remove(filepath.Join(b.dir, "bait")); err != nil {
		b.Fatal(err)
	}
	for name, path := range map[string]string{"directory": ".", "device": "/dev/null", "below a file": "crt/x"} {
		b.one(r, bait{name: name, yaml: r.with(path)})
	}
}

func (b *badInput) write(name, content string) {
	b.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(content), 0o600); err != nil {
		b.Fatal(err)
	}
}

// one tries one bait. What comes of a text that is taken is compared later.
func (b *badInput) one(r badInputRow, x bait) {
	b.Helper()
	before := b.listing()
	cfg, err := b.load(x.yaml)
	var s *Stack
	if err == nil {
		if s, err = New(cfg); err != nil {
			b.Errorf("%s: %s: Load takes it and New does not: %v", r.name(), x.name, err)
			return
		}
	}
	if d := gocmp.Diff(before, b.listing()); d != "" {
		b.Errorf("%s: %s: the directory has changed:\n%s", r.name(), x.name, d)
	}
	if err == nil {
		b.said[len(b.said)-1].to[x.name] = "taken"
		if x.text != "" && strings.Contains(r.value, "§") {
			b.todo = append(b.todo, rendering{name: r.name() + ": " + x.name, got: s, good: b.good, text: x.text})
		}
		return
	}
	b.said[len(b.said)-1].to[x.name] = b.told(r, x, err)
}

// told is the text of an error that is one clear line about the row's key,
// without place and key.
func (b *badInput) told(r badInputRow, x bait, err error) string {
	b.Helper()
	var wrong *ConfigError
	if !errors.As(err, &wrong) {
		b.Errorf("%s: %s: %T: %v", r.name(), x.name, err, err)
		return err.Error()
	}
	wrong.Name = "hepta.yaml"
	text := strings.ReplaceAll(err.Error(), b.dir, "DIR")
	at := strings.Count(r.yaml[:strings.Index(r.yaml, "¤")], "\n") + 1
	switch p := wrong.Problems[0]; {
	case len(wrong.Problems) != 1 && !strings.HasSuffix(r.key, "users_file"): // each of its lines may be wrong
		b.Errorf("%s: %s: %d errors for one mistake:\n%s", r.name(), x.name, len(wrong.Problems), text)
	case strings.HasPrefix(p.Text, "this is not YAML"): // its reader knows lines alone, and not always the very one
	case p.Line != at || p.Column == 0:
		b.Errorf("%s: %s: the mistake is in line %d:\n%s", r.name(), x.name, at, text)
	case len(text) > 400:
		b.Errorf("%s: %s: %d characters are too many to read: %.200s…", r.name(), x.name, len(text), text)
	case strings.ContainsFunc(strings.ReplaceAll(text, "\n", ""), func(r rune) bool { return unicode.Is(unicode.C, r) || r == '\u2028' }):
		b.Errorf("%s: %s: this reaches a terminal: %q", r.name(), x.name, text)
	}
	_, said, _ := strings.Cut(text, ": ")
	said = strings.TrimPrefix(strings.TrimPrefix(said, strings.ReplaceAll(r.key, "[]", "[0]")), ": ")
	if x.text != "" {
		said = strings.NewReplacer(strconv.Quote(x.text), "§", x.text, "§", strings.Trim(strconv.Quote(x.text), `"`), "§").Replace(said)
	}
	return said
}

func (b *badInput) load(text string) (*Config, error) {
	b.Helper()
	b.write("hepta.yaml", text)
	return Load(filepath.Join(b.dir, "hepta.yaml"))
}

// listing is what lies beside hepta.yaml.
func (b *badInput) listing() map[string]string {
	b.Helper()
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		b.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		if e.Name() == "hepta.yaml" {
			continue // every try writes its own
		}
		content, err := os.ReadFile(filepath.Join(b.dir, e.Name()))
		if err != nil {
			b.Fatal(err)
		}
		all[e.Name()] = string(content)
	}
	return all
}

// A certificate that cannot serve is told at its key, with what to do.
func TestCertificatesThatCannotServe(t *testing.T) {
	b := &badInput{T: t, dir: t.TempDir()}
	authority, err := pki.New("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	issue := func(host string, at time.Time) (certificate, key string) {
		bundle, err := authority.Issue([]string{host}, at)
		if err != nil {
			t.Fatal(err)
		}
		certificate, key, _ = strings.Cut(string(bundle), "-----BEGIN PRIVATE KEY")
		return certificate, "-----BEGIN PRIVATE KEY" + key
	}
	good, goodKey := issue("a.b", time.Now())
	_, otherKey := issue("a.b", time.Now())
	elsewhere, elsewhereKey := issue("c.d", time.Now())
	old, oldKey := issue("a.b", time.Now().Add(-pki.LeafLife-time.Hour))
	early, earlyKey := issue("a.b", time.Now().Add(48*time.Hour))
	for _, c := range []struct{ name, certificate, key, want string }{
		{"good", good, goodKey, ""},
		{"another key", good, otherKey, "2:43: tls.key: certificate and key do not belong together: name the key that the certificate was made for"},
		{"another host", elsewhere, elsewhereKey, "2:33: tls.certificate: certificate does not cover the host: a.b; it names c.d: get a certificate for all of a.b"},
		{"expired", old, oldKey, "2:33: tls.certificate: certificate is not valid at this time: it has ended, it was valid from "},
		{"of tomorrow", early, earlyKey, "2:33: tls.certificate: certificate is not valid at this time: its time has not begun, it is valid from "},
	} {
		b.write("crt", c.certificate)
		b.write("key", c.key)
		_, err := b.load("forge: a.b\ntls: {mode: files, certificate: crt, key: key}\n")
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), "hepta.yaml:"+c.want)) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}
