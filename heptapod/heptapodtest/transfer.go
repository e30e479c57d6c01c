package heptapodtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/vcs"
)

// basic reads the credentials of a request that signs in with HTTP Basic.
func (s *Server) basic(tx *store.Tx, r *http.Request) (identity, error) {
	name, secret, ok := r.BasicAuth()
	if !ok {
		if r.Header.Get("Authorization") != "" {
			return identity{}, unauthorized()
		}
		return identity{}, nil
	}
	return s.byBasic(tx, name, secret)
}

// mayTransfer reports whether someone may fetch from or push to a project. A job
// fetches from its own project only and pushes nowhere.
func mayTransfer(tx *store.Tx, who identity, p *store.Project, write bool) bool {
	if who.job != nil {
		return !write && who.job.ProjectID == p.ID
	}
	if write {
		return !p.Archived && who.scoped("api", "write_repository") && can(tx, who, p, store.Developer)
	}
	return who.scoped("api", "read_api", "read_repository", "write_repository") && can(tx, who, p, store.Reporter)
}

// serveRepository serves the hg and git HTTP protocols. A client sends no
// credentials at first: it is asked for them with 401 and WWW-Authenticate,
// unless the project is public and it only reads.
func (s *Server) serveRepository(w http.ResponseWriter, r *http.Request, path string) {
	write := vcs.WantsWrite(r)
	var project int64
	var user *store.User
	refusal := func(status int, text string) *problem { return &problem{status, text} }
	err := s.db.View(func(tx *store.Tx) error {
		who, err := s.basic(tx, r)
		if err != nil {
			return refusal(http.StatusUnauthorized, "HTTP Basic: Access denied. If a password was provided for Git authentication, the password was incorrect or you're required to use a token instead of a password.")
		}
		p := tx.Project(path)
		switch {
		case p != nil && p.Path == path && mayTransfer(tx, who, p, write):
			project, user = p.ID, who.user
			return nil
		case who.anonymous():
			return refusal(http.StatusUnauthorized, "HTTP Basic: Access denied")
		case p == nil || !mayTransfer(tx, who, p, false):
			return refusal(http.StatusNotFound, "The project you were looking for could not be found or you don't have permission to view it.")
		}
		return refusal(http.StatusForbidden, "You are not allowed to push code to this project.")
	})
	if err != nil {
		var p *problem
		if !errors.As(err, &p) {
			s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
			p = refusal(http.StatusInternalServerError, "Internal Server Error")
		}
		if write {
			vcs.Drain(r)
		}
		if p.status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Basic realm="GitLab"`)
		}
		http.Error(w, fmt.Sprint(p.body), p.status)
		return
	}
	name := ""
	var id int64
	if user != nil {
		name, id = user.Username, user.ID
	}
	s.repos.Handler(path, name, write).ServeHTTP(w, r)
	if write {
		// The client waits for the end of the answer: when its push returns,
		// the pipeline is there. Its going away does not stop the scan.
		if err := s.scan(context.WithoutCancel(r.Context()), project, id); err != nil {
			s.log.Error("scan failed", "error", err)
		}
	}
}

// SSH runs the original command of an ssh connection for a user whom
// AuthorizedKey named. What refuses it is told to the client on stderr.
func (s *Server) SSH(ctx context.Context, user, command string, stdin io.Reader, stdout, stderr io.Writer) (exit int, err error) {
	var who identity
	err = s.db.View(func(tx *store.Tx) error {
		if u := tx.User(user); u != nil && !u.Blocked {
			who.user = u
			return nil
		}
		return fmt.Errorf("serve ssh for %q: %w", user, ErrNotFound)
	})
	if err != nil {
		fmt.Fprintf(stderr, "heptapod: %v\n", err)
		return 1, err
	}
	var pushed int64
	allow := func(path string, write bool) error {
		return s.db.View(func(tx *store.Tx) error {
			p := tx.Project(path)
			if p == nil || p.Path != path || !mayTransfer(tx, who, p, false) {
				return errors.New("the project you were looking for could not be found or you don't have permission to view it")
			}
			if write && !mayTransfer(tx, who, p, true) {
				return errors.New("you are not allowed to push code to this project")
			}
			if write {
				pushed = p.ID
			}
			return nil
		})
	}
	exit, err = s.repos.SSH(ctx, command, who.user.Username, allow, stdin, stdout, stderr)
	if pushed != 0 {
		if scanned := s.scan(context.WithoutCancel(ctx), pushed, who.user.ID); scanned != nil {
			err = errors.Join(err, scanned)
		}
	}
	return exit, err
}
