package heptapodcontainer

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/testcontainers/testcontainers-go"
)

// Option changes the forge that Run starts. Options of testcontainers itself
// can stand beside it.
type Option func(*settings) error

// Customize changes nothing: what an Option says is in the container's
// settings before any request is made.
func (Option) Customize(*testcontainers.GenericContainerRequest) error { return nil }

var _ testcontainers.ContainerCustomizer = Option(nil)

// settings are what the options came to.
type settings struct {
	host     string
	password string
	ruby     string
	registry bool
	ssh      bool
	keys     []string
	runners  []runnerSettings
	// pick finds free ports.
	pick func(n int) ([]int, error)
}

// settled applies the options that are this package's own.
func settled(opts []testcontainers.ContainerCustomizer) (settings, error) {
	s := settings{password: rand.Text() + "-" + rand.Text()[:6], pick: freePorts}
	for _, opt := range opts {
		if o, ok := opt.(Option); ok {
			if err := o(&s); err != nil {
				return settings{}, err
			}
		}
	}
	return s, nil
}

// WithRootPassword sets the password of root; by default it is made up. The
// image refuses short and common ones.
func WithRootPassword(password string) Option {
	return func(s *settings) error {
		if password == "" || strings.ContainsAny(password, "\r\n") {
			return errors.New("set root password: it must be one line")
		}
		s.password = password
		return nil
	}
}

// WithGitLabRB appends lines to gitlab.rb. They have the last word.
func WithGitLabRB(ruby string) Option {
	return func(s *settings) error {
		s.ruby += strings.TrimRight(ruby, "\n") + "\n"
		return nil
	}
}

// WithRegistry switches the container registry on.
func WithRegistry() Option {
	return func(s *settings) error {
		s.registry = true
		return nil
	}
}

// WithSSH publishes the forge's ssh and gives root the keys, each a line as in
// authorized_keys.
func WithSSH(keys ...string) Option {
	return func(s *settings) error {
		s.ssh = true
		s.keys = append(s.keys, keys...)
		return nil
	}
}

// WithHost sets the IP address of the forge's URL. It must lead to the ports
// that the Engine publishes, from the test and from containers.
func WithHost(address string) Option {
	return func(s *settings) error {
		if net.ParseIP(address) == nil {
			return fmt.Errorf("set host: %q is no IP address", address)
		}
		s.host = address
		return nil
	}
}
