package paas

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/heptaup/hepta/internal/secret"
	"github.com/heptaup/hepta/runner/paas/clevertest"
)

// A push trusts the authorities that this program is given, or git's own
// setting, and is steered by nothing else of git's in the environment.
func TestPushTrusts(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string // authority stands for its file
		goes bool
	}{
		"nobody":            {nil, false},
		"as the program":    {map[string]string{"SSL_CERT_FILE": "authority"}, true},
		"as git":            {map[string]string{"GIT_SSL_CAINFO": "authority", "SSL_CERT_FILE": "/no/such/file"}, true},
		"git goes first":    {map[string]string{"GIT_SSL_CAINFO": "/no/such/file", "SSL_CERT_FILE": "authority"}, false},
		"anybody, says git": {map[string]string{"GIT_SSL_NO_VERIFY": "1"}, false},
		"elsewhere":         {map[string]string{"SSL_CERT_FILE": "authority", "GIT_ALLOW_PROTOCOL": "ssh"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			cloud := clevertest.NewTLS(t)
			file := filepath.Join(t.TempDir(), "authority.pem")
			if err := os.WriteFile(file, cloud.Certificate(), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, key := range []string{"SSL_CERT_FILE", "GIT_SSL_CAINFO"} {
				t.Setenv(key, "")
				_ = os.Unsetenv(key)
			}
			for key, value := range c.env {
				if value == "authority" {
					value = file
				}
				t.Setenv(key, value)
			}
			cfg, _ := load(t, "single.toml")
			k := *cfg.Runners[0].Clever
			k.API, k.RepoStep = cloud.URL+"/v2", time.Millisecond
			p := &CleverCloud{Clever: k, HTTP: cloud.Client(), Organisation: (&Coordinator{}).single(k)}
			h, err := p.Create(t.Context(), "", hostName, Flavor{Name: "M"})
			if err != nil {
				t.Fatal(err)
			}
			if h, err = p.Prepare(t.Context(), h); err != nil {
				t.Fatal(err)
			}
			f := Files{"Dockerfile": []byte("FROM scratch\n"), "runner.toml": {}, "job.json": []byte("{}")}
			if err := pushOnce(t.Context(), "", h.DeployURL, "Jenkins", secret.New(clevertest.Token), f); (err == nil) != c.goes {
				t.Errorf("push: %v", err)
			}
			if n := cloud.Ledger()[0].Pushes; (n == 1) != c.goes {
				t.Errorf("%d pushes arrived", n)
			}
		})
	}
}
