package hepta

import "github.com/heptaup/hepta/internal/secret"

// Secret is text that prints as ***.
type Secret = secret.Value

// NewSecret wraps text that must not be printed.
func NewSecret(text string) Secret { return secret.New(text) }

// defaultStack is the name of a stack that has none.
const defaultStack = "hepta"

// Config is hepta.yaml. The zero value of every field is its default. Files
// that keys name lie beside hepta.yaml, on the machine that reads it; a
// program may set the content instead of the name.
type Config struct {
	// Prefix of containers and labels. Two stacks on one host differ here.
	Stack string `yaml:"stack" default:"hepta" check:"name"`
	// Directory on the Docker host that holds everything that must survive. Default: /srv/ and the name of the stack.
	Data string `yaml:"data" check:"abs"`
	// Names of other containers on the Docker host that may write to the data directory or one above it, such as a backup program.
	ShareDataWith []string `yaml:"share_data_with"`
	// Docker network of the proxy and what it publishes. Made when missing; one that is there is used as it is and never removed.
	Network string `yaml:"network" default:"web" check:"netname"`
	// The Docker Engine. An address alone is short for host. Default: DOCKER_HOST, then the current docker context.
	Docker Docker `yaml:"docker" short:"host"`
	// The Engine's socket on the Docker host, which the socket proxy and the runners are given.
	Socket string `yaml:"socket" default:"/var/run/docker.sock" check:"abs"`

	// The forge. A host name alone is short for host. With url the forge is external, and the file describes runners alone.
	Forge Forge `yaml:"forge" short:"host"`
	// Certificates from an ACME server such as Let's Encrypt; the same as tls with mode acme.
	ACME *ACME `yaml:"acme"`

	// The proxy in front of everything.
	Traefik Traefik `yaml:"traefik"`
	// Where certificates come from.
	TLS TLS `yaml:"tls"`
	// The forge.
	Heptapod Heptapod `yaml:"heptapod"`
	// The forge's container registry. Left out, there is none. A host name alone is short for host.
	Registry *Registry `yaml:"registry" short:"host"`
	// The runner container, which holds all runners.
	Runner RunnerContainer `yaml:"runner"`
	// Runners, each with a name of its own.
	Runners []Runner `yaml:"runners" key:"name"`

	// Warnings are what Load found that is no error.
	Warnings []string `yaml:"-"`
}

// Docker is the way to a Docker Engine.
type Docker struct {
	// Address of the Engine: unix://, tcp://, ssh://, or the name of a docker context.
	Host string `yaml:"host" check:"engine"`
	// Directory with ca.pem, cert.pem and key.pem, for tcp:// with TLS. Default: as DOCKER_TLS_VERIFY and DOCKER_CERT_PATH say.
	Certs string `yaml:"certs" check:"dir"`
}

// ACME is the short form of TLS.
type ACME struct {
	// Mail address of the ACME account.
	Email string `yaml:"email" check:"email"`
	// How the server checks that a name is ours: tls-alpn needs port 443 from outside, http port 80, dns nothing but a provider. Default: tls-alpn.
	Challenge string `yaml:"challenge" oneof:"tls-alpn http dns"`
	// Who serves the domain, challenge dns, by the name in https://go-acme.github.io/lego/dns, such as cloudflare.
	Provider string `yaml:"provider"`
	// Files with the provider's credentials, by the names of the variables there, as in CF_DNS_API_TOKEN: cf.secret. Traefik is given them as files.
	CredentialFiles map[string]string `yaml:"credentials" check:"var" into:"Credentials" private:"true"`
	// DNS servers, as address:port, that are asked whether the provider shows the challenge's record. Default: those of the Docker host.
	Resolvers []string `yaml:"resolvers"`
	// Address of the ACME directory. Default: Let's Encrypt.
	Server string `yaml:"server" check:"url"`

	// Credentials are the content of those files.
	Credentials map[string][]byte `yaml:"-" json:"-"`
}

// Traefik is the proxy.
type Traefik struct {
	// Image of the proxy.
	Image string `yaml:"image" check:"image"`
	// Image with HAProxy, by which the proxy sees which containers there are: it alone is given the Engine's socket, and lets nothing else through.
	SocketProxyImage string `yaml:"socket_proxy_image" check:"image"`
	// Published port for http, which redirects to https unless tls is off.
	HTTPPort Port `yaml:"http_port" default:"80" check:"published"`
	// Published port for https.
	HTTPSPort Port `yaml:"https_port" default:"443" check:"published"`
	// How much the proxy logs.
	LogLevel string `yaml:"log_level" default:"INFO" oneof:"TRACE DEBUG INFO WARN ERROR FATAL PANIC"`
	// The proxy's own page. Left out, there is none.
	Dashboard *Dashboard `yaml:"dashboard"`
	// Further static flags, such as --ping.entrypoint=x. They come last.
	Flags []string `yaml:"flags" private:"inside"`
	// Further environment, such as HTTPS_PROXY. Not for secrets: docker inspect shows it.
	Environment map[string]string `yaml:"environment" check:"var" private:"inside"`
	// Further labels of the container.
	Labels map[string]string `yaml:"labels"`
}

// Dashboard is the proxy's own page.
type Dashboard struct {
	// Host name of the page.
	Host string `yaml:"host" check:"host"`
	// htpasswd file with who may see it; bcrypt only (htpasswd -B).
	UsersFile string `yaml:"users_file" into:"Users" private:"true"`
	// Users are the lines of that file.
	Users []string `yaml:"-" json:"-"`
}

// TLS is where certificates come from.
type TLS struct {
	// acme: from an ACME server; internal: from an authority made here, whose ca.crt people install; files: from files of yours; off: plain http. Default: acme when there is an email, else internal.
	Mode string `yaml:"mode" oneof:"acme internal files off"`
	// Mail address of the ACME account.
	Email string `yaml:"email" check:"email"`
	// How the ACME server checks that a name is ours: tls-alpn needs port 443 from outside, http port 80, dns nothing but a provider.
	Challenge string `yaml:"challenge" default:"tls-alpn" oneof:"tls-alpn http dns"`
	// Who serves the domain, challenge dns, by the name in https://go-acme.github.io/lego/dns, such as cloudflare.
	Provider string `yaml:"provider"`
	// Files with the provider's credentials, by the names of the variables there, as in CF_DNS_API_TOKEN: cf.secret. Traefik is given them as files.
	CredentialFiles map[string]string `yaml:"credentials" check:"var" into:"Credentials" private:"true"`
	// DNS servers, as address:port, that are asked whether the provider shows the challenge's record. Default: those of the Docker host.
	Resolvers []string `yaml:"resolvers"`
	// Address of the ACME directory. Default: Let's Encrypt.
	Server string `yaml:"server" check:"url"`
	// PEM file with the authorities that are trusted when talking to server.
	CAFile string `yaml:"ca" into:"CA"`
	// PEM file with the certificate and its chain, mode files. It must cover every host name.
	CertificateFile string `yaml:"certificate" into:"Certificate"`
	// PEM file with the key, mode files.
	KeyFile string `yaml:"key" into:"Key" private:"true"`

	// Credentials, CA, Certificate and Key are the content of those files.
	Credentials map[string][]byte `yaml:"-" json:"-"`
	CA          []byte            `yaml:"-" json:"-"`
	Certificate []byte            `yaml:"-" json:"-"`
	Key         []byte            `yaml:"-" json:"-"`
}

// Registry is the forge's container registry.
type Registry struct {
	// Host name of its own, published by the proxy.
	Host string `yaml:"host" check:"host"`
	// Port on the forge's host name, instead of a host name of its own. With tls internal its certificate is of the stack's own authority; with others it needs certificate and key, unless tls is off.
	Port Port `yaml:"port" check:"published"`
	// PEM file with the certificate, with port.
	CertificateFile string `yaml:"certificate" into:"Certificate"`
	// PEM file with the key, with port.
	KeyFile string `yaml:"key" into:"Key" private:"true"`
	// Directory of the images inside the forge's container, below /var/opt/gitlab or in one of heptapod.volumes. Images that are there already have to be copied. Default: the image's own.
	Path string `yaml:"path" check:"abs"`
	// Port on which the forge's own nginx serves the registry inside the container, without TLS; the proxy leads host there. Default: 80, the forge's.
	NginxPort int `yaml:"nginx_port" check:"port"`
	// Which tags the forge removes by itself, as its cleanup policies do. Left out, what is set in the forge stays.
	Cleanup *Cleanup `yaml:"cleanup"`
	// A mirror of Docker Hub for the jobs' builds. true alone is short for one with every default; without anything else in this section the forge has no registry.
	Mirror *Mirror `yaml:"mirror" short:"enabled"`
	// Minutes for which the forge's tokens for the registry last; more than its 5 lets long pushes come to their end. Left out, the forge's setting stays.
	TokenMinutes int `yaml:"token_minutes" min:"0" max:"1440"`

	// Certificate and Key are the content of those files.
	Certificate []byte `yaml:"-" json:"-"`
	Key         []byte `yaml:"-" json:"-"`
}

// Cleanup says which tags of the registry the forge removes by itself. Of the
// tags that are meant the newest stay, and of the others the old ones go; latest
// always stays.
type Cleanup struct {
	// Tags of each repository that stay, the newest: 1, 5, 10, 25, 50 or 100. Left out, none stays for its number.
	Keep int `yaml:"keep" min:"1"`
	// Age from which the others go. Left out, they go at any age.
	OlderThan string `yaml:"older_than" oneof:"7d 14d 30d 60d 90d"`
	// Regular expression of the tags that are meant, for the whole name: main-.*
	Tags string `yaml:"tags" default:".*"`
	// The same of tags that stay in any case: v\d.*
	KeepTags string `yaml:"keep_tags"`
	// How often the forge does it.
	Every string `yaml:"every" default:"1d" oneof:"1d 7d 14d 1month 3month"`
	// Paths of projects, or of groups for all below them. Default: every project.
	Projects []string `yaml:"projects"`
	// no switches it off in these projects.
	Enabled *bool `yaml:"enabled"`
}

// Mirror is a registry that fetches from another one what it is asked for, and
// keeps it.
type Mirror struct {
	// Whether there is one. Default: yes, where the section is written.
	Enabled *bool `yaml:"enabled"`
	// Address of an external mirror. Jobs use it and none is run here; their daemons trust the authorities of runner.ca for it.
	URL string `yaml:"url" check:"url"`
	// Image of the mirror.
	Image string `yaml:"image" check:"image"`
	// Registry that is mirrored. Docker daemons ask a mirror for images of Docker Hub alone.
	Remote string `yaml:"remote" default:"https://registry-1.docker.io" check:"url"`
	// Port of the Docker host that the mirror is published on.
	Port int `yaml:"port" default:"5088" check:"port"`
	// Address of the Docker host that it is published on. Default: the one at which the host's containers reach it, and nobody else does.
	Address string `yaml:"address" check:"ip"`
	// Name to log in to the remote with. Left out, there is no login.
	User string `yaml:"user"`
	// File with the password.
	PasswordFile string `yaml:"password_file" into:"Password" private:"true"`
	// Days for which an image is kept after it was fetched.
	Days int `yaml:"days" default:"7" min:"1" max:"3650"`

	// Password is the content of password_file.
	Password Secret `yaml:"-"`
}
