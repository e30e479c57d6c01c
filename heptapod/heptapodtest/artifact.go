package heptapodtest

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
)

// uploadArtifact takes POST jobs/:id/artifacts: one multipart part named file,
// sent chunked; type, format and expiry stand in the query.
func (s *Server) uploadArtifact(c *call) error {
	err := s.db.View(func(tx *store.Tx) error {
		_, err := c.held(tx, nil)
		return err
	})
	if err != nil {
		return err
	}
	// Form fields and the file come in any order; the limit holds for the file.
	kind, attrs, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || attrs["boundary"] == "" {
		return badRequest("file is missing")
	}
	a := store.Artifact{}
	body := multipart.NewReader(c.r.Body, attrs["boundary"])
	kept := false
	defer func() {
		if a.File != "" && !kept {
			_ = s.db.DropArtifact(a.File) // it stays unknown to everybody, and takes room at worst
		}
	}()
	for {
		part, err := body.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return badRequest("invalid form")
		}
		if part.FormName() == "file" && a.File == "" {
			a.Filename = part.FileName()
			a.File, a.Size, err = s.db.Receive(part, s.cfg.ArtifactLimit)
			if errors.Is(err, store.ErrTooLarge) {
				return message(http.StatusRequestEntityTooLarge, "413 Request Entity Too Large")
			}
			if err != nil {
				return badRequest("upload broke off")
			}
			continue
		}
		value, err := io.ReadAll(io.LimitReader(part, 4096))
		if err != nil {
			return badRequest("invalid form")
		}
		if !c.p.Has(part.FormName()) {
			c.p[part.FormName()] = string(value)
		}
	}
	if a.File == "" {
		return badRequest("file is missing")
	}
	a.Type, a.Format = or(c.p.String("artifact_type"), "archive"), or(c.p.String("artifact_format"), "zip")
	if in, ok := parseDuration(c.p.String("expire_in")); ok {
		a.ExpiresAt = s.now().Add(in)
	}
	var dotenv []store.Variable
	if a.Type == "dotenv" {
		if dotenv, err = s.readDotenv(a); err != nil {
			return &problem{http.StatusBadRequest, map[string]any{"message": err.Error()}}
		}
	}
	var replaced string
	err = s.db.Update(func(tx *store.Tx) error {
		j, err := c.held(tx, nil)
		if err != nil {
			return err
		}
		s.alive(tx, j)
		all := j.Artifacts[:0]
		for _, old := range j.Artifacts {
			if old.Type == a.Type {
				replaced = old.File // an upload whose answer was lost comes again
				continue
			}
			all = append(all, old)
		}
		j.Artifacts = append(all, a)
		if a.Type == "dotenv" {
			j.Dotenv = dotenv
		}
		tx.Jobs.Put(j)
		return nil
	})
	if err != nil {
		return err
	}
	kept = true
	if replaced != "" {
		if err := s.db.DropArtifact(replaced); err != nil {
			s.log.Warn("replaced artifact is left", "job", c.id("id"), "error", err)
		}
	}
	return c.json(http.StatusCreated, map[string]any{"message": "201 Created"})
}

func (s *Server) readDotenv(a store.Artifact) ([]store.Variable, error) {
	f, err := s.db.Artifact(a.File)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return nil, err
	}
	return parseDotenv(data, a.Format)
}

// downloadArtifact takes GET jobs/:id/artifacts from a job that depends on it:
// the token is the consuming job's own, and it opens what its pipeline made.
func (s *Server) downloadArtifact(c *call) error {
	var a *store.Artifact
	err := s.db.View(func(tx *store.Tx) error {
		var consumer *store.Job
		given := false
		for _, t := range c.jobTokens() {
			given = given || t != ""
			if consumer == nil && t != "" {
				consumer = tx.JobByToken(hash(t))
			}
		}
		if !given {
			return unauthorized()
		}
		j := tx.Jobs.Get(c.id("id"))
		switch {
		case consumer == nil:
			return forbidden()
		case j == nil:
			return notFound("")
		case j.PipelineID != consumer.PipelineID:
			return forbidden()
		}
		a = j.Archive()
		return nil
	})
	if err != nil {
		return err
	}
	return s.serveArtifact(c, a)
}

// getArtifact serves a job's archive to users.
func (s *Server) getArtifact(c *call) error {
	j, err := c.job(store.Reporter)
	if err != nil {
		return err
	}
	return s.serveArtifact(c, j.Archive())
}

func (s *Server) serveArtifact(c *call, a *store.Artifact) error {
	if a == nil || !a.ExpiresAt.IsZero() && !a.ExpiresAt.After(s.now()) {
		return notFound("")
	}
	f, err := s.db.Artifact(a.File)
	if err != nil {
		return err
	}
	defer f.Close()
	c.w.Header().Set("Content-Type", "application/octet-stream")
	c.w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": a.Filename}))
	http.ServeContent(c.w, c.r, "", time.Time{}, f)
	return nil
}

// parseDuration reads a time as people write it in artifacts:expire_in:
// "1 week", "3 mins 4 sec", "2h20min", "42" (seconds). "never", an empty text
// and what is not understood have none.
func parseDuration(text string) (time.Duration, bool) {
	text = strings.ToLower(strings.TrimSpace(text))
	if text == "" || text == "never" {
		return 0, false
	}
	var total time.Duration
	for text != "" {
		text = strings.TrimLeft(text, " ,")
		text = strings.TrimPrefix(text, "and ")
		n := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if n < 0 {
			n = len(text)
		}
		amount, err := strconv.ParseFloat(text[:n], 64)
		if err != nil {
			return 0, false
		}
		text = strings.TrimLeft(text[n:], " ")
		n = strings.IndexFunc(text, func(r rune) bool { return r < 'a' || r > 'z' })
		if n < 0 {
			n = len(text)
		}
		unit, ok := durationUnit(text[:n])
		if !ok || amount*unit.Seconds() > 1e9 {
			return 0, false
		}
		total += time.Duration(amount * float64(unit))
		text = strings.TrimSpace(text[n:])
	}
	return total, true
}

func durationUnit(name string) (time.Duration, bool) {
	const day = 24 * time.Hour
	switch name {
	case "", "s", "sec", "secs", "second", "seconds":
		return time.Second, true
	case "m", "min", "mins", "minute", "minutes":
		return time.Minute, true
	case "h", "hr", "hrs", "hour", "hours":
		return time.Hour, true
	case "d", "day", "days":
		return day, true
	case "w", "wk", "wks", "week", "weeks":
		return 7 * day, true
	case "mo", "mos", "mth", "mths", "month", "months":
		return 30 * day, true
	case "y", "yr", "yrs", "year", "years":
		return 365 * day, true
	}
	return 0, false
}
