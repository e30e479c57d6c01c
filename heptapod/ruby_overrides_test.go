package heptapod

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heptaup/hepta/internal/converge"
)

// TestGitlabRBContradictions: own lines that lead people, proxy or runners
// elsewhere than hepta are told, and those that say the same are not.
func TestGitlabRBContradictions(t *testing.T) {
	certificate, key := selfSigned(t)
	with := &Registry{ExternalURL: "https://registry.example.org"}
	for _, c := range []struct {
		ruby     string
		registry *Registry
		want     []string // the settings that are told of
	}{
		{"external_url 'https://old.example.org'", nil, []string{"external_url"}},
		{"external_url 'https://hg.example.org/'", nil, nil},
		{"external_url(\"https://hg.example.org\")", nil, nil},
		{"external_url ENV['X']", nil, []string{"external_url"}},
		{"# external_url 'https://old.example.org'", nil, nil},
		{"mattermost_external_url 'https://m.example.org'", nil, nil},
		{"registry_external_url 'https://old.example.org:5050'", with, []string{"registry_external_url"}},
		{"registry_external_url 'https://registry.example.org' # the same", with, nil},
		{"registry_external_url 'https://registry.example.org'", nil, []string{"registry_external_url"}},
		{"nginx['listen_port'] = 443\nnginx['listen_https'] = true\n", nil, []string{"nginx['listen_port']", "nginx['listen_https']"}},
		{"nginx['listen_port']=80;nginx['x']=1\n nginx[:listen_https] = false\nnginx[\"redirect_http_to_https\"] = false", nil, nil},
		{"gitlab_rails['nginx']['listen_port'] = 8080", nil, []string{"nginx['listen_port']"}},
		{"nginx['redirect_http_to_https'] = true\nnginx['ssl_certificate_key'] = '/x'", nil, []string{"nginx['redirect_http_to_https']", "nginx['ssl_certificate']"}},
		{"nginx['enable'] = false", nil, []string{"nginx['enable']"}},
		{"registry_nginx['listen_port'] = 5050", with, []string{"registry_nginx['listen_port']"}},
		{"registry_nginx['listen_port'] = 80\nregistry_nginx['listen_https'] = false", with, nil},
		{"registry_nginx['listen_port'] = 5050\nregistry_nginx['listen_https'] = true", &Registry{Port: 5050, Certificate: certificate, Key: key}, nil},
		{"registry['nginx']['listen_https'] = true", with, []string{"registry_nginx['listen_https']"}},
		{"letsencrypt['enable'] = true\nletsencrypt['auto_renew'] = false", nil, []string{"letsencrypt['enable']"}},
		{"letsencrypt['enable'] = false", nil, nil},
		{"gitlab_rails['gitlab_shell_ssh_port'] = 22", nil, []string{"gitlab_rails['gitlab_shell_ssh_port']"}},
		{"gitlab_rails['gitlab_shell_ssh_port'] = 2222", nil, nil},
		{"gitlab_rails['time_zone'] = 'UTC'\nnginx['client_max_body_size'] = '0'", with, nil},
	} {
		cfg := Config{Host: "hg.example.org", Registry: c.registry, Ruby: c.ruby, SSH: SSH{Port: 2222}}.withDefaults()
		var got []string
		for _, note := range cfg.overrides() {
			_, rest, _ := strings.Cut(note, ": ")
			name, _, _ := strings.Cut(rest, " has the last word")
			got = append(got, name)
			if strings.Contains(note, "old.example.org") {
				t.Errorf("%s shows what may be a secret", note)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s:\n%s", c.ruby, diff)
		}
	}
}

func TestGitlabRBContradictionsSayWhatToDo(t *testing.T) {
	f := forge(t, Config{Ruby: "\nnginx['listen_port'] = 443\nnginx['ssl_certificate'] = '/x'\n"})
	want := []string{
		"heptapod.gitlab_rb, line 2: nginx['listen_port'] has the last word over the 80 that hepta writes: leave it out: the proxy asks that port",
		"heptapod.gitlab_rb, line 3: nginx['ssl_certificate'] has the last word: leave it out: the proxy ends TLS, with certificates as in tls: {mode: files, certificate: FILE, key: FILE}",
	}
	var got []string
	for _, warn := range resources(t, f).Warn {
		for _, note := range warn(&converge.Observed{}) {
			if strings.HasPrefix(note, "heptapod.gitlab_rb") {
				got = append(got, note)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
