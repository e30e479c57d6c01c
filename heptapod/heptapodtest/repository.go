package heptapodtest

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"net/http"
	"strings"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/vcs"
)

// code finds the project whose code the caller may read.
func (c *call) code() (*store.Project, error) {
	var p *store.Project
	err := c.view(func(tx *store.Tx) (err error) {
		p, err = c.project(tx, store.Reporter)
		return err
	})
	return p, err
}

func shownCommit(c vcs.Commit) map[string]any {
	name, mail, _ := strings.Cut(c.Author, " <")
	short := c.ID
	if len(short) > 8 {
		short = short[:8]
	}
	return map[string]any{
		"id": c.ID, "short_id": short, "title": c.Title, "message": c.Message, "parent_ids": append([]string{}, c.Parents...),
		"author_name": name, "author_email": strings.TrimSuffix(mail, ">"), "authored_date": c.Timestamp,
		"committer_name": name, "committer_email": strings.TrimSuffix(mail, ">"), "committed_date": c.Timestamp, "created_at": c.Timestamp,
	}
}

func (s *Server) refs(c *call, tag bool) error {
	p, err := c.code()
	if err != nil {
		return err
	}
	all, err := s.repos.Refs(c.r.Context(), p.Path)
	if err != nil {
		return err
	}
	search := c.p.String("search")
	out := []map[string]any{}
	for _, r := range all {
		if r.Tag != tag || !strings.Contains(r.Name, search) {
			continue
		}
		if m, err := s.shownRef(c, p, r); err == nil {
			out = append(out, m)
		}
	}
	return c.json(http.StatusOK, page(c, out))
}

func (s *Server) shownRef(c *call, p *store.Project, r vcs.Ref) (map[string]any, error) {
	commit, err := s.repos.Commit(c.r.Context(), p.Path, r.ID)
	if err != nil {
		return nil, err
	}
	m := map[string]any{"name": r.Name, "commit": shownCommit(commit), "protected": isProtected(p, r.Name, r.Tag)}
	if r.Tag {
		m["target"], m["message"], m["release"] = r.ID, "", nil
	} else {
		m["default"], m["merged"], m["can_push"] = r.Name == p.DefaultBranch, false, false
	}
	return m, nil
}

func (s *Server) listBranches(c *call) error { return s.refs(c, false) }
func (s *Server) listTags(c *call) error     { return s.refs(c, true) }

func (s *Server) getRef(c *call, tag bool, what string) error {
	p, err := c.code()
	if err != nil {
		return err
	}
	all, err := s.repos.Refs(c.r.Context(), p.Path)
	if err != nil {
		return err
	}
	for _, r := range all {
		if r.Tag == tag && r.Name == c.r.PathValue("ref") {
			m, err := s.shownRef(c, p, r)
			if err != nil {
				return err
			}
			return c.json(http.StatusOK, m)
		}
	}
	return notFound(what)
}

func (s *Server) getBranch(c *call) error { return s.getRef(c, false, "Branch") }
func (s *Server) getTag(c *call) error    { return s.getRef(c, true, "Tag") }

// revision finds the commit that a name means: a ref's, or an id's.
func (s *Server) revisionOf(c *call, p *store.Project, name string) (string, error) {
	if name == "" || name == "HEAD" {
		name = p.DefaultBranch
	}
	id, _, _, err := s.resolve(c.r.Context(), p, name)
	if err != nil {
		return "", notFound("Commit")
	}
	return id, nil
}

func (s *Server) listCommits(c *call) error {
	p, err := c.code()
	if err != nil {
		return err
	}
	out := []map[string]any{}
	if p.DefaultBranch == "" {
		return c.json(http.StatusOK, page(c, out))
	}
	id, err := s.revisionOf(c, p, c.p.String("ref_name"))
	if err != nil {
		return err
	}
	// A forge for tests is not asked for long histories.
	commits, err := s.repos.Commits(c.r.Context(), p.Path, id, 1000)
	if err != nil {
		return err
	}
	for _, k := range commits {
		out = append(out, shownCommit(k))
	}
	return c.json(http.StatusOK, page(c, out))
}

func (s *Server) getCommit(c *call) error {
	p, err := c.code()
	if err != nil {
		return err
	}
	id, err := s.revisionOf(c, p, c.r.PathValue("ref"))
	if err != nil {
		return err
	}
	commit, err := s.repos.Commit(c.r.Context(), p.Path, id)
	if err != nil {
		return notFound("Commit")
	}
	m := shownCommit(commit)
	m["status"] = nil
	err = c.view(func(tx *store.Tx) error {
		for _, pl := range tx.PipelinesOf(p.ID) {
			if pl.SHA == id {
				m["status"] = pl.Status
				m["last_pipeline"] = s.shownPipeline(p, pl)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, m)
}

// fileOf reads the file that the request names, at the revision it names.
func (s *Server) fileOf(c *call) (data []byte, name, id string, err error) {
	p, err := c.code()
	if err != nil {
		return nil, "", "", err
	}
	name = c.r.PathValue("path")
	if id, err = s.revisionOf(c, p, c.p.String("ref")); err != nil {
		return nil, "", "", err
	}
	data, err = s.repos.File(c.r.Context(), p.Path, id, name)
	if errors.Is(err, fs.ErrNotExist) {
		err = notFound("File")
	}
	return data, name, id, err
}

func (s *Server) getFile(c *call) error {
	data, name, id, err := s.fileOf(c)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, map[string]any{
		"file_name": lastPart(name), "file_path": name, "size": len(data), "encoding": "base64",
		"content": base64.StdEncoding.EncodeToString(data), "ref": c.p.String("ref"), "commit_id": id,
	})
}

func (s *Server) getRawFile(c *call) error {
	data, _, _, err := s.fileOf(c)
	if err != nil {
		return err
	}
	// Content of others must not run in the forge's name.
	c.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	c.w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = c.w.Write(data) // whoever asked may be gone
	return nil
}

// tree lists the files of a revision, all of them or of one directory.
func (s *Server) tree(c *call) error {
	p, err := c.code()
	if err != nil {
		return err
	}
	id, err := s.revisionOf(c, p, c.p.String("ref"))
	if err != nil {
		return err
	}
	files, err := s.repos.Files(c.r.Context(), p.Path, id)
	if err != nil {
		return err
	}
	below := strings.Trim(c.p.String("path"), "/")
	if below != "" {
		below += "/"
	}
	seen := map[string]bool{}
	out := []map[string]any{}
	for _, f := range files {
		rest, ok := strings.CutPrefix(f, below)
		if !ok {
			continue
		}
		kind, name := "blob", rest
		if dir, _, nested := strings.Cut(rest, "/"); nested && !c.p.Bool("recursive", false) {
			kind, name = "tree", dir
		}
		if seen[name] {
			continue
		}
		seen[name] = true
		out = append(out, map[string]any{"name": lastPart(name), "type": kind, "path": below + name})
	}
	return c.json(http.StatusOK, page(c, out))
}
