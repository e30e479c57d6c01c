package engine

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"strings"
	"testing"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
)

// stumbling is an Engine whose runtime can't begin the first commands. It
// says so as Engines do: on the command's output, with 126 and no process.
type stumbling struct {
	API
	stumbles, tries int
	got             []string // what came on the standard input, per try
}

func (s *stumbling) ContainerExecCreate(context.Context, string, container.ExecOptions) (container.ExecCreateResponse, error) {
	s.tries++
	return container.ExecCreateResponse{ID: "x"}, nil
}

func (s *stumbling) ContainerExecAttach(context.Context, string, container.ExecAttachOptions) (types.HijackedResponse, error) {
	near, far := net.Pipe()
	stumbles := s.tries <= s.stumbles
	go func() {
		defer far.Close()
		in := make([]byte, 64)
		n, _ := far.Read(in)
		s.got = append(s.got, string(in[:n]))
		text := "said\n"
		if stumbles {
			text = "OCI runtime exec failed: read init-p: connection reset by peer\r\n"
		}
		_, _ = stdcopy.NewStdWriter(far, stdcopy.Stdout).Write([]byte(text))
	}()
	return types.HijackedResponse{Conn: near, Reader: bufio.NewReader(near)}, nil
}

func (s *stumbling) ContainerExecInspect(context.Context, string) (container.ExecInspect, error) {
	if s.tries <= s.stumbles {
		return container.ExecInspect{ExitCode: notStarted}, nil
	}
	return container.ExecInspect{Pid: 7}, nil
}

// A command that never began is tried again with the same input; one that
// never begins is told with the runtime's reason.
func TestExecThatDoesNotBegin(t *testing.T) {
	api := &stumbling{stumbles: 2}
	out, err := New(api, nil, nil).Exec(t.Context(), "web", ExecOptions{Cmd: []string{"cat"}, Stdin: strings.NewReader("input")})
	if err != nil || out.ExitCode != 0 || !bytes.Equal(out.Stdout, []byte("said\n")) || strings.Join(api.got, " ") != "input input input" {
		t.Errorf("got %+v, %v with the inputs %q", out, err, api.got)
	}
	api = &stumbling{stumbles: 100}
	_, err = New(api, nil, nil).Exec(t.Context(), "web", ExecOptions{Cmd: []string{"cat"}, Stdin: strings.NewReader("input")})
	if err == nil || !strings.Contains(err.Error(), "connection reset by peer") || !strings.Contains(err.Error(), "cat in web") || api.tries > 5 {
		t.Errorf("after %d tries: %v", api.tries, err)
	}
}
