package heptapodtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/vcs"
	"github.com/heptaup/hepta/internal/secret"
)

// Secret is text that prints as ***.
type Secret = secret.Value

// NewSecret wraps text that must not be printed.
func NewSecret(text string) Secret { return secret.New(text) }

// Config describes a forge. The zero value of each field is its default.
type Config struct {
	// Dir holds everything; a forge started again on it continues. Required.
	Dir string
	// Listen is the address to serve; default a free port on loopback.
	Listen string
	// Listener is served instead of Listen.
	Listener net.Listener
	// ExternalURL is how users, runners and job containers reach the forge;
	// default the listener's address.
	ExternalURL string

	// RegistryURL is the container registry whose tokens the forge issues;
	// without one the forge has no registry.
	RegistryURL string
	// RegistryAPIURL is where the forge itself reaches it; default RegistryURL.
	RegistryAPIURL string
	// DependencyProxy gives jobs the variables and credentials of a dependency
	// proxy at the external URL, as GitLab does by default. Nothing is served
	// there: a test that pulls through it puts a proxy in front. Without it such
	// variables are not set, and a pipeline that uses them has a warning.
	DependencyProxy bool
	// RegistryKey is the RSA key, PEM, that signs them; default one made on
	// first use and kept in Dir.
	RegistryKey Secret
	// RegistryIssuer is what tokens are issued as; default omnibus-gitlab-issuer.
	RegistryIssuer string

	// SSHHost and SSHPort are shown in clone URLs; default the external URL's
	// host and 22.
	SSHHost string
	SSHPort int

	// RootPassword and RootEmail hold for the first start on Dir; without a
	// password root has none.
	RootPassword Secret
	RootEmail    string

	// Version is the release that the forge says it is; default 17.8.1.
	Version string
	// Plain makes it a GitLab without Mercurial.
	Plain bool

	// AllowRegistrationToken holds for the first start on Dir: runners may
	// register with the legacy registration token.
	AllowRegistrationToken bool
	// RegistrationToken is that token; default a random one.
	RegistrationToken Secret

	// TrustForwarded believes X-Forwarded-For.
	TrustForwarded bool
	// LongPoll is how long a request for a job is held; default 20 s, negative: not at all.
	LongPoll time.Duration
	// AckWithin is how soon a runner has to be heard of after it took a job;
	// the job then goes to another one. Default 60 s.
	AckWithin time.Duration
	// SilentAfter is when a job whose runner says nothing fails; default 2 min.
	SilentAfter time.Duration
	// ArtifactLimit is the largest artifact in bytes; default 100 MiB.
	ArtifactLimit int64

	// Fast gives up what only a crash of the machine would take: writes are
	// not flushed to disk and passwords are hashed cheaply.
	Fast bool

	Clock func() time.Time // default time.Now
	Log   *slog.Logger     // default: silent
}

func (c Config) withDefaults() Config {
	if c.Version == "" {
		c.Version = "17.8.1"
	}
	if c.RegistryIssuer == "" {
		// The registry of the image is told this issuer.
		c.RegistryIssuer = "omnibus-gitlab-issuer"
	}
	if c.RootEmail == "" {
		c.RootEmail = "admin@example.com"
	}
	if c.LongPoll == 0 {
		c.LongPoll = 20 * time.Second
	}
	if c.AckWithin == 0 {
		c.AckWithin = time.Minute
	}
	if c.SilentAfter == 0 {
		c.SilentAfter = 2 * time.Minute
	}
	if c.ArtifactLimit == 0 {
		c.ArtifactLimit = 100 << 20
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Server is a running forge. All its methods are safe for concurrent use.
type Server struct {
	// URL is the external URL, without a slash at the end.
	URL string
	// Token is a personal access token of root with every right. New mints it;
	// after Start it is empty, see MintToken.
	Token string

	cfg      Config
	log      *slog.Logger
	db       *store.DB
	repos    vcs.Store
	handler  http.Handler
	patterns []string // that handler serves
	server   *http.Server

	work     context.Context // ends with Close
	stop     context.CancelFunc
	tasks    sync.WaitGroup
	closing  sync.Once
	closed   error
	queue    *signal        // rings when a job may have become available
	edits    edits          // of runners; what they hold is answered then
	changed  *signal        // rings when any pipeline or job changed
	contacts *contacts      // when runners and jobs were last heard of
	traces   keyed          // one append at a time to a trace
	pushes   keyed          // one scan at a time of a project
	verified *passwordCache // passwords that were right a moment ago
	sessions *sessions
	signing  signingKey // of the registry's tokens
	proving  signingKey // of ID tokens
	registry registryURL
	included served
}

// Start runs a forge until Close or the end of ctx.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Dir == "" {
		return nil, errors.New("start forge: no directory for its data")
	}
	cfg = cfg.withDefaults()
	ln := cfg.Listener
	if ln == nil {
		addr := cfg.Listen
		if addr == "" {
			addr = "127.0.0.1:0"
		}
		var err error
		if ln, err = (&net.ListenConfig{}).Listen(ctx, "tcp", addr); err != nil {
			return nil, fmt.Errorf("start forge: %w", err)
		}
	}
	if cfg.ExternalURL == "" {
		cfg.ExternalURL = "http://" + ln.Addr().String()
	}
	s, err := open(cfg)
	if err != nil {
		ln.Close()
		return nil, fmt.Errorf("start forge: %w", err)
	}
	s.server = &http.Server{
		Handler: s.handler,
		// A client that opens a connection and says nothing is not waited for.
		ReadHeaderTimeout: time.Minute,
		BaseContext:       func(net.Listener) context.Context { return s.work },
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.tasks.Go(func() { _ = s.server.Serve(ln) }) // ends by Close
	s.tasks.Go(s.reap)
	s.tasks.Go(s.rescan)
	s.tasks.Go(s.bridges)
	context.AfterFunc(ctx, func() { _ = s.Close() }) // who closes it as well hears the error
	return s, nil
}

// open makes everything but the listener.
func open(cfg Config) (*Server, error) {
	ext, err := url.Parse(strings.TrimRight(cfg.ExternalURL, "/"))
	if err != nil || ext.Host == "" || ext.Scheme != "http" && ext.Scheme != "https" {
		return nil, fmt.Errorf("external URL %q: want http(s)://host[:port]", cfg.ExternalURL)
	}
	if ext.Path != "" {
		return nil, fmt.Errorf("external URL %q: a forge below a path is not served", cfg.ExternalURL)
	}
	if cfg.SSHHost == "" {
		cfg.SSHHost = ext.Hostname()
	}
	if cfg.SSHPort == 0 {
		cfg.SSHPort = 22
	}
	db, err := store.Open(cfg.Dir, !cfg.Fast)
	if err != nil {
		return nil, err
	}
	if err := db.DropOrphans(); err != nil {
		db.Close()
		return nil, fmt.Errorf("drop artifacts of nobody: %w", err)
	}
	repos, err := vcs.Open(filepath.Join(cfg.Dir, "repositories"))
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("open repositories: %w", err)
	}
	// The open store says that nobody else serves the directory.
	damaged, err := repos.Recover(context.Background())
	if err != nil {
		repos.Close()
		db.Close()
		return nil, err
	}
	if damaged != nil {
		cfg.Log.Error("repositories are damaged", "error", damaged)
	}
	s := &Server{
		URL: ext.String(), cfg: cfg, log: cfg.Log, db: db, repos: repos,
		queue: newSignal(), changed: newSignal(), contacts: newContacts(),
		verified: newPasswordCache(), sessions: newSessions(),
	}
	s.registry.set(cfg.RegistryURL)
	s.work, s.stop = context.WithCancel(context.Background())
	s.handler = s.routes()
	if err := s.seed(); err != nil {
		s.stop()
		repos.Close()
		db.Close()
		return nil, err
	}
	return s, nil
}

// seed makes what a new forge has: root, the settings.
func (s *Server) seed() error {
	return s.db.Update(func(tx *store.Tx) error {
		s.startContacts(tx)
		if !tx.Users.Empty() {
			return nil
		}
		hash, err := s.hashPassword(s.cfg.RootPassword.Reveal())
		if err != nil {
			return err
		}
		token := s.cfg.RegistrationToken.Reveal()
		if token == "" {
			token = "GR1348941" + random(20)
		}
		tx.PutSettings(store.Settings{
			RegistrationToken: token, AllowRegistrationToken: s.cfg.AllowRegistrationToken,
			// container_registry_token_expire_delay is 5 minutes by default.
			RegistryTokenMinutes: 5,
		})
		s.addUser(tx, &store.User{Username: "root", Name: "Administrator", Email: s.cfg.RootEmail, Password: hash, Admin: true})
		return nil
	})
}

// Handler serves the forge, for those who bring their own listener.
func (s *Server) Handler() http.Handler { return s.handler }

// Close ends requests under way and closes the store. What was acknowledged is
// kept.
func (s *Server) Close() error {
	s.closing.Do(func() {
		s.stop()
		if s.server != nil {
			// Held requests for jobs end with the context; a short grace lets
			// their answers and running transfers out.
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			if s.server.Shutdown(ctx) != nil {
				s.server.Close()
			}
		}
		s.tasks.Wait()
		s.repos.Close()
		s.closed = errors.Join(s.flushContacts(), s.db.Close())
	})
	return s.closed
}

func (s *Server) now() time.Time { return s.cfg.Clock().UTC() }
