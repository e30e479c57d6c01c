package runner

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// forge answers the calls about runners as GitLab does: paths, codes and
// bodies. Switches make it older or stricter.
type forge struct {
	*httptest.Server
	mu      sync.Mutex
	runners map[int64]map[string]any
	tokens  map[int64]string
	last    int64
	calls   []string // method and path of everything but reads

	pat, registration string
	noUserRunners     int  // code of POST user/runners on a forge that lacks it
	noRegistration    bool // 410
	plainVerify       bool // 200 with the body "200"
	pageSize          int
	breakAfter        string // this call is carried out, its answer is lost
	online            bool   // runners that are made are online at once
	expires           any    // when new tokens expire
}

func newForge(t *testing.T) *forge {
	t.Helper()
	f := &forge{runners: map[int64]map[string]any{}, tokens: map[int64]string{}, pat: "glpat-canary", registration: "GR13-canary", pageSize: 2}
	mux := http.NewServeMux()
	handle := func(pattern string, admin bool, h func(f *forge, r *http.Request, in map[string]any) (int, any)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			var in map[string]any
			_ = json.NewDecoder(r.Body).Decode(&in)
			f.mu.Lock()
			defer f.mu.Unlock()
			if r.Method != http.MethodGet {
				f.calls = append(f.calls, r.Method+" "+strings.TrimPrefix(r.URL.Path, "/api/v4/"))
			}
			code, out := http.StatusUnauthorized, any(map[string]any{"message": "401 Unauthorized"})
			if !admin || r.Header.Get("PRIVATE-TOKEN") == f.pat {
				code, out = h(f, r, in)
			}
			if f.breakAfter == r.Method+" "+strings.TrimPrefix(r.URL.Path, "/api/v4/") {
				f.breakAfter = ""
				panic(http.ErrAbortHandler)
			}
			w.Header().Set("Content-Type", "application/json")
			if list, ok := out.([]map[string]any); ok {
				page, _ := strconv.Atoi(r.URL.Query().Get("page"))
				from := min(len(list), (max(page, 1)-1)*f.pageSize)
				to := min(len(list), from+f.pageSize)
				if to < len(list) {
					w.Header().Set("X-Next-Page", strconv.Itoa(max(page, 1)+1))
				}
				out = list[from:to]
			}
			w.WriteHeader(code)
			if text, ok := out.(string); ok {
				fmt.Fprint(w, text)
			} else if out != nil {
				_ = json.NewEncoder(w).Encode(out)
			}
		})
	}
	handle("POST /api/v4/user/runners", true, (*forge).create)
	handle("POST /api/v4/runners", false, (*forge).register)
	handle("POST /api/v4/runners/verify", false, (*forge).verify)
	handle("DELETE /api/v4/runners", false, (*forge).deleteByToken)
	handle("GET /api/v4/user", true, func(*forge, *http.Request, map[string]any) (int, any) {
		return message(http.StatusForbidden, "insufficient_scope") // it may make runners and nothing else
	})
	handle("GET /api/v4/runners/all", true, (*forge).list)
	handle("GET /api/v4/runners", true, func(*forge, *http.Request, map[string]any) (int, any) {
		return http.StatusOK, []map[string]any{} // those of groups and projects alone
	})
	handle("GET /api/v4/runners/{id}", true, (*forge).show)
	handle("PUT /api/v4/runners/{id}", true, (*forge).update)
	handle("DELETE /api/v4/runners/{id}", true, (*forge).remove)
	handle("POST /api/v4/runners/{id}/reset_authentication_token", true, (*forge).reset)
	f.Server = httptest.NewServer(mux)
	t.Cleanup(f.Close)
	return f
}

func message(code int, text string) (int, any) {
	return code, map[string]any{"message": fmt.Sprintf("%d %s", code, text)}
}

func (f *forge) add(in map[string]any, prefix string) (int, any) {
	f.last++
	f.runners[f.last] = in
	in["id"], in["online"], in["contacted_at"] = f.last, f.online, nil
	delete(in, "token")
	f.tokens[f.last] = fmt.Sprintf("%scanary-%d", prefix, f.last)
	return http.StatusCreated, map[string]any{"id": f.last, "token": f.tokens[f.last], "token_expires_at": f.expires}
}

func (f *forge) create(_ *http.Request, in map[string]any) (int, any) {
	if f.noUserRunners != 0 {
		return message(f.noUserRunners, "no such call")
	}
	if tags, _ := in["tag_list"].([]any); len(tags) == 0 && in["run_untagged"] == false {
		return message(http.StatusBadRequest, "tags list can not be empty")
	}
	return f.add(in, "glrt-")
}

func (f *forge) register(_ *http.Request, in map[string]any) (int, any) {
	switch {
	case f.noRegistration:
		return message(http.StatusGone, "runner registration disallowed")
	case in["token"] != f.registration:
		return message(http.StatusForbidden, fmt.Sprintf("invalid token supplied: %v", in["token"]))
	}
	if list, ok := in["tag_list"].(string); ok {
		in["tag_list"] = strings.Split(list, ",")
	}
	return f.add(in, "")
}

func (f *forge) byToken(in map[string]any) int64 {
	for id, token := range f.tokens {
		if token == in["token"] {
			return id
		}
	}
	return 0
}

func (f *forge) verify(_ *http.Request, in map[string]any) (int, any) {
	id := f.byToken(in)
	switch {
	case id == 0:
		return message(http.StatusForbidden, "Forbidden")
	case f.plainVerify:
		return http.StatusOK, "200"
	}
	return http.StatusOK, map[string]any{"id": id, "token": in["token"], "token_expires_at": f.expires}
}

func (f *forge) deleteByToken(_ *http.Request, in map[string]any) (int, any) {
	id := f.byToken(in)
	if id == 0 {
		return message(http.StatusForbidden, "Forbidden")
	}
	delete(f.runners, id)
	delete(f.tokens, id)
	return http.StatusNoContent, nil
}

func (f *forge) list(*http.Request, map[string]any) (int, any) {
	out := []map[string]any{}
	for id := int64(1); id <= f.last; id++ {
		if r := f.runners[id]; r != nil {
			out = append(out, map[string]any{"id": id, "description": r["description"], "paused": r["paused"], "online": r["online"]})
		}
	}
	return http.StatusOK, out
}

func (f *forge) one(r *http.Request) (int64, map[string]any) {
	id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
	return id, f.runners[id]
}

func (f *forge) show(r *http.Request, _ map[string]any) (int, any) {
	if _, got := f.one(r); got != nil {
		return http.StatusOK, got
	}
	return message(http.StatusNotFound, "Runner Not Found")
}

func (f *forge) update(r *http.Request, in map[string]any) (int, any) {
	_, got := f.one(r)
	if got == nil {
		return message(http.StatusNotFound, "Runner Not Found")
	}
	for k, v := range in {
		got[k] = v
	}
	return http.StatusOK, got
}

func (f *forge) remove(r *http.Request, _ map[string]any) (int, any) {
	id, got := f.one(r)
	if got == nil {
		return message(http.StatusNotFound, "Runner Not Found")
	}
	delete(f.runners, id)
	delete(f.tokens, id)
	return http.StatusNoContent, nil
}

func (f *forge) reset(r *http.Request, _ map[string]any) (int, any) {
	id, got := f.one(r)
	if got == nil {
		return message(http.StatusNotFound, "Runner Not Found")
	}
	f.tokens[id] += "-anew"
	return http.StatusCreated, map[string]any{"token": f.tokens[id], "token_expires_at": f.expires}
}

// took returns the changing calls since it was last asked.
func (f *forge) took() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return slices.DeleteFunc(calls, func(c string) bool { return c == "POST runners/verify" })
}

// is sets a field of a runner.
func (f *forge) is(id int64, key string, value any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runners[id][key] = value
	if key == "online" && value == true {
		f.runners[id]["contacted_at"] = time.Now()
	}
}

// get reads a field of a runner.
func (f *forge) get(id int64, key string) any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.runners[id][key]
}

func (f *forge) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.runners)
}
