package heptapodtest

import (
	"context"
	"log/slog"
	"net"
	"time"
)

// TB is the part of testing.TB that New needs, so that a daemon does not link
// the testing package.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
	TempDir() string
}

// TestPassword is root's password in a forge made by New.
const TestPassword = "5iveL!fe"

// Option changes the forge that New makes.
type Option func(*Config)

// WithExternalURL sets the URL under which others reach the forge.
func WithExternalURL(url string) Option { return func(c *Config) { c.ExternalURL = url } }

// WithListen sets the address to serve, such as 0.0.0.0:0 for containers.
func WithListen(addr string) Option { return func(c *Config) { c.Listen = addr } }

// WithListener serves l.
func WithListener(l net.Listener) Option { return func(c *Config) { c.Listener = l } }

// WithRegistry sets the container registry's URL.
func WithRegistry(url string) Option { return func(c *Config) { c.RegistryURL = url } }

// WithDependencyProxy gives jobs the variables of a dependency proxy.
func WithDependencyProxy() Option { return func(c *Config) { c.DependencyProxy = true } }

// WithVersion sets the release that the forge says it is.
func WithVersion(v string) Option { return func(c *Config) { c.Version = v } }

// WithClock sets the source of time.
func WithClock(now func() time.Time) Option { return func(c *Config) { c.Clock = now } }

// WithLog sets the logger.
func WithLog(l *slog.Logger) Option { return func(c *Config) { c.Log = l } }

// WithLongPoll sets how long a request for a job is held.
func WithLongPoll(d time.Duration) Option { return func(c *Config) { c.LongPoll = d } }

// WithRegistrationToken lets runners register with the legacy token.
func WithRegistrationToken(token string) Option {
	return func(c *Config) { c.AllowRegistrationToken, c.RegistrationToken = true, NewSecret(token) }
}

// WithConfig changes anything.
func WithConfig(change func(*Config)) Option { return Option(change) }

// New starts a forge that ends with the test. Its root has TestPassword and the
// personal access token Server.Token.
func New(t TB, opts ...Option) *Server {
	t.Helper()
	cfg := Config{Fast: true, RootPassword: NewSecret(TestPassword)}
	for _, o := range opts {
		o(&cfg)
	}
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	s, err := Start(context.Background(), cfg)
	if err != nil {
		t.Fatalf("%v", err)
		return nil
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Fatalf("close forge: %v", err)
		}
	})
	s.Token, err = s.MintToken(TokenRequest{User: "root", Name: "heptapodtest", Scopes: s.Scopes()})
	if err != nil {
		t.Fatalf("mint token of root: %v", err)
	}
	return s
}
