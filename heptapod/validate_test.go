package heptapod

import (
	"errors"
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/fault"
)

func TestValidate(t *testing.T) {
	certificate, key := selfSigned(t)
	_, otherKey := selfSigned(t)
	good := func(change func(*Config)) Config {
		cfg := Config{Host: "hg.example.org"}
		change(&cfg)
		return cfg
	}
	images := func(path string) *Registry {
		return &Registry{ExternalURL: "https://registry.example.org", Path: path}
	}
	for _, c := range []struct {
		key    string // "" when nothing is wrong
		change func(*Config)
	}{
		{"", func(*Config) {}},
		{"", func(c *Config) { c.Host = "192.0.2.7"; c.Plain = true }},
		{"", func(c *Config) { c.ExternalURL = "https://hg.example.org:8443/forge" }},
		{"heptapod.host", func(c *Config) { c.Host = "" }},
		{"heptapod.host", func(c *Config) { c.Host = "https://hg.example.org" }},
		{"heptapod.host", func(c *Config) { c.Host = "hg.example.org\nx" }},
		{"heptapod.host", func(c *Config) { c.Host = "-hg.example.org" }},
		{"heptapod.external_url", func(c *Config) { c.ExternalURL = "ftp://hg.example.org" }},
		{"heptapod.external_url", func(c *Config) { c.ExternalURL = "https://me:secret@hg.example.org" }},
		{"stack", func(c *Config) { c.Stack = "My Stack" }},
		{"data", func(c *Config) { c.Data = "relative" }},
		{"data", func(c *Config) { c.Data = "/" }},
		{"network", func(c *Config) { c.Network = "a b" }},
		{"heptapod.image", func(c *Config) { c.Image = "Not An Image" }},
		{"registry.path", func(c *Config) { c.Registry = images("/srv/registry") }},
		{"registry.path", func(c *Config) { c.Registry = images("/var/opt/gitlab") }},
		{"registry.path", func(c *Config) { c.Registry = images("/var/opt/gitlab/../x") }},
		{"registry.path", func(c *Config) { c.Registry = images("/etc/gitlab/images") }},
		{"registry.path", func(c *Config) {
			c.Registry, c.Volumes = images("/srv/registry"), []string{"/mnt/x:/srv/registry:ro"}
		}},
		{"", func(c *Config) { c.Registry = images("/var/opt/gitlab/images") }},
		{"", func(c *Config) { c.Registry, c.Volumes = images("/srv/registry"), []string{"/mnt/x:/srv/registry"} }},
		{"", func(c *Config) { c.Registry, c.Volumes = images("/srv/a/b"), []string{"/mnt/x:/srv/a"} }},
		{"heptapod.gitlab_rb", func(c *Config) {
			c.Registry, c.Ruby = images(""), "gitlab_rails['registry_path'] = \"/srv/registry\"\n"
		}},
		{"", func(c *Config) {
			c.Registry, c.Ruby = images(""), "# gitlab_rails['registry_path'] = '/srv/registry'\ngitlab_rails['registry_path'] = File.read('x')\n"
		}},
		{"heptapod.volumes[0]", func(c *Config) { c.Volumes = []string{"images:/srv/images"} }},
		{"heptapod.volumes[0]", func(c *Config) { c.Volumes = []string{"/mnt/x:/srv/images:z"} }},
		{"heptapod.volumes[0]", func(c *Config) { c.Volumes = []string{"/mnt/x:/var/opt/gitlab"} }},
		{"heptapod.volumes[0]", func(c *Config) { c.Volumes = []string{"/mnt/x:/var/opt"} }},
		{"heptapod.volumes[1]", func(c *Config) { c.Volumes = []string{"/mnt/x:/srv/x", "/mnt/y:/srv/x"} }},
		{"", func(c *Config) {
			c.Volumes = []string{"/mnt/x:/var/opt/gitlab/gitlab-rails/shared/registry", "/mnt/y:/srv/y:ro"}
		}},
		{"heptapod.memory", func(c *Config) { c.Memory = 1 << 30 }},
		{"", func(c *Config) { c.Memory = 8 << 30 }},
		{"heptapod.shm_size", func(c *Config) { c.ShmSize = -1 }},
		{"heptapod.boot_minutes", func(c *Config) { c.BootMinutes = -1 }},
		{"heptapod.env.a-b", func(c *Config) { c.Env = map[string]string{"a-b": ""} }},
		{"heptapod.env.GITLAB_ROOT_PASSWORD", func(c *Config) { c.Env = map[string]string{"GITLAB_ROOT_PASSWORD": "x"} }},
		{"heptapod.labels.hepta.stack", func(c *Config) { c.Labels = map[string]string{"hepta.stack": "x"} }},
		{"heptapod.ssh.port", func(c *Config) { c.SSH.Port = 70000 }},
		{"heptapod.ssh", func(c *Config) { c.SSH = SSH{Off: true, ViaProxy: true} }},
		{"", func(c *Config) { c.SSH = SSH{Off: true, Port: 22} }},
		{"heptapod.trusted_proxies[1]", func(c *Config) { c.TrustedProxies = []string{"10.0.0.0/8", "traefik"} }},
		{"heptapod.rack_attack_bantime", func(c *Config) { c.RackAttackBanTime = -1 }},
		{"heptapod.rack_attack_allow[0]", func(c *Config) { c.RackAttackAllow = []string{"me"} }},
		{"heptapod.root_email", func(c *Config) { c.RootEmail = "root" }},
		{"heptapod.root_password_file", func(c *Config) { c.RootPassword = NewSecret("seven77") }},
		{"", func(c *Config) { c.RootPassword = NewSecret("eight888") }},
		{"heptapod.root_password_file", func(c *Config) { c.RootPassword = NewSecret("two lines\nof text") }},
		{"heptapod.root_password_file", func(c *Config) { c.RootPassword = NewSecret(" surrounded ") }},
		{"heptapod.root_password_file", func(c *Config) { c.RootPassword = NewSecret(strings.Repeat("x", 129)) }},
		{"heptapod.smtp.address", func(c *Config) { c.SMTP = &SMTP{} }},
		{"heptapod.smtp.authentication", func(c *Config) { c.SMTP = &SMTP{Address: "smtp", Authentication: "magic"} }},
		{"heptapod.smtp.user", func(c *Config) { c.SMTP = &SMTP{Address: "smtp", Password: NewSecret("x")} }},
		{"heptapod.smtp.from", func(c *Config) { c.SMTP = &SMTP{Address: "smtp", From: "a@b c"} }},
		{"heptapod.smtp.tls", func(c *Config) { yes := true; c.SMTP = &SMTP{Address: "smtp", TLS: &yes, StartTLS: &yes} }},
		{"heptapod.smtp.ca", func(c *Config) { c.SMTP = &SMTP{Address: "smtp", CA: key} }},
		{"", func(c *Config) { c.SMTP = &SMTP{Address: "smtp", CA: certificate} }},
		{"heptapod.env.GITLAB_OMNIBUS_CONFIG", func(c *Config) {
			c.Env = map[string]string{"GITLAB_OMNIBUS_CONFIG": "external_url 'https://secret.example.org'"}
		}},
		{"registry", func(c *Config) { c.Registry = &Registry{} }},
		{"registry.host", func(c *Config) { c.Registry = &Registry{ExternalURL: "registry.example.org"} }},
		{"registry.port", func(c *Config) { c.Registry = &Registry{Port: 80, Certificate: certificate, Key: key} }},
		{"registry.port", func(c *Config) {
			c.SSH.Port = 5050
			c.Registry = &Registry{Port: 5050, Certificate: certificate, Key: key}
		}},
		{"registry.certificate", func(c *Config) { c.Registry = &Registry{Port: 5050} }},
		{"registry.certificate", func(c *Config) { c.Registry = &Registry{Port: 5050, Certificate: certificate} }},
		{"registry.key", func(c *Config) { c.Registry = &Registry{Port: 5050, Certificate: certificate, Key: otherKey} }},
		{"registry.certificate", func(c *Config) {
			c.Host, c.Registry = "other.example.org", &Registry{Port: 5050, Certificate: certificate, Key: key}
		}},
		{"registry.certificate", func(c *Config) {
			c.Registry = &Registry{ExternalURL: "https://r.example.org", Certificate: certificate, Key: key}
		}},
		{"", func(c *Config) { c.Registry = &Registry{Port: 5050, Certificate: certificate, Key: key} }},
		{"", func(c *Config) { c.Plain = true; c.Registry = &Registry{Port: 5050} }},
		{"registry.path", func(c *Config) { c.Registry = &Registry{ExternalURL: "https://r.example.org", Path: "images"} }},
		{"heptapod.ports[0]", func(c *Config) { c.Ports = []Port{{}} }},
		{"heptapod.ports[1]", func(c *Config) { c.Ports = []Port{{Number: 8060}, {"203.0.113.7", 8060}} }},
		{"", func(c *Config) { c.Ports = []Port{{"203.0.113.8", 8060}, {"203.0.113.7", 8060}} }},
		{"heptapod.ports[0]", func(c *Config) { c.Ports = []Port{{"hg.example.org", 8060}} }},
		{"heptapod.ssh.port", func(c *Config) { c.SSH.Address = "x" }},
		{"registry.certificate", func(c *Config) {
			c.ExternalURL, c.Registry = "https://other.example.org", &Registry{Port: 5050, Certificate: certificate, Key: key}
		}},
		{"heptapod.services.a b", func(c *Config) { c.Services = map[string]bool{"a b": true} }},
		{"heptapod.services.registry", func(c *Config) { c.Services = map[string]bool{"registry": true} }},
		{"heptapod.services.mattermost", func(c *Config) {
			c.Image, c.Services = "octobus/heptapod:19.1", map[string]bool{"mattermost": true}
		}},
		{"heptapod.gitlab_rb", func(c *Config) { c.Ruby = "x\x00" }},
		{"heptapod.gitlab_rb", func(c *Config) {
			c.Image, c.Ruby = "octobus/heptapod:18.0", "\n  gitlab_shell['migration'] = { enabled: true }\n"
		}},
		{"", func(c *Config) {
			c.Image, c.Ruby = "octobus/heptapod:17.8", "gitlab_shell['migration'] = { enabled: true }\n"
		}},
		{"", func(c *Config) { c.Image, c.Ruby = "octobus/heptapod:18.0", "# git_data_dirs({})\n" }},
		{"heptapod.gitlab_rb", func(c *Config) { c.Image, c.Ruby = "octobus/heptapod:18.0", "git_data_dirs({})\n" }},
		{"", func(c *Config) { c.Image, c.Ruby = "octobus/heptapod:latest", "git_data_dirs({})\n" }},
		{"", func(c *Config) { c.Ruby = "git_data_dirs({})\n" }}, // what runs may be older than the default
	} {
		cfg := good(c.change)
		err := cfg.Validate()
		if c.key == "" {
			if err != nil {
				t.Errorf("%+v: %v", cfg, err)
			}
			continue
		}
		var f *fault.Error
		if !errors.As(err, &f) || f.What != c.key || f.Remedy == "" {
			t.Errorf("want a complaint about %s, got %v", c.key, err)
		}
		if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "surrounded")) {
			t.Errorf("%v shows a secret", err)
		}
		if _, err := New(cfg); err == nil {
			t.Errorf("New took what Validate refuses for %s", c.key)
		}
	}
}

func TestValidateSaysEverythingAtOnce(t *testing.T) {
	err := Config{Stack: "A", Memory: 1}.Validate()
	for _, key := range []string{"stack", "heptapod.host", "heptapod.memory"} {
		if err == nil || !strings.Contains(err.Error(), "read configuration "+key+": ") {
			t.Errorf("%s is missing in %v", key, err)
		}
	}
}

// A certificate lies where everybody may read it, also when its file has the
// key in it.
func TestCertificateFileHoldsNoKey(t *testing.T) {
	certificate, key := selfSigned(t)
	f, err := New(Config{Host: "hg.example.org", Registry: &Registry{Port: 5050, Certificate: append(append([]byte{}, key...), certificate...), Key: key}})
	if err != nil {
		t.Fatal(err)
	}
	files, err := f.files()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if file.Path == FileRegistryCert && string(file.Content) != string(certificate) {
			t.Errorf("%s holds %d bytes beside the certificate", file.Path, len(file.Content)-len(certificate))
		}
	}
}
