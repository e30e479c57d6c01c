package hepta

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/heptaup/hepta/internal/pki"
)

// badInputRow is a good hepta.yaml in which ¤ stands for the value of a key.
type badInputRow struct {
	key   string
	yaml  string
	value string // a good value; § in it is where texts go, and where they are looked for in what is rendered
	part  string // of the value's type, such as [¤]: what is tried is an element or a key
	inner bool   // only texts are tried
}

func (r badInputRow) name() string {
	if r.part != "" {
		return r.key + " " + r.part
	}
	return r.key
}

func (r badInputRow) good() string {
	if strings.Contains(r.value, "§") {
		return quoteYAML(strings.ReplaceAll(r.value, "§", goodWord))
	}
	return r.value
}

// with puts a YAML value, or an element, into the file.
func (r badInputRow) with(value string) string {
	if r.part != "" {
		value = strings.Replace(r.part, "¤", value, 1)
	}
	return strings.Replace(r.yaml, "¤", value, 1)
}

// whole puts a YAML value into the file.
func (r badInputRow) whole(value string) string { return strings.Replace(r.yaml, "¤", value, 1) }

func (r badInputRow) takesText(f reflect.StructField) bool {
	return kindOf(f.Type) == reflect.String || r.part != ""
}

// besideBadInput are the files that the rows name.
func besideBadInput(t *testing.T) map[string]string {
	t.Helper()
	authority, err := pki.New("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := authority.Issue([]string{"a.b"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	certificate, key, _ := strings.Cut(string(bundle), "-----BEGIN PRIVATE KEY")
	return map[string]string{
		"crt": certificate, "key": "-----BEGIN PRIVATE KEY" + key, "ca": string(authority.Root()),
		"secret": "Passw0rd\n", "users": "admin:$2y$05$" + strings.Repeat("a", 53) + "\n",
	}
}

const (
	smtpRow      = "forge: a.b\nheptapod: {smtp: {address: s.b, user: u, password_file: secret,\n "
	runnerRow    = "forge: a.b\nrunners: [{name: r, forge: {url: https://c.d, token_file: secret},\n "
	elsewhereRow = "runners: [{name: r}]\nforge: {token_file: secret, "
	acmeRow      = "forge: a.b\ntls: {mode: acme, email: x@a.b,\n "
)

// badInputRows has every key at least once.
var badInputRows = []badInputRow{
	{key: "stack", yaml: "forge: a.b\nstack: ¤", value: "lab"},
	{key: "data", yaml: "forge: a.b\ndata: ¤", value: "/srv/x"},
	{key: "share_data_with", yaml: "forge: a.b\nshare_data_with: ¤", part: "[¤]", value: "§"},
	{key: "network", yaml: "forge: a.b\nnetwork: ¤", value: "Web_1"},
	{key: "docker", yaml: "forge: a.b\ndocker: ¤", value: "ssh://admin@vm-1"},
	{key: "docker.host", yaml: "forge: a.b\ndocker: {host: ¤}", value: "ssh://admin@vm-1"},
	{key: "docker.certs", yaml: "forge: a.b\ndocker: {host: \"tcp://a.b:2376\", certs: ¤}", value: "certs"},
	{key: "socket", yaml: "forge: a.b\nsocket: ¤", value: "/run/docker.sock"},
	{key: "forge", yaml: "forge: ¤", value: "hg.example.org"},
	{key: "forge.host", yaml: "forge: {host: ¤}", value: "hg.example.org"},
	{key: "forge.url", yaml: elsewhereRow + "url: ¤}", value: "https://c.d"},
	{key: "forge.token_file", yaml: "runners: [{name: r}]\nforge: {url: https://c.d, token_file: ¤}", value: "secret"},
	{key: "forge.registry", yaml: elsewhereRow + "url: https://c.d, registry: ¤}", value: "r.d:5050"},

	{key: "acme", yaml: "forge: a.b\nacme: ¤", value: "{email: x@a.b}"},
	{key: "acme.email", yaml: "forge: a.b\nacme: {email: ¤}", value: "x@a.b"},
	{key: "acme.challenge", yaml: "forge: a.b\nacme: {email: x@a.b, challenge: ¤}", value: "http"},
	{key: "acme.provider", yaml: "forge: a.b\nacme: {email: x@a.b, challenge: dns, provider: ¤}", value: "cloudflare"},
	{key: "acme.credentials", yaml: "forge: a.b\nacme: {email: x@a.b, challenge: dns, provider: ovh, credentials: ¤}", part: "{OVH_TOKEN: ¤}", value: "secret"},
	{key: "acme.resolvers", yaml: "forge: a.b\nacme: {email: x@a.b, challenge: dns, provider: ovh, resolvers: ¤}", part: "[¤]", value: "\"192.0.2.53:53\""},
	{key: "acme.server", yaml: "forge: a.b\nacme: {email: x@a.b, server: ¤}", value: "https://c.d/directory"},

	{key: "traefik", yaml: "forge: a.b\ntraefik: ¤", value: "{http_port: 81}"},
	{key: "traefik.image", yaml: "forge: a.b\ntraefik: {image: ¤}", value: "traefik:v3.6"},
	{key: "traefik.socket_proxy_image", yaml: "forge: a.b\ntraefik: {socket_proxy_image: ¤}", value: "haproxy:3.0"},
	{key: "traefik.http_port", yaml: "forge: a.b\ntraefik: {http_port: ¤}", value: "81"},
	{key: "traefik.https_port", yaml: "forge: a.b\ntraefik: {https_port: ¤}", value: "8443"},
	{key: "traefik.log_level", yaml: "forge: a.b\ntraefik: {log_level: ¤}", value: "DEBUG"},
	{key: "traefik.dashboard", yaml: "forge: a.b\ntraefik: {dashboard: ¤}", value: "{host: d.b, users_file: users}"},
	{key: "traefik.dashboard.host", yaml: "forge: a.b\ntraefik: {dashboard: {host: ¤, users_file: users}}", value: "d.b"},
	{key: "traefik.dashboard.users_file", yaml: "forge: a.b\ntraefik: {dashboard: {host: d.b, users_file: ¤}}", value: "users"},
	{key: "traefik.flags", yaml: "forge: a.b\ntraefik: {flags: ¤}", part: "[¤]", value: "--ping.entrypoint=§"},
	{key: "traefik.environment", yaml: "forge: a.b\ntraefik: {environment: ¤}", part: "{A: ¤}", value: "§"},
	{key: "traefik.environment", yaml: "forge: a.b\ntraefik: {environment: ¤}", part: "{¤: x}", value: "§", inner: true},
	{key: "traefik.labels", yaml: "forge: a.b\ntraefik: {labels: ¤}", part: "{team: ¤}", value: "§"},
	{key: "traefik.labels", yaml: "forge: a.b\ntraefik: {labels: ¤}", part: "{¤: x}", value: "§", inner: true},

	{key: "tls", yaml: "forge: a.b\ntls: ¤", value: "{mode: internal}"},
	{key: "tls.mode", yaml: "forge: a.b\ntls: {mode: ¤}", value: "off"},
	{key: "tls.email", yaml: "forge: a.b\ntls: {email: ¤}", value: "x@a.b"},
	{key: "tls.challenge", yaml: acmeRow + "challenge: ¤}", value: "http"},
	{key: "tls.provider", yaml: acmeRow + "challenge: dns, provider: ¤}", value: "cloudflare"},
	{key: "tls.credentials", yaml: acmeRow + "challenge: dns, provider: ovh, credentials: ¤}", part: "{OVH_TOKEN: ¤}", value: "secret"},
	{key: "tls.resolvers", yaml: acmeRow + "challenge: dns, provider: ovh, resolvers: ¤}", part: "[¤]", value: "\"192.0.2.53:53\""},
	{key: "tls.server", yaml: acmeRow + "server: ¤}", value: "https://c.d/directory"},
	{key: "tls.ca", yaml: acmeRow + "ca: ¤}", value: "ca"},
	{key: "tls.certificate", yaml: "forge: a.b\ntls: {mode: files, key: key, certificate: ¤}", value: "crt"},
	{key: "tls.key", yaml: "forge: a.b\ntls: {mode: files, certificate: crt, key: ¤}", value: "key"},

	{key: "heptapod", yaml: "forge: a.b\nheptapod: ¤", value: "{ssh: 23}"},
	{key: "heptapod.image", yaml: "forge: a.b\nheptapod: {image: ¤}", value: "octobus/heptapod:17.8"},
	{key: "heptapod.host", yaml: "heptapod: {host: ¤}", value: "hg.example.org"},
	{key: "heptapod.external_url", yaml: "forge: a.b\nheptapod: {external_url: ¤}", value: "https://c.d"},
	{key: "heptapod.ssh", yaml: "forge: a.b\nheptapod: {ssh: ¤}", value: "23"},
	{key: "heptapod.ssh.port", yaml: "forge: a.b\nheptapod: {ssh: {port: ¤}}", value: "23"},
	{key: "heptapod.ssh.via", yaml: "forge: a.b\nheptapod: {ssh: {via: ¤}}", value: "traefik"},
	{key: "heptapod.smtp", yaml: "forge: a.b\nheptapod: {smtp: ¤}", value: "{address: s.b}"},
	{key: "heptapod.smtp.address", yaml: "forge: a.b\nheptapod: {smtp: {address: ¤}}", value: "s.b"},
	{key: "heptapod.smtp.port", yaml: smtpRow + "port: ¤}}", value: "25"},
	{key: "heptapod.smtp.user", yaml: "forge: a.b\nheptapod: {smtp: {address: s.b, user: ¤}}", value: "§"},
	{key: "heptapod.smtp.password_file", yaml: "forge: a.b\nheptapod: {smtp: {address: s.b, user: u, password_file: ¤}}", value: "secret"},
	{key: "heptapod.smtp.domain", yaml: smtpRow + "domain: ¤}}", value: "a.b"},
	{key: "heptapod.smtp.authentication", yaml: smtpRow + "authentication: ¤}}", value: "plain"},
	{key: "heptapod.smtp.starttls", yaml: smtpRow + "starttls: ¤}}", value: "no"},
	{key: "heptapod.smtp.tls", yaml: smtpRow + "tls: ¤}}", value: "yes"},
	{key: "heptapod.smtp.ca", yaml: smtpRow + "ca: ¤}}", value: "ca"},
	{key: "heptapod.smtp.from", yaml: smtpRow + "from: ¤}}", value: "x@a.b"},
	{key: "heptapod.smtp.reply_to", yaml: smtpRow + "reply_to: ¤}}", value: "x@a.b"},
	{key: "heptapod.smtp.display_name", yaml: smtpRow + "display_name: ¤}}", value: "§"},
	{key: "heptapod.services", yaml: "forge: a.b\nheptapod: {services: ¤}", value: "{prometheus: off}"},
	{key: "heptapod.services", yaml: "forge: a.b\nheptapod: {services: ¤}", part: "{¤: on}", value: "prometheus", inner: true},
	{key: "heptapod.services", yaml: "forge: a.b\nheptapod: {services: ¤}", part: "{prometheus: ¤}", value: "off", inner: true},
	{key: "heptapod.trusted_proxies", yaml: "forge: a.b\nheptapod: {trusted_proxies: ¤}", part: "[¤]", value: "10.0.0.0/8"},
	{key: "heptapod.rack_attack_allow", yaml: "forge: a.b\nheptapod: {rack_attack_allow: ¤}", part: "[¤]", value: "10.1.2.3"},
	{key: "heptapod.rack_attack_maxretry", yaml: "forge: a.b\nheptapod: {rack_attack_maxretry: ¤}", value: "20"},
	{key: "heptapod.rack_attack_findtime", yaml: "forge: a.b\nheptapod: {rack_attack_findtime: ¤}", value: "60"},
	{key: "heptapod.rack_attack_bantime", yaml: "forge: a.b\nheptapod: {rack_attack_bantime: ¤}", value: "600"},
	{key: "heptapod.gitlab_rb", yaml: "forge: a.b\nheptapod: {gitlab_rb: ¤}", value: `"nginx['x'] = 1"`},
	{key: "heptapod.root_password_file", yaml: "forge: a.b\nheptapod: {root_password_file: ¤}", value: "secret"},
	{key: "heptapod.root_email", yaml: "forge: a.b\nheptapod: {root_email: ¤}", value: "x@a.b"},
	{key: "heptapod.env", yaml: "forge: a.b\nheptapod: {env: ¤}", part: "{A: ¤}", value: "§"},
	{key: "heptapod.env", yaml: "forge: a.b\nheptapod: {env: ¤}", part: "{¤: x}", value: "§", inner: true},
	{key: "heptapod.labels", yaml: "forge: a.b\nheptapod: {labels: ¤}", part: "{team: ¤}", value: "§"},
	{key: "heptapod.labels", yaml: "forge: a.b\nheptapod: {labels: ¤}", part: "{¤: x}", value: "§", inner: true},
	{key: "heptapod.ports", yaml: "forge: a.b\nheptapod: {ports: ¤}", part: "[¤]", value: "9090"},
	{key: "heptapod.volumes", yaml: "forge: a.b\nheptapod: {volumes: ¤}", part: "[¤]", value: "/mnt/x:/srv/x"},
	{key: "heptapod.shm_size", yaml: "forge: a.b\nheptapod: {shm_size: ¤}", value: "512m"},
	{key: "heptapod.memory", yaml: "forge: a.b\nheptapod: {memory: ¤}", value: "8g"},
	{key: "heptapod.boot_minutes", yaml: "forge: a.b\nheptapod: {boot_minutes: ¤}", value: "30"},

	{key: "registry", yaml: "forge: a.b\nregistry: ¤", value: "r.b"},
	{key: "registry.host", yaml: "forge: a.b\nregistry: {host: ¤}", value: "r.b"},
	{key: "registry.port", yaml: "forge: a.b\nregistry: {certificate: crt, key: key, port: ¤}", value: "5050"},
	{key: "registry.certificate", yaml: "forge: a.b\nregistry: {port: 5050, key: key, certificate: ¤}", value: "crt"},
	{key: "registry.key", yaml: "forge: a.b\nregistry: {port: 5050, certificate: crt, key: ¤}", value: "key"},
	{key: "registry.path", yaml: "forge: a.b\nregistry: {host: r.b, path: ¤}", value: "/var/opt/gitlab/x"},
	{key: "registry.cleanup", yaml: "forge: a.b\nregistry: {host: r.b, cleanup: ¤}", value: "{keep: 5}"},
	{key: "registry.cleanup.keep", yaml: "forge: a.b\nregistry: {host: r.b, cleanup: {keep: ¤}}", value: "10"},
	{key: "registry.cleanup.older_than", yaml: "forge: a.b\nregistry: {host: r.b, cleanup: {older_than: ¤}}", value: "30d"},
	{key: "registry.cleanup.tags", yaml: "forge: a.b\nregistry: {host: r.b, cleanup: {keep: 5, tags: ¤}}", value: "main"},
	{key: "registry.cleanup.keep_tags", yaml: "forge: a.b\nregistry: {host: r.b, cleanup: {keep: 5, keep_tags: ¤}}", value: "main"},
	{key: "registry.cleanup.every", yaml: "forge: a.b\nregistry: {host: r.b, cleanup: {keep: 5, every: ¤}}", value: "7d"},
	{key: "registry.cleanup.projects", yaml: "forge: a.b\nregistry: {host: r.b, cleanup: {keep: 5, projects: ¤}}", part: "[¤]", value: "group"},
	{key: "registry.cleanup.enabled", yaml: "forge: a.b\nregistry: {host: r.b, cleanup: {keep: 5, enabled: ¤}}", value: "no"},
	{key: "registry.token_minutes", yaml: "forge: a.b\nregistry: {host: r.b, token_minutes: ¤}", value: "30"},

	{key: "runner", yaml: "forge: a.b\nrunner: ¤", value: "{concurrent: 2}"},
	{key: "registry.nginx_port", yaml: "forge: a.b\nregistry: {host: r.b, nginx_port: ¤}", value: "5050"},
	{key: "registry.mirror", yaml: "forge: a.b\nregistry: {host: r.b, mirror: ¤}", value: "true"},
	{key: "registry.mirror.enabled", yaml: "forge: a.b\nregistry: {mirror: {enabled: ¤}}", value: "true"},
	{key: "registry.mirror.url", yaml: "forge: a.b\nregistry: {mirror: {url: ¤}}", value: "https://c.d"},
	{key: "registry.mirror.image", yaml: "forge: a.b\nregistry: {mirror: {image: ¤}}", value: "registry:3"},
	{key: "registry.mirror.remote", yaml: "forge: a.b\nregistry: {mirror: {remote: ¤}}", value: "https://c.d"},
	{key: "registry.mirror.port", yaml: "forge: a.b\nregistry: {mirror: {port: ¤}}", value: "5099"},
	{key: "registry.mirror.address", yaml: "forge: a.b\nregistry: {mirror: {address: ¤}}", value: "10.0.0.1"},
	{key: "registry.mirror.days", yaml: "forge: a.b\nregistry: {mirror: {days: ¤}}", value: "3"},
	{key: "registry.mirror.user", yaml: "forge: a.b\nregistry: {mirror: {password_file: secret, user: ¤}}", value: "§"},
	{key: "registry.mirror.password_file", yaml: "forge: a.b\nregistry: {mirror: {user: x, password_file: ¤}}", value: "secret"},
	{key: "runner.image", yaml: "forge: a.b\nrunner: {image: ¤}", value: "gitlab/gitlab-runner:v18.5.0"},
	{key: "runner.helper_image", yaml: "forge: a.b\nrunner: {helper_image: ¤}", value: "helper:1"},
	{key: "runner.concurrent", yaml: "forge: a.b\nrunner: {concurrent: ¤}", value: "2"},
	{key: "runner.check_interval", yaml: "forge: a.b\nrunner: {check_interval: ¤}", value: "5"},
	{key: "runner.drain_seconds", yaml: "forge: a.b\nrunner: {drain_seconds: ¤}", value: "60"},
	{key: "runner.job_networks", yaml: runnerRow + "mode: dind}]\nrunner: {job_networks: ¤}", value: "true"},
	{key: "runner.registration_token_file", yaml: "forge: a.b\nrunner: {registration_token_file: ¤}", value: "secret"},
	{key: "runner.ca", yaml: "forge: a.b\nacme: {email: x@a.b}\nrunners: [{name: r}]\nrunner: {ca: ¤}", value: "ca"},
	{key: "runner.extra_hosts", yaml: "forge: a.b\nrunners: [{name: r}]\nrunner: {extra_hosts: ¤}", value: "[\"c.d:10.0.0.5\"]"},
	{key: "runner.environment", yaml: "forge: a.b\nrunners: [{name: r}]\nrunner: {environment: ¤}", part: "[¤]", value: "A=§"},
	{key: "runner.session_server", yaml: "forge: a.b\nrunners: [{name: r}]\nrunner: {session_server: ¤}", value: "true"},
	{key: "runner.session_server.enabled", yaml: "forge: a.b\nrunners: [{name: r}]\nrunner: {session_server: {enabled: ¤}}", value: "true"},
	{key: "runner.session_server.host", yaml: "forge: a.b\nrunners: [{name: r}]\nrunner: {session_server: {host: ¤}}", value: "vm-2.c.d"},
	{key: "runner.session_server.port", yaml: "forge: a.b\nrunners: [{name: r}]\nrunner: {session_server: {host: c.d, port: ¤}}", value: "9093"},
	{key: "runner.session_server.timeout", yaml: "forge: a.b\nrunners: [{name: r}]\nrunner: {session_server: {timeout: ¤}}", value: "60"},
	{key: "runner.prune", yaml: "forge: a.b\nrunner: {prune: ¤}", value: "{keep: 20g}"},
	{key: "runner.prune.keep", yaml: "forge: a.b\nrunner: {prune: {keep: ¤}}", value: "20g"},
	{key: "runner.prune.every", yaml: "forge: a.b\nrunner: {prune: {keep: 20g, every: ¤}}", value: "week"},
	{key: "runner.prune.dedicated", yaml: "forge: a.b\nrunner: {prune: {keep: 20g, dedicated: ¤}}", value: "true"},
	{key: "runner.labels", yaml: "forge: a.b\nrunners: [{name: r}]\nrunner: {labels: ¤}", part: "{team: ¤}", value: "§"},
	{key: "runner.labels", yaml: "forge: a.b\nrunners: [{name: r}]\nrunner: {labels: ¤}", part: "{¤: x}", value: "§", inner: true},

	{key: "runners", yaml: "forge: a.b\nrunners: ¤", value: "[{name: r}]"},
	{key: "runners[].name", yaml: "forge: a.b\nrunners: [{name: ¤}]", value: "r"},
	{key: "runners[].mode", yaml: runnerRow + "mode: ¤}]", value: "socket"},
	{key: "runners[].tags", yaml: runnerRow + "tags: ¤}]", part: "[¤]", value: "§"},
	{key: "runners[].run_untagged", yaml: runnerRow + "tags: [x], run_untagged: ¤}]", value: "no"},
	{key: "runners[].locked", yaml: runnerRow + "locked: ¤}]", value: "yes"},
	{key: "runners[].paused", yaml: runnerRow + "paused: ¤}]", value: "yes"},
	{key: "runners[].access_level", yaml: runnerRow + "access_level: ¤}]", value: "ref_protected"},
	{key: "runners[].maximum_timeout", yaml: runnerRow + "maximum_timeout: ¤}]", value: "3600"},
	{key: "runners[].concurrent", yaml: runnerRow + "concurrent: ¤}]", value: "4"},
	{key: "runners[].image", yaml: runnerRow + "image: ¤}]", value: "docker:28"},
	{key: "runners[].dind_image", yaml: runnerRow + "mode: dind, dind_image: ¤}]", value: "docker:28-dind"},
	{key: "runners[].build_cache", yaml: runnerRow + "mode: dind, dind_image: docker:28-dind, build_cache: ¤}]", value: "2g"},
	{key: "runners[].tls", yaml: runnerRow + "mode: dind, dind_image: docker:28-dind, tls: ¤}]", value: "no"},
	{key: "runners[].allowed_images", yaml: runnerRow + "allowed_images: ¤}]", part: "[¤]", value: "x§"},
	{key: "runners[].allowed_services", yaml: runnerRow + "allowed_services: ¤}]", part: "[¤]", value: "x§"},
	{key: "runners[].group", yaml: runnerRow + "group: ¤}]", value: "7"},
	{key: "runners[].project", yaml: runnerRow + "project: ¤}]", value: "7"},
	{key: "runners[].forge", yaml: "forge: a.b\nrunners: [{name: r, forge: ¤}]", value: "{token_file: secret}"},
	{key: "runners[].forge.url", yaml: "forge: a.b\nrunners: [{name: r, forge: {token_file: secret, url: ¤}}]", value: "https://c.d"},
	{key: "runners[].forge.token_file", yaml: "forge: a.b\nrunners: [{name: r, forge: {token_file: ¤}}]", value: "secret"},
	{key: "runners[].environment", yaml: runnerRow + "environment: ¤}]", part: "[¤]", value: "A=§"},
	{key: "runners[].settings", yaml: runnerRow + "settings: ¤}]", part: "{future: ¤}", value: "§"},
	{key: "runners[].settings", yaml: runnerRow + "settings: ¤}]", part: "{¤: x}", value: "§", inner: true},
	{key: "runners[].settings", yaml: runnerRow + "settings: ¤}]", part: "{a: {b: [¤]}}", value: "§", inner: true},
	{key: "runners[].docker", yaml: runnerRow + "docker: ¤}]", part: "{volumes: [¤]}", value: "/§:/x"},
	{key: "runners[].docker", yaml: runnerRow + "docker: ¤}]", part: "{¤: x}", value: "§", inner: true},
}
