package hepta_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heptaup/hepta"
)

// What Close leaves is no connection to the Engine, neither one of the stack nor
// one that its forge has made.
func TestCloseEndsEveryConnection(t *testing.T) {
	var mu sync.Mutex
	open, ever := map[net.Conn]bool{}, 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("API-Version", "1.45")
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/volumes"):
			io.WriteString(w, `{"Volumes":[]}`)
		case strings.HasSuffix(r.URL.Path, "/_ping"):
		default:
			io.WriteString(w, `[]`)
		}
	}))
	server.Config.ConnState = func(c net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		switch state {
		case http.StateNew:
			open[c] = true
			ever++
		case http.StateClosed, http.StateHijacked:
			delete(open, c)
		}
	}
	server.Start()
	defer server.Close()

	stack, err := hepta.New(&hepta.Config{Forge: hepta.Forge{Host: "hg.example.org"}}, hepta.WithHost("tcp://"+server.Listener.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	// Both fail, since there is no stack: what counts is that the Engine was asked.
	_, _ = stack.Status(t.Context())
	_, _ = stack.Forge().RootPassword(t.Context())
	if ever == 0 {
		t.Fatal("the Engine was not asked")
	}
	if err := stack.Close(); err != nil {
		t.Fatal(err)
	}
	tick, until := time.NewTicker(10*time.Millisecond), time.Now().Add(10*time.Second)
	defer tick.Stop()
	for left := 1; left > 0; <-tick.C {
		mu.Lock()
		left = len(open)
		mu.Unlock()
		if left > 0 && time.Now().After(until) {
			t.Fatalf("%d of %d connections are still open", left, ever)
		}
	}
}
