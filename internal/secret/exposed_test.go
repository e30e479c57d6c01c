package secret

import "testing"

// A file that everybody can read is told with a command that can be pasted.
func TestExposed(t *testing.T) {
	for path, want := range map[string]string{
		"/etc/hepta/paas.toml": "/etc/hepta/paas.toml holds secrets and everybody on this machine can read it (mode 0644): chmod 600 /etc/hepta/paas.toml",
		"it's mine":            `it's mine holds secrets and everybody on this machine can read it (mode 0644): chmod 600 'it'\''s mine'`,
		"-rf":                  "-rf holds secrets and everybody on this machine can read it (mode 0644): chmod 600 ./-rf",
	} {
		if got := Exposed(path, 0o644); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if got := Exposed(path, 0o640); got != "" {
			t.Error(got)
		}
	}
}

func TestHasSecret(t *testing.T) {
	for text, want := range map[string]bool{
		"gitlab_rails['smtp_password'] = 'x'":                                      true,
		"gitlab_rails[\"smtp_password\"]='x'":                                      true,
		"external_url 'https://a'\n\tgitlab_rails['ldap_bind_password'] = %q(x)\n": true,
		`"args" => { "client_secret" => "x" }`:                                     true,
		`options: {client_secret: "x", scope: "y"}`:                                true,
		`DOCKER_AUTH_CONFIG={"auths": {}}`:                                         true,
		"GITLAB_TOKEN=glpat-x":                                                     true,
		"# gitlab_rails['smtp_password'] = 'x'":                                    false,
		"gitlab_rails['smtp_password'] = ''":                                       false,
		"gitlab_rails['x_token'] = nil":                                            false,
		"x['token'] = ENV['TOKEN']":                                                false,
		"x['token'] = File.read('/x')":                                             false,
		"registry['token_expiry'] = 30":                                            false,
		"gitlab_rails['rack_attack_git_basic_auth'] =":                             false,
		"TOKEN=$CI_JOB_TOKEN":                                                      false,
		"password_file: smtp.secret":                                               false,
		"":                                                                         false,
	} {
		if got := HasSecret(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
