// Package wiring holds what every public package can be handed beside its
// configuration: the Engine's client, a logger, a listener for progress.
package wiring

import (
	"context"
	"log/slog"

	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/internal/progress"
)

// Options is what the functional options fill in. The zero value is silent
// and finds the Engine by itself.
type Options struct {
	Docker   client.APIClient // nil: got by Dial, or made from Host, on first use
	Dial     Dial             // nil: made from Host
	Host     string           // Engine address; "" follows DOCKER_HOST, then the current docker context
	Log      *slog.Logger     // never nil after Apply
	Progress progress.Sink
}

// Dial gives a client of the Engine that somebody else closes.
type Dial func(context.Context) (client.APIClient, error)

// Option changes Options. Only this package makes them.
type Option interface{ apply(*Options) }

type option func(*Options)

func (f option) apply(o *Options) { f(o) }

// Apply folds opts into Options with a logger that discards by default.
func Apply(opts []Option) Options {
	o := Options{Log: slog.New(slog.DiscardHandler)}
	for _, opt := range opts {
		o.Add(opt)
	}
	return o
}

// Add applies one more option.
func (o *Options) Add(opt Option) { opt.apply(o) }

// WithDocker uses c instead of making a client; the caller closes it.
func WithDocker(c client.APIClient) Option { return option(func(o *Options) { o.Docker = c }) }

// WithDial shares the connection of a larger whole, made when one is needed.
func WithDial(d Dial) Option { return option(func(o *Options) { o.Dial = d }) }

// WithHost names the Engine: unix://, tcp://, ssh://, or a docker context as
// context://NAME.
func WithHost(host string) Option { return option(func(o *Options) { o.Host = host }) }

// WithLogger logs to l instead of discarding.
func WithLogger(l *slog.Logger) Option { return option(func(o *Options) { o.Log = l }) }

// WithProgress tells f what happens while it happens. It may be called from
// several goroutines at once.
func WithProgress(f func(progress.Event)) Option {
	return option(func(o *Options) { o.Progress = f })
}
