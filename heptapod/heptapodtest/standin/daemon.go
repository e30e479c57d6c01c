package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/google/renameio/v2"
)

// daemon is the first process: it owns every service.
type daemon struct {
	services *supervisor
	forge    *forge
	nginx    *nginx
	web      *log.Logger
	programs map[string]runnable

	mu       sync.Mutex // held by what changes the forge as a whole
	served   string     // virtual hosts of nginx as they are
	settings settings   // in force
}

func newDaemon(logger *slog.Logger, web *log.Logger) *daemon {
	v := &supervisor{log: logger}
	d := &daemon{services: v, web: web, forge: &forge{log: logger, services: v}, nginx: &nginx{log: web}}
	d.programs = map[string]runnable{
		"puma":  d.forge,
		"nginx": d.nginx,
		"sshd":  &process{name: "sshd", cmd: []string{"/usr/sbin/sshd", "-D", "-e", "-f", sshdConfig}},
		"registry": &process{name: "registry", uid: registryUID,
			cmd: []string{"/opt/gitlab/embedded/bin/registry", "serve", registryConfig}},
	}
	return d
}

// serviceNames are the image's services under these settings, in the order in
// which they start.
func serviceNames(s settings, version release) []string {
	names := []string{"redis", "postgresql", "gitaly", "hgitaly"}
	if !version.before(release{18, 0}) {
		names = append(names, "rhgitaly")
	}
	names = append(names, "hgserve", "gitlab-kas", "logrotate", "puma", "sidekiq", "gitlab-workhorse",
		"alertmanager", "gitlab-exporter", "postgres-exporter", "prometheus", "redis-exporter", "registry", "nginx", "sshd")
	monitoring := s.truth(true, "prometheus_monitoring", "enable")
	var on []string
	for _, n := range names {
		section := strings.ReplaceAll(n, "-", "_")
		switch n {
		case "registry":
			if !s.registryOn() {
				continue
			}
		case "sshd":
			if os.Getenv("GITLAB_DISABLE_OPENSSH") == "true" {
				continue
			}
		case "alertmanager", "gitlab-exporter", "postgres-exporter", "prometheus", "redis-exporter":
			if !s.truth(monitoring, section, "enable") {
				continue
			}
		default:
			if !s.truth(true, section, "enable") {
				continue
			}
		}
		on = append(on, n)
	}
	return on
}

// apply makes the services look as the settings say: what changed is restarted,
// what is new started, what is gone stopped.
func (d *daemon) apply(ctx context.Context, a application) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := a.Settings
	keys, err := loadSecrets(secretsFile)
	if err != nil {
		return err
	}
	version, err := parseRelease(gitlab())
	if err != nil {
		return err
	}
	main, err := s.site("external_url", "nginx")
	if err != nil {
		return err
	}
	spec := forgeSpec{config: forgeConfig{
		externalURL:    main.url.String(),
		registryKey:    keys.text("registry", "internal_key"),
		registryIssuer: registryIssuer(s),
		sshHost:        s.text("gitlab_rails", "gitlab_ssh_host"),
		sshPort:        s.number(22, "gitlab_rails", "gitlab_shell_ssh_port"),
	}, whitelist: "127.0.0.0/8,::1/128", logins: rackAttackOf(s)}
	if list := s.list("gitlab_rails", "monitoring_whitelist"); len(list) > 0 {
		spec.whitelist = strings.Join(list, ",")
	}
	if spec.keysLost, err = keysLost(keys); err != nil {
		return err
	}
	sites := []virtualHost{{*main, d.workhorse(upstream("unix", pumaSocket, d.web))}}
	if s.registryOn() {
		registry, err := s.site("registry_external_url", "registry_nginx")
		if err != nil {
			return err
		}
		spec.config.registryURL = registry.url.String()
		sites = append(sites, virtualHost{*registry, upstream("tcp", registryAddr, d.web)})
	}

	var restart []string
	changed, err := d.forge.open(ctx, spec, a.Seed)
	if err != nil {
		return err
	}
	if changed {
		restart = append(restart, "puma")
	}
	if s.registryOn() {
		changed, err := d.forge.writeRegistry(s, keys)
		if err != nil {
			return err
		}
		if changed {
			restart = append(restart, "registry")
		}
	}
	served := fmt.Sprint(s.list("nginx", "real_ip_trusted_addresses"))
	for _, v := range sites {
		served += fmt.Sprint(v.url, v.port, v.tls, v.cert, v.key, v.redirect)
	}
	if served != d.served {
		d.nginx.configure(networks(s.list("nginx", "real_ip_trusted_addresses")), sites...)
		d.served = served
		restart = append(restart, "nginx")
	}
	if err := writeHealthRC(main); err != nil {
		return err
	}
	d.settings = s
	return d.reconcile(ctx, serviceNames(s, version), restart)
}

// workhorse answers as nginx does when the process behind it is stopped.
func (d *daemon) workhorse(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.services.down("gitlab-workhorse") {
			http.Error(w, "502 Bad Gateway", http.StatusBadGateway)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// reconcile makes names the services, in that order, and restarts some. A
// service that somebody stopped is started by this, as by a reconfigure.
func (d *daemon) reconcile(ctx context.Context, names, restart []string) error {
	v := d.services
	v.mu.Lock()
	old := v.services
	v.services = nil
	for _, n := range names {
		s := &service{name: n, program: d.programs[n]}
		for _, o := range old {
			if o.name == n {
				s = o
			}
		}
		v.services = append(v.services, s)
	}
	var errs []error
	for _, o := range old {
		if v.find(o.name) == nil {
			errs = append(errs, o.stop())
		}
	}
	v.mu.Unlock()
	for _, n := range restart {
		if v.down(n) {
			continue
		}
		if _, err := v.do(ctx, n, "stop"); err != nil && !errors.Is(err, errNoService) {
			errs = append(errs, err)
		}
	}
	for _, n := range names {
		_, err := v.do(ctx, n, "start")
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// keysLost reports whether the database was written with another key than the one
// in the secrets, and marks a new database with its key.
func keysLost(keys secrets) (bool, error) {
	mark, err := os.ReadFile(keyMark)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := renameio.WriteFile(keyMark, []byte(keys.databaseKey()+"\n"), 0o600); err != nil {
			return false, fmt.Errorf("mark the database's key: %w", err)
		}
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read the database's key mark: %w", err)
	}
	return strings.TrimSpace(string(mark)) != keys.databaseKey(), nil
}

// writeHealthRC tells the healthcheck where nginx listens.
func writeHealthRC(s *site) error {
	scheme, flags := "http", ""
	if s.tls {
		scheme, flags = "https", "--insecure"
	}
	text := fmt.Sprintf("url=%s://localhost:%d/help\nflags=%s\n", scheme, s.port, flags)
	if err := renameio.WriteFile(healthRC, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write healthcheck settings: %w", err)
	}
	return nil
}
