package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
)

// Route is a way to a registry and its forge for a machine that does not know
// their names, or not the authority of their certificates. TLS and HTTP speak
// of the names all the same.
type Route struct {
	Names []string // host names that are led another way when they do not resolve
	// Machine is where the ports of those names are published; "" leaves the
	// names alone.
	Machine string
	Ports   map[string]string // port of a name to port of Machine, where they differ
	// Authority is trusted beside what the system trusts; PEM, may be empty.
	Authority []byte

	// Lookup is net.DefaultResolver.LookupHost when nil.
	Lookup func(ctx context.Context, name string) ([]string, error)

	mu   sync.Mutex
	lead map[string]string // name to where it was led
}

// Client goes the route. It keeps no connections.
func (r *Route) Client() (*http.Client, error) {
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("make client: the default transport was replaced")
	}
	transport = transport.Clone()
	transport.DisableKeepAlives = true
	transport.DialContext = r.dial
	if len(r.Authority) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(r.Authority) {
			return nil, errors.New("make client: the authority's certificate is not PEM")
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: transport}, nil
}

// Led says where a name was led to, or "" when it resolved by itself.
func (r *Route) Led(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lead[strings.ToLower(name)]
}

func (r *Route) dial(ctx context.Context, network, address string) (net.Conn, error) {
	to, err := r.leads(ctx, address)
	if err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, to)
	if err != nil && to != address {
		return nil, fmt.Errorf("%s does not resolve here, and on the Engine's host: %w", hostOnly(address), err)
	}
	return conn, err
}

// leads is the address to dial for another.
func (r *Route) leads(ctx context.Context, address string) (string, error) {
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	ours := false
	for _, n := range r.Names {
		ours = ours || strings.EqualFold(n, name)
	}
	if !ours || r.Machine == "" || net.ParseIP(name) != nil {
		return address, nil
	}
	lookup := r.Lookup
	if lookup == nil {
		lookup = net.DefaultResolver.LookupHost
	}
	_, err = lookup(ctx, name)
	var dns *net.DNSError
	if err == nil || !errors.As(err, &dns) || ctx.Err() != nil {
		return address, nil // the dialer says what is wrong, if anything
	}
	if other := r.Ports[port]; other != "" {
		port = other
	}
	to := net.JoinHostPort(r.Machine, port)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lead == nil {
		r.lead = make(map[string]string)
	}
	r.lead[strings.ToLower(name)] = to
	return to, nil
}
