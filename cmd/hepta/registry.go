package main

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/registry"
)

func registryCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:  "registry",
		Usage: "check, list and clean up the container registry, and log in to it",
		Description: "Works with the forge's container registry through its public address, as Docker does. Where\n" +
			"its name does not resolve here, it is asked on the Docker host.\n\n" +
			"Examples:\n" +
			"   hepta registry check\n" +
			"   hepta registry login --username alice --token-file alice.token\n" +
			"   hepta registry list",
		Subcommands: []*cli.Command{
			registryCheckCommand(t), registryLoginCommand(t), registryListCommand(t), registryPruneCommand(t), registryGCCommand(t), registryMirrorCommand(t), registrySecretCommand(t),
		},
	}
}

// credentialFlags name a user and where the password comes from; never itself.
func credentialFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "username", Aliases: []string{"u"}, Usage: "user of the forge, or name of a deploy token"},
		&cli.StringFlag{Name: "token-file", Usage: "file with the password or token; env:NAME is a variable, - is standard input"},
		&cli.BoolFlag{Name: "password-stdin", Usage: "read password or token from standard input"},
	}
}

// maxToken bounds what is read as a password.
const maxToken = 64 << 10

// credentials are what the flags lead to. On a terminal the password is asked.
func credentials(c *cli.Context, t terminal) (registry.Credentials, error) {
	creds := registry.Credentials{User: c.String("username")}
	file, stdin := c.String("token-file"), c.Bool("password-stdin")
	switch {
	case creds.User == "":
		return creds, usage{errors.New("--username is missing")}
	case strings.ContainsFunc(creds.User, unicode.IsControl) || strings.Contains(creds.User, ":") || !utf8.ValidString(creds.User):
		return creds, usage{fmt.Errorf("--username %q is no user: it has a colon or control characters", creds.User)}
	case file != "" && stdin:
		return creds, usage{errors.New("--token-file and --password-stdin exclude each other")}
	case file == "" && !stdin && !t.interactive():
		return creds, usage{errors.New("the password is missing: give --token-file or --password-stdin")}
	}
	var text []byte
	var err error
	switch {
	case file != "":
		text, err = readToken(t, file)
	case stdin:
		text, err = readPassword(t.in)
	default:
		fd, _ := descriptor(t.in)
		fmt.Fprintf(t.err, "Password or token of %s: ", creds.User)
		text, err = term.ReadPassword(fd)
		fmt.Fprintln(t.err)
	}
	if err != nil {
		return creds, fmt.Errorf("read password: %w", err)
	}
	password := strings.TrimRight(string(text), "\r\n")
	switch {
	case password == "":
		return creds, usage{errors.New("the password is empty")}
	case strings.ContainsAny(password, "\r\n\x00") || !utf8.ValidString(password):
		return creds, usage{errors.New("the password is not one line of text")}
	}
	creds.Password = hepta.NewSecret(password)
	return creds, nil
}
