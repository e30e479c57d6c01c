package heptapodtest

import "testing"

// The dependency proxy's address always has a port.
func TestHostWithPort(t *testing.T) {
	for url, want := range map[string]string{
		"https://forge.example":      "forge.example:443",
		"http://forge.example":       "forge.example:80",
		"https://forge.example:8443": "forge.example:8443",
	} {
		if got := (&Server{URL: url}).hostWithPort(); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
}
