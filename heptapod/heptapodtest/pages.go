package heptapodtest

import (
	"bytes"
	_ "embed"
	"errors"
	"html/template"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/tracelog"
)

//go:embed page.html
var pageSource string

// templates are parsed when the first page is shown.
var templates = sync.OnceValue(func() *template.Template { return template.Must(template.New("").Parse(pageSource)) })

type crumb struct{ URL, Text string }

func (s *Server) render(w http.ResponseWriter, name string, data any) {
	var b bytes.Buffer
	if err := templates().ExecuteTemplate(&b, name, data); err != nil {
		s.log.Error("page is not shown", "page", name, "error", err)
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	_, _ = w.Write(b.Bytes()) // whoever asked may be gone
}

// pages serves what people look at. It needs no JavaScript.
func (s *Server) pages(mux *router) {
	mux.HandleFunc("GET /users/sign_in", func(w http.ResponseWriter, _ *http.Request) {
		s.render(w, "sign_in", map[string]any{"Title": "Sign in"})
	})
	mux.HandleFunc("POST /users/sign_in", s.signIn)
	mux.HandleFunc("GET /help", func(w http.ResponseWriter, _ *http.Request) {
		s.render(w, "help", map[string]any{"Title": "Help", "Version": s.cfg.Version})
	})
	mux.HandleFunc("GET /{$}", s.page(s.rootPage))
	mux.HandleFunc("GET /explore", s.page(s.projectsPage))
	mux.HandleFunc("GET /", s.page(s.projectPages))
}

// buffered is a page that is not sent yet.
type buffered struct {
	bytes.Buffer
	header http.Header
}

func (b *buffered) Header() http.Header { return b.header }
func (b *buffered) WriteHeader(int)     {}

// errSignIn sends a visitor to the sign-in page.
var errSignIn = errors.New("sign in first")

func (s *Server) page(show func(w http.ResponseWriter, r *http.Request, tx *store.Tx, who identity) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		// A slow reader must not hold a transaction open.
		made := &buffered{header: w.Header()}
		err := s.db.View(func(tx *store.Tx) error {
			who, err := s.visitor(tx, r)
			if err != nil {
				return err
			}
			return show(made, r, tx, who)
		})
		var p *problem
		switch {
		case err == nil:
			_, _ = w.Write(made.Bytes()) // whoever asked may be gone
		case errors.Is(err, errSignIn):
			http.Redirect(w, r, "/users/sign_in", http.StatusFound)
		case errors.As(err, &p):
			w.WriteHeader(p.status)
			s.render(w, "message", map[string]any{"Title": http.StatusText(p.status), "Text": "The page could not be found or you don't have permission to view it."})
		default:
			s.log.Error("page failed", "path", r.URL.Path, "error", err)
			http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		}
	}
}

// rootPage lists the projects; who is not signed in is sent to do so with 302.
func (s *Server) rootPage(w http.ResponseWriter, r *http.Request, tx *store.Tx, who identity) error {
	if who.anonymous() {
		return errSignIn
	}
	return s.projectsPage(w, r, tx, who)
}

func (s *Server) projectsPage(w http.ResponseWriter, _ *http.Request, tx *store.Tx, who identity) error {
	type row struct {
		Path, VCS, Visibility string
		Last                  *pipelineRow
	}
	var rows []row
	for _, p := range tx.Projects.All() {
		if !can(tx, who, p, store.Guest) {
			continue
		}
		r := row{Path: p.Path, VCS: p.VCS, Visibility: p.Visibility}
		if all := tx.PipelinesOf(p.ID); len(all) > 0 && can(tx, who, p, store.Reporter) {
			last := s.pipelineRow(p, all[len(all)-1])
			r.Last = &last
		}
		rows = append(rows, r)
	}
	s.render(w, "projects", map[string]any{"Title": "Projects", "Projects": rows})
	return nil
}

type pipelineRow struct {
	ID                                                 int64
	URL, Status, Ref, SHA, Short, Commit, Source, Made string
}

func (s *Server) pipelineRow(p *store.Project, pl *store.Pipeline) pipelineRow {
	return pipelineRow{
		ID: pl.ID, URL: "/" + p.Path + "/-/pipelines/" + strconv.FormatInt(pl.ID, 10), Status: pl.Status, Ref: pl.Ref, SHA: pl.SHA,
		Short: pl.SHA[:min(12, len(pl.SHA))], Commit: pl.Commit.Title, Source: pl.Source, Made: pl.CreatedAt.Format(time.DateTime),
	}
}

// projectPages serves /group/project and what is below its /-/.
func (s *Server) projectPages(w http.ResponseWriter, r *http.Request, tx *store.Tx, who identity) error {
	path, rest, _ := strings.Cut(strings.Trim(r.URL.Path, "/"), "/-/")
	path = strings.TrimSuffix(path, "/-")
	p := tx.Project(path)
	if p == nil || !can(tx, who, p, store.Reporter) {
		if who.anonymous() {
			return errSignIn
		}
		return notFound("Project")
	}
	kind, id, _ := strings.Cut(rest, "/")
	id, raw := strings.CutSuffix(id, "/raw")
	n, _ := strconv.ParseInt(id, 10, 64)
	crumbs := []crumb{{"/" + p.Path, p.Path}}
	switch {
	case rest == "", kind == "pipelines" && id == "", kind == "jobs" && id == "":
		return s.projectPage(w, tx, p)
	case kind == "pipelines":
		if pl := tx.Pipelines.Get(n); pl != nil && pl.ProjectID == p.ID {
			return s.pipelinePage(w, tx, p, pl, crumbs)
		}
	case kind == "jobs":
		if j := tx.Jobs.Get(n); j != nil && j.ProjectID == p.ID {
			return s.jobPage(w, r, tx, p, j, crumbs, raw)
		}
	}
	return notFound("")
}

func (s *Server) projectPage(w http.ResponseWriter, tx *store.Tx, p *store.Project) error {
	var rows []pipelineRow
	for _, pl := range tx.PipelinesOf(p.ID) {
		rows = append(rows, s.pipelineRow(p, pl))
	}
	slices.Reverse(rows)
	s.render(w, "project", map[string]any{
		"Title": p.Path, "Description": p.Description, "Clone": s.repositoryURL(p), "SSH": s.sshURL(p), "Pipelines": rows[:min(len(rows), 100)],
	})
	return nil
}

func (s *Server) pipelinePage(w http.ResponseWriter, tx *store.Tx, p *store.Project, pl *store.Pipeline, crumbs []crumb) error {
	type row struct {
		ID                                     int64
		URL, Name, Stage, Status, Reason, Took string
		Retried, AllowFailure                  bool
	}
	var rows []row
	for _, j := range tx.JobsOf(pl.ID) {
		r := row{
			ID: j.ID, URL: "/" + p.Path + "/-/jobs/" + strconv.FormatInt(j.ID, 10), Name: j.Name, Stage: j.Stage, Status: j.Status,
			Reason: strings.ReplaceAll(j.FailureReason, "_", " "), Retried: j.Retried, AllowFailure: j.AllowFailure,
		}
		if !j.StartedAt.IsZero() && !j.FinishedAt.IsZero() {
			r.Took = j.FinishedAt.Sub(j.StartedAt).Round(100 * time.Millisecond).String()
		}
		rows = append(rows, r)
	}
	row2 := s.pipelineRow(p, pl)
	s.render(w, "pipeline", map[string]any{
		"Title": "Pipeline #" + strconv.FormatInt(pl.ID, 10), "Crumbs": crumbs, "Status": pl.Status, "Ref": pl.Ref, "SHA": row2.SHA,
		"Commit": row2.Commit, "Errors": pl.YAMLErrors, "Warnings": pl.Warnings, "Jobs": rows,
	})
	return nil
}

// logLimit is how much of a trace a page shows: its end.
const logLimit = 1 << 20

func (s *Server) jobPage(w http.ResponseWriter, r *http.Request, tx *store.Tx, p *store.Project, j *store.Job, crumbs []crumb, raw bool) error {
	f, err := s.db.Trace(j.ID)
	if err != nil {
		return err
	}
	defer f.Close()
	if raw {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = io.Copy(w, f) // whoever asked may be gone
		return nil
	}
	if seeker, ok := f.(io.Seeker); ok {
		if size, err := s.db.TraceSize(j.ID); err == nil && size > logLimit {
			if _, err := seeker.Seek(size-logLimit, io.SeekStart); err != nil {
				return err
			}
		}
	}
	data, err := io.ReadAll(io.LimitReader(f, logLimit))
	if err != nil {
		return err
	}
	type section struct {
		Name, Text string
		Open       bool
	}
	var sections []section
	if len(data) > 0 {
		for _, t := range tracelog.Parse(string(data)) {
			open := t.Name == "step_script" || t.Name == "build_script" || t.Name == "after_script"
			sections = append(sections, section{t.Name, strings.Join(t.Lines, "\n"), open})
		}
	}
	link := "/" + p.Path + "/-/jobs/" + strconv.FormatInt(j.ID, 10)
	archive := ""
	if j.Archive() != nil {
		archive = "/api/v4/projects/" + strconv.FormatInt(p.ID, 10) + "/jobs/" + strconv.FormatInt(j.ID, 10) + "/artifacts"
	}
	pipeline := strconv.FormatInt(j.PipelineID, 10)
	crumbs = append(crumbs, crumb{"/" + p.Path + "/-/pipelines/" + pipeline, "#" + pipeline})
	s.render(w, "job", map[string]any{
		"Title": j.Name, "Crumbs": crumbs, "Status": j.Status, "Reason": strings.ReplaceAll(j.FailureReason, "_", " "), "Stage": j.Stage,
		"URL": link, "Archive": archive, "Sections": sections,
	})
	return nil
}
