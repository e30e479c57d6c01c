package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta/registry"
)

func registryLoginCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:  "login",
		Usage: "log in to the registry, and keep the login for Docker",
		Description: "Takes a token at the forge and shows it to the registry. What proves good is kept where\n" +
			"Docker looks for it, as by docker login: config.json in $DOCKER_CONFIG or ~/.docker. Of an\n" +
			"account with two-factor authentication give a token with read_registry and write_registry.\n" +
			"On a terminal the password is asked.\n\n" +
			"Examples:\n" +
			"   hepta registry login --username alice\n" +
			"   hepta registry login --username alice --token-file alice.token\n" +
			"   pass forge/alice | hepta registry login --username alice --password-stdin",
		Flags: append(credentialFlags(), &cli.BoolFlag{Name: "no-save", Usage: "only check the login"}),
		Action: noArguments(func(c *cli.Context) error {
			creds, err := credentials(c, t)
			if err != nil {
				return err
			}
			var opts []registry.LoginOption
			var path string
			if !c.Bool("no-save") {
				if path, err = registry.DockerConfig(); err != nil {
					return err
				}
				opts = append(opts, registry.SaveTo(path))
			}
			s, err := open(c, t)
			if err != nil {
				return err
			}
			defer s.close()
			err = s.stack.LoginRegistry(c.Context, creds, opts...)
			s.progress.Close()
			if err != nil {
				return err
			}
			if path == "" {
				fmt.Fprintf(t.out, "%s knows %s.\n", s.stack.RegistryHost(), creds.User)
			} else {
				fmt.Fprintf(t.out, "%s knows %s; Docker finds the login in %s.\n", s.stack.RegistryHost(), creds.User, path)
			}
			return nil
		}),
	}
}
