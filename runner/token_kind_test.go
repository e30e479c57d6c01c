package runner

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/fault"
)

// The forge's API is reached by the authority that was handed over, and by no
// other.
func TestForgeBehindAnAuthority(t *testing.T) {
	f, m := newForge(t), newMachine(t)
	front := httptest.NewUnstartedServer(f.Config.Handler)
	front.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of every client that does not trust it
	front.StartTLS()
	t.Cleanup(front.Close)
	cfg := at(f, Runner{Name: "a"})
	cfg.Forge.URL = front.URL
	_, err := m.apply(runners(t, cfg))
	if err == nil || !strings.Contains(err.Error(), "x509: certificate signed by unknown authority") || fault.Remedy(err) != remedyCA {
		t.Errorf("without it: %s", fault.Describe(err))
	}
	cfg.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})
	m.must(runners(t, cfg))
	if got := f.took(); len(got) != 1 || got[0] != http.MethodPost+" user/runners" {
		t.Errorf("calls %v", got)
	}
	if text := m.files["runner-ca/ca.crt"]; text != string(cfg.CA) {
		t.Errorf("runners and jobs are given %q", text)
	}
}
