package faults

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// gate stands between a program and an Engine. It passes requests on one by
// one, keeps what was answered, and can end the program or strike the Engine
// after any of them.
type gate struct {
	engine string // host:port
	socket string // where it listens

	mu     sync.Mutex
	listen net.Listener // nil: nobody listens
	conns  []net.Conn
	calls  []string // answered since open
	shut   bool
	ended  chan struct{}          // closed by cut
	last   int                    // the call that is meant, 0: none
	count  func(call string) bool // which calls count
	end    func()                 // ends the program after that call
	strike func()                 // done before that call's answer is passed on
}

// newGate listens on a unix socket until the test ends.
func newGate(t testing.TB, engine, socket string) *gate {
	t.Helper()
	g := &gate{engine: engine, socket: socket, ended: make(chan struct{})}
	if err := g.rise(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.fall()
		g.cut()
	})
	return g
}

// rise listens, as the socket of an Engine does that is there.
func (g *gate) rise() error {
	l, err := net.Listen("unix", g.socket)
	if err != nil {
		return err
	}
	g.mu.Lock()
	g.listen = l
	g.mu.Unlock()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go g.serve(c)
		}
	}()
	return nil
}

// fall takes the socket away, as an Engine does that ends. Connections that
// are there end with the Engine's.
func (g *gate) fall() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listen != nil {
		g.listen.Close()
		g.listen = nil
	}
}

// open lets everything through again. After the given number of calls that
// count, nothing more gets through and end is called.
func (g *gate) open(last int, count func(call string) bool, end func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut, g.ended, g.calls, g.last, g.count, g.end, g.strike = false, make(chan struct{}), nil, last, count, end, nil
}

// struck is open for a program that goes on: after the given number of calls
// that count, strike is called once before the program hears the answer.
func (g *gate) struck(last int, count func(call string) bool, strike func()) {
	g.open(last, count, nil)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.strike = strike
}

// cut closes every connection and gives what was answered on them.
func (g *gate) cut() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.cutBefore() {
		close(g.ended)
	}
	g.shut = true
	for _, c := range g.conns {
		c.Close()
	}
	g.conns = nil
	return g.calls
}

func (g *gate) cutBefore() bool {
	select {
	case <-g.ended:
		return true
	default:
		return false
	}
}

// holds adds a connection that goes with the program; false when it is too late.
func (g *gate) holds(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.shut {
		g.conns = append(g.conns, c)
	}
	return !g.shut
}

// passes reports whether a request may go on to the Engine. When it may not, it
// returns once the program is dead: it must not learn of it.
func (g *gate) passes() bool {
	g.mu.Lock()
	shut, ended := g.shut, g.ended
	g.mu.Unlock()
	if shut {
		<-ended
	}
	return !shut
}

// answered notes a call that the Engine has completed and says, as passes does,
// whether the program may hear of it.
func (g *gate) answered(req *http.Request) bool {
	if strike := g.note(req); strike != nil {
		strike()
	}
	return g.passes()
}

func (g *gate) note(req *http.Request) (strike func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return nil
	}
	call := req.Method + " " + req.URL.Path
	if g.count != nil && !g.count(call) {
		return nil
	}
	g.calls = append(g.calls, call)
	if g.last == 0 || len(g.calls) != g.last {
		return nil
	}
	if g.end != nil {
		g.shut = true
		go g.end()
	}
	return g.strike
}

func (g *gate) serve(client net.Conn) {
	defer client.Close()
	engine, err := net.Dial("tcp", g.engine)
	if err != nil {
		return
	}
	defer engine.Close()
	if !g.holds(client) || !g.holds(engine) {
		return
	}
	fromClient, fromEngine := bufio.NewReader(client), bufio.NewReader(engine)
	for {
		req, err := http.ReadRequest(fromClient)
		if err != nil || !g.passes() || req.Write(engine) != nil {
			return
		}
		// What follows an upgrade is no request; else the program's going away
		// has to end the call.
		next := make(chan struct{})
		if req.Header.Get("Upgrade") == "" {
			go func() {
				defer close(next)
				if _, err := fromClient.Peek(1); err != nil {
					engine.Close()
				}
			}()
		}
		resp, err := http.ReadResponse(fromEngine, req)
		if err != nil || !g.answered(req) || resp.Write(client) != nil {
			return
		}
		if resp.StatusCode == http.StatusSwitchingProtocols {
			exchange(client, engine, fromClient, fromEngine)
			return
		}
		resp.Body.Close()
		if req.Header.Get("Upgrade") == "" {
			<-next
		}
	}
}

// exchange copies both ways and passes the end of one direction on.
func exchange(client, engine net.Conn, fromClient, fromEngine io.Reader) {
	go func() {
		_, _ = io.Copy(engine, fromClient)
		_ = engine.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(client, fromEngine)
}

func everyCall(string) bool { return true }

// changing are the calls that may change something. Any other leaves the Engine
// as the one before did; to have made an exec is nothing until it is started.
func changing(call string) bool {
	method, path, _ := strings.Cut(call, " ")
	return method != http.MethodGet && method != http.MethodHead && !strings.HasSuffix(path, "/exec")
}
