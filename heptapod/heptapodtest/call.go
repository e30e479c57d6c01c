package heptapodtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
)

// bodyLimit bounds what is read of a request that is no upload.
const bodyLimit = 8 << 20

// problem is an answer that says no.
type problem struct {
	status int
	body   any
}

func (p *problem) Error() string {
	if m, ok := p.body.(map[string]any); ok {
		for _, k := range []string{"message", "error"} {
			if m[k] != nil {
				return fmt.Sprint(m[k])
			}
		}
	}
	return http.StatusText(p.status)
}

// message is GitLab's usual shape of a refusal: {"message": "403 Forbidden"}.
func message(status int, text string) error {
	return &problem{status, map[string]any{"message": text}}
}

func unauthorized() error        { return message(http.StatusUnauthorized, "401 Unauthorized") }
func forbidden() error           { return message(http.StatusForbidden, "403 Forbidden") }
func notFound(what string) error { return message(http.StatusNotFound, "404 "+what+" Not Found") }
func badRequest(text string) error {
	return &problem{http.StatusBadRequest, map[string]any{"error": text}}
}
func missing(param string) error { return badRequest(param + " is missing") }

// taken is the answer to a name that somebody has.
func taken(field string) error {
	return &problem{http.StatusBadRequest, map[string]any{"message": map[string]any{field: []string{"has already been taken"}}}}
}

// call is one request to the REST API.
type call struct {
	s   *Server
	w   http.ResponseWriter
	r   *http.Request
	who identity
	p   params
}

func (c *call) view(fn func(*store.Tx) error) error   { return c.s.db.View(fn) }
func (c *call) update(fn func(*store.Tx) error) error { return c.s.db.Update(fn) }

// json answers with v.
func (c *call) json(status int, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(data) // whoever asked may be gone
	return nil
}

// empty answers without a body.
func (c *call) empty(status int) error {
	c.w.WriteHeader(status)
	return nil
}

// text answers with plain text.
func (c *call) text(status int, text string) error {
	c.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	c.w.WriteHeader(status)
	_, _ = io.WriteString(c.w, text) // whoever asked may be gone
	return nil
}

// refuse answers with what err says; what is no problem is an error of ours.
func (c *call) refuse(err error) {
	var p *problem
	if !errors.As(err, &p) {
		if c.r.Context().Err() == nil {
			c.s.log.Error("request failed", "method", c.r.Method, "path", c.r.URL.Path, "error", err)
		}
		p = &problem{http.StatusInternalServerError, map[string]any{"message": "500 Internal Server Error"}}
	}
	_ = c.json(p.status, p.body) // a body of maps and texts can always be encoded
}

// id reads the numeric part of the path.
func (c *call) id(name string) int64 {
	n, _ := strconv.ParseInt(c.r.PathValue(name), 10, 64)
	return n
}

// address is where the request comes from.
func (c *call) address() string {
	if c.s.cfg.TrustForwarded {
		if first, _, _ := strings.Cut(c.r.Header.Get("X-Forwarded-For"), ","); first != "" {
			return strings.TrimSpace(first)
		}
	}
	host, _, _ := net.SplitHostPort(c.r.RemoteAddr)
	return host
}

// page cuts the asked page out of all and sets the headers that lead to the others.
func page[T any](c *call, all []T) []T {
	number, per := max(c.p.Int("page", 1), 1), c.p.Int("per_page", 20)
	if per < 1 || per > 100 {
		per = 100
	}
	pages := max((len(all)+per-1)/per, 1)
	h := c.w.Header()
	h.Set("X-Page", strconv.Itoa(number))
	h.Set("X-Per-Page", strconv.Itoa(per))
	h.Set("X-Total", strconv.Itoa(len(all)))
	h.Set("X-Total-Pages", strconv.Itoa(pages))
	step := func(n int) string {
		if n < 1 || n > pages {
			return ""
		}
		return strconv.Itoa(n)
	}
	h.Set("X-Next-Page", step(number+1))
	h.Set("X-Prev-Page", step(number-1))
	var links []string
	for _, l := range []struct {
		page int
		rel  string
	}{{number - 1, "prev"}, {number + 1, "next"}, {1, "first"}, {pages, "last"}} {
		if step(l.page) == "" {
			continue
		}
		q := c.r.URL.Query()
		q.Del("private_token")
		q.Set("page", strconv.Itoa(l.page))
		q.Set("per_page", strconv.Itoa(per))
		links = append(links, fmt.Sprintf(`<%s%s?%s>; rel=%q`, c.s.URL, c.r.URL.EscapedPath(), q.Encode(), l.rel))
	}
	h.Set("Link", strings.Join(links, ", "))
	from := min((number-1)*per, len(all))
	return all[from:min(from+per, len(all))]
}

// params are a request's parameters, wherever they were written: query, form or JSON.
type params map[string]any

func readParams(r *http.Request) (params, error) {
	p := params{}
	p.addForm(r.URL.Query())
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.Body == nil || r.Method == http.MethodGet || r.Method == http.MethodHead:
	case kind == "application/json":
		d := json.NewDecoder(io.LimitReader(r.Body, bodyLimit))
		d.UseNumber()
		var body map[string]any
		if err := d.Decode(&body); err != nil && !errors.Is(err, io.EOF) {
			return nil, badRequest("invalid JSON")
		}
		for k, v := range body {
			p[k] = v
		}
	case kind == "application/x-www-form-urlencoded":
		data, err := io.ReadAll(io.LimitReader(r.Body, bodyLimit))
		if err != nil {
			return nil, badRequest("unreadable form")
		}
		form, err := url.ParseQuery(string(data))
		if err != nil {
			return nil, badRequest("invalid form")
		}
		p.addForm(form)
	case kind == "multipart/form-data":
		r.Body = http.MaxBytesReader(nil, r.Body, bodyLimit)
		if err := r.ParseMultipartForm(bodyLimit); err != nil {
			return nil, badRequest("invalid form")
		}
		p.addForm(r.MultipartForm.Value)
	}
	return p, nil
}

// addForm takes over a[]=x as a list and a[b]=x as an object.
func (p params) addForm(form url.Values) {
	for name, values := range form {
		base, rest, nested := strings.Cut(name, "[")
		switch {
		case nested && rest == "]":
			list := make([]any, len(values))
			for i, v := range values {
				list[i] = v
			}
			p[base] = list
		case nested && strings.HasSuffix(rest, "]"):
			object, _ := p[base].(map[string]any)
			if object == nil {
				object = map[string]any{}
				p[base] = object
			}
			object[strings.TrimSuffix(rest, "]")] = values[len(values)-1]
		default:
			p[name] = values[len(values)-1]
		}
	}
}

// Has reports whether the parameter was given and is not null.
func (p params) Has(name string) bool { return p[name] != nil }

// String is the parameter as text.
func (p params) String(name string) string { return p.Or(name, "") }

// Or is the parameter as text, or what stands for one that was not given.
func (p params) Or(name, otherwise string) string {
	switch v := p[name].(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return otherwise
}

// Int is the parameter as a number.
func (p params) Int(name string, otherwise int) int {
	n, err := strconv.Atoi(p.String(name))
	if err != nil {
		return otherwise
	}
	return n
}

// Bool is the parameter as yes or no.
func (p params) Bool(name string, otherwise bool) bool {
	switch strings.ToLower(p.String(name)) {
	case "true", "t", "1", "on", "yes":
		return true
	case "false", "f", "0", "off", "no":
		return false
	}
	return otherwise
}

// List is a list, or text with commas.
func (p params) List(name string) []string {
	var out []string
	switch v := p[name].(type) {
	case []any:
		for _, e := range v {
			out = append(out, strings.TrimSpace(fmt.Sprint(e)))
		}
	case string:
		for e := range strings.SplitSeq(v, ",") {
			out = append(out, strings.TrimSpace(e))
		}
	}
	kept := out[:0]
	for _, e := range out {
		if e != "" {
			kept = append(kept, e)
		}
	}
	return kept
}

// Object is a nested object, never nil.
func (p params) Object(name string) params {
	if v, ok := p[name].(map[string]any); ok {
		return v
	}
	return params{}
}

// stamp is a time as the API writes it; null for none.
func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
