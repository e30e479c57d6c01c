package sandbox

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/docker/docker/api/types"
)

func frame(kind byte, payload string) string {
	h := make([]byte, headerLen)
	h[0] = kind
	binary.BigEndian.PutUint32(h[4:], uint32(len(payload)))
	return string(h) + payload
}

func reading(r io.Reader) *conn {
	return newConn(types.HijackedResponse{Reader: bufio.NewReaderSize(r, 16)})
}

func TestConnRead(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	tests := []struct {
		name, stream, want string
		err                error
	}{
		{"nothing", "", "", nil},
		{"one frame", frame(1, "hello"), "hello", nil},
		{"frames", frame(1, "a") + frame(1, "") + frame(1, "b"), "ab", nil},
		{"long", frame(1, long), long, nil},
		{"standard error after data is left out", frame(1, "a") + frame(2, "noise") + frame(1, "b"), "ab", nil},
		{"standard error alone explains", frame(2, "cannot connect\n"), "", errProcess},
		{"cut header", frame(1, "a") + "\x01\x00", "a", io.ErrUnexpectedEOF},
		{"cut payload", frame(1, "abc")[:9], "a", io.ErrUnexpectedEOF},
		{"unknown stream", frame(7, "abc"), "", errStream},
	}
	for _, tt := range tests {
		for how, wrap := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "error with data": iotest.DataErrReader,
		} {
			t.Run(tt.name+", "+how, func(t *testing.T) {
				got, err := io.ReadAll(reading(wrap(strings.NewReader(tt.stream))))
				if string(got) != tt.want {
					t.Errorf("got %d bytes %.40q, want %d bytes %.40q", len(got), got, len(tt.want), tt.want)
				}
				if !errors.Is(err, tt.err) {
					t.Errorf("got error %v, want %v", err, tt.err)
				}
			})
		}
	}
}

func TestConnKeepsItsPlaceOverADeadline(t *testing.T) {
	far, near := net.Pipe()
	defer far.Close()
	c := newConn(types.NewHijackedResponse(near, ""))
	defer c.Close()
	stream := frame(1, "hello")
	for cut := range len(stream) {
		go func() { far.Write([]byte(stream[:cut])) }()
		var got bytes.Buffer
		buf := make([]byte, 64)
		c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		for {
			n, err := c.Read(buf)
			got.Write(buf[:n])
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		c.SetReadDeadline(time.Time{})
		go func() { far.Write([]byte(stream[cut:])) }()
		for got.Len() < len("hello") {
			n, err := c.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			got.Write(buf[:n])
		}
		if got.String() != "hello" {
			t.Fatalf("cut at %d: got %q", cut, got.String())
		}
	}
}

func FuzzConnRead(f *testing.F) {
	f.Add([]byte(frame(1, "hello")+frame(2, "x")), uint16(3))
	f.Add([]byte("\x01\x00\x00\x00\xff\xff\xff\xff"), uint16(1))
	f.Fuzz(func(t *testing.T, stream []byte, size uint16) {
		c := reading(bytes.NewReader(stream))
		buf := make([]byte, int(size)+1)
		total := 0
		for {
			n, err := c.Read(buf)
			total += n
			if total > len(stream) {
				t.Fatalf("read %d bytes out of %d", total, len(stream))
			}
			if err != nil {
				return
			}
			if n == 0 {
				t.Fatal("nothing read and no error")
			}
		}
	})
}
