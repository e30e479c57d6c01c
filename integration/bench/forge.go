package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/images"
)

const (
	forgeHost = "hg.hepta.test"
	stackName = "bench"
	// dataDir lies on the nested Engine's volume, as on a host's disk.
	dataDir  = "/var/lib/docker/bench/hepta"
	peerData = "/var/lib/docker/bench/peer"
)

// configuration is a forge with its proxy and its runners: three containers.
const configuration = `stack: ` + stackName + `
data: ` + dataDir + `
heptapod:
  host: ` + forgeHost + `
  image: octobus/heptapod:17.8
traefik: {image: "traefik:v3.6.12"}
tls: {mode: internal}
runner: {image: "gitlab/gitlab-runner:latest"}
runners:
  - {name: socket, mode: socket, tags: [bench], image: "hepta/small:1", docker: {pull_policy: if-not-present}}
`

// forge brings the forge up with hepta's own binary.
func (b *bench) forge(ctx context.Context) error {
	if b.stack != nil {
		return nil
	}
	b.say("bring the forge up")
	made, err := images.Ensure(ctx, b.outer, b.sink(), images.Base, images.Small, images.Traefik, images.HAProxy, images.Runner, images.Helper, images.Heptapod)
	if err != nil {
		return err
	}
	var refs []images.Ref
	for _, r := range made {
		refs = append(refs, r)
	}
	if err := images.Copy(ctx, b.outer, b.inner, refs...); err != nil {
		return err
	}
	b.config = filepath.Join(b.dir, "hepta.yaml")
	if err := os.WriteFile(b.config, []byte(configuration), 0o644); err != nil {
		return fmt.Errorf("write hepta.yaml: %w", err)
	}
	if err := b.command(b.hepta, "-f", b.config, "up")(ctx); err != nil {
		return err
	}
	cfg, err := hepta.Load(b.config)
	if err != nil {
		return err
	}
	b.stack, err = hepta.New(cfg, hepta.WithDocker(b.inner))
	return err
}
