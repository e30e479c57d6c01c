package heptapod

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

// What a relay or a network has against a mail leads to the key that is to be
// looked at. The messages are Ruby's and OpenSSL's own.
func TestSentMail(t *testing.T) {
	f := forge(t, Config{SMTP: &SMTP{Address: "relay.test", User: "hg", Password: NewSecret("s3cr3t")}})
	smtp := func(class, message string) string {
		ancestors := map[string][]string{
			"OpenSSL::SSL::SSLError": {"OpenSSL::OpenSSLError"}, "Errno::ECONNREFUSED": {"SystemCallError"},
		}[class]
		text, err := json.Marshal(mailReport{Enabled: true, Method: "smtp", Relay: "relay.test:587", From: "a@b.c",
			Error: class, Ancestors: append([]string{class}, ancestors...), Message: message})
		if err != nil {
			t.Fatal(err)
		}
		return "DEPRECATION: x\n" + mailMark + string(text) + "\n"
	}
	const ssl = "SSL_connect returned=1 errno=0 peeraddr=127.0.0.1:465 state=error: "
	for _, c := range []struct {
		name, printed, why, remedy string
		noRelay                    bool
	}{
		{"no relay", `HEPTA_MAIL={"enabled":true,"method":"sendmail","relay":":","error":"Errno::ENOENT","message":"/usr/sbin/sendmail"}`, "the forge has no mail relay", "smtp: {address:", true},
		{"switched off", `HEPTA_MAIL={"enabled":false,"method":"smtp","relay":"relay.test:587"}`, "switched off", "gitlab_email_enabled", true},
		{"unknown authority", smtp("OpenSSL::SSL::SSLError", ssl+"certificate verify failed (self-signed certificate)"), "verify failed", "heptapod.smtp.ca", false},
		{"another name", smtp("OpenSSL::SSL::SSLError", ssl+"certificate verify failed (hostname mismatch)"), "hostname mismatch", "heptapod.smtp.address to a name", false},
		{"TLS where there is none", smtp("OpenSSL::SSL::SSLError", ssl+"wrong version number"), "wrong version", "heptapod.smtp.tls out", false},
		{"no TLS where there is", smtp("Net::ReadTimeout", "Net::ReadTimeout with #<Socket:(closed)>"), "ReadTimeout", "wants heptapod.smtp.tls", false},
		{"wrong password", smtp("Net::SMTPAuthenticationError", "535 5.7.8 s3cr3t is wrong"), "*** is wrong", "heptapod.smtp.user, password_file", false},
		{"nobody there", smtp("Errno::ECONNREFUSED", "Connection refused - connect(2) for 127.0.0.1:26"), "refused", "heptapod.smtp.address and port", false},
		{"refused mail", smtp("Net::SMTPFatalError", "550 5.7.1 Relaying denied"), "relay.test:587: 550", "heptapod.smtp.user", false},
		{"Rails does not boot", "", "exit code 1: it is s***", "hepta status", false},
	} {
		_, err := f.sentMail("x@y.z", converge.ExecResult{ExitCode: 1, Stdout: []byte(c.printed), Stderr: []byte("it is s***\n")})
		if err == nil || !strings.Contains(err.Error(), c.why) || !strings.Contains(fault.Remedy(err), c.remedy) || errors.Is(err, ErrNoRelay) != c.noRelay {
			t.Errorf("%s: %s", c.name, fault.Describe(err))
		}
		if strings.Contains(fault.Describe(err), "s3cr3t") {
			t.Errorf("%s: the password is told", c.name)
		}
	}
	sent, err := f.sentMail("x@y.z", converge.ExecResult{Stdout: []byte(smtp("", ""))})
	if want := (SentMail{To: "x@y.z", From: "a@b.c", Relay: "relay.test:587"}); err != nil || sent != want {
		t.Errorf("sent %+v, %v", sent, err)
	}
	for _, to := range []string{"", "x", "X <x@y.z>", "x@y.z\nBcc: a@b.c", "-x"} {
		if _, err := f.TestMail(t.Context(), to); err == nil || !strings.Contains(err.Error(), "no mail address") {
			t.Errorf("%q: %v", to, err)
		}
	}
}
