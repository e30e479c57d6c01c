package paas

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/secret"
)

// Whose organisation pays is what the forge says of the project, not what the
// author of a job writes into its variables: a job that says otherwise gets no
// host at all, and its trace says why.
func TestTenantIsNotTheAuthorsChoice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRealm(t)
		w.flat = Flavors{{"M", 8192, 4}}
		cfg := w.runners(1)
		cfg.Runners[0].Executor, cfg.Runners[0].Clever = CleverDocker, &Clever{Tenants: true, Flavor: "M"}
		s := w.start(cfg, nil)
		liar := w.add(tokenOf(0), 1, func(j *realJob) { j.tenant, j.claim = "poor", "rich" })
		w.add(tokenOf(0), 2, func(j *realJob) { j.tenant = "rich" })
		w.settle(s, time.Hour)
		w.check("failed", "success")
		for _, want := range []string{`CI_PROJECT_ROOT_NAMESPACE says "rich", and the forge says "poor"`, "Remove CI_PROJECT_ROOT_NAMESPACE"} {
			if !strings.Contains(liar.trace, want) {
				t.Errorf("the trace lacks %q:\n%s", want, liar.trace)
			}
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.ledger) != 1 || w.ledger[0].Tenant != "rich" {
			t.Errorf("hosts ever: %+v", w.ledger)
		}
		if got := fmt.Sprint(s.Journal.Tenants(cfg.Runners[0].Short())); got != "[rich]" {
			t.Errorf("tenants whose hosts are looked for: %s", got)
		}
	})
}

// Killed after a host was asked for and before it was answered, the next start
// knows in whose organisation it is, even when the project is gone by then.
func TestTenantIsWrittenBeforeTheHostIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newRealm(t)
		w.flat = Flavors{{"M", 8192, 4}}
		w.spoil("create", "lost", 1)
		cfg := w.runners(1)
		cfg.Runners[0].Executor, cfg.Runners[0].Clever = CleverDocker, &Clever{Tenants: true, Flavor: "M"}
		s := w.start(cfg, nil)
		w.add(tokenOf(0), 1, nil)
		for w.met("create") == 0 {
			time.Sleep(time.Second)
		}
		s.stop()
		for range launchAttempts {
			w.spoil("project", "400", 1)
		}
		s = w.start(cfg, nil)
		w.settle(s, time.Hour)
		w.check("failed")
	})
}

func TestTenantOfProject(t *testing.T) {
	answers := map[int64]string{
		1: `{"namespace":{"kind":"group","full_path":"top/below/deep"}}`,
		2: `{"namespace":{"kind":"user","full_path":"alice"}}`,
		3: `<html>`, 4: `{}`,
	}
	c := scripted(t, func(w http.ResponseWriter, r *http.Request) {
		var id int64
		_, _ = fmt.Sscanf(r.URL.Path, "/api/v4/projects/%d", &id)
		text, known := answers[id]
		switch {
		case r.Header.Get("Private-Token") != "attr":
			w.WriteHeader(401)
			fmt.Fprint(w, `{"message":"401 Unauthorized"}`)
		case !known:
			w.WriteHeader(404)
			fmt.Fprint(w, `{"message":"404 Project Not Found"}`)
		default:
			fmt.Fprint(w, text)
		}
	})
	attr := secret.New("attr")
	for _, claim := range []string{"", "top"} {
		if got, err := c.Tenant(t.Context(), attr, Job{Project: 1, Namespace: claim}); got != "top" || err != nil {
			t.Errorf("%q: %q, %v", claim, got, err)
		}
	}
	for _, x := range []struct {
		job     Job
		token   string
		want    string
		remedy  string
		forGood bool
	}{
		{Job{Project: 1, Namespace: "Top"}, "attr", `says "Top", and the forge says "top"`, "Remove CI_PROJECT_ROOT_NAMESPACE", true},
		{Job{Project: 1, Namespace: "top/below"}, "attr", `says "top/below"`, "Remove CI_PROJECT_ROOT_NAMESPACE", true},
		{Job{Project: 2, Namespace: "alice"}, "attr", "belongs to a user", "Move the project into a group", true},
		{Job{Project: 3}, "attr", "not the JSON", "", false},
		{Job{Project: 4}, "attr", "not the JSON", "", false},
		{Job{Project: 9}, "attr", "404", "administrator", true},
		{Job{Project: 1}, "other", "401", "administrator", true},
		{Job{}, "attr", "does not say which project", "", true},
	} {
		got, err := c.Tenant(context.Background(), secret.New(x.token), x.job)
		if got != "" || err == nil || !strings.Contains(err.Error(), x.want) || !strings.Contains(fault.Remedy(err), x.remedy) || refused(err) != x.forGood {
			t.Errorf("%+v: %q, %v, %q, for good %v", x.job, got, err, fault.Remedy(err), refused(err))
		}
	}
}
