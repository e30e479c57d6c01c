package traefik

import (
	"crypto/sha256"
	"fmt"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The files that the proxy re-reads by itself, below the data directory.
const (
	dynamicFile = "traefik/dynamic/hepta.yaml"
	usersFile   = "traefik/dynamic/users.htpasswd"
	leafFile    = "traefik/dynamic/leaf.pem"
)

// dynamic is the part of Traefik's dynamic configuration that is written.
type dynamic struct {
	HTTP *dynamicHTTP `yaml:"http,omitempty"`
	TLS  *dynamicTLS  `yaml:"tls,omitempty"`
}

type dynamicHTTP struct {
	Routers     map[string]router     `yaml:"routers"`
	Middlewares map[string]middleware `yaml:"middlewares"`
}

type router struct {
	Rule        string     `yaml:"rule"`
	EntryPoints []string   `yaml:"entryPoints"`
	Middlewares []string   `yaml:"middlewares"`
	Service     string     `yaml:"service"`
	TLS         *routerTLS `yaml:"tls,omitempty"`
}

type routerTLS struct {
	CertResolver string `yaml:"certResolver,omitempty"`
}

type middleware struct {
	BasicAuth basicAuth `yaml:"basicAuth"`
}

type basicAuth struct {
	UsersFile    string `yaml:"usersFile"`
	RemoveHeader bool   `yaml:"removeHeader"`
}

type dynamicTLS struct {
	Stores map[string]store `yaml:"stores"`
}

type store struct {
	DefaultCertificate certificate `yaml:"defaultCertificate"`
}

type certificate struct {
	CertFile string `yaml:"certFile"`
	KeyFile  string `yaml:"keyFile"`
}

// renderDynamic is the content of dynamicFile. It holds no secret: users and
// keys lie in files of their own.
func renderDynamic(cfg Config) ([]byte, error) {
	var d dynamic
	if host := cfg.Dashboard.Host; host != "" {
		// The name carries a hash of the users: a middleware is only built
		// anew, and its file read, when its description changes.
		users := sha256.Sum256(renderUsers(cfg))
		auth := fmt.Sprintf("dashboard-%x", users[:4])
		r := router{
			Rule:        hostRule(host),
			EntryPoints: []string{cfg.entrypoint()},
			Middlewares: []string{auth},
			Service:     "api@internal",
		}
		switch cfg.TLS.Mode {
		case TLSOff:
		case TLSACME:
			r.TLS = &routerTLS{CertResolver: resolver}
		default:
			r.TLS = &routerTLS{}
		}
		d.HTTP = &dynamicHTTP{
			Routers:     map[string]router{"dashboard": r},
			Middlewares: map[string]middleware{auth: {basicAuth{UsersFile: inside(usersFile), RemoveHeader: true}}},
		}
	}
	if cfg.TLS.Mode == TLSInternal || cfg.TLS.Mode == TLSFiles {
		leaf := certificate{CertFile: inside(leafFile), KeyFile: inside(leafFile)}
		d.TLS = &dynamicTLS{Stores: map[string]store{"default": {leaf}}}
	}
	text := []byte("# Written by hepta; what you add belongs in a file of its own beside this one.\n")
	if d == (dynamic{}) {
		return text, nil
	}
	body, err := yaml.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", dynamicFile, err)
	}
	return append(text, body...), nil
}

func renderUsers(cfg Config) []byte {
	return []byte(strings.Join(cfg.Dashboard.Users, "\n") + "\n")
}

// inside is where the proxy finds a file of its dynamic directory.
func inside(file string) string { return path.Join(dynamicDir, path.Base(file)) }
