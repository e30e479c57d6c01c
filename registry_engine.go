package hepta

import (
	"context"
	"errors"
	"time"

	"github.com/heptaup/hepta/registry"
)

// engineLook bounds how long the Engine may ask the registry.
const engineLook = 30 * time.Second

// engineReaches has the Engine itself ask the registry for an image that nobody
// has, without credentials: it is the Engine that pulls the images of jobs and
// pushes for those of mode socket, with authorities and names of its own. An
// Engine that is out of reach from here is not asked.
func (s *Stack) engineReaches(ctx context.Context) registry.Finding {
	host := s.RegistryHost()
	docker, err := s.docker(ctx)
	if err != nil {
		return registry.Finding{Check: "the Docker host's Engine reaches it", OK: true, Note: true, Saw: "not asked: the Engine is not reached from here"}
	}
	limited, cancel := context.WithTimeout(ctx, engineLook)
	defer cancel()
	said := "it has it"
	if _, err := docker.DistributionInspect(limited, host+"/hepta/nobody:none", ""); err != nil {
		said = err.Error()
		if errors.Is(err, context.DeadlineExceeded) {
			said = "timeout: no answer in " + engineLook.String()
		}
	}
	return registry.DaemonFinding(host, said)
}
