// Command stack is hepta's engine with a stack of plain containers, which no
// hepta.yaml describes: one always has a forge. It is for the benchmarks.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/engine"
)

func main() {
	name := flag.String("name", "plain", "of the stack and its network")
	n := flag.Int("n", 1, "number of containers")
	image := flag.String("image", "", "of the containers")
	last := flag.String("last", "", "image of the last container")
	trace := flag.Bool("trace", false, "write every call of the Engine, with its time")
	flag.Parse()
	if err := up(context.Background(), plain(*name, *n, *image, *last), *trace); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func up(ctx context.Context, s *converge.Stack, trace bool) error {
	docker, err := engine.Dial(ctx, "")
	if err != nil {
		return err
	}
	defer docker.Close()
	if trace {
		if docker, err = traced(ctx, docker, os.Stdout); err != nil {
			return err
		}
		defer docker.Close()
	}
	_, err = engine.New(docker, nil, nil).Up(ctx, s, engine.UpOptions{})
	return err
}

// plain is n containers that sleep.
func plain(name string, n int, image, last string) *converge.Stack {
	s := &converge.Stack{Name: name, Networks: []converge.Network{{Name: name}}}
	for i := 1; i <= n; i++ {
		c := converge.Container{
			Service: fmt.Sprintf("c%d", i), Name: fmt.Sprintf("%s-c%d", name, i), Image: image,
			Cmd: []string{"sleep", "86400"}, StopSignal: "SIGKILL",
			Networks: []converge.Attachment{{Network: name, Aliases: []string{fmt.Sprintf("c%d", i)}}},
			// Compose is not asked to wait either.
			Ready: converge.Ready{Settle: time.Nanosecond},
		}
		if i == n {
			c.Image = last
		}
		s.Containers = append(s.Containers, c)
	}
	return s
}
