package engine

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/tlsconfig"

	"github.com/heptaup/hepta/internal/dockerauth"
	"github.com/heptaup/hepta/internal/fault"
)

// Dial connects to an Engine and settles the version of the API. host is
// unix://, npipe://, tcp:// (with TLS where ?certs=DIR, DOCKER_TLS_VERIFY or a
// docker context says so), ssh://user@host, or the name of a docker context,
// context://NAME where it could be taken for something else. Empty follows
// DOCKER_HOST, then the current docker context, then the local socket.
func Dial(ctx context.Context, host string) (*client.Client, error) {
	at, err := find(host)
	if err != nil {
		return nil, err
	}
	c, err := at.client()
	if err != nil {
		return nil, err
	}
	ping, err := c.Ping(ctx)
	if err != nil {
		_ = c.Close()
		return nil, unreachable("reach Docker Engine at "+at.host, err)
	}
	if versions.LessThan(ping.APIVersion, minAPI) {
		_ = c.Close()
		return nil, &fault.Error{Op: "reach Docker Engine at", What: at.host, Why: fmt.Sprintf("it is too old (API %s, %s is needed)", ping.APIVersion, minAPI),
			Remedy: "Install Docker Engine 20.10 or newer there."}
	}
	c.NegotiateAPIVersionPing(ping)
	return c, nil
}

// address is an Engine and how to get through to it.
type address struct {
	host string // as the docker CLI writes it
	tls  *tlsconfig.Options
}

// find settles which Engine is meant.
func find(host string) (address, error) {
	if name, ok := strings.CutPrefix(host, "context://"); ok {
		return loadContext(name)
	}
	if host != "" && !strings.Contains(host, "://") {
		return loadContext(host)
	}
	if rest, dir, ok := strings.Cut(host, certsOption); ok {
		return address{host: rest, tls: tlsIn(dir)}, nil
	}
	if host == "" {
		host = os.Getenv(client.EnvOverrideHost)
	}
	if host != "" {
		return address{host: host, tls: tlsFromEnv()}, nil
	}
	name := os.Getenv("DOCKER_CONTEXT")
	if name == "" {
		config, err := dockerauth.Read()
		if err != nil {
			return address{}, err
		}
		name = config.CurrentContext
	}
	return loadContext(name)
}

// tlsFromEnv is what DOCKER_TLS_VERIFY and DOCKER_CERT_PATH say.
func tlsFromEnv() *tlsconfig.Options {
	dir := os.Getenv(client.EnvOverrideCertPath)
	verify := os.Getenv(client.EnvTLSVerify) != ""
	if dir == "" {
		if !verify {
			return nil
		}
		dir = dockerauth.Dir()
	}
	options := tlsIn(dir)
	options.InsecureSkipVerify = !verify
	return options
}

// certsOption ends an address with the directory of its certificates.
const certsOption = "?certs="

// WithCerts is host with the directory where ca.pem, cert.pem and key.pem lie.
func WithCerts(host, dir string) string { return host + certsOption + dir }

func tlsIn(dir string) *tlsconfig.Options {
	return &tlsconfig.Options{CAFile: filepath.Join(dir, "ca.pem"), CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
}

func (a address) client() (*client.Client, error) {
	opts := []client.Opt{client.WithVersionFromEnv(), client.WithAPIVersionNegotiation()}
	u, err := url.Parse(a.host)
	if err != nil || u.Scheme == "" {
		return nil, &fault.Error{Op: "reach Docker Engine at", What: a.host, Why: "that is no address of an Engine",
			Remedy: "Write unix:///path, tcp://host:port, ssh://user@host or the name of a docker context."}
	}
	switch u.Scheme {
	case "unix", "npipe":
		opts = append(opts, client.WithHost(a.host))
	case "ssh":
		dial, err := sshDialer(u)
		if err != nil {
			return nil, err
		}
		opts = append(opts, client.WithHost("http://docker.invalid"), client.WithDialContext(dial))
	case "tcp", "http", "https":
		if a.tls != nil {
			config, err := tlsconfig.Client(*a.tls)
			if err != nil {
				return nil, &fault.Error{Op: "reach Docker Engine at", What: a.host, Why: "its TLS certificates cannot be read",
					Remedy: "Check docker.certs in hepta.yaml, DOCKER_CERT_PATH or the docker context.", Err: err}
			}
			opts = append(opts, client.WithHTTPClient(httpClient(config)))
		}
		opts = append(opts, client.WithHost(a.host))
	default:
		return nil, &fault.Error{Op: "reach Docker Engine at", What: a.host, Why: "addresses of the kind " + u.Scheme + " are not known",
			Remedy: "Write unix:///path, tcp://host:port, ssh://user@host or the name of a docker context."}
	}
	c, err := client.NewClientWithOpts(opts...)
	if err != nil {
		return nil, fmt.Errorf("reach Docker Engine at %s: %w", a.host, err)
	}
	return c, nil
}

func httpClient(config *tls.Config) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, DialContext: (&net.Dialer{}).DialContext},
		CheckRedirect: client.CheckRedirect}
}
