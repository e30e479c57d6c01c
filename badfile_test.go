package hepta

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"

	"github.com/heptaup/hepta/internal/fault"
)

// utf16File is a text as some editors save it.
func utf16File(text string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune("\ufeff" + text)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return string(b)
}

// TestBadFile gives hepta.yaml as a whole what a file can hold. Good is what
// reads as the same text; the rest is one error at its line, whatever its size.
func TestBadFile(t *testing.T) {
	const good = "forge: hg.example.org\n"
	for name, c := range map[string]struct{ content, want string }{
		"good":             {good, ""},
		"CRLF":             {"forge: hg.example.org\r\nstack: lab\r\n", ""},
		"byte order mark":  {"\ufeff" + good, ""},
		"UTF-16":           {utf16File(good), ""},
		"document marks":   {"%YAML 1.1\n---\n" + good + "...\n", ""},
		"JSON":             {`{"forge": "hg.example.org"}`, ""},
		"empty":            {"", "heptapod.host: the forge's host name is missing"},
		"comments":         {"# nothing\n", "heptapod.host: the forge's host name is missing"},
		"null":             {"~\n", "heptapod.host: the forge's host name is missing"},
		"text":             {"hg.example.org\n", "1:1: is text, not a mapping"},
		"list":             {"- forge: hg.example.org\n", "1:1: is a list, not a mapping"},
		"binary":           {"\x7fELF\x02\x01\x00\x00", "this is not YAML: "},
		"NUL":              {"forge: hg\x00.example.org\n", "this is not YAML: "},
		"escape":           {"forge: hg.example.org # \x1b[31m\n", "this is not YAML: "},
		"not UTF-8":        {"forge: hg.example.org # \xff\n", "this is not YAML: "},
		"tabs":             {"heptapod:\n\thost: hg.example.org\n", "2: this is not YAML: "},
		"open quote":       {"forge: \"hg.example.org\n", "this is not YAML: "},
		"two documents":    {good + "---\n" + good, "2:1: a second document begins here, one is read"},
		"no such alias":    {"forge: *x\n", "this is not YAML: "},
		"own alias":        {"forge: hg.example.org\nheptapod: &a\n  env: *a\n", "the alias contains itself"},
		"bomb":             {bomb(), "too much: more than 50000 values"},
		"deep":             {"forge: hg.example.org\nrunners: [{name: a, settings: " + strings.Repeat("{a: ", 5000) + "1" + strings.Repeat("}", 5000) + "}]\n", "too much: "},
		"long":             {good + strings.Repeat("# x\n", 300_000), "the file has more than 1048576 bytes"},
		"key of 2 kB":      {good + strings.Repeat("k", 2000) + ": x\n", "this is not YAML: "},
		"unknown key":      {good + "a\u202eb: x\n", `2:1: unknown key "a\u202eb"`},
		"key twice":        {good + good, `2:1: key "forge" is there twice, first in line 1`},
		"unknown tag":      {"forge: !!python/object/apply:os.system ['id']\n", "1:8: forge: is a list"},
		"half of a merge":  {good + "<<: x\n", "<< takes a mapping or a list of them"},
		"many wrong lines": {strings.Repeat("x", 1) + ": 1\n" + manyKeys(3000), "and "},
	} {
		path := filepath.Join(t.TempDir(), "hepta.yaml")
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := Load(path)
		if c.want == "" {
			if err != nil || cfg.normal().Heptapod.Host != "hg.example.org" {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		var wrong *ConfigError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
			continue
		}
		if len(wrong.Problems) > 51 || len(wrong.Problems) > 1 && name != "many wrong lines" {
			t.Errorf("%s: %d errors:\n%.2000v", name, len(wrong.Problems), err)
		}
		if strings.ContainsFunc(strings.ReplaceAll(err.Error(), "\n", ""), func(r rune) bool { return unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) }) {
			t.Errorf("%s: this reaches a terminal: %q", name, err.Error())
		}
	}
}

// bomb is a small file that aliases make a large one.
func bomb() string {
	var b strings.Builder
	b.WriteString("forge: hg.example.org\nrunners:\n- name: a\n  settings:\n    a0: &a0 [x, x, x, x, x, x, x, x, x]\n")
	for i := '1'; i < '9'; i++ {
		was := "*a" + string(i-1)
		b.WriteString("    a" + string(i) + ": &a" + string(i) + " [" + strings.Repeat(was+", ", 8) + was + "]\n")
	}
	return b.String()
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("k" + strings.Repeat("y", i%30) + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676)) + ": 1\n")
	}
	return b.String()
}

// A configuration that is no file says so, with what to do.
func TestNoFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("loop", filepath.Join(dir, "loop")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"": "is a directory", "none": "read " + dir + "/none: file does not exist", "loop": "too many levels of symbolic links", "none/hepta.yaml": "file does not exist",
	} {
		_, err := Load(filepath.Join(dir, path))
		if err == nil || !strings.Contains(err.Error(), want) || fault.Remedy(err) == "" {
			t.Errorf("%q: got %v with remedy %q, want %s", path, err, fault.Remedy(err), want)
		}
	}
}
