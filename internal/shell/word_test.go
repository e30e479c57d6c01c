package shell

import (
	"os/exec"
	"testing"
)

// A shell reads a word as the text that it was made of.
func TestWordIsReadAsItWasWritten(t *testing.T) {
	for _, text := range []string{"dind", "My Runner", "it's", `a"b\c`, "$HOME `id`", "", "*", "grün", "#1", "a;b"} {
		got, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+Word(text)).Output()
		if err != nil || string(got) != text {
			t.Errorf("%q is read as %q: %v", text, got, err)
		}
	}
	if Word("dind-1.x") != "dind-1.x" || Path("-rf") != "./-rf" || Path("a b") != "'a b'" {
		t.Error(Word("dind-1.x"), Path("-rf"), Path("a b"))
	}
}
