package engine

import (
	"context"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/heptaup/hepta/internal/converge"
)

const (
	// listenTime bounds one look at a log: a snapshot does not wait for it.
	listenTime = 2 * time.Second
	// maxHeard bounds what is read of one log in bytes.
	maxHeard = 1 << 20
)

// listen gives, for each container of a list, its last words where it runs and
// its service asks for them, one call each. A log that cannot be read says nothing.
func (e *Engine) listen(ctx context.Context, s *converge.Stack, list []converge.ObservedContainer) [][]converge.LogLine {
	ctx, cancel := context.WithTimeout(ctx, listenTime)
	defer cancel()
	heard := make([][]converge.LogLine, len(list))
	var all sync.WaitGroup
	for i, c := range list {
		if c.Service == "" || !c.Running() {
			continue
		}
		for _, want := range s.Containers {
			if want.Listen.Lines == 0 || want.Service != c.Service {
				continue
			}
			all.Go(func() {
				var err error
				if heard[i], err = e.lastWords(ctx, c.ID, want.Listen); err != nil {
					e.log.Debug("read the end of a log", "container", c.Name, "error", err)
				}
			})
		}
	}
	all.Wait()
	return heard
}

// lastWords are the last lines of one log, both outputs in the order in which
// they came.
func (e *Engine) lastWords(ctx context.Context, id string, how converge.Listen) ([]converge.LogLine, error) {
	ask := container.LogsOptions{ShowStdout: true, ShowStderr: true, Timestamps: true, Tail: strconv.Itoa(how.Lines)}
	if how.Within > 0 {
		ask.Since = time.Now().Add(-how.Within).Format(time.RFC3339Nano)
	}
	body, err := e.api.ContainerLogs(ctx, id, ask)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	stop := context.AfterFunc(ctx, func() { body.Close() })
	defer stop()
	var heard []converge.LogLine
	emit := func(line string) {
		at, text, _ := strings.Cut(line, " ")
		if when, err := time.Parse(time.RFC3339Nano, at); err == nil {
			heard = append(heard, converge.LogLine{At: when, Text: text})
		}
	}
	// A line that the bound cuts is left out.
	_, err = stdcopy.StdCopy(&lines{emit: emit}, &lines{emit: emit}, io.LimitReader(body, maxHeard))
	return heard, err
}
