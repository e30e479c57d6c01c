package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// application is what a reconfigure hands to the first process.
type application struct {
	Settings settings `json:"settings"`
	Seed     seed     `json:"seed"`
}

type refusal struct {
	Error string `json:"error"`
}

// control serves gitlab-ctl.
//
//	GET  /services               → [status]
//	POST /services/{name}/{verb} → status
//	GET  /settings               → the settings in force, passwords included
//	POST /settings               application → {}
//	POST /backup, /restore       backupOrder → backupResult
func (d *daemon) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /services", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, d.services.status())
	})
	mux.HandleFunc("POST /services/{name}/{verb}", func(w http.ResponseWriter, r *http.Request) {
		s, err := d.services.do(r.Context(), r.PathValue("name"), r.PathValue("verb"))
		switch {
		case errors.Is(err, errNoService):
			answer(w, http.StatusNotFound, refusal{err.Error()})
		case err != nil:
			answer(w, http.StatusInternalServerError, refusal{err.Error()})
		default:
			answer(w, http.StatusOK, s)
		}
	})
	mux.HandleFunc("GET /settings", func(w http.ResponseWriter, _ *http.Request) {
		d.mu.Lock()
		defer d.mu.Unlock()
		answer(w, http.StatusOK, d.settings)
	})
	mux.HandleFunc("POST /settings", func(w http.ResponseWriter, r *http.Request) {
		var a application
		err := json.NewDecoder(r.Body).Decode(&a)
		if err == nil {
			err = d.apply(r.Context(), a)
		}
		if err != nil {
			answer(w, http.StatusInternalServerError, refusal{err.Error()})
			return
		}
		answer(w, http.StatusOK, struct{}{})
	})
	for path, work := range map[string]func(context.Context, backupOrder) (backupResult, error){"/backup": d.createBackup, "/restore": d.restoreBackup} {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			var o backupOrder
			err := json.NewDecoder(r.Body).Decode(&o)
			var done backupResult
			if err == nil {
				done, err = work(r.Context(), o)
			}
			if err != nil {
				answer(w, http.StatusInternalServerError, refusal{err.Error()})
				return
			}
			answer(w, http.StatusOK, done)
		})
	}
	return mux
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// ask is the other end of control.
func ask(ctx context.Context, method, path string, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return fmt.Errorf("ask service supervisor: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://control"+path, &body)
	if err != nil {
		return fmt.Errorf("ask service supervisor: %w", err)
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", controlSocket)
		},
	}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask service supervisor: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var no refusal
		if err := json.NewDecoder(resp.Body).Decode(&no); err != nil {
			return fmt.Errorf("ask service supervisor: %s", resp.Status)
		}
		if resp.StatusCode == http.StatusNotFound {
			return fmt.Errorf("%w: %s", errNoService, no.Error)
		}
		return errors.New(no.Error)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}
