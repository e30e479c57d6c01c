// Command mailrelay is a mail relay for tests: a well-kept SMTP server that
// hands nothing on. It takes mail from one user alone, over TLS alone, and
// prints each as a line of JSON.
//
//	mailrelay CERTIFICATE KEY USER PASSWORD
//
// Port 587 begins in plain text (STARTTLS), port 465 with TLS.
package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5" // one of the ways to log in that are tried
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"os"
	"sync"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Mail is a line of the output.
type Mail struct {
	Mechanism, From, To, Subject, Header string
	TLS                                  bool
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 4 {
		return errors.New("usage: mailrelay CERTIFICATE KEY USER PASSWORD")
	}
	pair, err := tls.LoadX509KeyPair(args[0], args[1])
	if err != nil {
		return err
	}
	r := &relay{user: args[2], password: args[3]}
	serve := func(port string, listen func(*smtp.Server) error) error {
		s := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &session{relay: r, conn: c}, nil }))
		s.Addr, s.Domain, s.TLSConfig = ":"+port, "relay", &tls.Config{Certificates: []tls.Certificate{pair}}
		return listen(s)
	}
	ended := make(chan error)
	go func() { ended <- serve("587", (*smtp.Server).ListenAndServe) }()
	go func() { ended <- serve("465", (*smtp.Server).ListenAndServeTLS) }()
	return <-ended
}

type relay struct {
	user, password string
	mu             sync.Mutex // for the output
}

type session struct {
	*relay
	conn  *smtp.Conn
	mail  Mail
	known string // the way by which the client has logged in
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain, sasl.Login, "CRAM-MD5"} }

func (s *session) Auth(mechanism string) (sasl.Server, error) {
	accept := func(good bool) error {
		if !good {
			return smtp.ErrAuthFailed
		}
		s.known = mechanism
		return nil
	}
	switch mechanism {
	case sasl.Plain:
		return sasl.NewPlainServer(func(_, user, password string) error { return accept(user == s.user && password == s.password) }), nil
	case sasl.Login:
		return &login{check: func(user, password string) error { return accept(user == s.user && password == s.password) }}, nil
	case "CRAM-MD5":
		return &cram{check: func(challenge, answer []byte) error {
			sum := hmac.New(md5.New, []byte(s.password))
			sum.Write(challenge)
			return accept(string(answer) == s.user+" "+hex.EncodeToString(sum.Sum(nil)))
		}}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.known == "" {
		return smtp.ErrAuthRequired
	}
	_, encrypted := s.conn.TLSConnectionState()
	s.mail = Mail{From: from, TLS: encrypted, Mechanism: s.known}
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.To = to
	return nil
}

func (s *session) Data(r io.Reader) error {
	m, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	s.mail.Subject, s.mail.Header = m.Header.Get("Subject"), m.Header.Get("From")
	line, err := json.Marshal(s.mail)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err = fmt.Println(string(line))
	return err
}

func (s *session) Reset()        { s.mail = Mail{} }
func (s *session) Logout() error { return nil }

// login is LOGIN, which the library has no server for.
type login struct {
	check func(user, password string) error
	user  []byte
	asked int
}

func (l *login) Next(answer []byte) (challenge []byte, done bool, err error) {
	l.asked++
	switch {
	case l.asked == 1 && answer == nil:
		return []byte("Username:"), false, nil
	case l.user == nil:
		l.user = bytes.Clone(answer)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(string(l.user), string(answer))
}

// cram is CRAM-MD5, RFC 2195.
type cram struct {
	check     func(challenge, answer []byte) error
	challenge []byte
}

func (c *cram) Next(answer []byte) (challenge []byte, done bool, err error) {
	if c.challenge == nil {
		c.challenge = []byte("<" + rand.Text() + "@relay>")
		return c.challenge, false, nil
	}
	return nil, true, c.check(c.challenge, answer)
}
