package heptapodtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
)

// AdminClient speaks to AdminHandler over a unix socket.
type AdminClient struct {
	socket string
	http   *http.Client
}

// NewAdminClient makes a client of the socket. It does not connect yet.
func NewAdminClient(socket string) *AdminClient {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &AdminClient{socket: socket, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Do sends in, which may be nil, and reads the answer into out, which may be nil.
func (a *AdminClient) Do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("ask forge: %w", err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://forge"+path, body)
	if err != nil {
		return fmt.Errorf("ask forge: %w", err)
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask forge: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var refusal struct{ Error string }
		_ = json.NewDecoder(resp.Body).Decode(&refusal) // without words the status has to do
		if resp.StatusCode == http.StatusNotFound {
			return fmt.Errorf("%s: %w", refusal.Error, ErrNotFound)
		}
		return fmt.Errorf("ask forge: %s: %s", resp.Status, refusal.Error)
	}
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("ask forge: %w", err)
	}
	return nil
}

// MintToken is Server.MintToken.
func (a *AdminClient) MintToken(ctx context.Context, req TokenRequest) (string, error) {
	var out struct{ Token string }
	err := a.Do(ctx, http.MethodPost, "/token", req, &out)
	return out.Token, err
}

// FindUser is Server.FindUser.
func (a *AdminClient) FindUser(ctx context.Context, name string) (*User, error) {
	u := new(User)
	if err := a.Do(ctx, http.MethodGet, "/user/"+url.PathEscape(name), nil, u); err != nil {
		return nil, err
	}
	return u, nil
}

// ResetPassword is Server.ResetPassword.
func (a *AdminClient) ResetPassword(ctx context.Context, name string, password Secret) error {
	in := map[string]string{"password": password.Reveal()}
	return a.Do(ctx, http.MethodPut, "/user/"+url.PathEscape(name)+"/password", in, nil)
}

// AuthorizedKey is Server.AuthorizedKey.
func (a *AdminClient) AuthorizedKey(ctx context.Context, key string) (user string, err error) {
	var out struct{ User string }
	err = a.Do(ctx, http.MethodPost, "/ssh/authorize", map[string]string{"key": key}, &out)
	return out.User, err
}

// SSH runs the original command of an ssh connection for a user that sshd has
// let in, as Server.SSH does, with the streams of this process.
func (a *AdminClient) SSH(ctx context.Context, user, command string, stdin io.Reader, stdout, stderr io.Writer) (exit int, err error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", a.socket)
	if err != nil {
		return 1, fmt.Errorf("open ssh session: %w", err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://forge/ssh/session", nil)
	if err != nil {
		return 1, fmt.Errorf("open ssh session: %w", err)
	}
	req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {sessionProtocol}, "Ssh-User": {user}, "Ssh-Command": {command}}
	if err := req.Write(c); err != nil {
		return 1, fmt.Errorf("open ssh session: %w", err)
	}
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, req)
	if err != nil {
		return 1, fmt.Errorf("open ssh session: %w", err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return 1, fmt.Errorf("open ssh session: %s", resp.Status)
	}
	go func() {
		_, _ = io.Copy(c, stdin) // however it ends: the exit status tells the outcome
		if u, ok := c.(*net.UnixConn); ok {
			_ = u.CloseWrite()
		}
	}()
	return unframe(r, stdout, stderr)
}

// Kinds of frames: a byte of kind, four of length, the content.
const (
	frameOut  = 1
	frameErr  = 2
	frameExit = 3
)

type framer struct {
	mu sync.Mutex
	w  io.Writer
}

func (f *framer) stream(kind byte) io.Writer {
	return writerFunc(func(p []byte) (int, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(p)))
		if _, err := f.w.Write(head); err != nil {
			return 0, err
		}
		return f.w.Write(p)
	})
}

type writerFunc func([]byte) (int, error)

func (w writerFunc) Write(p []byte) (int, error) { return w(p) }

func unframe(r io.Reader, stdout, stderr io.Writer) (exit int, err error) {
	var head [5]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return 1, fmt.Errorf("read ssh session: it broke off: %w", err)
		}
		content := io.LimitReader(r, int64(binary.BigEndian.Uint32(head[1:])))
		switch head[0] {
		case frameOut:
			_, err = io.Copy(stdout, content)
		case frameErr:
			_, err = io.Copy(stderr, content)
		case frameExit:
			var code [1]byte
			if _, err := io.ReadFull(content, code[:]); err != nil {
				return 1, fmt.Errorf("read ssh session: %w", err)
			}
			return int(code[0]), nil
		default:
			err = errors.New("unknown frame")
		}
		if err != nil {
			return 1, fmt.Errorf("read ssh session: %w", err)
		}
	}
}
