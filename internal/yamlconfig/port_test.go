package yamlconfig

import "testing"

// TestParsePort: a number, or a number on one address of several.
func TestParsePort(t *testing.T) {
	for text, want := range map[string]struct {
		address string
		number  int
	}{
		"443": {"", 443}, "0022": {"", 22}, "8_443": {"", 8443}, "65535": {"", 65535},
		"203.0.113.7:443": {"203.0.113.7", 443}, "[2001:db8::7]:22": {"2001:db8::7", 22}, "0.0.0.0:80": {"0.0.0.0", 80},
		"": {}, "0": {}, "65536": {}, "-1": {}, "+1": {}, "x": {}, "1.5": {}, ":443": {}, "203.0.113.7:": {}, "203.0.113.7": {}, "203.0.113.7:x": {},
		"2001:db8::7:22": {}, "[203.0.113.7]:22": {}, "[2001:db8::7:22": {}, "2001:db8::7]:22": {}, "[fe80::1%eth0]:22": {}, "hg.example.org:443": {}, "80:80": {}, "80:443/tcp": {}, "_": {},
	} {
		if address, number := ParsePort(text); address != want.address || number != want.number {
			t.Errorf("%q is port %d on %q", text, number, address)
		}
	}
}

func FuzzParsePort(f *testing.F) {
	for _, text := range []string{"443", "203.0.113.7:443", "[::1]:22", "", ":"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		address, number := ParsePort(text)
		if number < 0 || number > 65535 || number == 0 && address != "" || (number == 0) != (wrongPort(text) != "") {
			t.Errorf("%q is port %d on %q", text, number, address)
		}
	})
}
