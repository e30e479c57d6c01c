package hepta

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/engine"
	"github.com/heptaup/hepta/internal/fault"
)

// Services are the names of the stack's services.
func (s *Stack) Services() []string {
	names := make([]string, len(s.want.Containers))
	for i, c := range s.want.Containers {
		names[i] = c.Service
	}
	return names
}

// container is the name of a service's container.
func (s *Stack) container(service string) (string, error) {
	i := slices.IndexFunc(s.want.Containers, func(c converge.Container) bool { return c.Service == service })
	if i < 0 {
		return "", &fault.Error{Op: "find service", What: service, Why: "the stack has none of that name",
			Remedy: "It has " + strings.Join(s.Services(), ", ") + "."}
	}
	return s.want.Containers[i].Name, nil
}

// LogOptions is for Logs.
type LogOptions struct {
	Services []string  // default: all
	Follow   bool      // go on until ctx ends
	Since    time.Time // zero: from the beginning
	Tail     int       // lines of each service; negative: all
}

// LogLine is one line of a service's log.
type LogLine struct {
	Service string `json:"service"`
	Stderr  bool   `json:"stderr,omitempty"`
	Text    string `json:"text"`
}

// Logs passes the services' log lines to emit as they come, one at a time.
// Services without a container have none.
func (s *Stack) Logs(ctx context.Context, o LogOptions, emit func(LogLine)) error {
	services := o.Services
	if len(services) == 0 {
		services = s.Services()
	}
	byContainer := map[string]string{}
	for _, service := range services {
		name, err := s.container(service)
		if err != nil {
			return err
		}
		byContainer[name] = service
	}
	e, err := s.engine(ctx)
	if err != nil {
		return err
	}
	seen, err := e.Observe(ctx, &converge.Stack{Name: s.cfg.Stack, Data: s.cfg.Data})
	if err != nil {
		return fmt.Errorf("read logs: %w", err)
	}
	var there []string
	for _, c := range seen.Containers {
		if c.Service != "" && byContainer[c.Name] != "" {
			there = append(there, c.Name)
		}
	}
	if len(there) == 0 {
		return &fault.Error{Op: "read logs of", What: "stack " + s.cfg.Stack, Why: "it has no containers", Remedy: "Start the stack: hepta up"}
	}
	slices.Sort(there)
	options := engine.LogOptions{Follow: o.Follow, Since: o.Since}
	if o.Tail >= 0 {
		options.Tail = fmt.Sprint(o.Tail)
	}
	return e.Logs(ctx, there, options, func(l engine.LogLine) {
		emit(LogLine{Service: byContainer[l.Container], Stderr: l.Stderr, Text: l.Text})
	})
}

// TerminalSize is the size of a terminal in characters.
type TerminalSize = engine.TerminalSize

// ExecOptions is a command for a service's running container.
type ExecOptions struct {
	Service string
	Cmd     []string
	User    string // default: the image's
	WorkDir string // default: the image's
	Env     []string

	// TTY gives the command a terminal. The caller's own is in raw mode then.
	TTY    bool
	Stdin  io.Reader // nil: none
	Stdout io.Writer // nil: dropped
	Stderr io.Writer // nil: dropped; with TTY everything comes on Stdout
	// Resize gives the terminal's size, the first one too; may be nil.
	Resize <-chan TerminalSize
}

// Exec runs a command in a service's container and returns its exit code. A
// command that fails is no error.
func (s *Stack) Exec(ctx context.Context, o ExecOptions) (int, error) {
	name, err := s.container(o.Service)
	if err != nil {
		return 0, err
	}
	e, err := s.engine(ctx)
	if err != nil {
		return 0, err
	}
	return e.ExecInteractive(ctx, name, engine.ExecOptions{
		Cmd: o.Cmd, User: o.User, WorkDir: o.WorkDir, Env: o.Env, Tty: o.TTY,
		Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr, Resize: o.Resize,
	})
}

// Ctl runs gitlab-ctl in the forge's container and returns its exit code.
func (s *Stack) Ctl(ctx context.Context, o ExecOptions, args ...string) (int, error) {
	o.Service, o.Cmd = heptapod.Service, append([]string{"gitlab-ctl"}, args...)
	return s.Exec(ctx, o)
}

// TestMail has the forge send a mail, as heptapod.Forge.TestMail does.
func (s *Stack) TestMail(ctx context.Context, to string) (heptapod.SentMail, error) {
	if _, err := s.container(heptapod.Service); err != nil {
		return heptapod.SentMail{}, err
	}
	return s.forge.TestMail(ctx, to)
}
