package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"
)

// online is how long a runner counts as online after it was heard of.
const online = time.Second

// runner is one runner as the API tells it.
type runner struct {
	ID          int64  `json:"id"`
	Token       string `json:"token,omitempty"`
	Description string `json:"description"`
	Note        string `json:"maintenance_note"`
	Online      bool   `json:"online"`
}

// forge is the part of the REST API that hepta uses, kept in one file.
type forge struct {
	http.Handler
	file string

	mu    sync.Mutex
	heard map[string]time.Time
	state struct {
		Last    int64     `json:"last"`
		Runners []*runner `json:"runners"`
		Tokens  []string  `json:"tokens"`
	}
}

func openForge(file string) (*forge, error) {
	f := &forge{file: file, heard: make(map[string]time.Time)}
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &f.state)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /-/readiness", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /double/token", func(w http.ResponseWriter, _ *http.Request) {
		token := rand.Text()
		f.state.Tokens = append(f.state.Tokens, token)
		f.save()
		fmt.Fprint(w, token)
	})
	mux.HandleFunc("POST /double/contact", func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		f.heard[string(b)] = time.Now()
	})
	mux.HandleFunc("DELETE /api/v4/personal_access_tokens/self", f.member(func(w http.ResponseWriter, r *http.Request) {
		f.state.Tokens = slices.DeleteFunc(f.state.Tokens, func(t string) bool { return t == r.Header.Get("PRIVATE-TOKEN") })
		f.save()
		w.WriteHeader(http.StatusNoContent)
	}))
	mux.HandleFunc("GET /api/v4/personal_access_tokens/self", f.member(func(w http.ResponseWriter, _ *http.Request) { answer(w, map[string]any{"id": 1}) }))
	mux.HandleFunc("POST /api/v4/user/runners", f.member(f.create))
	mux.HandleFunc("GET /api/v4/runners/all", f.member(f.list))
	mux.HandleFunc("POST /api/v4/runners/verify", f.verify)
	mux.HandleFunc("GET /api/v4/runners/{id}", f.member(f.one(func(w http.ResponseWriter, r *runner) { answer(w, f.shown(r)) })))
	mux.HandleFunc("PUT /api/v4/runners/{id}", f.member(f.one(func(w http.ResponseWriter, r *runner) { answer(w, f.shown(r)) })))
	mux.HandleFunc("POST /api/v4/runners/{id}/reset_authentication_token", f.member(f.one(func(w http.ResponseWriter, r *runner) {
		r.Token = rand.Text()
		f.save()
		answer(w, map[string]any{"token": r.Token})
	})))
	mux.HandleFunc("DELETE /api/v4/runners/{id}", f.member(f.one(func(w http.ResponseWriter, r *runner) {
		f.state.Runners = slices.DeleteFunc(f.state.Runners, func(o *runner) bool { return o == r })
		f.save()
		w.WriteHeader(http.StatusNoContent)
	})))
	f.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		mux.ServeHTTP(w, r)
	})
	return f, nil
}

// member lets only those in who have a token.
func (f *forge) member(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(f.state.Tokens, r.Header.Get("PRIVATE-TOKEN")) {
			http.Error(w, `{"message":"401 Unauthorized"}`, http.StatusUnauthorized)
			return
		}
		next(w, r)
	}
}

func (f *forge) one(next func(http.ResponseWriter, *runner)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
		at := slices.IndexFunc(f.state.Runners, func(o *runner) bool { return o.ID == id })
		if at < 0 {
			http.Error(w, `{"message":"404 Not found"}`, http.StatusNotFound)
			return
		}
		next(w, f.state.Runners[at])
	}
}

func (f *forge) create(w http.ResponseWriter, r *http.Request) {
	f.state.Last++
	made := &runner{ID: f.state.Last, Token: rand.Text()}
	token := made.Token
	if err := json.NewDecoder(r.Body).Decode(made); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	made.Token = token
	f.state.Runners = append(f.state.Runners, made)
	f.save()
	answer(w, made)
}

func (f *forge) list(w http.ResponseWriter, _ *http.Request) {
	list := []runner{}
	for _, r := range f.state.Runners {
		list = append(list, f.shown(r))
	}
	answer(w, list)
}

func (f *forge) verify(w http.ResponseWriter, r *http.Request) {
	var asked struct{ Token string }
	_ = json.NewDecoder(r.Body).Decode(&asked) // nobody has no token
	for _, known := range f.state.Runners {
		if known.Token == asked.Token {
			answer(w, map[string]any{"id": known.ID, "token": known.Token})
			return
		}
	}
	http.Error(w, `{"message":"403 Forbidden"}`, http.StatusForbidden)
}

// shown is a runner without its token, with what was heard of it.
func (f *forge) shown(r *runner) runner {
	seen := *r
	seen.Token, seen.Online = "", time.Since(f.heard[r.Token]) < online
	return seen
}

func (f *forge) save() {
	b, err := json.Marshal(f.state)
	if err == nil {
		err = replace(f.file, b)
	}
	if err != nil {
		panic(err)
	}
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // whoever asked may be gone
}
