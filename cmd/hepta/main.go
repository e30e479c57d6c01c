// Command hepta turns a Docker host into a forge as hepta.yaml describes it.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args, terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv}))
}
