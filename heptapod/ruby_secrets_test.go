package heptapod

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/heptaup/hepta/internal/converge"
)

func TestRubySecrets(t *testing.T) {
	got := rubySecrets(`gitlab_rails['time_zone'] = 'Europe/Rome'
gitlab_rails['smtp'] = "it \"is\" quoted" ; x = 'short'
call('handed over', "and more")
gitlab_rails['ldap_servers'] = {'main' => {'password' => 'ldap-secret', 'port' => 389}}
broken = 'never ended )
`)
	for _, want := range []string{`it \"is\" quoted`, `it "is" quoted`, "never ended )", "Europe/Rome", "handed over", "ldap-secret", "and more"} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is missing", want)
		}
	}
	for _, no := range []string{"time_zone", "ldap_servers", "password", "short", "gitlab_rails", "broken"} {
		if slices.Contains(got, no) {
			t.Errorf("%q is no value", no)
		}
	}
	for _, text := range []string{`a = "\`, `'`, `x = '\\'`, "", "<<", "%", "%q", "?", "x = <<-A\nA", "\"#{"} {
		if got := rubySecrets(text); len(got) > 0 {
			t.Errorf("%s: %q", text, got)
		}
	}
}

// secretForms are the ways to write a secret that Ruby and what stands in its
// texts allow. Each gives lines of gitlab.rb and the expression that gives the
// secret back. The secret fits into every one.
var secretForms = []struct {
	name string
	text func(secret string) (lines, expression string)
}{
	{"single quotes", func(s string) (string, string) { return "x['k'] = " + single(s), "x['k']" }},
	{"double quotes", func(s string) (string, string) { return "x['k'] = " + double(s), "x['k']" }},
	{"escapes", func(s string) (string, string) { return `x['k'] = "` + hexed(s) + `"`, "x['k']" }},
	{"code points", func(s string) (string, string) { return `x['k'] = "` + codePoints(s) + `"`, "x['k']" }},
	{"%q()", func(s string) (string, string) { return "x['k'] = %q(" + within(s, "()") + ")", "x['k']" }},
	{"%q||", func(s string) (string, string) { return "x['k'] = %q|" + within(s, "|") + "|", "x['k']" }},
	{"%Q{}", func(s string) (string, string) { return "x['k'] = %Q{" + within(s, `{}#`) + "}", "x['k']" }},
	{"%()", func(s string) (string, string) { return "x['k'] = %(" + within(s, "()#") + ")", "x['k']" }},
	{"%w", func(s string) (string, string) {
		return "x['k'] = %w[other " + within(s, "[]") + " third]", "x['k'][1]"
	}},
	{"symbol", func(s string) (string, string) { return "x['k'] = :" + double(s), "x['k'].to_s" }},
	{"hash with rockets", func(s string) (string, string) {
		return "x['k'] = {'main' => {'label' => 'LDAP', 'password' => " + single(s) + ", 'port' => 389}}", "x['k']['main']['password']"
	}},
	{"hash with symbols", func(s string) (string, string) {
		return "x['k'] = { main: { label: 'LDAP', password: " + single(s) + ", port: 389 } }", "x['k'][:main][:password]"
	}},
	{"hash with quoted symbols", func(s string) (string, string) {
		return "x['k'] = { 'main': { \"password\": " + double(s) + " } }", "x['k'][:main][:password]"
	}},
	{"arguments", func(s string) (string, string) { return "x.store 'k', " + single(s), "x['k']" }},
	{"condition", func(s string) (string, string) { return "x['k'] = true ? " + single(s) + ": 'another'", "x['k']" }},
	{"side by side", func(s string) (string, string) {
		return "x['k'] = " + single(s[:4]) + " " + double(s[4:]), "x['k']"
	}},
	{"over lines", func(s string) (string, string) {
		return "x['k'] = " + single(s[:4]) + " \\\n  " + single(s[4:]), "x['k']"
	}},
	{"added", func(s string) (string, string) { return "x['k'] = " + single(s[:4]) + " + " + single(s[4:]), "x['k']" }},
	{"interpolated", func(s string) (string, string) {
		return "x['k'] = \"before #{" + double(s) + "} after\"", "x['k'][7...-6]"
	}},
	{"heredoc", func(s string) (string, string) { return "x['k'] = <<EOS\n" + within(s, "#") + "\nEOS", "x['k'].chomp" }},
	{"heredoc indented", func(s string) (string, string) {
		return "x['k'] = <<-EOS.strip\n    " + within(s, "#") + "\n    EOS", "x['k']"
	}},
	{"heredoc squiggly", func(s string) (string, string) {
		return "x['k'] = <<~EOS.strip\n    " + within(s, "#") + "\n  EOS", "x['k']"
	}},
	{"heredoc raw", func(s string) (string, string) { return "x['k'] = <<-'E O S'\n" + s + "\n E O S", "x['k'].chomp" }},
	{"two heredocs", func(s string) (string, string) {
		return "x['k'] = [<<A, <<-'B']\nfirst\nA\n" + s + "\n  B", "x['k'][1].chomp"
	}},
	{"YAML in a heredoc, plain", func(s string) (string, string) {
		return ldapYAML(yamlPlain(s)), "x['k']['main']['password']"
	}},
	{"YAML in a heredoc, single quotes", func(s string) (string, string) {
		return ldapYAML("'" + strings.ReplaceAll(s, "'", "''") + "'"), "x['k']['main']['password']"
	}},
	{"YAML in a heredoc, double quotes", func(s string) (string, string) {
		return ldapYAML(quotedJSON(s)), "x['k']['main']['password']"
	}},
	{"YAML in a heredoc, block", func(s string) (string, string) {
		return ldapYAML("|\n      " + s), "x['k']['main']['password'].chomp"
	}},
	{"YAML in a heredoc, folded", func(s string) (string, string) {
		return ldapYAML(">-\n      " + s), "x['k']['main']['password']"
	}},
	{"YAML in a heredoc, flow", func(s string) (string, string) {
		return "x['k'] = YAML.load <<-'EOS'\nmain: {label: LDAP, 'password': " + quotedJSON(s) + ", port: 389}\nEOS", "x['k']['main']['password']"
	}},
	{"YAML in quotes", func(s string) (string, string) {
		return "x['k'] = YAML.load(" + double("main:\n  password: "+yamlPlain(s)+"\n") + ")", "x['k']['main']['password']"
	}},
	{"JSON in a heredoc", func(s string) (string, string) {
		return "x['k'] = JSON.parse(<<~'EOS')\n  {\"main\": {\"password\": " + quotedJSON(s) + "}}\nEOS", "x['k']['main']['password']"
	}},
	{"comment", func(s string) (string, string) {
		return "# it's old: gitlab_rails['smtp_password'] = " + single(s) + " # don't use\nx['k'] = " + single(s), "x['k']"
	}},
	{"comment between =begin and =end", func(s string) (string, string) {
		return "=begin\npassword: " + s + "\n=end\nx['k'] = " + single(s), "x['k']"
	}},
	{"behind __END__", func(s string) (string, string) { return "x['k'] = " + single(s) + "\n__END__\ntoken=" + s, "x['k']" }},
	{"behind a regular expression", func(s string) (string, string) {
		return "y = 'don' =~ /it's \"/\nx['k'] = " + single(s), "x['k']"
	}},
	{"behind arithmetic", func(s string) (string, string) { return "y = 6 / 2; z = 7 % 4; x['k'] = " + single(s), "x['k']" }},
	{"behind a shift", func(s string) (string, string) { return "y = [1]; y << 2\nx['k'] = " + single(s), "x['k']" }},
	{"behind a character", func(s string) (string, string) { return "y = ?'\nx['k'] = " + single(s), "x['k']" }},
}

// single is a literal in single quotes, double one in double quotes.
func single(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

func double(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "#", `\#`, "\n", `\n`).Replace(s) + `"`
}

// within escapes backslashes and these characters.
func within(s, special string) string {
	var b strings.Builder
	for _, r := range s {
		if r == '\\' || strings.ContainsRune(special, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func hexed(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, `\x%02x`, s[i])
	}
	return b.String()
}

func codePoints(s string) string {
	var b strings.Builder
	for i, r := range s {
		if i%2 == 0 {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			fmt.Fprintf(&b, `\u{%x}`, r)
		}
	}
	return b.String()
}

func quotedJSON(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always has a JSON form
	}
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(text))
}

// yamlPlain is s as it needs no quotes.
func yamlPlain(s string) string { return s }

func ldapYAML(password string) string {
	return "x['ldap_enabled'] = true\nx['k'] = YAML.load <<-'EOS'\n  main: # don't ask\n    label: 'LDAP'\n    host: ldap.example.org\n" +
		"    bind_dn: 'CN=query user,CN=Users'\n    password: " + password + "\n    encryption: 'plain'\nEOS"
}

// plainSecret reports whether YAML reads s without quotes as it stands.
func plainSecret(s string) bool {
	return !strings.ContainsAny(s, "'\"#:{}[],&*!|>%@`?-\\~=<") && !strings.ContainsAny(s[:1], "0123456789.+_")
}

// shapes asks Ruby for the value of an expression after lines, and for the forms
// in which programs show it.
const shapes = `
require 'json'
require 'yaml'
require 'cgi'
while line = STDIN.gets
  lines, expression = JSON.parse(line)
  begin
    x = {}
    space = Object.new
    space.instance_variable_set(:@x, x)
    space.define_singleton_method(:x) { @x }
    space.instance_eval(lines, 'gitlab.rb', 1)
    value = space.instance_eval(expression)
    STDOUT.puts JSON.generate([value, value.inspect, JSON.generate({ 'k' => value }), YAML.dump({ 'k' => value }), CGI.escape(value)])
  rescue Exception => e
    STDOUT.puts JSON.generate(["#{e.class}: #{e.message}"])
  end
  STDOUT.flush
end
`

// shaped asks a running Ruby with that program.
func (r *rubyReader) shaped(t fataler, lines, expression string) []string {
	t.Helper()
	question, err := json.Marshal([]string{lines, expression})
	if err != nil {
		t.Fatalf("%v", err)
	}
	if _, err := fmt.Fprintln(r.in, string(question)); err != nil {
		t.Fatalf("ask Ruby: %v", err)
	}
	answer, err := r.out.ReadString('\n')
	if err != nil {
		t.Fatalf("Ruby ended: %v", err)
	}
	var list []string
	if err := json.Unmarshal([]byte(answer), &list); err != nil {
		t.Fatalf("%v", err)
	}
	return list
}

// A secret is seen in nothing that the forge's programs say, in whatever form
// own lines of gitlab.rb hold it: not in the lines, which Ruby quotes when it
// does not understand them, and not in what it reads. The real Ruby is asked
// whether the form is one.
func TestSecretsAreHiddenInEachForm(t *testing.T) {
	ruby := newRubyProgram(t, shapes)
	alphabet := []rune("abcdefghXYZ0123456789 !$%&()*+,-./:;<=>?@[]^_{|}~'\"\\#`")
	secrets := rapid.Custom(func(t *rapid.T) string {
		return "S" + rapid.StringOfN(rapid.SampledFrom(alphabet), 7, 20, -1).Draw(t, "inner") + "E"
	})
	rapid.Check(t, func(t *rapid.T) {
		secret := secrets.Draw(t, "secret")
		for _, form := range secretForms {
			text := secret
			switch {
			case strings.HasSuffix(form.name, "plain"), form.name == "YAML in quotes", strings.Contains(form.name, "=begin"), strings.Contains(form.name, "__END__"):
				if text = strings.Map(func(r rune) rune {
					if r == ' ' || !plainSecret(string(r)) && !(r >= '0' && r <= '9') {
						return 'x'
					}
					return r
				}, secret); !plainSecret(text) {
					continue
				}
			case form.name == "%w":
				text = strings.ReplaceAll(secret, " ", "_")
			}
			lines, expression := form.text(text)
			said := ruby.shaped(t, lines, expression)
			if len(said) == 1 || said[0] != text {
				t.Fatalf("%s: Ruby reads %q of\n%s", form.name, said[0], lines)
			}
			forge := converge.Container{Hide: rubySecrets(lines)}
			for _, line := range append(strings.Split(lines, "\n"), said...) {
				shown := forge.Hidden("gitlab.rb:3: " + line)
				if strings.Contains(shown, text) || len(text) > 8 && strings.Contains(shown, text[1:len(text)-1]) {
					t.Fatalf("%s: %q shows in %q of\n%s", form.name, text, shown, lines)
				}
			}
		}
	})
}

// What is no secret stays readable.
func TestHiddenLinesStayReadable(t *testing.T) {
	const lines = `gitlab_rails['smtp_password'] = 'hunter22hunter'
gitlab_rails['ldap_servers'] = YAML.load <<-'EOS'
  main:
    password: hunter33hunter
EOS
`
	const said = "FATAL: NoMethodError: undefined method `smtp_pasword' for gitlab_rails, see line 1:\n" +
		"gitlab_rails['smtp_password'] = 'hunter22hunter'\n    password: hunter33hunter\nRunning handlers: 2 resources updated"
	want := strings.NewReplacer("hunter22hunter", "***", "hunter33hunter", "***").Replace(said)
	forge := converge.Container{Hide: rubySecrets(lines)}
	if diff := cmp.Diff(want, forge.Hidden(said)); diff != "" {
		t.Error(diff)
	}
}

// Whatever own lines hold, reading them ends, gives each text once and in
// order, and what is listed is hidden.
func FuzzRubySecrets(f *testing.F) {
	for _, form := range secretForms {
		lines, _ := form.text(`it's "a" #{secret} \ 42`)
		f.Add(lines)
	}
	for _, text := range awkward {
		f.Add("x = " + text)
	}
	f.Fuzz(func(t *testing.T, lines string) {
		list := rubySecrets(lines)
		for i, text := range list {
			if len(text) < shortestSecret || strings.Contains(text, "\n") {
				t.Fatalf("%q is listed", text)
			}
			if i > 0 && (len(list[i-1]) < len(text) || list[i-1] == text) {
				t.Fatalf("%q comes before %q", list[i-1], text)
			}
		}
		if len(lines) > 512 {
			return
		}
		for _, text := range list {
			if shown := (&converge.Container{Hide: list}).Hidden("<" + text + ">"); strings.Contains(shown, text) && !strings.Contains("***", text) {
				t.Fatalf("%q shows in %q", text, shown)
			}
		}
	})
}
