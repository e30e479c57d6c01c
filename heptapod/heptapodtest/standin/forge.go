package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
)

// forge is puma: it answers on its socket while it is started. The objects
// behind it live on while it is stopped, since gitlab-rails runner reaches them
// without it.
type forge struct {
	log      *slog.Logger
	services *supervisor

	mu     sync.Mutex
	spec   forgeSpec
	server *heptapodtest.Server
	admin  []*http.Server
	web    *http.Server
}

// forgeSpec is what, when it changes, needs a new start of the forge.
type forgeSpec struct {
	config    forgeConfig
	keysLost  bool   // the database was written with another key
	whitelist string // addresses that may ask for the health, comma-separated
	logins    rackAttack
}

// forgeConfig is the part of heptapodtest.Config that settings decide.
type forgeConfig struct {
	externalURL, registryURL, registryKey, registryIssuer, sshHost string
	sshPort                                                        int
}

// seed holds for the first start on new data.
type seed struct {
	RootPassword      string `json:"root_password"`
	RootEmail         string `json:"root_email"`
	RegistrationToken string `json:"registration_token"`
}

// open makes the forge's objects as spec says and reports whether anything
// changed.
func (f *forge) open(ctx context.Context, spec forgeSpec, first seed) (changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.server != nil && f.spec == spec {
		return false, nil
	}
	if err := f.shut(); err != nil {
		return false, err
	}
	version, err := parseRelease(gitlab())
	if err != nil {
		return false, err
	}
	inner, err := listenUnix(filepath.Join(runDir, "forge.socket"), 0)
	if err != nil {
		return false, err
	}
	c := spec.config
	f.server, err = heptapodtest.Start(context.WithoutCancel(ctx), heptapodtest.Config{
		Dir:            forgeDir,
		Listener:       inner,
		ExternalURL:    c.externalURL,
		RegistryURL:    c.registryURL,
		RegistryAPIURL: "http://" + registryAddr,
		RegistryKey:    heptapodtest.NewSecret(c.registryKey),
		RegistryIssuer: c.registryIssuer,
		SSHHost:        c.sshHost,
		SSHPort:        c.sshPort,
		RootPassword:   heptapodtest.NewSecret(first.RootPassword),
		RootEmail:      first.RootEmail,
		Version:        gitlab(),
		// heptapod-docker 2.1: on until 20.0.
		AllowRegistrationToken: version.before(release{20, 0}),
		RegistrationToken:      heptapodtest.NewSecret(first.RegistrationToken),
		TrustForwarded:         true, // nginx in front decides whom to believe
		Log:                    f.log,
	})
	if err != nil {
		f.server = nil
		return false, err
	}
	f.spec = spec
	handler := f.server.AdminHandler()
	ssh := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/ssh/") {
			http.NotFound(w, r)
			return
		}
		handler.ServeHTTP(w, r)
	})
	return true, errors.Join(f.serve(adminSocket, 0, handler), f.serve(shellSocket, gitUID, ssh))
}

func (f *forge) serve(socket string, uid int, h http.Handler) error {
	ln, err := listenUnix(socket, uid)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	f.admin = append(f.admin, server)
	go server.Serve(ln)
	return nil
}

// listenUnix makes a socket that one user alone may open.
func listenUnix(path string, uid int) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("remove stale socket: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make directory of sockets: %w", err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("make socket: %w", err)
	}
	if err := errors.Join(os.Chmod(path, 0o600), os.Chown(path, uid, -1)); err != nil {
		ln.Close()
		return nil, fmt.Errorf("protect socket: %w", err)
	}
	return ln, nil
}

// shut ends everything that open made.
func (f *forge) shut() error {
	f.halt()
	for _, s := range f.admin {
		s.Close()
	}
	f.admin = nil
	if f.server == nil {
		return nil
	}
	err := f.server.Close()
	f.server = nil
	if err != nil {
		return fmt.Errorf("close forge: %w", err)
	}
	return nil
}

func (f *forge) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.shut()
}

func (f *forge) start(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.web != nil {
		return nil
	}
	if f.server == nil {
		return errors.New("not configured yet")
	}
	ln, err := listenUnix(pumaSocket, 0)
	if err != nil {
		return err
	}
	f.web = &http.Server{Handler: newLoginLimit(f.spec.logins).around(f.pages(f.server.Handler(), f.spec)), ReadHeaderTimeout: time.Minute}
	go f.web.Serve(ln)
	log, err := openLog("puma", "puma_stdout.log")
	if err != nil {
		return err
	}
	defer log.Close()
	_, err = fmt.Fprintf(log, `{"timestamp":%q,"pid":%d,"message":"* Listening on unix://%s"}`+"\n", time.Now().UTC().Format(time.RFC3339Nano), os.Getpid(), pumaSocket)
	return err
}

func (f *forge) stop() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.halt()
	return nil
}

func (f *forge) halt() {
	if f.web == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if f.web.Shutdown(ctx) != nil {
		f.web.Close()
	}
	f.web = nil
}

// pages puts around the forge what depends on the container that it is in.
func (f *forge) pages(inner http.Handler, spec forgeSpec) http.Handler {
	allowed := networks(strings.Split(spec.whitelist, ","))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		switch {
		case path == "/-/health" || path == "/-/readiness" || path == "/-/liveness":
			// heptapod-docker 1.5: others than those on the list get 404.
			if asker := r.Header.Get("X-Forwarded-For"); asker != "" && !within(allowed, net.ParseIP(asker)) {
				http.NotFound(w, r)
				return
			}
			if path == "/-/readiness" && r.URL.Query().Get("all") != "" {
				for _, part := range []string{"postgresql", "redis", "gitaly"} {
					if f.services.down(part) {
						w.Header().Set("Content-Type", "application/json")
						w.WriteHeader(http.StatusServiceUnavailable)
						fmt.Fprintf(w, `{"status":"failed","%s_check":[{"status":"failed"}]}`, part)
						return
					}
				}
			}
		case path == "/help":
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprintf(w, "<!DOCTYPE html>\n<html><head><title>Help · GitLab</title></head><body><h1>GitLab %s</h1></body></html>\n", gitlab())
			return
		case spec.keysLost && touchesEncrypted(path):
			// heptapod-docker 6, no. 9: columns written with lost keys.
			f.log.Error("OpenSSL::Cipher::CipherError", "path", path)
			http.Error(w, "500 Internal Server Error", http.StatusInternalServerError)
			return
		}
		inner.ServeHTTP(w, r)
	})
}

// touchesEncrypted reports whether a page reads columns that are encrypted.
func touchesEncrypted(path string) bool {
	path = strings.TrimPrefix(path, "/api/v4")
	for _, p := range []string{"/runners", "/user/runners", "/jobs/request", "/admin/runners", "/application/settings"} {
		if strings.HasPrefix(path, p) {
			return true
		}
	}
	return strings.HasSuffix(path, "/variables")
}
