package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/runner/paas"
)

func paasRegisterCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:      "register",
		Usage:     "register a runner and write it into a configuration",
		ArgsUsage: "CONFIG",
		Description: "Makes the file when there is none, then appends a section; what is there stays as it is. On a\n" +
			"terminal it asks for what the flags leave out. A runner that was registered with a registration\n" +
			"token is paused: resume it in the forge when its section is complete.\n\n" +
			"Examples:\n" +
			"   hepta paas register /etc/hepta/paas.toml\n" +
			"   hepta paas register --name ci --coordinator-url https://hg.example.org --token-file ci.token \\\n" +
			"      --executor clever-docker --max-concurrency 10 --state-file-path /srv/ci/state.json /etc/hepta/paas.toml",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "name", Usage: "name of the runner"},
			&cli.StringFlag{Name: "coordinator-url", Usage: "URL of the forge"},
			&cli.StringFlag{Name: "registration-token", Aliases: []string{"token"}, Usage: "registration token, or the glrt- token of a runner; others on this machine see it"},
			&cli.StringFlag{Name: "token-file", Usage: "file with such a token; env:NAME is a variable, - is standard input"},
			&cli.StringFlag{Name: "executor", Usage: "clever-docker or local-docker"},
			&cli.IntFlag{Name: "max-concurrency", Usage: "jobs at once, of all runners; for a new file"},
			&cli.StringFlag{Name: "state-file-path", Usage: "where jobs are remembered; for a new file"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usage{errors.New("register takes one configuration file")}
			}
			path, err := filepath.Abs(c.Args().First())
			if err != nil {
				return fmt.Errorf("find configuration: %w", err)
			}
			r := registration{c: c, t: t, in: bufio.NewReader(t.in)}
			begin, err := r.file(path)
			if err != nil {
				return err
			}
			s, err := r.section()
			if err != nil {
				return err
			}
			if err := begin(); err != nil {
				return err
			}
			offered := s.Token
			s.Token = paas.Secret{}
			// Nothing is made in the forge that could not be written down.
			if err := paas.AddSection(path, s); err != nil {
				return err
			}
			if s.Token, err = (&paas.Coordinator{URL: s.URL}).Register(c.Context, s.Name, offered); err != nil {
				return err
			}
			if err := paas.AddSection(path, s); err != nil {
				return err
			}
			warnOfExposed(t, path)
			fmt.Fprintf(t.out, "Runner %s is in %s.\n", s.Name, path)
			if err := tellIncomplete(t, path, s); err != nil {
				return err
			}
			if !paas.IsRunnerToken(offered) {
				fmt.Fprintln(t.out, "It is paused in the forge: resume it there when its section is complete.")
			}
			fmt.Fprintf(t.out, "Then: hepta paas run %s, or hepta paas systemd %[1]s\n", path)
			return nil
		},
	}
}

// tellIncomplete lists what a configuration lacks before it can be run, and what
// looks so.
func tellIncomplete(t terminal, path string, s paas.Section) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	cfg, warnings, err := paas.Read(data)
	var wrong paas.ConfigError
	if !errors.As(err, &wrong) && err != nil {
		return err
	}
	fmt.Fprintln(t.out, "To be completed there:")
	for _, p := range append(wrong, warnings...) {
		fmt.Fprintf(t.out, "  %s\n", p)
	}
	if s.Executor == paas.CleverDocker && len(wrong) > 0 {
		fmt.Fprintln(t.out, "  With cc_multi_tenant = true and cc_gitlab_namespace_attributes_token, cc_orga_id and cc_token come from the groups.")
	}
	fmt.Fprintln(t.out, "  [runners.docker]: image, for jobs that name none")
	if dir := filepath.Dir(cfg.StateFile); cfg.StateFile != "" && !there(dir) {
		fmt.Fprintf(t.out, "  state_file: the directory %s is not there: mkdir -p -m 700 %[1]s\n", dir)
	}
	return nil
}

// registration gathers what flags and answers say.
type registration struct {
	c  *cli.Context
	t  terminal
	in *bufio.Reader
}

// text is a flag, or the answer to a question. What is no good is asked for again.
func (r registration) text(flag, ask, proposal string, good func(string) error) (string, error) {
	if r.c.IsSet(flag) {
		v := r.c.String(flag)
		if err := good(v); err != nil {
			return "", usage{fmt.Errorf("--%s: %w", flag, err)}
		}
		return v, nil
	}
	if !r.t.interactive() {
		return "", usage{fmt.Errorf("--%s is missing", flag)}
	}
	for {
		answer, err := question(r.t, r.in, ask, proposal)
		if err != nil {
			return "", err
		}
		if err = good(answer); err == nil {
			return answer, nil
		}
		fmt.Fprintf(r.t.err, "%v\n", err)
	}
}

// file asks for what a new configuration begins with; begin writes it where
// there is none.
func (r registration) file(path string) (begin func() error, err error) {
	if there(path) {
		for _, flag := range []string{"max-concurrency", "state-file-path"} {
			if r.c.IsSet(flag) {
				fmt.Fprintf(r.t.err, "warning: --%s has no effect: %s is there\n", flag, path)
			}
		}
		return func() error { return nil }, nil
	}
	n, err := r.text("max-concurrency", "Jobs at once, of all runners", "50", func(v string) error {
		if n, err := strconv.Atoi(v); err != nil || n < 1 {
			return errors.New("want a whole number of at least 1")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	state, err := r.text("state-file-path", "File in which jobs are remembered", filepath.Join(filepath.Dir(path), "paas-state.json"), filled)
	if err != nil {
		return nil, err
	}
	concurrent, _ := strconv.Atoi(n)
	return func() error {
		_, err := paas.NewFile(path, concurrent, state)
		return err
	}, nil
}

func filled(v string) error {
	if v == "" {
		return errors.New("want some text")
	}
	return nil
}

// section is the runner, with the token that was offered.
func (r registration) section() (s paas.Section, err error) {
	if s.URL, err = r.text("coordinator-url", "URL of the forge", "", func(v string) error {
		if !paas.IsHTTP(v) {
			return errors.New("want http(s)://host[:port]")
		}
		return nil
	}); err != nil {
		return s, err
	}
	if s.Name, err = r.text("name", "Name of the runner", "", filled); err != nil {
		return s, err
	}
	executor, err := r.text("executor", "Executor, clever-docker or local-docker", string(paas.CleverDocker), func(v string) error {
		if e := paas.Executor(v); e != paas.CleverDocker && e != paas.LocalDocker {
			return fmt.Errorf("want %s or %s", paas.CleverDocker, paas.LocalDocker)
		}
		return nil
	})
	if err != nil {
		return s, err
	}
	s.Executor = paas.Executor(executor)
	s.Token, err = r.token()
	return s, err
}

// token is not echoed when it is asked for.
func (r registration) token() (paas.Secret, error) {
	c, t := r.c, r.t
	text := c.String("registration-token")
	switch {
	case text != "" && c.String("token-file") != "":
		return paas.Secret{}, usage{errors.New("--registration-token and --token-file exclude each other")}
	case c.String("token-file") != "":
		data, err := readToken(t, c.String("token-file"))
		if err != nil {
			return paas.Secret{}, fmt.Errorf("read token: %w", err)
		}
		text = trimmed(data)
	case text == "" && !t.interactive():
		return paas.Secret{}, usage{errors.New("the token is missing: give --token-file or --registration-token")}
	case text == "":
		fd, _ := descriptor(t.in)
		fmt.Fprint(t.err, "Registration token, or glrt- token of the runner: ")
		data, err := term.ReadPassword(fd)
		fmt.Fprintln(t.err)
		if err != nil {
			return paas.Secret{}, fmt.Errorf("read token: %w", err)
		}
		text = trimmed(data)
	}
	if text == "" {
		return paas.Secret{}, usage{errors.New("the token is empty")}
	}
	return hepta.NewSecret(text), nil
}
