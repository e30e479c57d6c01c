package heptapod

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// setups are the configurations that the golden files in testdata belong to.
func setups(t *testing.T) map[string]Config {
	certificate, key := selfSigned(t)
	no := false
	return map[string]Config{
		"smallest": {Host: "hg.example.org"},
		// Traefik in front, registry on a name of its own, mail over a relay,
		// a Heptapod of 2020.
		"registry-name": {
			Image: "octobus/heptapod:0.15.1", Host: "hg.example.org",
			Registry: &Registry{ExternalURL: "https://registry.example.org"},
			SMTP: &SMTP{
				Address: "relay.example.org", Port: 25, Domain: "example.org", Authentication: "plain",
				From: "hg@example.org", ReplyTo: "admin@example.org", DisplayName: "Example's Mercurial Server",
			},
		},
		// The registry on the forge's name and a port, TLS ended by its nginx.
		"registry-port": {
			Host:     "gitlab.example.org",
			Registry: &Registry{Port: 5050, Certificate: certificate, Key: key, Path: "/var/opt/gitlab/images"},
		},
		// The registry's nginx on a port of its own behind the proxy, ssh on
		// another port, a limit on failed logins, unneeded services off.
		"nginx-port": {
			Image: "gitlab/gitlab-ce:18.5.1-ce.0", Host: "gitlab.example.org",
			SSH:             SSH{Port: 2223},
			Registry:        &Registry{ExternalURL: "https://registry.example.org", NginxPort: 5050},
			TrustedProxies:  []string{"10.0.0.0/8", "192.168.0.0/16"},
			RackAttackAllow: []string{"10.1.2.3"}, RackAttackMaxRetry: 30, RackAttackBanTime: 600,
			Services: map[string]bool{"prometheus": false, "alertmanager": false},
			SMTP: &SMTP{
				Address: "smtp-service.local", Port: 25, User: "o'neill", Password: NewSecret("s3cret#{1}"),
				StartTLS: &no, From: "gitlab@example.org",
			},
			Ruby: "gitlab_rails['time_zone'] = 'Europe/Warsaw'\nregistry['env'] = { 'REGISTRY_HTTP_RELATIVEURLS' => true }\n",
		},
	}
}

func TestGitlabRBGolden(t *testing.T) {
	for name, cfg := range setups(t) {
		t.Run(name, func(t *testing.T) {
			got, err := GitlabRB(cfg)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "testdata/"+name+".rb", got)
		})
	}
}

// dsl stands for the part of omnibus that gitlab.rb speaks to.
const dsl = `
require 'json'
$files = Hash.new { |_, k| raise "unexpected file #{k}" }
$files['/etc/gitlab/hepta/root_password'] = "of root\n"
$files['/etc/gitlab/hepta/smtp_password'] = "s3cret\#{1}\n"
class File
  def self.exist?(path) = $files.key?(path)
  def self.read(path, **) = $files[path].dup
end
$settings = Hash.new { |h, k| h[k] = {} }
class Gitlab
  def method_missing(name, *args)
    return $settings[name.to_s] if args.empty?
    $settings[name.to_s] = args.first
  end
  def respond_to_missing?(*) = true
end
Gitlab.new.instance_eval(IO.read(ARGV[0]), ARGV[0], 1)
puts JSON.generate($settings.sort.to_h)
`

func TestGitlabRBMeansWhatItSays(t *testing.T) {
	cfg := setups(t)["nginx-port"]
	cfg.SMTP.DisplayName = "it's #{exit 1} \\ grün\nBcc: x"
	text, err := GitlabRB(cfg)
	if err != nil {
		t.Fatal(err)
	}
	path := t.TempDir() + "/gitlab.rb"
	writeFile(t, path, text)
	settings := evalRuby(t, dsl, path)
	for _, want := range []struct {
		group, key string
		value      any
	}{
		{"gitlab_rails", "gitlab_email_display_name", cfg.SMTP.DisplayName},
		{"gitlab_rails", "smtp_password", "s3cret#{1}"},
		{"gitlab_rails", "smtp_user_name", "o'neill"},
		{"gitlab_rails", "initial_root_password", "of root"},
		{"gitlab_rails", "gitlab_shell_ssh_port", 2223.0},
		{"gitlab_rails", "store_initial_root_password", false},
		{"gitlab_rails", "time_zone", "Europe/Warsaw"},
		{"registry_nginx", "listen_port", 5050.0},
		{"nginx", "listen_https", false},
		{"prometheus", "enable", false},
		{"gitlab_rails", "rack_attack_git_basic_auth", map[string]any{"enabled": true, "ip_whitelist": []any{"127.0.0.1", "10.1.2.3"}, "maxretry": 30.0, "bantime": 600.0}},
	} {
		group, _ := settings[want.group].(map[string]any)
		if diff := cmp.Diff(want.value, group[want.key]); diff != "" {
			t.Errorf("%s[%s] (-want +got):\n%s", want.group, want.key, diff)
		}
	}
	if got := settings["external_url"]; got != "https://gitlab.example.org" {
		t.Errorf("external_url is %v", got)
	}
}

func TestGitlabRBHoldsNoSecret(t *testing.T) {
	cfg := setups(t)["registry-port"]
	cfg.RootPassword = NewSecret("tell-nobody-1")
	cfg.SMTP = &SMTP{Address: "smtp.example.org", User: "hg", Password: NewSecret("tell-nobody-2")}
	text, err := GitlabRB(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "tell-nobody") || strings.Contains(text, "PRIVATE KEY") {
		t.Error("gitlab.rb holds a secret")
	}
}

func TestGitlabRBByVersion(t *testing.T) {
	for image, want := range map[string]bool{
		"octobus/heptapod:0.15.1":      true,
		"octobus/heptapod:1.5.2":       true,
		"octobus/heptapod:17.0.0":      false,
		"octobus/heptapod:18.6":        false,
		"octobus/heptapod:latest":      false,
		"gitlab/gitlab-ce:13.1.5-ce.0": false,
	} {
		text, err := GitlabRB(Config{Host: "hg.example.org", Image: image})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(text, "gitlab_shell['migration']"); got != want {
			t.Errorf("%s: migration switch written: %v, want %v", image, got, want)
		}
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		writeFile(t, path, got)
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; run with -update when it is meant):\n%s", path, diff)
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func selfSigned(t *testing.T) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gitlab.example.org"},
		NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"gitlab.example.org", "hg.example.org"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}
