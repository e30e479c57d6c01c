package heptapod

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// awkward are texts that quoting gets wrong first.
var awkward = []string{
	"", "plain", "it's", `back\slash`, `\`, `\'`, `'`, `\\'`, `ends with \`, `"`, "#{exit 1}", `'#{exit 1}'`,
	"#{exit 1}\n", "#$0\n", "#@x\n", "\\#{exit 1}\n", "a\nb", "\t\r\n\x00\x7f\x1b", "grüße", "日本語 #{`id`}", "\u2028\u2029\ufeff",
	"\xff\xfe", "é\xff#{1}", "%q(x)", "'; system('id'); '", "\"; system(%q(id)) #\n", "=begin\n", "\n__END__\n", "🦑",
}

func TestRubyStringReadsBackInGo(t *testing.T) {
	for _, text := range awkward {
		checkLiteral(t, text)
	}
	rapid.Check(t, func(t *rapid.T) {
		checkLiteral(t, string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")))
		checkLiteral(t, rapid.String().Draw(t, "text"))
	})
}

func FuzzRubyString(f *testing.F) {
	for _, text := range awkward {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { checkLiteral(t, text) })
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func checkLiteral(t fataler, text string) {
	t.Helper()
	literal := rubyString(text)
	if !plainASCII(literal) {
		t.Fatalf("%q: literal %q is not printable ASCII", text, literal)
	}
	got, err := readRuby(literal)
	if err != nil {
		t.Fatalf("%q: literal %s: %v", text, literal, err)
	}
	if got != text {
		t.Fatalf("%q: literal %s reads back as %q", text, literal, got)
	}
}

// readRuby evaluates a Ruby string literal by the rules of Ruby's grammar,
// and refuses everything that would interpolate or end the literal early.
func readRuby(literal string) (string, error) {
	if len(literal) < 2 || literal[0] != literal[len(literal)-1] {
		return "", fmt.Errorf("no literal")
	}
	quote, body := literal[0], literal[1:len(literal)-1]
	var b strings.Builder
	var unicode, high bool
	for i := 0; i < len(body); i++ {
		c := body[i]
		if c == quote {
			return "", fmt.Errorf("ends at %d", i)
		}
		if quote == '"' && c == '#' {
			return "", fmt.Errorf("may interpolate at %d", i)
		}
		if c != '\\' {
			b.WriteByte(c)
			continue
		}
		i++
		if i == len(body) {
			return "", fmt.Errorf("the backslash at the end escapes the quote")
		}
		c = body[i]
		if quote == '\'' {
			if c != '\'' && c != '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(c)
			continue
		}
		switch c {
		case '"', '\\', '#':
			b.WriteByte(c)
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case 'r':
			b.WriteByte('\r')
		case 'u':
			end := strings.IndexByte(body[i:], '}')
			if end < 0 || body[i+1] != '{' {
				return "", fmt.Errorf("bad \\u at %d", i)
			}
			n, err := strconv.ParseUint(body[i+2:i+end], 16, 32)
			if err != nil {
				return "", err
			}
			b.WriteString(string(rune(n)))
			i += end
			unicode = true
		case 'x':
			if i+2 >= len(body) {
				return "", fmt.Errorf("bad \\x at %d", i)
			}
			n, err := strconv.ParseUint(body[i+1:i+3], 16, 8)
			if err != nil {
				return "", err
			}
			b.WriteByte(byte(n))
			i += 2
			high = high || n >= utf8.RuneSelf
		default:
			return "", fmt.Errorf("unexpected escape \\%c", c)
		}
	}
	if quote != '\'' && quote != '"' {
		return "", fmt.Errorf("no quote: %c", quote)
	}
	if unicode && high {
		return "", fmt.Errorf("mixes \\u and \\x")
	}
	return b.String(), nil
}

// TestRubyStringReadsBackInRuby asks the real Ruby, in UTF-8 and in the C
// locale, for the bytes of what was written.
func TestRubyStringReadsBackInRuby(t *testing.T) {
	texts := append([]string{}, awkward...)
	gen := rapid.SliceOf(rapid.Byte())
	for seed := range 150 {
		texts = append(texts, string(gen.Example(seed)), rapid.String().Example(seed))
	}
	var script rubyScript
	for _, text := range texts {
		script.line("puts " + rubyString(text) + ".unpack1('H*')")
	}
	for _, locale := range []string{"C.UTF-8", "C"} {
		got := strings.Split(runRuby(t, locale, script.String()), "\n")
		for i, text := range texts {
			if want := fmt.Sprintf("%x", text); got[i] != want {
				t.Errorf("%s: %q written as %s: got %s, want %s", locale, text, rubyString(text), got[i], want)
			}
		}
	}
}

// runRuby evaluates script as omnibus evaluates gitlab.rb: the text is read
// from a file and evaluated in an object.
func runRuby(t *testing.T, locale, script string) string {
	t.Helper()
	path := t.TempDir() + "/gitlab.rb"
	writeFile(t, path, script)
	return ruby(t, locale, "Object.new.instance_eval(IO.read(ARGV[0]), ARGV[0], 1)", path)
}

// evalRuby runs a program that prints one JSON object.
func evalRuby(t *testing.T, program string, args ...string) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(ruby(t, "C.UTF-8", program, args...)), &object); err != nil {
		t.Fatal(err)
	}
	return object
}

func ruby(t *testing.T, locale, program string, args ...string) string {
	t.Helper()
	stdout, _ := rubyOutput(t, locale, program, args...)
	return stdout
}

func rubyOutput(t *testing.T, locale, program string, args ...string) (stdout, notices string) {
	t.Helper()
	path, err := exec.LookPath("ruby")
	if err != nil {
		t.Fatal("this test needs Ruby, which reads gitlab.rb: install it (apt-get install ruby)")
	}
	cmd := exec.Command(path, append([]string{"-e", program}, args...)...)
	cmd.Env = append(cmd.Environ(), "LANG="+locale, "LC_ALL="+locale, "RUBYOPT=")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ruby: %v\n%s", err, stderr.String())
	}
	return string(out), stderr.String()
}
