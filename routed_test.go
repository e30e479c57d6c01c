package hepta

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/traefik"
)

// curlHost is a host whose forge has curl: it answers for itself, and through
// the proxy.
type curlHost struct {
	converge.Host
	itself  string
	through func(at time.Duration) converge.ExecResult
	began   time.Time
	asked   []string
}

func (h *curlHost) Exec(_ context.Context, service string, cmd []string, _ []byte) (converge.ExecResult, error) {
	at := slices.Index(cmd, "--connect-to")
	if service != heptapod.Service {
		return converge.ExecResult{}, errors.New("no such service")
	}
	if at < 0 {
		return converge.ExecResult{Stdout: []byte(h.itself)}, nil
	}
	h.asked = []string{cmd[at+1], cmd[len(cmd)-1]}
	return h.through(time.Since(h.began)), nil
}

func answer(status string) converge.ExecResult { return converge.ExecResult{Stdout: []byte(status)} }

// Neither end is ready before the proxy leads to the forge; the proxy's does not
// wait for a forge that boots.
func TestWayThroughTheProxy(t *testing.T) {
	after := func(d time.Duration, first converge.ExecResult) func(time.Duration) converge.ExecResult {
		return func(at time.Duration) converge.ExecResult {
			if at < d {
				return first
			}
			return answer("302")
		}
	}
	for _, c := range []struct {
		name, yaml, itself string
		through            func(time.Duration) converge.ExecResult
		asked              []string
		forge, proxy       time.Duration // how long they wait, with why until they give up; -1: they are asked again later
		why                string
	}{
		{"at once", "", "200", after(0, answer("")), []string{"hg.example.org:443:hepta-traefik:443", "https://hg.example.org/users/sign_in"}, 0, 0, ""},
		{"not loaded yet", "", "200", after(2*time.Second, answer("500")), nil, 2 * time.Second, 2 * time.Second, ""},
		{"unknown host", "", "200", after(1500*time.Millisecond, answer("404")), nil, 1500 * time.Millisecond, 1500 * time.Millisecond, ""},
		{"no proxy yet", "", "200", after(time.Hour, converge.ExecResult{ExitCode: 6, Stderr: []byte("curl: (6) no such host\n")}), nil, -1, -1, "curl: (6) no such host"},
		{"never", "", "200", after(time.Hour, answer("503")), nil, time.Minute, time.Minute, "it answers 503"},
		{"booting", "", "502", after(0, answer("")), nil, -1, 0, ""},
		{"no TLS, below a path", "heptapod: {external_url: 'http://hg.example.org/forge'}\ntls: {mode: off}\n", "200", after(0, answer("")),
			[]string{"hg.example.org:80:hepta-traefik:80", "http://hg.example.org/forge/users/sign_in"}, 0, 0, ""},
		{"own routes", "heptapod: {labels: {Traefik.http.routers.hepta-forge.rule: Host(`x`)}}\n", "200", after(time.Hour, answer("404")), nil, 0, 0, ""},
		{"another address", "traefik: {flags: ['--entryPoints.WebSecure.address=:8443']}\n", "200", after(time.Hour, answer("404")), nil, 0, 0, ""},
		{"another address of plain http", "tls: {mode: off}\ntraefik: {flags: ['--entrypoints.web.address=127.0.0.1:80']}\n", "200", after(time.Hour, answer("404")), nil, 0, 0, ""},
		{"certificates of clients", "traefik: {flags: ['--entrypoints.websecure.http.tls.options=mtls@file']}\n", "200", after(time.Hour, answer("404")), nil, 0, 0, ""},
		{"own constraints", "traefik: {flags: ['--providers.docker.constraints=Label(`a`,`b`)']}\n", "200", after(time.Hour, answer("404")), nil, 0, 0, ""},
		{"one more entrypoint", "traefik: {flags: ['--entryPoints.other.address=:81']}\n", "200", after(2*time.Second, answer("404")), nil, 2 * time.Second, 2 * time.Second, ""},
		{"a proxy in front", "traefik: {flags: ['--entrypoints.websecure.forwardedheaders.trustedips=192.0.2.7']}\n", "200", after(2*time.Second, answer("404")), nil, 2 * time.Second, 2 * time.Second, ""},
		{"the same address", "traefik: {flags: ['--entrypoints.websecure.address=:443']}\n", "200", after(2*time.Second, answer("404")), nil, 2 * time.Second, 2 * time.Second, ""},
		{"the other entrypoint", "traefik: {flags: ['--entrypoints.web.address=:8080']}\n", "200", after(2*time.Second, answer("404")), nil, 2 * time.Second, 2 * time.Second, ""},
		{"another provider", "traefik: {flags: ['--providers.http.endpoint=http://a.b']}\n", "200", after(2*time.Second, answer("404")), nil, 2 * time.Second, 2 * time.Second, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := "forge: hg.example.org\n" + c.yaml
			if !strings.Contains(c.yaml, "tls:") {
				text += "tls: {mode: internal}\n"
			}
			s := stackOf(t, text)
			for service, want := range map[string]time.Duration{heptapod.Service: c.forge, traefik.Service: c.proxy} {
				synctest.Test(t, func(t *testing.T) {
					h := &curlHost{itself: c.itself, through: c.through, began: time.Now()}
					i := slices.IndexFunc(s.want.Containers, func(x converge.Container) bool { return x.Service == service })
					check := s.want.Containers[i].Ready.Check
					if check == nil {
						if c.asked != nil || want != 0 || service == heptapod.Service {
							t.Errorf("%s is not looked at", service)
						}
						return
					}
					err := check(t.Context(), h)
					if want < 0 {
						if err == nil || errors.Is(err, converge.ErrHopeless) || !strings.Contains(err.Error(), c.why) {
							t.Errorf("%s: %v", service, err)
						}
						return
					}
					if took := time.Since(h.began); took < want || took > want+routePoll {
						t.Errorf("%s is ready after %s, not %s", service, took, want)
					}
					if hopeless := errors.Is(err, converge.ErrHopeless); hopeless != (c.why != "") || (err == nil) == hopeless {
						t.Errorf("%s: %v", service, err)
					}
					if err != nil && (!strings.Contains(err.Error(), c.why) || fault.Remedy(err) == "") {
						t.Errorf("%s: %v", service, fault.Describe(err))
					}
					if c.asked != nil && !slices.Equal(h.asked, c.asked) {
						t.Errorf("%s: asked for %q", service, h.asked)
					}
				})
			}
		})
	}
}
