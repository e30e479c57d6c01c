package vcs

import (
	"context"
	"io"
	"net/http"
)

// Handler serves the hg and git requests of one project; the request's URL
// path is whole, as Project reads it. A Mercurial project's Git address serves
// its snapshots, to read only.
func (s *store) Handler(path, user string, write bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, ok := parse(r)
		if !ok || q.project != path {
			Drain(r)
			http.NotFound(w, r)
			return
		}
		dir, kind, err := s.locate(path)
		if err != nil || q.kind == Hg && kind != Hg {
			Drain(r)
			http.NotFound(w, r)
			return
		}
		if q.write && (!write || q.kind != kind) {
			Drain(r)
			http.Error(w, "you may not push to "+path, http.StatusForbidden)
			return
		}
		if q.kind == Hg {
			s.serveHg(w, r, q, dir, user, write)
			return
		}
		if kind == Hg {
			if dir, err = s.join(snapshotDir, path, ".git"); err != nil || !isDir(dir) {
				Drain(r)
				http.NotFound(w, r)
				return
			}
		}
		s.serveGit(w, r, q, dir, user)
	})
}

func (s *store) serveHg(w http.ResponseWriter, r *http.Request, q wire, dir, user string, write bool) {
	m, err := s.hg()
	if err != nil {
		http.Error(w, "mercurial is not available here", http.StatusServiceUnavailable)
		return
	}
	env := append(append(append([]string{}, s.env...), meta(r)...),
		"HG_REPOSITORY="+dir, "HGRCPATH="+hgrcPath(s.private, write), "PATH_INFO=", "SCRIPT_NAME=/"+q.project, "REMOTE_USER="+user)
	p, err := s.worker.start(m.python, env, nil)
	if err != nil {
		Drain(r)
		http.Error(w, "mercurial does not answer", http.StatusServiceUnavailable)
		return
	}
	defer p.close()
	go func() { _, _ = io.Copy(io.Discard, p.stderr) }() // its words are not for clients
	serveCGI(w, r, p.stdin, p.stdout)
}

func (s *store) serveGit(w http.ResponseWriter, r *http.Request, q wire, dir, user string) {
	git, err := s.git()
	if err != nil {
		http.Error(w, "git is not available here", http.StatusServiceUnavailable)
		return
	}
	env := append(meta(r),
		"GIT_PROJECT_ROOT="+dir, "GIT_HTTP_EXPORT_ALL=1", "PATH_INFO="+q.rest, "REMOTE_USER="+user,
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.receivepack", "GIT_CONFIG_VALUE_0=false")
	if q.write {
		env[len(env)-1] = "GIT_CONFIG_VALUE_0=true"
	}
	if p := r.Header.Get("Git-Protocol"); p != "" {
		env = append(env, "GIT_PROTOCOL="+p)
	}
	// Nothing ends it but its pipes: killed in the middle, git leaves locks.
	cmd := s.command(context.WithoutCancel(r.Context()), invocation{name: git, args: []string{"http-backend"}, env: env})
	in, err := cmd.StdinPipe()
	if err == nil {
		var out io.ReadCloser
		if out, err = cmd.StdoutPipe(); err == nil {
			if err = cmd.Start(); err == nil {
				serveCGI(w, r, in, out)
				_ = cmd.Wait() // the client has its answer
			}
		}
	}
	if err != nil {
		Drain(r)
		http.Error(w, "git does not answer", http.StatusServiceUnavailable)
		return
	}
	if q.rest == "/git-receive-pack" {
		// The push itself is done and answered; a HEAD that could not be
		// set shows as a missing default branch.
		_ = gitRepo{s, dir}.adoptHead(context.WithoutCancel(r.Context()))
	}
}
