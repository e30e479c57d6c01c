package configkeys

import "testing"

// What the runner writes into its own file means what hepta wrote, in another
// spelling; a type that it does not take means nothing.
func TestSame(t *testing.T) {
	service := func(more ...any) []any {
		m := map[string]any{"name": "docker:dind"}
		for i := 0; i < len(more); i += 2 {
			m[more[i].(string)] = more[i+1]
		}
		return []any{m}
	}
	for _, c := range []struct {
		key  string
		a, b any
		want bool
	}{
		{"docker.pull_policy", "always", []any{"always"}, true},
		{"docker.pull_policy", "always", []any{"never"}, false},
		{"docker.pull_policy", "always", []any{"always", "never"}, false},
		{"Docker.Pull_Policy", []any{"always", "never"}, []any{"always", "never"}, true},
		{"docker.volumes", "/cache", []any{"/cache"}, false},
		{"docker.user", "0", []any{"0"}, false},
		{"prepare_timeout", "1h", "1h0m0s", true},
		{"prepare_timeout", "1h", "1h1s", false},
		{"docker.services", service(), service("alias", "", "command", []any{}), true},
		{"docker.services", service(), service("alias", "docker"), false},
		{"docker.services", service("pull_policy", "always"), service("pull_policy", []any{"always"}), false},
		{"limit", int64(2), int64(2), true},
		{"limit", int64(2), "2", false},
		{"token_expires_at", "2027-01-01T00:00:00Z", "2027-01-01T01:00:00+01:00", true},
		{"future", "1h", "1h0m0s", false},
	} {
		if got := Same(Runner, c.key, c.a, c.b); got != c.want {
			t.Errorf("%s: %v and %v: %v", c.key, c.a, c.b, got)
		}
		if got := Same(Runner, c.key, c.b, c.a); got != c.want {
			t.Errorf("%s: %v and %v: %v", c.key, c.b, c.a, got)
		}
	}
}
