package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"
)

// goodWord is a good value for most options; where a text is taken instead,
// it has to come out where this one does.
const goodWord = "goodword"

// optionTexts are baits for options that take text.
var optionTexts = map[string]string{
	"empty": "", "long": strings.Repeat("x", 100_000), "unicode": "grüße 日本語 🦑", "direction": "a\u202eb", "separator": "a\u2028b",
	"newline": "a\nb: c", "escape": "a\x1b[31mb", "not UTF-8": "a\xffb", "spaces": "  z  ", "number": "1", "truth": "yes",
	"ruby": `#{exit 1}'; "#{exit 1}" \`, "yaml": `"}, stack: [x] # &a *a {{ .Env }} !!y %`, "toml": `"""]]''' = [[runners]]`,
	"label": "`) || Host(`b\",=,", "shell": "$(exit 1) `exit 1` ${HOME} $$ && | > x ; 'a'", "path": "../../etc/passwd", "option": "--privileged",
}

// numbers are baits for options that take a number, durations for a duration.
var (
	numbers   = []string{"", "x", "-1", "0", "1.5", "0x10", "99999999999999999999", "1\n", "١", "NaN", "Inf", "1e400"}
	durations = []string{"", "x", "1", "-1s", "0s", "1e9h", "9999999h", "99999999999h", "1s\n"}
)

// complete is what makes a command line good but for the option that is tried;
// what stands behind -- comes behind the options.
var complete = map[string]string{
	"hepta": "-- plan", "init": "--forge=hg.example.org", "init --token-file": "--forge=https://hg.example.org --force", "up": "", "plan": "", "pull": "", "down": "", "status": "", "logs": "", "exec": "-- heptapod true", "ctl": "-- status", "ca": "", "labels": "--port=8000 -- wiki.example.org",
	"runner list": "", "runner add": "-- other", "runner remove": "-- dind", "runner verify": "", "runner pause": "-- dind", "runner resume": "-- dind",
	"runner rotate": "-- dind", "runner logs": "", "runner prune": "",
	"registry check": "--username=u --token-file=token --repository=g/p", "registry login": "--username=u --token-file=token --no-save",
	"registry list": "", "registry prune": "", "registry gc": "", "registry mirror": "", "registry secret": "--username=u --token-file=token --flux=g/p --filter-tags=(.*)",
	"mail test": "-- admin@example.org", "token renew": "", "systemd": "", "try": "", "version": "", "completion": "-- bash",
	"build": "-- app", "ci init": "--mode=dind", "paas run": "-- none.toml", "paas hosts": "-- none.toml", "paas register": "--name=n --coordinator-url=http://127.0.0.1:1 --registration-token=t --executor=local-docker --max-concurrency=1 --state-file-path=state.json -- none.toml", "paas systemd": "-- none.toml", "paas exec-fetched-job": "-- none.json",
}

// chdirToFixture is the directory in which each command line is tried.
func chdirToFixture(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	for name, content := range map[string]string{
		"hepta.yaml": "forge: hg.example.org\nregistry: 127.0.0.1\nrunners:\n  - {name: dind, tags: [docker]}\n", "token": "s3cr3t\n", "app/Dockerfile": "FROM scratch\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// listing is every file of the directory.
func listing(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		all[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// attempt is a command line and what came of it.
type attempt struct {
	code        int
	out, errors string
	files       map[string]string
}

func tryLine(t *testing.T, args []string) attempt {
	t.Helper()
	chdirToFixture(t)
	code, out, errs := invoke(args...)
	if dir, err := os.Getwd(); err == nil { // which is another one each time
		out, errs = strings.ReplaceAll(out, dir, "DIR"), strings.ReplaceAll(errs, dir, "DIR")
	}
	return attempt{code, out, errs, listing(t)}
}

// TestBadOptions tries every option of every command with every kind of bad
// value. Each is refused with one error that names it, and then nothing is
// written; or it comes to what a good value comes to. What is said is in
// testdata/badinput.txt.
func TestBadOptions(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	var b strings.Builder
	b.WriteString("What each option says to bad values; `go test ./cmd/hepta -run TestBadOptions -update` writes it.\n")
	app := newApp(terminal{})
	options(t, &b, "hepta", app.Flags)
	var each func(list []*cli.Command, above string)
	each = func(list []*cli.Command, above string) {
		for _, c := range list {
			if len(c.Subcommands) > 0 {
				each(c.Subcommands, above+c.Name+" ")
				continue
			}
			options(t, &b, above+c.Name, c.Flags)
		}
	}
	each(app.Commands, "")
	const file = "testdata/badinput.txt"
	wd := packageDir
	if *update {
		if err := os.WriteFile(filepath.Join(wd, file), []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	was, err := os.ReadFile(filepath.Join(wd, file))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(was), b.String()); d != "" {
		t.Errorf("%s is not what the program says; -update writes it:\n%s", file, d)
	}
}

// packageDir is where the test began.
var packageDir, _ = os.Getwd()

func options(t *testing.T, b *strings.Builder, command string, flags []cli.Flag) {
	t.Helper()
	rest, known := complete[command]
	if !known {
		t.Errorf("%s: no line of complete makes it good", command)
		return
	}
	before, after, _ := strings.Cut(rest, "--"+" ")
	for _, f := range flags {
		name := f.Names()[0]
		if name == "help" || name == "version" {
			continue
		}
		before, after := before, after
		if own, has := complete[command+" --"+name]; has { // of this option alone
			before, after, _ = strings.Cut(own, "-- ")
		}
		line := func(value string) []string {
			var args []string
			if command != "hepta" {
				args = strings.Fields(command)
			}
			for _, other := range strings.Fields(before) {
				if !strings.HasPrefix(other, "--"+name+"=") {
					args = append(args, other)
				}
			}
			return append(append(args, "--"+name+"="+value), strings.Fields(after)...)
		}
		t.Run(command+" --"+name, func(t *testing.T) {
			o := option{T: t, name: name, line: line, said: map[string]string{}}
			o.try(f)
			fmt.Fprintf(b, "\n%s --%s\n%s", command, name, o.report())
		})
	}
}

// option is one that is tried.
type option struct {
	*testing.T
	name string
	line func(value string) []string
	said map[string]string // by bait
}

func (o *option) try(f cli.Flag) {
	o.Helper()
	switch f.(type) {
	case *cli.BoolFlag:
		for _, v := range []string{"", "maybe", "2", "true\n"} {
			o.one(strconv.Quote(v), v)
		}
	case *cli.IntFlag, *cli.Float64Flag:
		for _, v := range numbers {
			o.one(strconv.Quote(v), v)
		}
	case *cli.DurationFlag:
		for _, v := range durations {
			o.one(strconv.Quote(v), v)
		}
	case *cli.StringFlag, *cli.StringSliceFlag:
		good := tryLine(o.T, o.line(goodWord))
		for _, name := range slices.Sorted(maps.Keys(optionTexts)) {
			got := o.one(name, optionTexts[name])
			if got.code == 0 && good.code == 0 && name != "empty" {
				text := optionTexts[name]
				if _, list := f.(*cli.StringSliceFlag); list {
					text = strings.TrimSpace(text) // as each entry is
				}
				o.same(name, got, good, text)
			}
		}
	default:
		o.Fatalf("%T is of a kind that no bait is for", f)
	}
}

// one tries a value; what is refused has changed nothing.
func (o *option) one(name, value string) attempt {
	o.Helper()
	chdirToFixture(o.T)
	before := listing(o.T)
	got := tryLine(o.T, o.line(value))
	said := o.told(name, value, got)
	o.said[name] = said
	// A configuration for registrations is begun before the forge is asked.
	if begun := o.Name() == "TestBadOptions/paas_register_--"+o.name && got.code == exitFailure; got.code != 0 && !begun {
		if d := cmp.Diff(before, got.files); d != "" {
			o.Errorf("%s: it ends with %d and has written something:\n%s", name, got.code, d)
		}
	}
	return got
}

// told is what a person reads: one error, without what could disturb a terminal.
func (o *option) told(name, value string, a attempt) string {
	o.Helper()
	clean := strings.NewReplacer("\n", "", "\t", "").Replace
	wild := func(r rune) bool { return unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) }
	if strings.ContainsFunc(clean(a.errors), wild) || strings.Contains(a.errors, "\xff") || strings.ContainsFunc(clean(a.out), unicode.IsControl) {
		o.Errorf("%s: this reaches a terminal: %q", name, a.errors+a.out)
	}
	lines := strings.Split(strings.TrimRight(a.errors, "\n"), "\n")
	var first string
	count := 0
	for _, l := range lines {
		if text, is := strings.CutPrefix(l, "error: "); is {
			first, count = text, count+1
		}
	}
	switch {
	case a.code == exitOK:
		return "taken"
	case count != 1:
		o.Errorf("%s: exit code %d with %d errors:\n%s", name, a.code, count, a.errors)
	case strings.Contains(first, "/nonexistent/docker.sock"):
		return "taken: the Engine is asked"
	case len(first) > 1400:
		o.Errorf("%s: %d characters are too many to read: %.200s…", name, len(first), first)
	case a.code == exitUsage && !strings.Contains(first, "-"+o.name):
		o.Errorf("%s: the option is not named: %s", name, first)
	}
	if wd, err := os.Getwd(); err == nil {
		first = strings.ReplaceAll(first, wd, "DIR")
	}
	first = strings.ReplaceAll(first, os.Getenv("DOCKER_CONFIG"), "CONFIG")
	first = regexp.MustCompile(`[0-9a-f]{64}`).ReplaceAllString(first, "HASH")
	first = regexp.MustCompile(`x{40,}`).ReplaceAllString(first, "xxx")
	if len(value) > 2 {
		first = strings.NewReplacer(strconv.Quote(value), "§", value, "§", strings.Trim(strconv.Quote(value), `"`), "§").Replace(first)
	}
	return fmt.Sprintf("%d: %s", a.code, first)
}

// same holds what came of a text against what came of a good value.
func (o *option) same(name string, got, good attempt, value string) {
	o.Helper()
	got.files["(output)"], good.files["(output)"] = got.out, good.out
	for file := range good.files {
		if yml := strings.HasSuffix(file, ".yaml") || strings.HasSuffix(file, ".yml") || strings.HasPrefix(good.files[file], "apiVersion:"); !yml {
			if want := strings.ReplaceAll(good.files[file], goodWord, value); got.files[file] != want {
				o.Errorf("%s: %s is %q, not %q", name, file, got.files[file], want)
			}
			continue
		}
		want, err := trees(good.files[file])
		have, err2 := trees(got.files[file])
		if err := errors.Join(err, err2); err != nil {
			o.Errorf("%s: %s cannot be read: %v\n%s", name, file, err, got.files[file])
			continue
		}
		if d := cmp.Diff(replaced(want, value), have); d != "" {
			o.Errorf("%s: %s is something else (-want +got):\n%s", name, file, d)
		}
	}
}

// trees are the documents of a YAML file; other optionTexts are one each.
func trees(text string) (any, error) {
	var all []any
	dec := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	for {
		var v any
		err := dec.Decode(&v)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, opened(v))
	}
}

// opened is a tree with the logins that a pull secret carries.
func opened(v any) any {
	object, ok := v.(map[string]any)
	if !ok {
		return v
	}
	data, ok := object["data"].(map[string]any)
	if !ok {
		return v
	}
	text, ok := data[".dockerconfigjson"].(string)
	if !ok {
		return v
	}
	var config struct {
		Auths map[string]map[string]string
	}
	if raw, err := base64.StdEncoding.DecodeString(text); err != nil || json.Unmarshal(raw, &config) != nil {
		return v
	}
	logins := map[string]any{}
	for host, login := range config.Auths {
		auth, _ := base64.StdEncoding.DecodeString(login["auth"])
		logins[host] = []any{login["username"], login["password"], string(auth)}
	}
	object["data"] = logins
	return object
}

func replaced(v any, text string) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, goodWord, text)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = replaced(v[i], text)
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k := range v {
			out[strings.ReplaceAll(k, goodWord, text)] = replaced(v[k], text)
		}
		return out
	}
	return v
}

func (o *option) report() string {
	names := map[string][]string{}
	for name, text := range o.said {
		names[text] = append(names[text], name)
	}
	var lines []string
	for text, list := range names {
		slices.Sort(list)
		lines = append(lines, fmt.Sprintf("  %s → %s\n", strings.Join(list, "  "), text))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}
