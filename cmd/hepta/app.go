package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/pattern"
	"github.com/heptaup/hepta/internal/progress"
	"github.com/heptaup/hepta/internal/render"
)

// The exit codes, documented in docs/cli.md.
const (
	exitOK          = 0
	exitFailure     = 1
	exitChanges     = 2  // plan: something would be done
	exitUsage       = 64 // the command line is wrong
	exitInterrupted = 130
)

// exit ends the program with a code and without a message.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// usage is a command line that makes no sense.
type usage struct{ error }

func (u usage) Unwrap() error { return u.error }

// run is the program without its process: it returns the exit code.
func run(ctx context.Context, args []string, t terminal) int {
	ctx, stop := interruptible(ctx, t.err)
	defer stop()
	app := newApp(t)
	err := app.RunContext(ctx, arrange(app, args))
	if err == nil {
		return exitOK
	}
	var code exit
	if errors.As(err, &code) {
		return int(code)
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		fmt.Fprintln(t.err, "hepta: interrupted; run the same command again to go on")
		return exitInterrupted
	}
	if name, unknown := strings.CutPrefix(err.Error(), "No help topic for '"); unknown {
		err = usage{unknownCommand(app, strings.TrimSuffix(name, "'"))}
	}
	explain(t, err, slices.Contains(args, "--no-color"))
	var wrong usage
	if errors.As(err, &wrong) {
		return exitUsage
	}
	return exitFailure
}

// interruptible cancels the context at the first signal; a further one ends
// the program at once.
func interruptible(parent context.Context, out io.Writer) (context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go watchSignals(signals, done, time.Second, func() {
		fmt.Fprintln(out, "\nhepta: stopping; once more to stop at once")
		cancel()
	}, func() { os.Exit(exitInterrupted) })
	return ctx, func() { signal.Stop(signals); close(done); cancel() }
}

// watchSignals stops at the first signal and quits at a further one. What comes within
// a beat of the first is the same request: timeout(1) signals a process and
// then its group.
func watchSignals(signals <-chan os.Signal, done <-chan struct{}, beat time.Duration, stop, quit func()) {
	select {
	case <-signals:
	case <-done:
		return
	}
	first := time.Now()
	stop()
	for {
		select {
		case <-signals:
			if time.Since(first) >= beat {
				quit()
				return
			}
		case <-done:
			return
		}
	}
}

func newApp(t terminal) *cli.App {
	app := &cli.App{
		Name:                  "hepta",
		CustomAppHelpTemplate: appHelp,
		Usage:                 "a forge on a Docker host, as hepta.yaml describes it",
		UsageText:             "hepta COMMAND [options] [arguments]",
		Description: "hepta makes a Docker host look like its hepta.yaml: Traefik, Heptapod (GitLab with\n" +
			"Mercurial), its container registry, its runners; and again after any change or crash.\n\n" +
			"   hepta init        write a hepta.yaml\n" +
			"   hepta plan        see what would be done\n" +
			"   hepta up          do it",
		Version:                   version(),
		HideVersion:               true,
		DisableSliceFlagSeparator: true,
		Reader:                    t.in,
		Writer:                    t.out,
		ErrWriter:                 t.err,
		Flags:                     globalFlags(),
		Commands: []*cli.Command{
			initCommand(t), upCommand(t), planCommand(t), pullCommand(t), downCommand(t), statusCommand(t), logsCommand(t),
			execCommand(t), ctlCommand(t), labelsCommand(t), caCommand(t), buildCommand(t), runnerCommand(t), registryCommand(t), mailCommand(t), tokenCommand(t), ciCommand(t), paasCommand(t), systemdCommand(t), tryCommand(t), versionCommand(t), completionCommand(t),
		},
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   onUsageError,
		Action: func(c *cli.Context) error {
			if name := c.Args().First(); name != "" {
				return usage{unknownCommand(c.App, name)}
			}
			return cli.ShowAppHelp(c)
		},
	}
	plainFlags(app.Flags)
	for _, c := range app.Commands {
		finish(c, "")
	}
	return app
}

// plainFlags leaves "(default: false)" out of the help.
func plainFlags(flags []cli.Flag) {
	for _, f := range flags {
		if b, ok := f.(*cli.BoolFlag); ok {
			b.DisableDefaultText = true
		}
	}
}

// The names of the global flags.
const (
	flagFile     = "file"
	flagHost     = "host"
	flagProgress = "progress"
	flagNoColor  = "no-color"
	flagVerbose  = "verbose"
)

func globalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: flagFile, Aliases: []string{"f"}, Value: hepta.DefaultFile, EnvVars: []string{"HEPTA_FILE"}, Usage: "the configuration"},
		&cli.StringFlag{Name: flagHost, Aliases: []string{"H"}, Usage: "Docker Engine: unix://, tcp://, ssh:// or the name of a docker context (default: docker in the configuration, then DOCKER_HOST, then the current docker context)"},
		&cli.StringFlag{Name: flagProgress, Value: string(render.Auto), Usage: "auto, tty, plain, quiet or json"},
		&cli.BoolFlag{Name: flagNoColor, Usage: "no colours, as with NO_COLOR set"},
		&cli.BoolFlag{Name: flagVerbose, Usage: "log each step to standard error"},
	}
}

// onUsageError says in our words what the library finds wrong with an option.
func onUsageError(c *cli.Context, err error, _ bool) error {
	name, undefined := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if !undefined {
		return usage{wrongValue(c, err)}
	}
	return usage{fmt.Errorf("there is no option %s", dashed(strings.TrimPrefix(name, "-")))}
}

var parseError = pattern.New(`(?s)^invalid (?:boolean )?value (".*") for (?:flag )?-(\S+): `)

// wrongValue says what an option takes where its value could not be read.
func wrongValue(c *cli.Context, err error) error {
	m := parseError().FindStringSubmatch(err.Error())
	if m == nil {
		return err
	}
	takes := "another value"
	for _, f := range slices.Concat(c.Command.Flags, c.App.Flags) {
		if !slices.Contains(f.Names(), m[2]) {
			continue
		}
		switch f.(type) {
		case *cli.BoolFlag:
			takes = "true or false, or stands alone"
		case *cli.IntFlag:
			takes = "a whole number"
		case *cli.Float64Flag:
			takes = "a number"
		case *cli.DurationFlag:
			takes = "a duration such as 30m or 1h30m"
		}
		break
	}
	return fmt.Errorf("%s takes %s, not %s", dashed(m[2]), takes, m[1])
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

func unknownCommand(app *cli.App, name string) error {
	names := make([]string, 0, len(app.Commands))
	for _, c := range app.Commands {
		names = append(names, c.Name)
	}
	return fmt.Errorf("there is no command %q; there are %s", name, strings.Join(names, ", "))
}

// configFile is the configuration's path; an empty HEPTA_FILE is as none.
func configFile(c *cli.Context) string { return cmp.Or(c.String(flagFile), hepta.DefaultFile) }

// session is an opened configuration with where its progress goes.
type session struct {
	stack    *hepta.Stack
	progress *render.Progress
}

// open reads the configuration that the flags name. The caller closes the session.
func open(c *cli.Context, t terminal) (*session, error) {
	mode, err := render.ParseMode(c.String(flagProgress))
	if err != nil {
		return nil, usage{fmt.Errorf("--%w", err)}
	}
	cfg, err := hepta.Load(configFile(c))
	if err != nil {
		return nil, err
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintln(t.err, "warning: "+w)
	}
	p := render.New(mode, t.err, t.view(c.Bool(flagNoColor)))
	p.IfSilent(time.Second, progress.Event{State: progress.Info, Kind: "step", Resource: "command " + c.Command.Name, Text: "waiting for the Docker host and the forge"})
	opts := []hepta.Option{hepta.WithProgress(p.Sink())}
	if host := c.String(flagHost); host != "" {
		opts = append(opts, hepta.WithHost(host))
	}
	if c.Bool(flagVerbose) {
		opts = append(opts, hepta.WithLogger(slog.New(slog.NewTextHandler(t.err, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	}
	stack, err := hepta.New(cfg, opts...)
	if err != nil {
		p.Close()
		return nil, err
	}
	return &session{stack, p}, nil
}

func (s *session) close() {
	s.progress.Close()
	_ = s.stack.Close()
}
