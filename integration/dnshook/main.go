// Command dnshook is a DNS provider for tests: it takes what lego's provider
// httpreq sends, from one user alone, and has a pebble-challtestsrv answer it.
//
//	dnshook LISTEN MANAGEMENT USER PASSWORD
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 4 {
		return errors.New("usage: dnshook LISTEN MANAGEMENT USER PASSWORD")
	}
	mux := http.NewServeMux()
	for path, command := range map[string]string{"POST /present": "set-txt", "POST /cleanup": "clear-txt"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if user, password, _ := r.BasicAuth(); user != args[2] || password != args[3] {
				http.Error(w, "wrong user or password", http.StatusUnauthorized)
				return
			}
			var asked struct{ FQDN, Value string }
			err := json.NewDecoder(r.Body).Decode(&asked)
			if err == nil {
				err = tell(args[1]+"/"+command, map[string]string{"host": asked.FQDN, "value": asked.Value})
			}
			fmt.Println(r.URL.Path, asked.FQDN, err)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
			}
		})
	}
	server := &http.Server{Addr: args[0], Handler: mux, ReadHeaderTimeout: time.Minute}
	return server.ListenAndServe()
}

// tell asks the DNS server of the tests for a change.
func tell(url string, what map[string]string) error {
	body, err := json.Marshal(what)
	if err != nil {
		return err
	}
	resp, err := http.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}
