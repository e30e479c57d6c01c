package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func parsed(t *testing.T, text string) settings {
	t.Helper()
	s, err := parseSettings([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSite(t *testing.T) {
	tests := []struct {
		name, settings string
		port           int
		tls            bool
		cert           string
	}{
		{"http", `{"external_url": "http://hg.test"}`, 80, false, ""},
		{"http with port", `{"external_url": "http://hg.test:8080/"}`, 8080, false, ""},
		{"https", `{"external_url": "https://hg.test"}`, 443, true, "/etc/gitlab/ssl/hg.test.crt"},
		{"https ended by a proxy", `{"external_url": "https://hg.test", "nginx": {"listen_port": 80, "listen_https": false}}`, 80, false, ""},
		{"a proxy that keeps the port", `{"external_url": "https://hg.test", "nginx": {"listen_https": false}}`, 443, false, ""},
		{"own certificate", `{"external_url": "https://hg.test:5050", "nginx": {"ssl_certificate": "/x.crt"}}`, 5050, true, "/x.crt"},
		{"port as text", `{"external_url": "http://hg.test", "nginx": {"listen_port": "81"}}`, 81, false, ""},
	}
	for _, tt := range tests {
		v, err := parsed(t, tt.settings).site("external_url", "nginx")
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if v.port != tt.port || v.tls != tt.tls || v.cert != tt.cert {
			t.Errorf("%s: got port %d, tls %v, certificate %q", tt.name, v.port, v.tls, v.cert)
		}
	}
	for _, bad := range []string{"hg.test", "ftp://hg.test", "https://"} {
		if v, err := (settings{"external_url": bad}).site("external_url", "nginx"); err == nil {
			t.Errorf("%s: got %v, want an error", bad, v.url)
		}
	}
	if v, err := (settings{}).site("registry_external_url", "registry_nginx"); v != nil || err != nil {
		t.Errorf("no URL: got %v, %v", v, err)
	}
}

// day-two 1.5: each setting is refused from one release on, the older ones
// until 18.2.
func TestRemoved(t *testing.T) {
	for text, want := range map[string]string{
		`{"unicorn": {"worker_processes": 2}}`:                                            "14.0-18.2",
		`{"unicorn": {"enable": false, "svlogd_prefix": "x"}}`:                            "",
		`{"repmgrd": {"x": 1}}`:                                                           "14.0-18.2",
		`{"nginx": {"gzip": "on"}}`:                                                       "14.0-18.2",
		`{"nginx": {"listen_port": 80}}`:                                                  "",
		`{"gitlab_pages": {"use_legacy_storage": true}}`:                                  "14.3-18.2",
		`{"gitlab_rails": {"lfs_object_store_direct_upload": true}}`:                      "15.0-18.2",
		`{"gitlab_rails": {"lfs_object_store_direct_upload": null}}`:                      "",
		`{"gitlab_rails": {"object_store": {"connection": {"rackspace_username": "x"}}}}`: "15.0-18.2",
		`{"gitlab_rails": {"enable_jemalloc": false}}`:                                    "15.5-18.2",
		`{"gitaly": {"cgroups_count": 1}}`:                                                "16.0-18.2",
		`{"sidekiq": {"max_concurrency": 10}}`:                                            "17.0-18.2",
		`{"omnibus_gitconfig": {"system": {"a": []}}}`:                                    "17.0-18.2",
		`{"gitlab_shell": {"migration": {"enabled": true}}}`:                              "18.0-",
		`{"gitlab_shell": {"migration": {}}}`:                                             "",
		`{"git_data_dirs": {"default": {}}}`:                                              "18.0-",
		`{"git_data_dirs": {}}`:                                                           "",
		`{"gitaly": {"configuration": {"git": {"bin_path": "/usr/bin/git"}}}}`:            "19.0-",
		`{"gitaly": {"bin_path": "/usr/bin/git"}}`:                                        "",
		`{"mattermost": {"enable": false}}`:                                               "19.0-",
		`{"mattermost_external_url": "https://chat.test"}`:                                "20.0-",
	} {
		s, ranges, on := parsed(t, text), "", false
		for _, r := range append(everyRelease(), release{20, 0}) {
			lines := s.removed(r)
			if refused := len(lines) > 0; refused != on {
				if on = refused; on {
					ranges += r.String() + "-"
				} else {
					ranges += r.String()
				}
			}
			for _, l := range lines {
				if !strings.HasPrefix(l, "* ") || !strings.Contains(l, " has been deprecated since ") || !strings.Contains(l, " and was removed in ") {
					t.Errorf("%s: the image has other words: %s", text, l)
				}
			}
		}
		if ranges != want {
			t.Errorf("%s: refused at %q, want %q", text, ranges, want)
		}
	}
	s := parsed(t, `{"gitlab_shell": {"migration": {"enabled": true}}, "mattermost": {"enable": true, "x": 1}}`)
	if got := s.removed(release{19, 0}); len(got) != 3 || !strings.Contains(got[0], "gitlab_shell['migration']") || !strings.Contains(got[1], "mattermost['enable']") {
		t.Errorf("got %q", got)
	}
}

func TestServiceNames(t *testing.T) {
	has := func(list []string, name string) bool {
		return strings.Contains(" "+strings.Join(list, " ")+" ", " "+name+" ")
	}
	all := serviceNames(parsed(t, `{"registry_external_url": "https://r.test"}`), release{17, 8})
	few := serviceNames(parsed(t, `{"prometheus_monitoring": {"enable": false}, "gitlab_kas": {"enable": false}}`), release{18, 0})
	for name, want := range map[string][2]bool{
		"puma": {true, true}, "registry": {true, false}, "prometheus": {true, false}, "gitlab-kas": {true, false}, "rhgitaly": {false, true}, "nginx": {true, true},
	} {
		if has(all, name) != want[0] || has(few, name) != want[1] {
			t.Errorf("%s: got %v and %v, want %v", name, has(all, name), has(few, name), want)
		}
	}
}

func TestClientAddress(t *testing.T) {
	trusted := networks([]string{"172.16.0.0/12", "10.0.0.1", "nonsense"})
	for _, tt := range []struct{ peer, forwarded, want string }{
		{"172.17.0.2:1234", "", "172.17.0.2"},
		{"172.17.0.2:1234", "203.0.113.9", "203.0.113.9"},
		{"203.0.113.1:1234", "127.0.0.1", "203.0.113.1"},
		{"172.17.0.2:1234", "127.0.0.1, 203.0.113.9", "203.0.113.9"},
		{"172.17.0.2:1234", "203.0.113.9, 10.0.0.1", "203.0.113.9"},
		{"172.17.0.2:1234", "203.0.113.9, nonsense", "172.17.0.2"},
	} {
		r := &http.Request{RemoteAddr: tt.peer, Header: http.Header{}}
		if tt.forwarded != "" {
			r.Header.Set("X-Forwarded-For", tt.forwarded)
		}
		if got := clientAddress(r, trusted); got != tt.want {
			t.Errorf("%s with %q: got %s, want %s", tt.peer, tt.forwarded, got, tt.want)
		}
	}
}

func TestRegistryYAML(t *testing.T) {
	s := parsed(t, `{"external_url": "https://hg.test", "gitlab_rails": {"registry_path": "/srv/blobs"}}`)
	b, err := registryYAML(s, secrets{"registry": {"http_secret": "of http"}})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := yaml.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"realm": "https://hg.test/jwt/auth", "service": "container_registry", "issuer": "omnibus-gitlab-issuer", "autoredirect": false,
		"rootcertbundle": "/var/opt/gitlab/registry/gitlab-registry.crt", "jwks": "/var/opt/gitlab/registry/gitlab-registry.jwks",
	}
	if d := cmp.Diff(want, got["auth"].(map[string]any)["token"]); d != "" {
		t.Error(d)
	}
	if !strings.Contains(string(b), "rootdirectory: /srv/blobs") {
		t.Errorf("the path of the blobs is not taken over:\n%s", b)
	}
}

func TestSecretsAreKept(t *testing.T) {
	file := t.TempDir() + "/gitlab-secrets.json"
	first, err := loadSecrets(file)
	if err != nil {
		t.Fatal(err)
	}
	second, err := loadSecrets(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(first, second); d != "" {
		t.Error("secrets changed")
	}
	third, err := loadSecrets(t.TempDir() + "/gitlab-secrets.json")
	if err != nil {
		t.Fatal(err)
	}
	if first.databaseKey() != second.databaseKey() || first.databaseKey() == third.databaseKey() {
		t.Error("the database's key does not follow the secrets")
	}
}
