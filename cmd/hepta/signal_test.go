package main

import (
	"os"
	"testing"
	"time"
)

// Two signals at once are one request to stop, a later one is to quit.
func TestSignals(t *testing.T) {
	for _, c := range []struct {
		name string
		beat time.Duration
		quit bool
	}{
		{"within a beat", time.Hour, false},
		{"after it", 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			signals, done, ended := make(chan os.Signal), make(chan struct{}), make(chan struct{})
			stopped, quit := 0, false
			go func() {
				defer close(ended)
				watchSignals(signals, done, c.beat, func() { stopped++ }, func() { quit = true })
			}()
			signals <- os.Interrupt
			signals <- os.Interrupt
			close(done)
			<-ended
			if stopped != 1 || quit != c.quit {
				t.Errorf("stopped %d times, quit %v", stopped, quit)
			}
		})
	}
}
