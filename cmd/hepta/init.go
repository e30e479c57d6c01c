package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta"
)

func initCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:  "init",
		Usage: "write a hepta.yaml",
		Description: "Writes a commented configuration. Without --forge it asks, on a terminal, for what the\n" +
			"flags leave open. A file that is there is not touched without --force.\n\n" +
			"With the URL of a forge that is external, it is a configuration of runners alone.\n\n" +
			"Examples:\n" +
			"   hepta init\n" +
			"   hepta init --forge hg.example.org --registry registry.example.org --email admin@example.org --runner dind\n" +
			"   hepta --file lab.yaml init --forge hg.lab --runner socket --ssh-port 2222\n" +
			"   hepta init --forge https://gitlab.example.com --token-file gitlab.token --runner rootless",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "forge", Usage: "host name of the forge, or the URL of an external one"},
			&cli.StringFlag{Name: "token-file", Usage: "file with the token for an external forge, env:NAME, or - for standard input", DefaultText: hepta.DraftTokenFile},
			&cli.StringFlag{Name: "registry", Usage: "host name of its container registry"},
			&cli.StringFlag{Name: "email", Usage: "mail address for certificates from Let's Encrypt (default: an authority made here)"},
			&cli.StringFlag{Name: "data", Usage: "directory on the Docker host for everything that must survive"},
			&cli.IntFlag{Name: "ssh-port", Usage: "port for ssh", DefaultText: "22"},
			&cli.StringSliceFlag{Name: "runner", Usage: "a runner of mode dind, socket, rootless or plain; may be given again"},
			&cli.BoolFlag{Name: "force", Usage: "replace an existing file"},
		},
		Action: noArguments(func(c *cli.Context) error {
			d := hepta.Draft{
				Forge: c.String("forge"), Registry: c.String("registry"), Email: c.String("email"),
				Data: c.String("data"), SSHPort: c.Int("ssh-port"), Runners: c.StringSlice("runner"), TokenFile: c.String("token-file"),
			}
			path := configFile(c)
			if d.Forge == "" {
				if !t.interactive() {
					return usage{errors.New("--forge is missing: the host name of the forge")}
				}
				// Nobody is asked for what cannot be written.
				if _, err := os.Lstat(path); err == nil && !c.Bool("force") {
					return hepta.WriteDraft(path, hepta.Draft{Forge: "hg.example.org"}, false)
				}
				if err := ask(t, c, &d); err != nil {
					return err
				}
			}
			if err := fitting(c, d); err != nil {
				return err
			}
			if err := hepta.WriteDraft(path, d, c.Bool("force")); err != nil {
				return byFlag(err)
			}
			first := ""
			if d.External() && (d.TokenFile == "" || d.TokenFile == hepta.DraftTokenFile) {
				first = "Put the forge's token into " + hepta.DraftTokenFile + " beside it (chmod 600). "
			}
			fmt.Fprintf(t.out, "Wrote %s. %sLook it over, then: %s\n", path, first, command(c, "plan"))
			return nil
		}),
	}
}

// byFlag says what is wrong with a draft in the words of the command line.
func byFlag(err error) error {
	var wrong *hepta.ConfigError
	if !errors.As(err, &wrong) {
		return err
	}
	for i, p := range wrong.Problems {
		for _, by := range [][2]string{
			{"forge.token_file", "token-file"}, {"forge.registry", "registry"}, {"forge", "forge"}, {"registry", "registry"}, {"acme", "email"}, {"data", "data"}, {"heptapod.ssh", "ssh-port"}, {"runners", "runner"},
		} {
			if strings.HasPrefix(p.Path, by[0]) {
				wrong.Problems[i].Path = dashed(by[1])
				break
			}
		}
	}
	return usage{err}
}

// fitting says which flags belong to the other kind of forge.
func fitting(c *cli.Context, d hepta.Draft) error {
	flags, belong := []string{"token-file"}, "is for an external forge: name that by its URL, as in --forge https://hg.example.org"
	if d.External() {
		flags, belong = []string{"email", "ssh-port"}, "belongs to a forge that is brought up, and --forge names an external one"
	}
	for _, name := range flags {
		if c.IsSet(name) {
			return usage{fmt.Errorf("%s %s", dashed(name), belong)}
		}
	}
	return nil
}

// ask fills in what the flags leave open. What is no good is asked for again.
func ask(t terminal, c *cli.Context, d *hepta.Draft) error {
	in := bufio.NewReader(t.in)
	here := func() bool { return !d.External() }
	elsewhere := func() bool { return d.External() }
	both := func() bool { return true }
	for _, q := range []struct {
		flag           string
		asked          func() bool
		text, proposal string
		take           func(answer string)
	}{
		{"forge", both, "Host name of the forge, such as hg.example.org; or the URL of an external one, for runners alone", "", func(a string) { d.Forge = a }},
		{"token-file", elsewhere, "File with a token for it, env:NAME, or - for standard input", hepta.DraftTokenFile, func(a string) { d.TokenFile = a }},
		{"registry", both, "Host name of its container registry, empty for none", "", func(a string) { d.Registry = a }},
		{"email", here, "Mail address for Let's Encrypt, empty for an authority made here", "", func(a string) { d.Email = a }},
		{"ssh-port", here, "Port for ssh; 22 only where the host's own sshd is elsewhere", "2222", func(a string) {
			d.SSHPort, _ = strconv.Atoi(a)
			if d.SSHPort == 0 {
				d.SSHPort = -1 // refused as a port
			}
		}},
		{"runner", both, "Runners (dind, socket, rootless or plain, several with commas; none for none)", "dind", func(a string) {
			d.Runners = nil
			if a != "none" {
				d.Runners = strings.FieldsFunc(a, func(r rune) bool { return r == ',' || r == ' ' })
			}
		}},
	} {
		for !c.IsSet(q.flag) && q.asked() {
			answer, err := question(t, in, q.text, q.proposal)
			if err != nil {
				return err
			}
			q.take(answer)
			if _, err := d.YAML(); err != nil {
				explain(t, err, c.Bool(flagNoColor))
				continue
			}
			break
		}
	}
	return nil
}

func question(t terminal, in *bufio.Reader, text, proposal string) (string, error) {
	if proposal != "" {
		text += " [" + proposal + "]"
	}
	fmt.Fprint(t.err, text+": ")
	line, err := in.ReadString('\n')
	if err != nil && (!errors.Is(err, io.EOF) || line == "") {
		return "", fmt.Errorf("read answer: %w", err)
	}
	if line = strings.TrimSpace(line); line == "" {
		return proposal, nil
	}
	return line, nil
}
