package main

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

func caCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:  "ca",
		Usage: "write the certificate of the stack's authority",
		Description: "Writes the certificate (PEM) of the authority that a stack of tls mode internal has, to be\n" +
			"installed where the forge is used. It is no secret.\n\n" +
			"Examples:\n" +
			"   hepta ca > hepta-ca.crt\n" +
			"   hepta ca | sudo tee /usr/local/share/ca-certificates/hepta.crt && sudo update-ca-certificates\n" +
			"   hg clone --config web.cacerts=hepta-ca.crt https://hg.example.org/group/project\n" +
			"   git -c http.sslCAInfo=hepta-ca.crt clone https://hg.example.org/group/project.git",
		Action: noArguments(func(c *cli.Context) error {
			s, err := open(c, t)
			if err != nil {
				return err
			}
			defer s.close()
			pem, err := s.stack.CACertificate(c.Context)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(t.out, "%s", pem)
			return err
		}),
	}
}
