package registry

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"github.com/heptaup/hepta/internal/dockerauth"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
)

// Report is what Probe found out about a registry.
type Report struct {
	URL      string    `json:"url"`
	Realm    string    `json:"realm,omitempty"`   // where tokens are had
	Service  string    `json:"service,omitempty"` // whom they are for
	Findings []Finding `json:"findings"`
}

// OK reports whether a Docker client could work with the registry.
func (r *Report) OK() bool {
	for _, f := range r.Findings {
		if !f.OK {
			return false
		}
	}
	return true
}

// Finding is one thing that was looked at.
type Finding struct {
	Check  string `json:"check"` // what was asked: "registry answers"
	OK     bool   `json:"ok"`
	Note   bool   `json:"note,omitempty"`   // nothing was proved: what Saw says is to be known
	Saw    string `json:"saw"`              // what came back
	Means  string `json:"means,omitempty"`  // what that leads to; empty when OK
	Remedy string `json:"remedy,omitempty"` // what to do about it; empty when OK
}

// ProbeOption changes what Probe expects.
type ProbeOption func(*probe)

// ForForge names the URL of the forge that the registry should send its
// clients to for tokens.
func ForForge(address string) ProbeOption { return func(p *probe) { p.forge = address } }

type probe struct {
	*conn
	forge  string
	report Report
}

func (p *probe) ok(check, saw string) {
	p.report.Findings = append(p.report.Findings, Finding{Check: check, OK: true, Saw: saw})
}

func (p *probe) bad(check, saw, means, remedy string) {
	p.report.Findings = append(p.report.Findings, Finding{Check: check, Saw: saw, Means: means, Remedy: remedy})
}

// Probe looks at a registry as a Docker client does before it logs in, without
// credentials, and stops at the first thing without which the rest makes no
// sense. What is wrong with the registry is in the report; the error is for an
// address that is none and for a context that ended.
func Probe(ctx context.Context, client *http.Client, registryURL string, opts ...ProbeOption) (*Report, error) {
	c, err := connect(client, registryURL)
	if err != nil {
		return nil, err
	}
	p := &probe{conn: c, report: Report{URL: c.base.String()}}
	for _, f := range opts {
		f(p)
	}
	if p.answers(ctx) {
		p.realmAnswers(ctx)
	}
	return &p.report, ctx.Err()
}

// answers checks the registry itself and reads its challenge.
func (p *probe) answers(ctx context.Context) bool {
	const check = "registry answers"
	got, err := p.do(ctx, http.MethodGet, p.api(""), nil)
	if err != nil {
		p.unreachable(check, p.base.Host, err)
		return false
	}
	switch code := got.StatusCode; {
	case code == http.StatusUnauthorized:
		p.ok(check, got.Status)
	case code == http.StatusOK:
		p.bad(check, got.Status, "Everyone may pull and push without logging in, or this is not the forge's registry.",
			"Check that the name leads to the forge and that registry_external_url is set in gitlab.rb.")
		return false
	case code >= 300 && code < 400:
		p.bad(check, got.Status+" to "+redact(got.Header.Get("Location")), "Docker clients do not follow: login fails.",
			"Use the address that it redirects to; where that is the same one, set registry_nginx['listen_https'] to false behind the proxy.")
		return false
	default:
		p.wrongAnswer(check, got)
		return false
	}
	return p.challenges(got)
}

func (p *probe) wrongAnswer(check string, got *answer) {
	switch got.StatusCode {
	case http.StatusNotFound:
		if strings.HasPrefix(string(got.body), "404 page not found") && got.Header.Get("Docker-Distribution-Api-Version") == "" {
			p.bad(check, got.said(), "The proxy has no route to that name: the forge is still booting or unhealthy, or the registry's host name differs from the one in use.",
				"Wait for the forge to become healthy, then compare the name with registry.host.")
			return
		}
		p.bad(check, got.said(), "What answers is not a registry.", "Check that registry.host names the registry and not the forge's pages, and that the registry is switched on.")
	case http.StatusBadRequest:
		p.bad(check, got.said(), "The server refuses the request, often because it expects https on that port.", "Use https, or the port of the plain registry.")
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		p.bad(check, got.said(), "The proxy knows the name and the forge behind it does not answer yet.", "Wait for the forge to become healthy; if it is, look at `gitlab-ctl tail registry`.")
	case http.StatusGatewayTimeout:
		p.bad(check, got.said(), "The proxy asks for the forge on a network that the forge is not on.", "Attach proxy and forge to the same network: `hepta up` does so.")
	default:
		p.bad(check, got.said(), "A Docker client expects 401 here and gives up.", "Look at the logs of the registry: `gitlab-ctl tail registry`.")
	}
}

// challenges checks where the registry sends its clients.
func (p *probe) challenges(got *answer) bool {
	const check = "registry asks for a token"
	realm, service, err := got.bearer()
	if err != nil {
		p.bad(check, err.Error(), "Docker clients cannot log in with an account of the forge.", "Check that this is the forge's registry: only that one hands its clients to the forge.")
		return false
	}
	p.report.Realm, p.report.Service = realm.String(), service
	p.ok(check, realm.String())

	const secure = "tokens are had over https"
	switch {
	case p.base.Scheme == "http" || realm.Scheme == "https":
		p.ok(secure, realm.Scheme)
	default:
		p.bad(secure, realm.Scheme, "Passwords would travel in the clear, and clients that want https fail to log in.",
			"Set the forge's external_url to https and nginx['listen_https'] to false: TLS ends in the proxy.")
	}
	if forge, err := url.Parse(p.forge); p.forge != "" && err == nil {
		const same = "tokens come from the forge"
		if strings.EqualFold(hostPort(realm), hostPort(forge)) {
			p.ok(same, realm.Host)
		} else {
			p.bad(same, realm.Host+" instead of "+forge.Host, "Clients log in at another name than the forge's, which may not resolve or not be trusted.",
				"Use one host name everywhere: external_url, the proxy's route and heptapod.host.")
		}
	}
	return true
}

// realmAnswers checks that tokens can be asked for.
func (p *probe) realmAnswers(ctx context.Context) {
	const check = "forge issues tokens"
	realm, err := url.Parse(p.report.Realm)
	if err != nil || realm.Scheme != "https" && realm.Scheme != "http" {
		p.bad(check, p.report.Realm, "That is no address.", "Check external_url in gitlab.rb.")
		return
	}
	query := realm.Query()
	query.Set("service", p.report.Service)
	realm.RawQuery = query.Encode()
	got, err := p.do(ctx, http.MethodGet, realm.String(), nil)
	if err != nil {
		p.unreachable(check, realm.Host, err)
		return
	}
	switch code := got.StatusCode; {
	case code == http.StatusOK:
		p.ok(check, "it does")
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		p.ok(check, "it asks for a login")
	case code == http.StatusNotFound:
		p.bad(check, got.said(), "The forge does not know the registry, or the realm is not the forge.", "Check that gitlab_rails['registry_enabled'] is true and that the realm leads to the forge.")
	case code >= 300 && code < 400:
		p.bad(check, got.Status+" to "+redact(got.Header.Get("Location")), "Docker clients lose their credentials on the way.", "Make external_url the address that the forge really has.")
	case code >= 500:
		p.bad(check, got.said(), "The forge is not ready or fails.", "Wait for the forge to become healthy, then look at its logs.")
	default:
		p.bad(check, got.said(), "A Docker client expects a token or 401.", "Look at the logs of the forge.")
	}
}

// unreachable explains why nothing came back.
func (p *probe) unreachable(check, host string, err error) {
	var dns *net.DNSError
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	saw := reason(err)
	switch {
	case errors.As(err, &dns):
		p.bad(check, saw, "The name does not resolve here; every Docker daemon that is to use it needs it as well.", "Add "+hostOnly(host)+" to the DNS, or to /etc/hosts of the machines concerned.")
	case errors.As(err, &authority):
		p.bad(check, saw, "Whoever does not know that authority cannot log in.",
			"Give each Docker daemon, and each dind, the authority's certificate as "+dockerauth.AuthorityFile(host)+", or use certificates from an ACME server.")
	case errors.As(err, &name):
		p.bad(check, saw, "The certificate is for other names: the proxy serves its default one, or the name was added later.",
			"Check that the name is one of the forge's; with ACME look at the proxy's log for why it got no certificate.")
	case errors.As(err, &invalid):
		p.bad(check, saw, "The certificate is not valid.", "Renew it, or check the clocks.")
	case strings.Contains(saw, "server gave HTTP response to HTTPS client"):
		p.bad(check, saw, "The registry speaks plain http.", "Put TLS in front of it, or list "+host+" under insecure-registries of every Docker daemon and use http:// here.")
	case errors.Is(err, syscall.ECONNREFUSED):
		p.bad(check, saw, "Nobody listens there.", "Check that the proxy runs and publishes that port.")
	default:
		p.bad(check, saw, "The registry cannot be reached from here.", "Check name, port and firewall.")
	}
}

// reason is an error without the method and URL that net/http puts before it.
func reason(err error) string {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err.Error()
	}
	return fmt.Sprint(err)
}

func hostOnly(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return hostport
}

// hostPort is the host with a port in every case.
func hostPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	if u.Scheme == "http" {
		return u.Host + ":80"
	}
	return u.Host + ":443"
}
