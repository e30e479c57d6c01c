package localdocker_test

import (
	"context"
	"log"

	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/runner/paas"
	"github.com/heptaup/hepta/runner/paas/localdocker"
)

// A manager whose hosts are containers of this machine's Engine.
func Example() {
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		log.Fatal(err)
	}
	defer docker.Close()
	journal, err := paas.OpenJournal("/var/lib/hepta/paas.json")
	if err != nil {
		log.Fatal(err)
	}
	defer journal.Close()
	manager := &paas.Manager{Journal: journal, Hosts: func(context.Context, paas.Runner, *paas.Coordinator) (paas.Provider, error) {
		return &localdocker.Provider{Engine: docker}, nil
	}}
	if err := manager.Run(context.Background(), paas.Config{}, nil); err != nil {
		log.Fatal(err)
	}
}
