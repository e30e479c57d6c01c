package heptapodtest_test

import (
	"net/http"
	"testing"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
)

// BenchmarkReady is the time from nothing to the first answer of a forge.
func BenchmarkReady(b *testing.B) {
	for b.Loop() {
		s := heptapodtest.New(b)
		resp, err := http.Get(s.URL + "/-/readiness")
		if err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEmptyPoll is a runner's request for a job when there is none.
func BenchmarkEmptyPoll(b *testing.B) {
	s := heptapodtest.New(b, heptapodtest.WithLongPoll(-1))
	token, err := s.NewRunnerToken()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		resp, err := http.Post(s.URL+"/api/v4/jobs/request?token="+token, "application/json", http.NoBody)
		if err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusNoContent {
			b.Fatal(resp.Status)
		}
	}
}
