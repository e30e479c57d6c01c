package hepta

import (
	"context"
	"crypto/x509"
	_ "embed"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/engine"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/opaque"
	"github.com/heptaup/hepta/internal/progress"
	"github.com/heptaup/hepta/traefik"
)

// Certificate is what the proxy has for some of its hosts.
type Certificate = traefik.Certificate

const (
	// acmePatience is how long an ACME server may take, unless Traefik says
	// before that it has got nothing from it.
	acmePatience = 2 * time.Minute
	// dnsPatience is that with the challenge dns, where a record has to reach
	// all servers of the domain first.
	dnsPatience = 15 * time.Minute
	acmePoll    = time.Second
)

// certificates are those of the stack's own proxy.
func (s *Stack) certificates(o *converge.Observed) []Certificate {
	if s.proxy == nil || o == nil {
		return nil
	}
	return s.proxy.Certificates(opaque.Hide(o))
}

func (s *Stack) certificateNotes(o *converge.Observed) []string {
	var notes []string
	for _, c := range s.certificates(o) {
		notes = append(notes, c.String())
	}
	return notes
}

// certified waits for the certificates that the proxy gets from an ACME server.
// It looks at what is served for hosts that the proxy has none for yet, and for
// all after a change: the proxy keeps a certificate before it serves it.
func (s *Stack) certified(ctx context.Context, e *engine.Engine, changed bool) error {
	if s.proxy == nil || s.cfg.tlsMode() != traefik.TLSACME || s.cfg.routesItself() {
		return nil
	}
	o, err := e.Observe(ctx, &s.want)
	if err != nil {
		return fmt.Errorf("look at certificates: %w", err)
	}
	var hosts, without []string
	for _, c := range s.proxy.Certificates(opaque.Hide(o)) {
		if !c.Good(time.Now()) {
			without = append(without, c.Hosts...)
		}
		if changed || !c.Good(time.Now()) {
			hosts = append(hosts, c.Hosts...)
		}
	}
	if len(without) > 0 {
		s.opts.Progress.Send(progress.Event{State: progress.Info, Resource: "stack " + s.cfg.Stack,
			Text: "waiting for the ACME server's certificate of " + strings.Join(without, ", ")})
	}
	if len(hosts) == 0 {
		return nil
	}
	return s.awaitCertificates(ctx, e, hosts)
}

// awaitCertificates returns once the proxy serves a certificate for each of
// hosts, or says why it does not.
func (s *Stack) awaitCertificates(ctx context.Context, e *engine.Engine, hosts []string) error {
	patience := acmePatience
	if s.cfg.TLS.Challenge == traefik.ChallengeDNS {
		patience = dnsPatience
	}
	for until := time.Now().Add(patience); ; {
		var err error
		if hosts, err = s.served(ctx, e, hosts); err != nil || len(hosts) == 0 {
			return err
		}
		why, err := s.acmeFailure(ctx, e, hosts)
		switch {
		case err != nil:
			return err
		case why == "" && time.Now().After(until):
			why = "Traefik has not got one in " + patience.String()
		}
		if why != "" {
			name, see := traefik.Name(s.cfg.Stack), "See that the name leads to this host and that port 443 of it is reached from the internet."
			switch s.cfg.TLS.Challenge {
			case traefik.ChallengeHTTP:
				see = strings.Replace(see, "443", "80", 1)
			case traefik.ChallengeDNS:
				see = fmt.Sprintf("See that tls.credentials let %s write records of the domain, and that the Docker host reaches its API: https://go-acme.github.io/lego/dns/%[1]s", s.cfg.TLS.Provider)
			}
			return &fault.Error{Op: "get certificate of", What: strings.Join(hosts, ", "),
				Why: "the proxy serves one of its own, which nobody trusts: " + why,
				Remedy: fmt.Sprintf("Everything else is up. %s "+
					"Traefik tries again when it is started: docker restart %s, then hepta up.", see, name)}
		}
		pause := time.NewTimer(acmePoll)
		select {
		case <-ctx.Done():
			pause.Stop()
			return context.Cause(ctx)
		case <-pause.C:
		}
	}
}

// serverCertificates prints, for each host, the certificate that a server shows.
//
//go:embed certificates.rb
var serverCertificates string

// served gives those of hosts for which the proxy shows no certificate of
// anybody's but its own. It asks from the forge's container, with the Ruby that
// every image of it has: no name has to be known to a DNS server for that.
func (s *Stack) served(ctx context.Context, e *engine.Engine, hosts []string) (without []string, err error) {
	name, err := s.container(heptapod.Service)
	if err != nil {
		return nil, err
	}
	ask := append([]string{"/opt/gitlab/embedded/bin/ruby", "-e", serverCertificates, traefik.Name(s.cfg.Stack)}, hosts...)
	r, err := e.Exec(ctx, name, engine.ExecOptions{Cmd: ask})
	if err != nil {
		return nil, fmt.Errorf("look at the certificates that the proxy serves: %w", err)
	}
	shown := make(map[string]*x509.Certificate)
	for line := range strings.Lines(string(r.Stdout)) {
		host, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			continue
		}
		if leaf, err := x509.ParseCertificate(der); err == nil {
			shown[host] = leaf
		}
	}
	return slices.DeleteFunc(slices.Clone(hosts), func(host string) bool {
		leaf := shown[host]
		return leaf != nil && leaf.VerifyHostname(host) == nil && time.Now().Before(leaf.NotAfter)
	}), nil
}

// acmeFailure is what Traefik has said since its start about certificates that
// it did not get for hosts; "" when nothing.
func (s *Stack) acmeFailure(ctx context.Context, e *engine.Engine, hosts []string) (string, error) {
	docker, err := s.docker(ctx)
	if err != nil {
		return "", err
	}
	name := traefik.Name(s.cfg.Stack)
	box, err := docker.ContainerInspect(ctx, name)
	if err != nil {
		return "", fmt.Errorf("look at container %s: %w", name, err)
	}
	var since time.Time
	if box.State != nil {
		since, _ = time.Parse(time.RFC3339Nano, box.State.StartedAt) // zero: from the beginning
	}
	why := ""
	err = e.Logs(ctx, []string{name}, engine.LogOptions{Since: since}, func(l engine.LogLine) {
		if text, ok := traefik.ACMEFailure(l.Text); ok && slices.ContainsFunc(hosts, func(h string) bool { return strings.Contains(text, h) }) {
			why = text
		}
	})
	if err != nil {
		return "", fmt.Errorf("read the proxy's log: %w", err)
	}
	return why, nil
}
