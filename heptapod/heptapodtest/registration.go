package heptapodtest

import (
	"crypto/subtle"
	"net/http"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
)

// runnerToken finds a runner's token. Runner 12.x sends it in the body alone,
// 17.5 also as PRIVATE-TOKEN, 18.0 and newer as RUNNER-TOKEN: body first.
func (c *call) runnerToken() string {
	for _, t := range []string{c.p.String("token"), c.r.Header.Get("RUNNER-TOKEN"), c.r.Header.Get("PRIVATE-TOKEN")} {
		if t != "" {
			return t
		}
	}
	return ""
}

// asRunner finds the runner that calls; an unknown token is 403.
func (c *call) asRunner(tx *store.Tx) (*store.Runner, error) {
	r := tx.Runner(hash(c.runnerToken()))
	if r == nil {
		return nil, forbidden()
	}
	return r, nil
}

// manager returns the machine that calls for r and remembers what it says of
// itself. Old runners have no system_id: they share one record.
func (c *call) manager(tx *store.Tx, r *store.Runner) *store.Manager {
	info := c.p.Object("info")
	system := c.p.String("system_id")
	if system == "" {
		system = "<legacy>"
	}
	m := tx.Manager(r.ID, system)
	if m == nil {
		m = &store.Manager{RunnerID: r.ID, SystemID: system, CreatedAt: c.s.now()}
	}
	was := *m
	m.Name, m.Version, m.Revision = info.Or("name", m.Name), info.Or("version", m.Version), info.Or("revision", m.Revision)
	m.Platform, m.Architecture = info.Or("platform", m.Platform), info.Or("architecture", m.Architecture)
	m.Executor, m.Address = info.Or("executor", m.Executor), c.address()
	if *m != was {
		tx.Managers.Put(m)
	}
	return m
}

// issued is a runner with its token as runners and people get it. A token that
// expires would make runners rotate it: null.
func issued(r *store.Runner, token string) map[string]any {
	return map[string]any{"id": r.ID, "token": token, "token_expires_at": nil}
}

// registerRunner takes POST runners with the legacy registration token; 201
// with id, token and token_expires_at, 403 for a wrong token, 410 when the
// instance does not allow such tokens.
func (s *Server) registerRunner(c *call) error {
	var out map[string]any
	err := c.update(func(tx *store.Tx) error {
		set := tx.Settings()
		if !set.AllowRegistrationToken {
			return message(http.StatusGone, "410 Gone - runner registration disallowed")
		}
		if c.p.String("token") == "" {
			return missing("token")
		}
		if subtle.ConstantTimeCompare([]byte(hash(c.p.String("token"))), []byte(hash(set.RegistrationToken))) != 1 {
			return message(http.StatusForbidden, "403 Forbidden - invalid token supplied")
		}
		req := c.p.runner()
		req.Type = store.InstanceRunner
		r, token, err := s.addRunner(tx, req, 0, true)
		if err != nil {
			return err
		}
		out = issued(r, token)
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusCreated, out)
}

// verifyRunner takes POST runners/verify: 200 with a non-zero id; 403
// for a token that is not known.
func (s *Server) verifyRunner(c *call) error {
	token := c.runnerToken()
	var out map[string]any
	err := c.update(func(tx *store.Tx) error {
		r, err := c.asRunner(tx)
		if err != nil {
			return err
		}
		var manager int64
		if c.p.String("system_id") != "" {
			manager = c.manager(tx, r).ID
		}
		s.contacts.runnerSeen(r.ID, manager, s.now())
		out = issued(r, token)
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, out)
}

// unregisterManager takes DELETE runners/managers, which removes one machine, not the runner.
func (s *Server) unregisterManager(c *call) error {
	err := c.update(func(tx *store.Tx) error {
		r, err := c.asRunner(tx)
		if err != nil {
			return err
		}
		if c.p.String("system_id") == "" {
			return missing("system_id")
		}
		m := tx.Manager(r.ID, c.p.String("system_id"))
		if m == nil {
			return notFound("Runner manager")
		}
		tx.Managers.Delete(m.ID)
		return nil
	})
	if err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}

// routerDiscovery answers 501: there is no job router.
func (s *Server) routerDiscovery(c *call) error {
	return message(http.StatusNotImplemented, "501 Not Implemented")
}
