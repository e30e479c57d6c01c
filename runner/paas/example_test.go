package paas_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"

	"github.com/heptaup/hepta/runner/paas"
)

// The configuration is that of heptapod-paas-runner. What is wrong in it is a
// paas.ConfigError with every line; what is doubtful comes as warnings.
func ExampleRead() {
	cfg, warnings, err := paas.Read([]byte(`
concurrent = 8
state_file = "/var/lib/hepta/paas.json"

[[runners]]
  name = "clever"
  url = "https://hg.example.org"
  token = "glrt-t1_0123456789abcdefghij"
  executor = "clever-docker"
  cc_orga_id = "orga_07cf2ef0-c9ad-4f04-b492-94c164f95c76"
  cc_token = "…"
  cc_default_flavour = "L"

  [runners.cc_extra_env]
    CC_ENABLE_HEPTAPOD_RUNNER = "true"
`))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cfg.Concurrent, cfg.Runners[0].Executor, cfg.Runners[0].Clever.Flavor)
	for _, w := range warnings {
		fmt.Println(w.Key)
	}
	// Output:
	// 8 clever-docker M
	// cc_default_flavour
}

// A manager runs until it is told to stop. It can be killed at any moment: the
// journal says how it goes on.
func ExampleManager_Run() {
	text, err := os.ReadFile("/etc/hepta/paas.toml")
	if err != nil {
		log.Fatal(err)
	}
	cfg, _, err := paas.Read(text)
	if err != nil {
		log.Fatal(err)
	}
	journal, err := paas.OpenJournal(cfg.StateFile)
	if err != nil {
		log.Fatal(err)
	}
	defer journal.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	manager := &paas.Manager{Journal: journal}
	if err := manager.Run(ctx, cfg, nil); err != nil {
		log.Fatal(err)
	}
}
