package heptapod

import (
	"maps"
	"slices"
	"time"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/pki"
)

// Service is the forge's short name inside a stack: its resource is
// "container:heptapod", and its alias on the network.
const Service = "heptapod"

// The forge's files below the data directory.
const (
	FileGitlabRB     = "heptapod/config/gitlab.rb"
	FileRootPassword = "heptapod/config/hepta/root_password"
	FileToken        = "heptapod/config/hepta/api_token"
	// Certificate and key of a registry on a port of its own.
	FileRegistryCert = "heptapod/config/ssl/hepta-registry.crt"
	FileRegistryKey  = "heptapod/config/ssl/hepta-registry.key"
	FileReadme       = "heptapod/config/hepta/README" // written before the other files of its directory

	fileSMTPPassword = "heptapod/config/hepta/smtp_password"
	fileSMTPCA       = "heptapod/config/hepta/smtp_ca.crt"
)

const reconfigureTimeout = 15 * time.Minute

// resources is the forge as a part of a stack: its container, its files and
// the tasks that come with them.
func (f *Forge) resources() (converge.Stack, error) {
	files, err := f.files()
	if err != nil {
		return converge.Stack{}, err
	}
	return converge.Stack{
		Name:        f.cfg.Stack,
		Data:        f.cfg.Data,
		Forge:       f.cfg.Host,
		LockService: Service,
		Networks:    []converge.Network{{Name: f.cfg.Network}},
		Files:       files,
		Containers:  []converge.Container{f.container()},
		Reads:       []converge.Read{{Paths: databaseMarks, When: f.startsOnData}},
		Marks:       databaseMarks,
		Resolve:     []func(*converge.Stack, *converge.Observed) error{f.resolve},
		Warn:        []func(*converge.Observed) []string{f.warnRegistryPath, f.warnVersion, f.warnRuby},
		Decide:      []func(*converge.Observed) ([]converge.Task, error){f.decideVersion, f.decideData, f.decideToken, f.decideTokenLife},
	}, nil
}

func (f *Forge) container() converge.Container {
	cfg := f.cfg
	boot := time.Duration(cfg.BootMinutes) * time.Minute
	c := converge.Container{
		Service: Service,
		Name:    f.ContainerName(),
		Image:   cfg.Image, KeepImage: !f.named,
		Hostname: cfg.Host,
		Env:      f.env(),
		Labels:   maps.Clone(cfg.Labels),
		Mounts:   cfg.mounts(),
		Networks: []converge.Attachment{{Network: cfg.Network, Aliases: []string{Service}}},
		Ports:    f.ports(),

		ShmSize:     cfg.ShmSize,
		NoFile:      cfg.OpenFiles,
		Memory:      cfg.Memory,
		Restart:     "unless-stopped",
		StopTimeout: 2 * time.Minute,
		Health: &converge.Health{
			Test:          []string{"CMD", "/opt/gitlab/bin/gitlab-healthcheck", "--fail", "--max-time", "10"},
			Interval:      10 * time.Second,
			Timeout:       30 * time.Second,
			StartPeriod:   boot,
			StartInterval: 3 * time.Second,
			Retries:       5,
		},
		LogMaxSize:  "20m",
		LogMaxFiles: 5,
		Ready:       converge.Ready{Timeout: boot, Progress: Progress, Phase: Phase, Check: f.ready},
		// Migrations: no older release may run on the data after them.
		MigratesData: true,
		Hide:         rubySecrets(cfg.Ruby),
		NeedsProof:   true,
	}
	for _, ref := range cfg.After {
		c.After = append(c.After, converge.Ref(ref))
	}
	return c
}

// env is the further environment, sorted. Settings belong into gitlab.rb,
// which has the last word over GITLAB_OMNIBUS_CONFIG.
func (f *Forge) env() []string {
	vars := maps.Clone(f.cfg.Env)
	if f.cfg.RootEmail != "" {
		if vars == nil {
			vars = map[string]string{}
		}
		vars["GITLAB_ROOT_EMAIL"] = f.cfg.RootEmail
	}
	var env []string
	for _, key := range slices.Sorted(maps.Keys(vars)) {
		env = append(env, key+"="+vars[key])
	}
	return env
}

func (f *Forge) ports() []converge.Port {
	var ports []converge.Port
	if !f.cfg.SSH.Off && !f.cfg.SSH.ViaProxy {
		ports = append(ports, converge.Port{HostIP: f.cfg.SSH.Address, Host: f.cfg.SSH.Port, Container: 22})
	}
	if r := f.cfg.Registry; r != nil && r.Port != 0 {
		ports = append(ports, converge.Port{HostIP: r.Address, Host: r.Port, Container: r.Port})
	}
	for _, port := range f.cfg.Ports {
		ports = append(ports, converge.Port{HostIP: port.Address, Host: port.Number, Container: port.Number})
	}
	return ports
}

// readme comes first of all files: its mode makes the directories above it
// passable, which programs of the image need that are not root.
const readme = `What hepta keeps for the forge.

image          what the forge ran last
root_password  the password of root at the first boot
api_token      an API token of an administrator, replaced before it ends
smtp_password  the password for the mail relay, read by ../gitlab.rb
smtp_ca.crt    the authorities of the mail relay's certificate
`

// gitlabRB renders gitlab.rb for an image and the network that was seen, or has just been made:
// the proxy's address is one of its, and whoever asks through the proxy is known
// to the forge only as long as it believes the proxy.
func (f *Forge) gitlabRB(image string) func(*converge.Observed, []byte) ([]byte, error) {
	return func(o *converge.Observed, _ []byte) ([]byte, error) {
		cfg := f.cfg
		cfg.Image = image
		cfg.TrustedProxies = slices.Concat(cfg.TrustedProxies, o.Network(cfg.Network).Subnets)
		text, err := GitlabRB(cfg)
		return []byte(text), err
	}
}

// files are written before the container starts. What gitlab.rb reads comes
// before it.
func (f *Forge) files() ([]converge.File, error) {
	cfg := f.cfg
	if !f.named {
		cfg.Image = "" // what resolve finds may be another
	}
	_, err := GitlabRB(cfg)
	if err != nil {
		return nil, err
	}
	reconfigure := &converge.Apply{Service: Service, Cmd: []string{"gitlab-ctl", "reconfigure"}, Timeout: reconfigureTimeout}
	main := converge.File{
		Path: FileGitlabRB, Mode: 0o600, Merge: f.gitlabRB(cfg.Image), Apply: reconfigure, After: []converge.Ref{converge.Ref("network:" + f.cfg.Network)},
		// Own lines may hold anything, passwords included.
		Secret: f.cfg.Ruby != "",
	}
	files := []converge.File{{
		Path: FileReadme, Mode: 0o644, Content: []byte(readme),
	}, {
		Path: fileImage, Mode: 0o644, Content: []byte(f.cfg.Image + "\n"),
	}, {
		Path: FileRootPassword, Mode: 0o600, Secret: true,
		// What is there stays: it is the password of the first boot.
		Merge: func(_ *converge.Observed, current []byte) ([]byte, error) {
			if len(current) > 0 {
				return current, nil
			}
			return []byte(f.password() + "\n"), nil
		},
	}, {
		// Made empty and filled by the task of RefToken.
		Path: FileToken, Mode: 0o600, Secret: true,
		Merge: converge.KeepContent,
	}}
	if m := f.cfg.SMTP; m != nil && !m.Password.Empty() {
		files = append(files, converge.File{
			Path: fileSMTPPassword, Mode: 0o600, Secret: true,
			Content: []byte(m.Password.Reveal() + "\n"), Apply: reconfigure,
		})
	}
	if m := f.cfg.SMTP; m != nil && len(m.CA) > 0 {
		// Programs of the image that are not root read it.
		files = append(files, converge.File{Path: fileSMTPCA, Mode: 0o644, Content: pki.AuthoritiesOr(m.CA), Apply: reconfigure})
	}
	if r := f.cfg.Registry; r != nil && r.ownTLS() {
		reload := &converge.Apply{Service: Service, Cmd: []string{"gitlab-ctl", "hup", "nginx"}, Timeout: time.Minute}
		cert := converge.File{Path: FileRegistryCert, Mode: 0o644, Apply: reload}
		key := converge.File{Path: FileRegistryKey, Mode: 0o600, Secret: true, Apply: reload}
		if r.Issued {
			cert.Merge, key.Merge = converge.KeepContent, converge.KeepContent
		} else if cert.Content, key.Content, err = pki.Given(r.Certificate, r.Key); err != nil { // Validate has refused it
			cert.Content, key.Content = pki.Blocks(r.Certificate, "CERTIFICATE"), r.Key
		}
		files = append(files, cert, key)
	}
	if f.tokenMinutes() != 0 {
		// Made empty and filled by the task that sets the number in the forge.
		files = append(files, converge.File{
			Path: fileTokenMinutes, Mode: 0o644,
			Merge: converge.KeepContent,
		})
	}
	for i, file := range files {
		if file.Path != FileReadme {
			files[i].After = []converge.Ref{"file:" + FileReadme}
		}
		main.After = append(main.After, converge.Ref("file:"+file.Path))
	}
	return append(files, main), nil
}
