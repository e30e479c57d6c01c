package heptapod

import (
	"strings"
	"testing"
)

// TestSMTPPorts: port 465 is TLS from the first byte, others begin in plain
// text, and what is said outright counts.
func TestSMTPPorts(t *testing.T) {
	yes, no := true, false
	for name, c := range map[string]struct {
		smtp          SMTP
		tls, startTLS bool
	}{
		"none":                     {SMTP{}, false, true},
		"587":                      {SMTP{Port: 587}, false, true},
		"465":                      {SMTP{Port: 465}, true, false},
		"465 with starttls":        {SMTP{Port: 465, StartTLS: &yes}, false, true},
		"465 without starttls":     {SMTP{Port: 465, StartTLS: &no}, true, false},
		"465 without tls":          {SMTP{Port: 465, TLS: &no}, false, true},
		"another with tls":         {SMTP{Port: 2465, TLS: &yes}, true, false},
		"25 without any":           {SMTP{Port: 25, StartTLS: &no}, false, false},
		"another without starttls": {SMTP{Port: 2465, StartTLS: &no}, false, false},
	} {
		c.smtp.Address = "smtp.example.org"
		text, err := GitlabRB(Config{Host: "hg.example.org", SMTP: &c.smtp})
		if err != nil {
			t.Fatal(err)
		}
		for key, want := range map[string]bool{"smtp_tls": c.tls, "smtp_enable_starttls_auto": c.startTLS} {
			if got := strings.Contains(text, "gitlab_rails['"+key+"'] = true\n"); got != want {
				t.Errorf("%s: %s is %v", name, key, got)
			}
		}
	}
}

// TestSMTPAuthority: the relay's authority lies where gitlab.rb looks for it,
// the certificates alone, and everybody in the image may read it.
func TestSMTPAuthority(t *testing.T) {
	certificate, key := selfSigned(t)
	cfg := Config{Host: "hg.example.org", SMTP: &SMTP{Address: "smtp.example.org", CA: append(append([]byte{}, key...), certificate...)}}
	text, err := GitlabRB(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, "gitlab_rails['smtp_ca_file'] = '/etc/gitlab/hepta/smtp_ca.crt'\n") {
		t.Error(text)
	}
	f, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.resources()
	if err != nil {
		t.Fatal(err)
	}
	file := s.File(fileSMTPCA)
	if file == nil || string(file.Content) != string(certificate) || file.Mode != 0o644 || file.Apply == nil {
		t.Fatalf("%+v", file)
	}
	if inside, ok := s.Shows(&s.Containers[0], fileSMTPCA); !ok || inside != smtpCAPath {
		t.Error(inside)
	}
	if plain, _ := GitlabRB(Config{Host: "hg.example.org", SMTP: &SMTP{Address: "smtp.example.org"}}); strings.Contains(plain, "smtp_ca_file") {
		t.Error("without an authority there is one")
	}
}
