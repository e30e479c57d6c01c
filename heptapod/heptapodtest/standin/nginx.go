package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// nginx is the image's web server: two virtual hosts, the forge and the
// registry, on one port or on two. A request whose host is neither gets the
// forge, nginx's default server.
type nginx struct {
	mu      sync.Mutex
	sites   []virtualHost
	trusted []*net.IPNet // whose X-Forwarded-For is believed
	log     *log.Logger
	servers []*http.Server
	certs   []*certificate
}

type virtualHost struct {
	site
	handler http.Handler
}

// certificate is read from its files at the start and at every hup.
type certificate struct {
	mu        sync.Mutex
	cert, key string
	loaded    *tls.Certificate
}

func (c *certificate) load() error {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("cannot load certificate %q: %w", c.cert, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loaded = &pair
	return nil
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.loaded, nil
}

// configure takes the virtual hosts that the next start serves.
func (n *nginx) configure(trusted []*net.IPNet, sites ...virtualHost) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sites, n.trusted = sites, trusted
}

func (n *nginx) start(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	type listener struct {
		sites []virtualHost
		tls   *tls.Config
	}
	ports := map[int]*listener{}
	n.certs = nil
	for _, s := range n.sites {
		l := ports[s.port]
		if l == nil {
			l = &listener{}
			ports[s.port] = l
		}
		l.sites = append(l.sites, s)
		if !s.tls {
			continue
		}
		c := &certificate{cert: s.cert, key: s.key}
		if err := c.load(); err != nil {
			return err
		}
		n.certs = append(n.certs, c)
		if l.tls == nil {
			l.tls = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
		}
		if s.redirect && ports[80] == nil {
			s.handler = http.HandlerFunc(redirectToTLS)
			ports[80] = &listener{sites: []virtualHost{s}}
		}
	}
	for port, l := range ports {
		ln, err := bind(ctx, port)
		if err != nil {
			n.shut()
			return fmt.Errorf("bind() to 0.0.0.0:%d failed: %w", port, err)
		}
		if l.tls != nil {
			ln = tls.NewListener(ln, l.tls)
		}
		server := &http.Server{Handler: n.dispatch(l.sites, l.tls != nil, n.trusted), ReadHeaderTimeout: time.Minute, ErrorLog: n.log}
		n.servers = append(n.servers, server)
		go server.Serve(ln)
	}
	return nil
}

// bind tries as often as nginx does: a process that is being started at this
// moment holds a copy of the socket that was just closed.
func bind(ctx context.Context, port int) (ln net.Listener, err error) {
	for range 5 {
		ln, err = (&net.ListenConfig{}).Listen(ctx, "tcp", ":"+strconv.Itoa(port))
		if !errors.Is(err, syscall.EADDRINUSE) {
			return ln, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(500 * time.Millisecond):
		}
	}
	return nil, err
}

func (n *nginx) stop() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.shut()
	return nil
}

func (n *nginx) shut() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, s := range n.servers {
		if s.Shutdown(ctx) != nil {
			s.Close()
		}
	}
	n.servers = nil
}

// hup reads the certificates again.
func (n *nginx) hup() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var errs []error
	for _, c := range n.certs {
		errs = append(errs, c.load())
	}
	return errors.Join(errs...)
}

// dispatch picks the virtual host by the request's host, the first by default.
func (n *nginx) dispatch(sites []virtualHost, secure bool, trusted []*net.IPNet) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		chosen := sites[0]
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		for _, s := range sites {
			if strings.EqualFold(s.url.Hostname(), host) {
				chosen = s
				break
			}
		}
		r.Header.Set("X-Forwarded-For", clientAddress(r, trusted))
		// The image sets the scheme of the external URL, whoever ends TLS.
		r.Header.Set("X-Forwarded-Proto", chosen.url.Scheme)
		if chosen.url.Scheme == "https" || secure {
			r.Header.Set("X-Forwarded-Ssl", "on")
		}
		chosen.handler.ServeHTTP(w, r)
	})
}

// clientAddress is who asks: the last address in X-Forwarded-For that is no
// trusted proxy's, when the connection comes from a trusted one.
func clientAddress(r *http.Request, trusted []*net.IPNet) string {
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		peer = r.RemoteAddr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && within(trusted, net.ParseIP(peer)); i-- {
		hop := strings.TrimSpace(hops[i])
		if net.ParseIP(hop) == nil {
			break
		}
		peer = hop
	}
	return peer
}

func redirectToTLS(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	http.Redirect(w, r, "https://"+host+r.URL.RequestURI(), http.StatusMovedPermanently)
}

// upstream passes requests on, as they are, to what listens at addr.
func upstream(network, addr string, logger *log.Logger) http.Handler {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	return &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = "http", "upstream", p.In.Host
			for _, h := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Ssl"} {
				if v := p.In.Header.Get(h); v != "" {
					p.Out.Header.Set(h, v)
				}
			}
			p.Out.Header.Set("X-Forwarded-Host", p.In.Host)
		},
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, addr)
			},
			DisableCompression: true,
			MaxIdleConns:       64,
			IdleConnTimeout:    30 * time.Second,
		},
		FlushInterval: -1,
		ErrorLog:      logger,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() != nil {
				return
			}
			logger.Printf("%s %s: upstream %s: %v", r.Method, r.URL.Path, addr, err)
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprint(w, "<!DOCTYPE html>\n<html><head><title>GitLab is not responding (502)</title></head>\n<body><h1>502</h1>\n<h3>Whoops, GitLab is taking too much time to respond.</h3>\n</body></html>\n")
		},
	}
}
