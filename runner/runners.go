package runner

import (
	"cmp"
	"context"
	"crypto/sha256"
	"log/slog"
	"maps"
	"net/url"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/dockerauth"
	"github.com/heptaup/hepta/internal/lifecycle"
	"github.com/heptaup/hepta/internal/opaque"
	"github.com/heptaup/hepta/internal/progress"
	"github.com/heptaup/hepta/internal/secret"
	"github.com/heptaup/hepta/internal/wiring"
)

// Service is the runner container's short name inside a stack.
const Service = "runner"

// NewSecret wraps text that must not be printed.
func NewSecret(text string) Secret { return secret.New(text) }

type (
	// Plan is what Up would do, in order, each call with its cause.
	Plan = converge.Plan
	// Operation is one call of a Plan.
	Operation = converge.Operation
	// OperationKind says which call an Operation is.
	OperationKind = converge.Kind
	// OperationEffect says what an Operation does to the number of things.
	OperationEffect = converge.Effect
	// Event is one thing that happened while Runners were at work.
	Event = progress.Event
	// EventState says where the work is that an Event is about.
	EventState = progress.State
	// Resources are the runners as a part of a stack: see hepta.Combine.
	Resources = opaque.Value[lifecycle.Part]
	// Snapshot is what package hepta has seen of a Docker host.
	Snapshot = opaque.Value[*converge.Observed]
	// Host is a Docker host, looked at or locked: heptapod.Forge.ClientOn takes one.
	Host = opaque.Value[converge.Host]
)

// Connect gives access to the forge's API when it is first needed: the forge
// may come up, and the token be made, in the same run.
type Connect func(ctx context.Context, host Host) (API, error)

type options struct {
	wiring.Options
	connect Connect
}

// Option wires Runners to what they work with.
type Option func(*options)

func wired(o wiring.Option) Option { return func(to *options) { to.Add(o) } }

// WithDocker uses a client instead of making one; the caller closes it.
func WithDocker(c client.APIClient) Option { return wired(wiring.WithDocker(c)) }

// WithHost names the Engine as docker does: unix://, tcp://, ssh://, or
// context://NAME.
func WithHost(host string) Option { return wired(wiring.WithHost(host)) }

// WithLogger logs to l instead of discarding.
func WithLogger(l *slog.Logger) Option { return wired(wiring.WithLogger(l)) }

// WithProgress tells f what happens while it happens. It may be called from
// several goroutines at once.
func WithProgress(f func(Event)) Option { return wired(wiring.WithProgress(f)) }

// WithAPI reaches the forge's API through c instead of by its URL and token.
func WithAPI(c Connect) Option { return func(o *options) { o.connect = c } }

// Runners are the runners of one stack and the container that they run in. It
// is safe for concurrent use.
type Runners struct {
	cfg  Config // defaults filled in
	opts options
	// connect gives the forge's API; nil: there are only tokens.
	connect func(context.Context, converge.Host) (API, error)
	// modeless are the runners that name no mode.
	modeless []string
	// patience is how long a new runner may take to come online.
	patience time.Duration
	// round is the time between two looks for jobs, reread that between two
	// looks at config.toml, and reading how long a runner that is told may take
	// to read it.
	round, reread, reading time.Duration

	// What tasks of this run found out, for the files that are written after
	// them. Everything else is read from the host anew each time.
	mu        sync.Mutex
	settled   map[string]settled
	known     records
	tokenKind tokenKind
	host      *hostFacts
	// reached says that jobs reach forge and registry; else what kept them
	// from it; and when that was found.
	reached   bool
	unreached error
	lookedAt  time.Time
	looks     map[string]*look // by probe

	reloading sync.Mutex        // held while the runners are told to read config.toml
	reloaded  [sha256.Size]byte // the content that they were told of last

	noting sync.Mutex // held while the records are read and written again

	probesStarted atomic.Int64 // containers that called, for their names
}

// settled is a runner that a task has brought in order. What it found counts
// only as long as the files hold what they held then.
type settled struct {
	id    int64
	token authToken // empty when the one in config.toml is good

	oldID    int64
	oldToken Secret

	heard time.Time // the refusal in the log that it was brought in order for
}

// New checks cfg and returns the runners that it describes. Nothing is
// contacted.
func New(cfg Config, opts ...Option) (*Runners, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r := &Runners{cfg: cfg.withDefaults(), opts: options{Options: wiring.Apply(nil)}, patience: time.Minute, reread: reread, reading: reading,
		settled: map[string]settled{}, looks: map[string]*look{}}
	r.round = time.Duration(r.cfg.CheckInterval) * time.Second
	for _, x := range cfg.Runners {
		if x.Mode == "" {
			r.modeless = append(r.modeless, x.Name)
		}
	}
	for _, o := range opts {
		o(&r.opts)
	}
	if connect := r.opts.connect; connect != nil {
		r.connect = func(ctx context.Context, host converge.Host) (API, error) { return connect(ctx, opaque.Hide(host)) }
	} else if !cfg.Forge.Token.Empty() || !cfg.Forge.RegistrationToken.Empty() {
		r.connect = r.direct
	}
	if r.connect == nil {
		var p problems
		for _, x := range r.cfg.Runners {
			if !x.given() {
				p.add("forge.token", "give an API token with scope api, or make the runner in the forge and give its token",
					"runner %s has to be made in the forge, and there is no token for its API", x.Name)
				return nil, p[0]
			}
		}
	}
	return r, nil
}

// ContainerName is the name of the runner container on the host.
func (r *Runners) ContainerName() string { return r.cfg.Stack + "-" + Service }

// resources is the runner container as a part of a stack: the container, its
// two files, and the calls that keep the forge's side in order. Without any
// runner there is no container, and what one of before has left is taken out
// of the forge.
func (r *Runners) resources() converge.Stack {
	if len(r.cfg.Runners) == 0 {
		return converge.Stack{
			Name:  r.cfg.Stack,
			Data:  r.cfg.Data,
			Forge: r.cfg.forgeHost(),
			Files: []converge.File{
				{Path: FileConfig, Mode: 0o600, Secret: true, Merge: r.mergeConfig, Existing: true},
				{Path: FileRecords, Mode: 0o600, Merge: r.mergeRecords, After: []converge.Ref{"file:" + FileConfig}, Existing: true},
			},
			Decide: []func(*converge.Observed) ([]converge.Task, error){r.decide},
		}
	}
	// The runner reads its configuration again by itself.
	config := converge.File{Path: FileConfig, Mode: 0o600, Secret: true, Merge: r.mergeConfig}
	var files []converge.File
	files = append(files, r.cfg.trusted()...)
	if r.cfg.JobNetworks {
		files = append(files, factsFile())
	}
	files = append(files, r.hostFiles()...)
	programs := map[Mode][]keeper{}
	for _, x := range r.cfg.Runners {
		if x.BuildCache > 0 || x.Mode == Dind { // what daemons are told is known on the host
			programs[x.Mode] = keepers(x.Mode)
		}
	}
	for _, mode := range []Mode{Dind, Rootless} {
		for _, k := range programs[mode] {
			files = append(files, converge.File{Path: k.file, Mode: 0o755, Content: k.program})
			config.After = append(config.After, converge.Ref("file:"+k.file))
		}
	}
	for _, f := range r.hostFiles() {
		config.After = append(config.After, converge.Ref("file:"+f.Path))
	}
	return converge.Stack{
		Name:     r.cfg.Stack,
		Data:     r.cfg.Data,
		Forge:    r.cfg.forgeHost(),
		Networks: []converge.Network{{Name: r.cfg.Network}},
		Files: append(files, config,
			converge.File{Path: FileRecords, Mode: 0o600, Merge: r.mergeRecords, After: []converge.Ref{"file:" + FileConfig}}),
		Containers: []converge.Container{r.container()},
		Decide:     []func(*converge.Observed) ([]converge.Task, error){r.decide},
		Warn:       []func(*converge.Observed) []string{r.warnings},
	}
}

// runner is the runner of a name, which the configuration has.
func (cfg Config) runner(name string) Runner {
	return cfg.Runners[slices.IndexFunc(cfg.Runners, func(x Runner) bool { return x.Name == name })]
}

// forgeHost is the name of the forge that the runners work for.
func (cfg Config) forgeHost() string {
	u, err := url.Parse(cfg.Forge.URL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// names are those that the runner's container is told beside what DNS knows.
func (cfg Config) names() []string {
	var list []string
	for _, name := range cfg.HostNames {
		list = append(list, name+":"+cmp.Or(cfg.HostAddress, converge.HostGateway))
	}
	return append(list, cfg.ExtraHosts...)
}

// hostFiles are the files for daemons in jobs that depend on the host.
func (r *Runners) hostFiles() []converge.File {
	if !r.cfg.JobNetworks || !slices.ContainsFunc(r.cfg.Runners, func(x Runner) bool { return x.Mode == Rootless }) {
		return nil
	}
	return []converge.File{{Path: FileBuildKitConfig, Mode: 0o644, Merge: r.mergeBuildKit}}
}

func (r *Runners) container() converge.Container {
	cfg := r.cfg
	c := converge.Container{
		Service: Service,
		Name:    r.ContainerName(),
		Image:   cfg.Image,
		// The images differ in their entrypoint; all have the program.
		Entrypoint: []string{"gitlab-runner"},
		Cmd:        []string{"run", "--config", path.Join(configDir, path.Base(FileConfig))},
		Env:        cfg.environment(),
		Labels:     maps.Clone(cfg.Labels),
		Mounts: []converge.Mount{
			{Kind: converge.Data, Source: "runner", Target: configDir},
			{Kind: converge.HostPath, Source: cfg.Socket, Target: "/var/run/docker.sock"},
		},
		Networks: []converge.Attachment{{Network: cfg.Network}},
		// It is root for the Engine's socket and its own files, which are root's.
		CapDrop:     []string{"ALL"},
		SecurityOpt: []string{"no-new-privileges:true"},
		ReadOnly:    true,
		Tmpfs:       []string{"/tmp"},
		PidsLimit:   4096,
		Restart:     "unless-stopped",
		// Running jobs end, new ones are not taken.
		StopSignal:  "SIGQUIT",
		StopTimeout: cfg.drain(),
		LogMaxSize:  "10m",
		LogMaxFiles: 3,
		Listen:      listen,
		Ready:       converge.Ready{Settle: 2 * time.Second, Timeout: r.patience + 30*time.Second, Check: r.ready},
	}
	if len(cfg.CA) > 0 && len(cfg.RegistryHosts) > 0 {
		// The window through which hepta sees what the Engine trusts.
		c.Mounts = append(c.Mounts, converge.Mount{Kind: converge.HostPath, Source: dockerauth.AuthorityDir, Target: dockerauth.AuthorityDir, ReadOnly: true})
	}
	cfg.SessionServer.serveSessions(&c)
	if cfg.CAFile != "" {
		// The directory, since the file may not be there yet.
		c.Mounts = append(c.Mounts, converge.Mount{Kind: converge.Data, Source: path.Dir(cfg.CAFile), Target: caDir, ReadOnly: true})
	}
	c.ExtraHosts = cfg.names()
	for _, ref := range cfg.After {
		c.After = append(c.After, converge.Ref(ref))
	}
	return c
}
