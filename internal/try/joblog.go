package try

import (
	"bytes"
	"io"
	"strings"

	"github.com/heptaup/hepta/internal/pattern"
	"github.com/heptaup/hepta/internal/progress"
)

// jobLog tells the lines of one job's log, each once, as the log grows.
type jobLog struct {
	name  string
	sink  progress.Sink
	told  int // bytes of the log that were told
	ended bool
}

// noise is what a terminal or the forge's page would hide: colours, section
// marks, the time stamps of newer runners.
var noise = pattern.New(`\x1b\[[0-9;]*[A-Za-z]|section_(?:start|end):\d+:[a-z0-9_]+(?:\[[^\]]*\])?\r?|^\d{4}-\d\d-\d\dT[\d:.]+Z [0-9a-f]{2}[OE][ +]`)

// show tells what r, the whole log so far, has beyond what was told. A line
// without its end waits for the rest unless the job is over.
func (l *jobLog) show(r io.Reader, over bool) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if len(b) < l.told {
		l.told = 0 // the log began anew: the job was tried again
	}
	rest := b[l.told:]
	end := bytes.LastIndexByte(rest, '\n') + 1
	if over {
		end = len(rest)
	}
	l.told += end
	for line := range strings.SplitSeq(string(rest[:end]), "\n") {
		line = noise().ReplaceAllString(line, "")
		if i := strings.LastIndexByte(strings.TrimRight(line, "\r"), '\r'); i >= 0 {
			line = line[i+1:]
		}
		if line = strings.TrimRight(line, "\r \t"); line != "" {
			l.sink.Send(progress.Event{Kind: "log", Resource: "job " + l.name, State: progress.Info, Text: line})
		}
	}
	return nil
}
