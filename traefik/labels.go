package traefik

import (
	"fmt"
	"strconv"
	"time"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/pattern"
)

var routeName = pattern.New(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)

// Validate says why a route cannot be published.
func (r Route) Validate() error {
	why, remedy := "", ""
	switch {
	case !routeName().MatchString(r.Name):
		why, remedy = fmt.Sprintf("%q is no name of a route", r.Name), "Use letters, digits, - and _."
	case !isHost(r.Host):
		why, remedy = fmt.Sprintf("%q is no host name", r.Host), "Use a bare name such as hg.example.org."
	case r.Port < 1 || r.Port > 65535:
		why, remedy = fmt.Sprintf("%d is no port", r.Port), "Use 1 to 65535."
	default:
		return nil
	}
	return &fault.Error{Op: "publish route", What: r.Name, Why: why, Remedy: remedy}
}

// Labels publish routes of one container of the proxy's own stack: what brings
// that up adds the stack's proof, without which the proxy believes no label. A
// container of somebody else needs those of Proxy.Labels. The values are
// literal: a $ is not doubled. The routes are valid ones.
func Labels(cfg Config, routes ...Route) map[string]string {
	cfg = cfg.withDefaults()
	labels := published(cfg)
	for _, r := range routes {
		router := "traefik.http.routers." + r.Name + "."
		labels[router+"rule"] = hostRule(r.Host)
		labels[router+"entrypoints"] = cfg.entrypoint()
		labels[router+"service"] = r.Name
		switch cfg.TLS.Mode {
		case TLSOff:
		case TLSACME:
			labels[router+"tls"] = "true"
			labels[router+"tls.certresolver"] = resolver
		default:
			labels[router+"tls"] = "true"
		}
		if r.HSTS && cfg.sendsHSTS() {
			labels[router+"middlewares"] = r.Name + "-hsts"
			labels["traefik.http.middlewares."+r.Name+"-hsts.headers.stsseconds"] = strconv.Itoa(int(hstsLife.Seconds()))
		}
		labels["traefik.http.services."+r.Name+".loadbalancer.server.port"] = strconv.Itoa(r.Port)
	}
	return labels
}

const hstsLife = 180 * 24 * time.Hour

func (cfg Config) sendsHSTS() bool {
	return (cfg.TLS.Mode == TLSACME || cfg.TLS.Mode == TLSFiles) && cfg.PublicPort == 443
}

// SSHLabels publish a container's port on the proxy's entrypoint ssh. Plain
// TCP names no host, so only one container can have it.
func SSHLabels(cfg Config, name string, port int) map[string]string {
	labels := published(cfg.withDefaults())
	router := "traefik.tcp.routers." + name + "."
	labels[router+"rule"] = "HostSNI(`*`)"
	labels[router+"entrypoints"] = "ssh"
	labels[router+"service"] = name
	labels["traefik.tcp.services."+name+".loadbalancer.server.port"] = strconv.Itoa(port)
	return labels
}

// labelEnable asks the proxy to publish a container.
const labelEnable = "traefik.enable"

func published(cfg Config) map[string]string {
	return map[string]string{
		labelEnable:              "true",
		"traefik.docker.network": cfg.Network,
	}
}

func hostRule(host string) string { return "Host(" + quote(host) + ")" }

// quote writes a string as a literal of Traefik's rules, which are read as Go
// expressions; nothing in text ends the literal early.
func quote(text string) string {
	if strconv.CanBackquote(text) {
		return "`" + text + "`"
	}
	return strconv.Quote(text)
}
