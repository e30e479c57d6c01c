package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heptaup/hepta/runner/paas/clevertest"
)

// Hosts are listed with what is known of their jobs. One that the state file
// does not claim can be removed: at once when the forge says that its job is
// over, by force when it says nothing; one that is claimed cannot.
func TestPaasHosts(t *testing.T) {
	forge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/verify") {
			fmt.Fprint(w, `{"id":5}`)
			return
		}
		fmt.Fprint(w, `[{"id":4,"status":"running"},{"id":2,"status":"success"},{"id":1,"status":"running"}]`)
	}))
	defer forge.Close()
	cloud := clevertest.New(t)
	for job := 1; job <= 4; job++ {
		cloud.Plant(fmt.Sprint("hpd-job-abcdefghi-", job))
	}
	cloud.Plant("hpd-job-somebody0-1")
	dir := t.TempDir()
	file, state := filepath.Join(dir, "paas.toml"), filepath.Join(dir, "state.json")
	for path, text := range map[string]string{
		file: fmt.Sprintf("state_file = %q\n[[runners]]\nname = 'ci'\nurl = %q\ntoken = 'glrt-t1_abcdefghijkl'\nexecutor = 'clever-docker'\ncc_orga_id = %q\ncc_token = %q\ncc_api_url = '%s/v2'\n"+
			"cc_extra_env = {CC_ENABLE_HEPTAPOD_RUNNER = 'true'}\n[runners.paas_job_trace_watch]\ntoken = 'reader'\n", state, forge.URL, clevertest.Organisation, clevertest.Token, cloud.URL),
		state: `{"launched":[{"runner_name":"abcdefghi","job_id":1,"token":"t","trace_offset":0,"expected_weight":1,"paas_resource":{"id":"app_1"}}]}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, out, errs := invoke("paas", "hosts", file)
	lines := map[string]string{}
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) > 6 {
			lines[f[1]] = strings.Join(f[5:], " ")
		}
	}
	if code != exitOK || len(lines) < 4 || lines["hpd-job-abcdefghi-1"] != "running running" || lines["hpd-job-abcdefghi-2"] != "- success" ||
		lines["hpd-job-abcdefghi-3"] != "- -" || lines["hpd-job-abcdefghi-4"] != "- running" || strings.Contains(out, "somebody") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	alive := func() string {
		var names []string
		for _, a := range cloud.Alive() {
			names = append(names, a.Name[len(a.Name)-1:])
		}
		return strings.Join(names, " ")
	}
	for _, c := range []struct {
		args []string
		code int
		said string
		left string
	}{
		{[]string{"--force", "--remove", "hpd-job-abcdefghi-1"}, exitFailure, "its job is in the state file (running)", "1 2 3 4 1"},
		{[]string{"--remove", "hpd-job-abcdefghi-2", "--remove", "hpd-job-abcdefghi-3"}, exitFailure, "does not say what became of its job", "1 2 3 4 1"},
		{[]string{"--remove", "hpd-job-abcdefghi-4"}, exitFailure, "its job is running", "1 2 3 4 1"},
		{[]string{"--remove", "hpd-job-abcdefghi-2"}, exitOK, "Removed hpd-job-abcdefghi-2 (app_2).", "1 3 4 1"},
		{[]string{"--force", "--remove", "hpd-job-abcdefghi-3"}, exitOK, "Removed hpd-job-abcdefghi-3 (app_3).", "1 4 1"},
		{[]string{"--force", "--remove", "hpd-job-somebody0-1"}, exitFailure, "no provider has a host of that name", "1 4 1"},
	} {
		code, out, errs := invoke(append(append([]string{"paas", "hosts"}, c.args...), file)...)
		if code != c.code || !strings.Contains(out+errs, c.said) || alive() != c.left {
			t.Errorf("%v: exit code %d, left %s\n%s%s", c.args, code, alive(), out, errs)
		}
	}
}
