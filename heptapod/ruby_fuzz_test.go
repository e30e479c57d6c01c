package heptapod

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// rubyReader is a Ruby that evaluates one expression after the other.
type rubyReader struct {
	in  io.WriteCloser
	out *bufio.Reader
}

// A line is an expression in hex; the answer is the bytes of its value in hex,
// or what went wrong. What an expression prints or ends shows as a wrong answer.
const rubyLoop = `
while line = STDIN.gets
  begin
    value = Object.new.instance_eval([line.chomp].pack('H*').force_encoding('UTF-8'), 'gitlab.rb', 1)
    STDOUT.puts("#{value.encoding} #{value.unpack1('H*')}")
  rescue Exception => e
    STDOUT.puts("#{e.class} -")
  end
  STDOUT.flush
end
`

func newRubyReader(tb testing.TB) *rubyReader {
	tb.Helper()
	return newRubyProgram(tb, rubyLoop)
}

// newRubyProgram is a Ruby that runs a program which answers line by line.
func newRubyProgram(tb testing.TB, program string) *rubyReader {
	tb.Helper()
	path, err := exec.LookPath("ruby")
	if err != nil {
		tb.Fatal("this test needs Ruby, which reads gitlab.rb: install it (apt-get install ruby)")
	}
	cmd := exec.Command(path, "-e", program)
	cmd.Env = append(cmd.Environ(), "LANG=C.UTF-8", "LC_ALL=C.UTF-8", "RUBYOPT=")
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	return &rubyReader{in, bufio.NewReader(out)}
}

// value is what Ruby makes of a literal.
func (r *rubyReader) value(literal string) (string, error) {
	if _, err := fmt.Fprintln(r.in, hex.EncodeToString([]byte(literal))); err != nil {
		return "", fmt.Errorf("ask Ruby: %w", err)
	}
	line, err := r.out.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("Ruby ended: %w", err)
	}
	encoding, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	value, err := hex.DecodeString(text)
	if err != nil {
		return "", fmt.Errorf("Ruby says %s", encoding)
	}
	return string(value), nil
}

// FuzzRubyReadsBack has the real Ruby read what rubyString writes.
func FuzzRubyReadsBack(f *testing.F) {
	for _, text := range awkward {
		f.Add(text)
	}
	ruby := newRubyReader(f)
	f.Fuzz(func(t *testing.T, text string) {
		literal := rubyString(text)
		if got, err := ruby.value(literal); err != nil || got != text {
			t.Fatalf("%q: literal %s reads back as %q, %v", text, literal, got, err)
		}
	})
}
