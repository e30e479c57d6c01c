package hepta

// Forge is which forge the runners work for: the one of this file, by its
// host name, or an external one, by its URL.
type Forge struct {
	// Host name of the forge that this file describes; the same as heptapod.host.
	Host string `yaml:"host" check:"host"`
	// Address of an external forge, Heptapod or GitLab. There is no other service then but the runners.
	URL string `yaml:"url" check:"url"`
	// File with a token for making runners there: an API token with the scope api, or on old forges a registration token. Left out, each runner brings a token of its own.
	TokenFile string `yaml:"token_file" into:"Token" private:"true"`
	// Container registry of the external forge, as images name it: host, or host:port.
	Registry string `yaml:"registry" check:"registry"`

	// Token is the content of token_file.
	Token Secret `yaml:"-"`
}

// Heptapod is the forge.
type Heptapod struct {
	// Image of the forge: Heptapod, or GitLab itself. Name a full version, so that an upgrade is a decision. Left out, a forge keeps the image that it has and a new one gets the default. An older release than the data's is refused, and so is one that needs others in between.
	Image string `yaml:"image" check:"image"`
	// Host name of the forge, 64 characters at most. Required, here or as forge.
	Host string `yaml:"host" check:"host"`
	// Address that people open, where it is not https:// and host (http:// when tls is off).
	ExternalURL string `yaml:"external_url" check:"url"`
	// How ssh reaches the forge. A number alone is short for port.
	SSH SSH `yaml:"ssh" short:"port"`
	// Relay for outgoing mail. Left out, the forge sends none.
	SMTP *SMTP `yaml:"smtp"`
	// Parts of the image, switched on or off by their name in gitlab.rb: prometheus_monitoring: off.
	Services map[string]bool `yaml:"services"`
	// Addresses or networks of proxies in front, whose X-Forwarded headers Traefik and the forge then believe; without it the forge takes their address for everybody's. Traefik's own need not be named.
	TrustedProxies []string `yaml:"trusted_proxies"`
	// Addresses exempt from the limit on failed logins.
	RackAttackAllow []string `yaml:"rack_attack_allow"`
	// Failed logins by Git, Mercurial or Docker after which an address is locked out. Left out, 10 once any rack_attack key is set; without all of them nothing is limited.
	RackAttackMaxRetry int `yaml:"rack_attack_maxretry" min:"1"`
	// Seconds within which they count. Left out, 60.
	RackAttackFindTime int `yaml:"rack_attack_findtime" min:"1"`
	// Seconds for which the address is locked out. Left out, 3600.
	RackAttackBanTime int `yaml:"rack_attack_bantime" min:"1"`
	// Lines for gitlab.rb. They come last and so have the last word.
	GitlabRB string `yaml:"gitlab_rb" check:"text" private:"inside"`
	// File with the password of root for the very first boot. Default: one is made and kept in the data directory.
	RootPasswordFile string `yaml:"root_password_file" into:"RootPassword" private:"true"`
	// Mail address of root.
	RootEmail string `yaml:"root_email" check:"email"`
	// Further environment. Not for secrets: docker inspect shows it.
	Env map[string]string `yaml:"env" check:"var" refused:"GITLAB_OMNIBUS_CONFIG GITLAB_ROOT_PASSWORD" private:"inside"`
	// Further labels of the container.
	Labels map[string]string `yaml:"labels"`
	// Further published ports, the same number outside and inside.
	Ports []Port `yaml:"ports" check:"published"`
	// Directories of the Docker host inside the container, as /host/directory:/container/directory, with :ro at the end for read-only. They have to be there.
	Volumes []string `yaml:"volumes" check:"volume"`
	// Shared memory. Default and least: 256m.
	ShmSize int64 `yaml:"shm_size" min:"0"`
	// Limit on memory. Default: none.
	Memory int64 `yaml:"memory" min:"0"`
	// Minutes without progress in the log of a boot after which it counts as failed.
	BootMinutes int `yaml:"boot_minutes" default:"20" min:"1" max:"1440"`

	// RootPassword is the content of root_password_file.
	RootPassword Secret `yaml:"-"`
}

// SSH is how ssh reaches the forge.
type SSH struct {
	// Published port, shown in clone URLs. 22 asks for the host's own sshd to be elsewhere.
	Port Port `yaml:"port" default:"22" check:"published"`
	// host: published by the forge's container; traefik: by the proxy; none: no ssh.
	Via string `yaml:"via" default:"host" oneof:"host traefik none"`
}

// SMTP is the relay for outgoing mail.
type SMTP struct {
	// Host name of the relay. Required.
	Address string `yaml:"address" check:"host"`
	// Port of the relay.
	Port int `yaml:"port" default:"587" check:"port"`
	// Name to log in with. Left out, there is no login.
	User string `yaml:"user"`
	// File with the password.
	PasswordFile string `yaml:"password_file" into:"Password" private:"true"`
	// HELO domain.
	Domain string `yaml:"domain" check:"host"`
	// How to log in. Default: login, when there is a user.
	Authentication string `yaml:"authentication" oneof:"plain login cram_md5"`
	// Begin in plain text, go on encrypted. Default: yes, unless tls is set.
	StartTLS *bool `yaml:"starttls"`
	// Encrypted from the first byte. Default: yes on port 465, unless starttls is set.
	TLS *bool `yaml:"tls"`
	// PEM file with the authorities of the relay's certificate, where they are no public ones. For mail they take the place of those that the forge's image trusts.
	CAFile string `yaml:"ca" into:"CA"`
	// Sender's address.
	From string `yaml:"from" check:"email"`
	// Where answers go.
	ReplyTo string `yaml:"reply_to" check:"email"`
	// Sender's name.
	DisplayName string `yaml:"display_name"`

	// Password is the content of password_file.
	Password Secret `yaml:"-"`
	// CA is the content of the file ca.
	CA []byte `yaml:"-" json:"-"`
}
