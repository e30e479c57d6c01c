package try

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/docker/docker/api/types/container"

	"github.com/heptaup/hepta/heptapod"
)

// equip puts this program and the forge's hepta.yaml into a sandbox that is
// kept, so that people can look around in it.
func (t *trial) equip(ctx context.Context) error {
	path, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read this program: %w", err)
	}
	described := string(configuration())
	if t.Image != "" {
		cfg, err := Options{}.config()
		if err != nil {
			return err
		}
		described = strings.Replace(described, cfg.Heptapod.Image, t.Image, 1)
	}
	pack, err := archive([]file{
		{path: "usr/local/bin/hepta", content: program, mode: 0o755},
		{path: strings.TrimPrefix(homeInside, "/") + "/hepta.yaml", content: []byte(described), mode: 0o600},
	})
	if err != nil {
		return err
	}
	if err := t.docker.CopyToContainer(ctx, t.box.ID, "/", pack, container.CopyToContainerOptions{}); err != nil {
		return fmt.Errorf("put hepta into sandbox %s: %w", t.box.Name, err)
	}
	t.summary.Sandbox = &Sandbox{Container: t.box.Name, Dir: homeInside, PasswordFile: t.stack.Config().Data + "/" + heptapod.FileRootPassword}
	return nil
}
