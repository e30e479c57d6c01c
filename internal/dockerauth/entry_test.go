package dockerauth

import (
	"encoding/json"
	"testing"
)

func TestLogin(t *testing.T) {
	for text, want := range map[string][2]string{
		`{"auth":"YWxpY2U6czpjcmV0"}`:                                       {"alice", "s:cret"},
		`{"auth":"YWxpY2U6czpjcmV0","username":"bob","password":"other"}`:   {"alice", "s:cret"},
		`{"username":"alice","password":"s3cret"}`:                          {"alice", "s3cret"},
		`{"auth":"MDAwMDAwMDAtMDAwMC0wMDAwOgA=","identitytoken":"refresh"}`: {"00000000-0000-0000", ""},
		`{"identitytoken":"refresh"}`:                                       {},
		`{}`:                                                                {},
	} {
		var e Entry
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatal(err)
		}
		if user, password, err := e.Login(); err != nil || user != want[0] || password != want[1] {
			t.Errorf("%s: %q %q, %v", text, user, password, err)
		}
	}
	for _, auth := range []string{"alice:s3cret", "YWxpY2U=", "OnMzY3JldA=="} {
		if user, password, err := (Entry{Auth: auth}).Login(); err != ErrDamaged || user != "" || password != "" {
			t.Errorf("%s: %q %q, %v", auth, user, password, err)
		}
	}
}

func TestHostname(t *testing.T) {
	for key, want := range map[string]string{
		"registry.example.org": "registry.example.org", "registry.example.org:5050": "registry.example.org:5050",
		"https://registry.example.org/v2/": "registry.example.org", "http://localhost:5000": "localhost:5000",
	} {
		if got := Hostname(key); got != want {
			t.Errorf("%s: %s", key, got)
		}
	}
}
