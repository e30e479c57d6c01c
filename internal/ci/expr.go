package ci

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// errExpression is all that GitLab says of a wrong expression.
var errExpression = errors.New("invalid expression syntax")

const (
	maxTokens     = 100
	maxExpression = 10_000
)

// lookup gives a variable's value, and whether it is defined.
type lookup func(name string) (string, bool)

// operand is the value of a part of an expression: a string or null.
type operand struct {
	text    string
	defined bool
	regex   *regexp.Regexp
}

// truthy holds for true, and for a string that is not empty.
func (o operand) truthy() bool { return o.defined && o.text != "" }

var yes, no = operand{text: "true", defined: true}, operand{}

func truth(b bool) operand {
	if b {
		return yes
	}
	return no
}

type expr func(lookup) operand

type token struct {
	kind string // variable, string, regex, null, true, false, or the operator itself
	text string
	re   *regexp.Regexp
}

// parseExpr reads the text of a rules:if or of only:variables.
func parseExpr(text string) (expr, error) {
	tokens, err := tokenize(text)
	if err != nil {
		return nil, err
	}
	p := &exprParser{tokens: tokens}
	e, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.next != len(p.tokens) {
		return nil, fmt.Errorf("%w: unexpected %s", errExpression, p.tokens[p.next].text)
	}
	return e, nil
}

var (
	spaces       = regexp.MustCompile(`^\s+`)
	variableName = regexp.MustCompile(`^\$[A-Za-z_][A-Za-z0-9_]*`)
	stringText   = regexp.MustCompile(`^("[^"]*"|'[^']*')`)
	regexText    = regexp.MustCompile(`^/((?:[^/\\\n]|\\.)+)/([ismU]*)`)
	wordText     = regexp.MustCompile(`^(null|true|false)\b`)
	operatorText = regexp.MustCompile(`^(==|!=|=~|!~|&&|\|\||!|\(|\))`)
)

func tokenize(text string) ([]token, error) {
	if len(text) > maxExpression {
		return nil, fmt.Errorf("%w: longer than %d characters", errExpression, maxExpression)
	}
	var list []token
	for {
		text = text[len(spaces.FindString(text)):]
		if text == "" {
			break
		}
		if len(list) == maxTokens {
			return nil, fmt.Errorf("%w: more than %d tokens", errExpression, maxTokens)
		}
		var t token
		if m := variableName.FindString(text); m != "" {
			t = token{kind: "variable", text: m}
		} else if m := stringText.FindString(text); m != "" {
			t = token{kind: "string", text: m}
		} else if m := regexText.FindString(text); m != "" {
			re, err := compile(m)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", errExpression, err)
			}
			t = token{kind: "regex", text: m, re: re}
		} else if m := wordText.FindString(text); m != "" {
			t = token{kind: m, text: m}
		} else if m := operatorText.FindString(text); m != "" {
			t = token{kind: m, text: m}
		} else if strings.HasPrefix(text, "${") || strings.HasPrefix(text, "%") {
			return nil, fmt.Errorf("%w: write variables as $NAME", errExpression)
		} else {
			return nil, fmt.Errorf("%w: at %q", errExpression, cut(text, 20))
		}
		list = append(list, t)
		text = text[len(t.text):]
	}
	return list, nil
}

func cut(text string, n int) string {
	if r := []rune(text); len(r) > n {
		return string(r[:n]) + "…"
	}
	return text
}

// compile reads /pattern/flags.
func compile(text string) (*regexp.Regexp, error) {
	m := regexText.FindStringSubmatch(text)
	if m == nil || m[0] != text {
		return nil, fmt.Errorf("%s is no /regular expression/", cut(text, 40))
	}
	pattern := strings.ReplaceAll(m[1], `\/`, `/`)
	// Go's s is Ruby's m; the other letters mean the same.
	if m[2] != "" {
		pattern = "(?" + m[2] + ")" + pattern
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("regular expression %s: %w", cut(text, 40), err)
	}
	return re, nil
}

type exprParser struct {
	tokens []token
	next   int
}

func (p *exprParser) accept(kinds ...string) (token, bool) {
	if p.next < len(p.tokens) {
		for _, k := range kinds {
			if p.tokens[p.next].kind == k {
				p.next++
				return p.tokens[p.next-1], true
			}
		}
	}
	return token{}, false
}

func (p *exprParser) or() (expr, error) {
	left, err := p.and()
	for err == nil {
		if _, ok := p.accept("||"); !ok {
			return left, nil
		}
		var right expr
		if right, err = p.and(); err == nil {
			l := left
			left = func(v lookup) operand {
				if o := l(v); o.truthy() {
					return o
				}
				return right(v)
			}
		}
	}
	return nil, err
}

func (p *exprParser) and() (expr, error) {
	left, err := p.comparison()
	for err == nil {
		if _, ok := p.accept("&&"); !ok {
			return left, nil
		}
		var right expr
		if right, err = p.comparison(); err == nil {
			l := left
			left = func(v lookup) operand {
				if o := l(v); !o.truthy() {
					return no
				}
				return right(v)
			}
		}
	}
	return nil, err
}

func (p *exprParser) comparison() (expr, error) {
	left, err := p.primary()
	for err == nil {
		op, ok := p.accept("==", "!=", "=~", "!~")
		if !ok {
			return left, nil
		}
		var right expr
		if right, err = p.primary(); err == nil {
			left = compare(op.kind, left, right)
		}
	}
	return nil, err
}

func compare(op string, left, right expr) expr {
	return func(v lookup) operand {
		l, r := left(v), right(v)
		switch op {
		case "==":
			return truth(l.defined == r.defined && l.text == r.text)
		case "!=":
			return truth(l.defined != r.defined || l.text != r.text)
		}
		matched := false
		if l.defined {
			re := r.regex
			if re == nil && r.defined {
				// A variable may hold the pattern; anything else there
				// matches nothing.
				if c, err := compile(r.text); err == nil {
					re = c
				}
			}
			matched = re != nil && re.MatchString(l.text)
		}
		return truth(matched == (op == "=~"))
	}
}

func (p *exprParser) primary() (expr, error) {
	t, ok := p.accept("variable", "string", "regex", "null", "true", "false", "(", "!")
	if !ok {
		return nil, errExpression
	}
	switch t.kind {
	case "variable":
		name := t.text[1:]
		return func(v lookup) operand {
			s, ok := v(name)
			return operand{text: s, defined: ok}
		}, nil
	case "string":
		o := operand{text: t.text[1 : len(t.text)-1], defined: true}
		return func(lookup) operand { return o }, nil
	case "regex":
		o := operand{text: t.text, defined: true, regex: t.re}
		return func(lookup) operand { return o }, nil
	case "(":
		e, err := p.or()
		if err != nil {
			return nil, err
		}
		if _, ok := p.accept(")"); !ok {
			return nil, fmt.Errorf("%w: missing )", errExpression)
		}
		return e, nil
	case "!":
		e, err := p.primary()
		if err != nil {
			return nil, err
		}
		return func(v lookup) operand { return truth(!e(v).truthy()) }, nil
	}
	o := operand{text: t.kind, defined: t.kind != "null"}
	if !o.defined {
		o.text = ""
	}
	return func(lookup) operand { return o }, nil
}
