package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/runner/paas"
)

func paasCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:  "paas",
		Usage: "run CI jobs on hosts that exist only for them",
		Description: "Takes jobs from forges, has a host made for each at Clever Cloud or on a Docker Engine, hands\n" +
			"the job over and removes the host afterwards. It reads the configuration and the state file of\n" +
			"heptapod-paas-runner and needs no hepta.yaml; docs/paas.md says more.\n\n" +
			"Examples:\n" +
			"   hepta paas register /etc/hepta/paas.toml\n" +
			"   hepta paas run /etc/hepta/paas.toml\n" +
			"   hepta paas systemd /etc/hepta/paas.toml",
		Subcommands: []*cli.Command{
			paasRunCommand(t),
			paasHostsCommand(t),
			paasRegisterCommand(t),
			paasSystemdCommand(t),
			paasExecCommand(t),
		},
	}
}

// exitPaasConfig is how heptapod-paas-runner ends when its configuration is wrong.
const exitPaasConfig = 2

// paasConfig reads the file that is the only argument and tells its warnings.
// The path is returned absolute.
func paasConfig(c *cli.Context, t terminal) (string, paas.Config, error) {
	if c.NArg() != 1 {
		return "", paas.Config{}, usage{fmt.Errorf("%s takes one configuration file", c.Command.Name)}
	}
	path, err := filepath.Abs(c.Args().First())
	if err != nil {
		return "", paas.Config{}, fmt.Errorf("find configuration: %w", err)
	}
	cfg, err := readPaasConfig(path, t)
	return path, cfg, err
}

// readPaasConfig reads a file. What is wrong in it is told line by line, and
// the error is the exit code for it.
func readPaasConfig(path string, t terminal) (paas.Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = &fault.Error{Op: "read configuration", What: path, Why: "the file does not exist", Remedy: "Create one: hepta paas register", Kind: err}
		}
		explain(t, err, true)
		return paas.Config{}, exit(exitPaasConfig)
	}
	warnOfExposed(t, path)
	cfg, warnings, err := paas.Read(data)
	for _, w := range warnings {
		fmt.Fprintf(t.err, "warning: %s: %s\n", path, w)
	}
	var wrong paas.ConfigError
	if errors.As(err, &wrong) {
		for _, p := range wrong {
			fmt.Fprintf(t.err, "error: %s: %s\n", path, p)
		}
		return cfg, exit(exitPaasConfig)
	}
	if err != nil {
		return cfg, err
	}
	if cfg.StateFile, err = filepath.Abs(cfg.StateFile); err != nil {
		return cfg, fmt.Errorf("find state file: %w", err)
	}
	return cfg, nil
}

func paasSystemdCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:      "systemd",
		Usage:     "write a systemd unit",
		ArgsUsage: "CONFIG",
		Description: "Writes a unit that runs this program with a configuration. `systemctl reload` makes it read the\n" +
			"configuration again; jobs go on over a restart.\n\n" +
			"Examples:\n" +
			"   hepta paas systemd --user hepta /etc/hepta/paas.toml > /etc/systemd/system/hepta-paas.service",
		Flags: []cli.Flag{&cli.StringFlag{Name: "user", Usage: "user that it runs as (default: root)"}},
		Action: func(c *cli.Context) error {
			path, cfg, err := paasConfig(c, t)
			if err != nil {
				return err
			}
			program, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find program: %w", err)
			}
			if name := c.String("user"); name != "" {
				warnOfUser(t, name, path, cfg.StateFile)
			}
			_, err = fmt.Fprint(t.out, paas.Unit(program, path, c.String("user"), cfg))
			return err
		},
	}
}

// there reports whether a file exists, or may.
func there(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// trimmed is a token as it stands in a file.
func trimmed(data []byte) string { return strings.TrimSpace(string(data)) }
