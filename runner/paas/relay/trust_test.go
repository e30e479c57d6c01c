package relay

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The job of a forge with an authority of its own gets that, for git and for
// its script, and stays as it is otherwise.
func TestTrusting(t *testing.T) {
	forge := &url.URL{Scheme: "https", Host: "hg.test:8443", Path: "/below"}
	for name, c := range map[string]struct{ variables, n, next string }{
		"plain":           {`[{"key":"A","value":"1"}]`, "0", "1"},
		"with own config": {`[{"key":"GIT_CONFIG_COUNT","value":"2"}]`, "2", "3"},
		"none":            {`[]`, "0", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			in := `{"id":1,"big":9007199254740993,"steps":[{"script":["<&>"]}],"variables":` + c.variables + `}`
			out, err := trusting([]byte(in), forge, []byte("CERT"))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{`"big":9007199254740993`, `"steps":[{"script":["<&>"]}]`} {
				if !strings.Contains(unescaped(string(out)), want) {
					t.Errorf("%s is not in %s", want, out)
				}
			}
			var job struct{ Variables []variable }
			if err := json.Unmarshal(out, &job); err != nil {
				t.Fatal(err)
			}
			got := map[string]variable{}
			for _, v := range job.Variables {
				got[v.Key] = v
			}
			if v := got["CI_SERVER_TLS_CA_FILE"]; v.Value != "CERT" || !v.File || !v.Public {
				t.Errorf("authority %+v", v)
			}
			if got["GIT_CONFIG_COUNT"].Value != c.next || got["GIT_CONFIG_KEY_"+c.n].Value != "http.https://hg.test:8443/.sslCAInfo" ||
				got["GIT_CONFIG_VALUE_"+c.n].Value != "${CI_PROJECT_DIR}.tmp/CI_SERVER_TLS_CA_FILE" {
				t.Errorf("git: %+v", got)
			}
		})
	}
	for _, bad := range []string{`[]`, `s3cr3t`, `{"variables":"s3cr3t"}`} {
		if _, err := trusting([]byte(bad), forge, nil); err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// unescaped is JSON without the escapes that are only for HTML.
func unescaped(s string) string {
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(s)
}

// A forge with an authority that only runner.toml knows is reached by it.
func TestForgeWithItsOwnAuthority(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	over := httptest.NewTLSServer(l)
	t.Cleanup(over.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: over.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	r := l.relay(plan{New: true, Steps: []string{"print one", "upload the archive", "success"}})
	r.Config = []byte(strings.NewReplacer(l.front.URL, over.URL, "[[runners]]\n", "[[runners]]\ntls-ca-file = '"+ca+"'\n").Replace(string(r.Config)))
	if outcome, err := begin(t.Context(), r).wait(t); outcome != Succeeded || err != nil {
		t.Fatalf("%q, %v", outcome, err)
	}
	if got := l.ended("success", ""); got != "one\n" {
		t.Errorf("trace %q", got)
	}
	job, err := os.ReadFile(filepath.Join(l.dir, "job.json"))
	if err != nil || !strings.Contains(string(job), `"http.`+over.URL+`/.sslCAInfo"`) {
		t.Errorf("the job does not know the forge's authority: %v", err)
	}
	config, err := os.ReadFile(filepath.Join(l.dir, "config.toml"))
	if err != nil || strings.Contains(string(config), ca) {
		t.Errorf("the runner is told of an authority that the relay has not: %v", err)
	}
}

// A job whose host lacks a file that runner.toml names fails, and does not hang.
func TestAuthorityIsMissing(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	r := l.relay(plan{})
	r.Config = append([]byte(strings.TrimSuffix(string(r.Config), "[runners.docker]\nimage = 'debian:12'\n")), "tls-ca-file = '/no/such/ca.pem'\n"...)
	if _, err := r.Run(t.Context()); !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "read tls-ca-file of runner.toml: open /no/such/ca.pem") {
		t.Errorf("error %v", err)
	}
	if trace := l.ended("failed", "runner_system_failure"); !strings.Contains(trace, "/no/such/ca.pem") {
		t.Errorf("trace %q", trace)
	}
}
