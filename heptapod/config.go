package heptapod

import "github.com/heptaup/hepta/internal/secret"

// Secret is text that prints as ***.
type Secret = secret.Value

// NewSecret wraps text that must not be printed.
func NewSecret(text string) Secret { return secret.New(text) }

// Config describes the forge. The zero value of each field is its default.
type Config struct {
	Stack   string // default "hepta"
	Data    string // directory on the Docker host; default /srv/ and Stack
	Network string // default "web"
	Image   string // default DefaultImage

	Host string // name under which people reach the forge; required
	// ExternalURL overrides https://Host (http:// when Plain).
	ExternalURL string
	Plain       bool // no TLS in front of the forge

	SSH      SSH
	SMTP     *SMTP
	Registry *Registry
	// Services switches parts of the image on or off by their gitlab.rb name:
	// {"prometheus_monitoring": false}.
	Services map[string]bool
	// TrustedProxies are further networks whose X-Forwarded headers are believed,
	// beside the addresses of Network, as the Engine has given them out. Who
	// renders gitlab.rb alone gets these, or else the private ranges that Docker
	// hands out.
	TrustedProxies []string
	// RackAttackAllow are addresses exempt from the limit on failed logins.
	RackAttackAllow []string
	// RackAttackMaxRetry failed logins by Git, Mercurial or Docker from one
	// address within RackAttackFindTime seconds lock it out for
	// RackAttackBanTime seconds. Each is 0 for what the image begins with: 10,
	// 60 and 3600. The forge limits nothing while all three and RackAttackAllow
	// are empty.
	RackAttackMaxRetry, RackAttackFindTime, RackAttackBanTime int
	// Ruby is appended to gitlab.rb as it is: the last word.
	Ruby string

	// RootPassword is used at the very first boot; generated when empty.
	RootPassword Secret
	RootEmail    string

	Env    map[string]string // further environment; no secrets, it shows in inspect
	Labels map[string]string // further container labels, such as the proxy's
	Ports  []Port            // further published ports
	// Volumes are directories of the Docker host inside the container, as
	// /host/directory:/container/directory, with :ro for read-only. They have
	// to be there.
	Volumes []string

	ShmSize int64 // bytes; default and minimum 256 MiB
	Memory  int64 // bytes; 0: unlimited
	// OpenFiles limits the open files of each process; 0: the Engine's own
	// limit. An Engine in a container of its own may not be able to give more.
	OpenFiles int64
	// BootMinutes bounds the wait for the forge while its log shows no progress;
	// default 20.
	BootMinutes int

	// After are resources that must be there first (the proxy).
	After []string
}

// Port is published under the same number outside and inside.
type Port struct {
	Address string // of the Docker host; "": all
	Number  int
}

// SSH is how ssh reaches the forge.
type SSH struct {
	// Port is the published port, shown in clone URLs; default 22.
	Port int
	// Address is that of the Docker host which Port is published on; "": all.
	Address string
	// ViaProxy leaves publishing to the proxy's TCP entrypoint.
	ViaProxy bool
	// Off publishes no ssh at all.
	Off bool
}

// SMTP is the relay for outgoing mail.
type SMTP struct {
	Address        string
	Port           int // default 587
	User           string
	Password       Secret
	Domain         string
	Authentication string // plain, login, cram_md5; default login when User is set
	StartTLS       *bool  // default true, unless TLS
	TLS            *bool  // from the first byte; default true on port 465, unless StartTLS is set
	CA             []byte // PEM, of the relay's certificate; default the authorities that the image trusts
	From           string
	ReplyTo        string
	DisplayName    string
}

// Registry is the container registry inside the forge's image.
type Registry struct {
	ExternalURL string // https://registry.example.org
	// Port and the two files are for a registry on the forge's own host name
	// with TLS ended by the forge's nginx.
	Port        int
	Address     string // of the Docker host, which Port is published on; "": all
	Certificate []byte
	Key         []byte
	// Issued says that Port has a certificate that whoever composes the stack
	// writes to FileRegistryCert and FileRegistryKey, in the place of the two.
	Issued bool
	Path   string // directory of the blobs, below /var/opt/gitlab or in one of Config.Volumes
	// TokenMinutes is how long the forge's tokens for the registry last; 0
	// leaves the forge's own setting, which begins with 5.
	TokenMinutes int
	NginxPort    int // port of the registry's nginx inside the container; default 80
}
