package heptapod

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	netmail "net/mail"
	"slices"
	"strings"
	"time"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

// mailTimeout bounds a test mail: Rails boots for it, and a relay may be slow.
const mailTimeout = 6 * time.Minute

// mailScript sends the mail and prints how that went.
//
//go:embed testmail.rb
var mailScript []byte

// SentMail is a mail that a relay has taken.
type SentMail struct {
	To    string
	From  string // the sender's address
	Relay string // host:port; "" where the forge sends by another way than SMTP
}

// ErrNoRelay says that the forge sends no mail.
var ErrNoRelay = errors.New("the forge has no mail relay")

// TestMail has the running forge send a mail as it sends its own, by the relay
// that is in force there, and returns when the relay has taken it. It boots
// Rails, which takes a minute or two. An error says which part of heptapod.smtp
// is to be looked at; without a relay it is ErrNoRelay.
func (f *Forge) TestMail(ctx context.Context, to string) (SentMail, error) {
	if address, err := netmail.ParseAddress(to); err != nil || address.Address != to {
		return SentMail{}, &fault.Error{Op: "send test mail to", What: to, Why: "it is no mail address", Remedy: "Write the bare address, as in admin@example.org."}
	}
	host, release, err := f.connect(ctx, false)
	if err != nil {
		return SentMail{}, err
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	host.Progress("booting Rails to send a mail, which takes a minute or two")
	result, err := host.Exec(ctx, Service, []string{"gitlab-rails", "runner", "-", to}, mailScript)
	if err != nil {
		return SentMail{}, fmt.Errorf("send test mail: %w", err)
	}
	return f.sentMail(to, result)
}

// mailReport is what the script prints.
type mailReport struct {
	Enabled   bool     `json:"enabled"`
	Method    string   `json:"method"` // smtp, smtp_pool, sendmail
	Relay     string   `json:"relay"`
	From      string   `json:"from"`
	Error     string   `json:"error"` // class
	Ancestors []string `json:"ancestors"`
	Message   string   `json:"message"`
}

const mailMark = "HEPTA_MAIL="

// sentMail reads what the script printed.
func (f *Forge) sentMail(to string, result converge.ExecResult) (SentMail, error) {
	failed := &fault.Error{Op: "send test mail to", What: to}
	var report *mailReport
	for line := range strings.Lines(string(result.Stdout)) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), mailMark); ok {
			report = &mailReport{}
			if err := json.Unmarshal([]byte(text), report); err != nil {
				return SentMail{}, fmt.Errorf("send test mail to %s: read what the forge said: %w", to, err)
			}
		}
	}
	if report == nil {
		failed.Why = fmt.Sprintf("gitlab-rails runner ended with exit code %d: %s", result.ExitCode, f.hiddenMail(lastLine(result.Stderr)))
		failed.Remedy = "Run the same command again once the forge is healthy: `hepta status` tells."
		return SentMail{}, failed
	}
	smtp := strings.HasPrefix(report.Method, "smtp")
	switch {
	case !report.Enabled:
		failed.Err = ErrNoRelay
		failed.Why, failed.Remedy = "mail is switched off in the forge", "Take gitlab_rails['gitlab_email_enabled'] = false out of heptapod.gitlab_rb, then run `hepta up`."
		return SentMail{}, failed
	case report.Error != "" && !smtp:
		failed.Err = ErrNoRelay
		failed.Remedy = "Name one in hepta.yaml, as in `heptapod: {smtp: {address: smtp.example.org}}`, then run `hepta up`."
		return SentMail{}, failed
	case report.Error != "":
		failed.Why = fmt.Sprintf("%s: %s (%s)", report.Relay, f.hiddenMail(report.Message), report.Error)
		failed.Remedy = report.remedy()
		return SentMail{}, failed
	}
	sent := SentMail{To: to, From: report.From}
	if smtp {
		sent.Relay = report.Relay
	}
	return sent, nil
}

// hiddenMail is what a relay or a program of the forge says, without passwords
// and without what own lines of gitlab.rb hold.
func (f *Forge) hiddenMail(said string) string {
	if m := f.cfg.SMTP; m != nil && !m.Password.Empty() {
		said = strings.ReplaceAll(said, m.Password.Reveal(), "***")
	}
	c := converge.Container{Hide: rubySecrets(f.cfg.Ruby)}
	return c.Hidden(said)
}

// remedy is what to look at in heptapod.smtp, by the class of Ruby's error.
func (r *mailReport) remedy() string {
	is := func(classes ...string) bool {
		return slices.ContainsFunc(classes, func(class string) bool { return slices.Contains(r.Ancestors, class) })
	}
	says := func(part string) bool { return strings.Contains(strings.ToLower(r.Message), part) }
	const again = " Then run `hepta up` and the same command again."
	switch {
	case is("OpenSSL::SSL::SSLError") && (says("wrong version number") || says("record layer failure") || says("packet length")):
		return "The relay does not begin with TLS on this port: leave heptapod.smtp.tls out, or take port 465." + again
	case is("OpenSSL::SSL::SSLError") && says("hostname"):
		return "Set heptapod.smtp.address to a name in the relay's certificate." + again
	case is("OpenSSL::SSL::SSLError"):
		return "Set heptapod.smtp.ca to a file with the authority of the relay's certificate." + again
	case is("Net::SMTPAuthenticationError"):
		return "Check heptapod.smtp.user, password_file and authentication (plain, login, cram_md5); many relays let nobody log in without TLS." + again
	case is("Net::OpenTimeout", "Net::ReadTimeout", "EOFError"):
		return "Nothing answered in SMTP: check heptapod.smtp.address and port. A port on which the relay begins with TLS, such as 465, wants heptapod.smtp.tls; providers of machines often close port 25." + again
	case is("SystemCallError", "SocketError"):
		return "The forge's container does not reach the relay: check heptapod.smtp.address and port. localhost is the container itself." + again
	case is("Net::SMTPFatalError", "Net::SMTPSyntaxError", "Net::SMTPServerBusy", "Net::SMTPUnknownError"):
		return "The relay was reached and refused the mail: most want a user (heptapod.smtp.user) or know the sender (heptapod.smtp.from)." + again
	}
	return "The forge's log has more: hepta logs heptapod"
}
