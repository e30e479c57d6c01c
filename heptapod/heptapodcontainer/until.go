package heptapodcontainer

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/testcontainers/testcontainers-go/wait"
)

// until is a wait strategy: ready is what ask gives no error for. It gives up
// as soon as the container has ended, with the last lines of its log.
type until struct {
	ready   string // what is waited for, for the error
	timeout time.Duration
	every   time.Duration
	ask     func(context.Context, wait.StrategyTarget) error
}

var (
	_ wait.Strategy        = (*until)(nil)
	_ wait.StrategyTimeout = (*until)(nil)
)

func (u *until) Timeout() *time.Duration { return &u.timeout }

// String is how testcontainers tells what it waits for.
func (u *until) String() string { return u.ready }

func (u *until) WaitUntilReady(ctx context.Context, target wait.StrategyTarget) error {
	ctx, cancel := context.WithTimeout(ctx, u.timeout)
	defer cancel()
	tick := time.NewTicker(u.every)
	defer tick.Stop()
	for {
		err := u.ask(ctx, target)
		if err == nil {
			return nil
		}
		state, stateErr := target.State(ctx)
		if stateErr == nil && !state.Running {
			return fmt.Errorf("wait until %s: the container ended with exit code %d:\n%s", u.ready, state.ExitCode, lastLines(ctx, target))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w: %w", u.ready, context.Cause(ctx), err)
		}
	}
}

// lastLines is the end of a container's log.
func lastLines(ctx context.Context, target wait.StrategyTarget) string {
	const many = 20
	logs, err := target.Logs(ctx)
	if err != nil {
		return err.Error()
	}
	defer logs.Close()
	text, err := io.ReadAll(logs)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-many):], "\n")
}
