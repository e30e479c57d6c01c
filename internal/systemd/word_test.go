package systemd

import "testing"

func TestWords(t *testing.T) {
	for _, c := range []struct{ text, setting, word, argument string }{
		{"plain", "plain", "plain", "plain"},
		{"100%", "100%%", "100%%", "100%%"},
		{"$HOME", "$HOME", "$HOME", "$$HOME"},
		{"a dir", "a dir", `"a dir"`, `"a dir"`},
		{`say "so"\`, `say "so"\`, `"say \"so\"\\"`, `"say \"so\"\\"`},
	} {
		if got := Text(c.text); got != c.setting {
			t.Errorf("%s: as a setting %s, want %s", c.text, got, c.setting)
		}
		if got := Word(c.text); got != c.word {
			t.Errorf("%s: as a word %s, want %s", c.text, got, c.word)
		}
		if got := Argument(c.text); got != c.argument {
			t.Errorf("%s: as an argument %s, want %s", c.text, got, c.argument)
		}
	}
}
