package spelling

import "testing"

func TestNearest(t *testing.T) {
	keys := []string{"image", "concurrent", "environment", "extra_hosts"}
	for key, want := range map[string]string{
		"imgae": "image", "concurent": "concurrent", "env": "environment", "extra": "extra_hosts", "en": "", "nothing": "", "": "",
	} {
		if got := Nearest(key, keys); got != want {
			t.Errorf("%q: %q, want %q", key, got, want)
		}
	}
}
