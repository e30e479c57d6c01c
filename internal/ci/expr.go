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

// operand is the value of a part of an expression, as Ruby has it: null, true
// or false, or text.
type operand struct {
	kind operandKind
	text string
	re   *regexp.Regexp // of a pattern
}

type operandKind int

const (
	isNull operandKind = iota
	isFalse
	isTrue
	isText
)

// holds reports whether o ends an || and lets && go on: text does, also when it
// is empty.
func (o operand) holds() bool { return o.kind == isTrue || o.kind == isText }

// truthy reports whether a whole expression of this value is met: blank text is not.
func (o operand) truthy() bool {
	return o.kind == isTrue || o.kind == isText && strings.TrimSpace(o.text) != ""
}

// string is o as text: that of null is empty.
func (o operand) string() string {
	switch o.kind {
	case isTrue:
		return "true"
	case isFalse:
		return "false"
	}
	return o.text
}

func truth(b bool) operand {
	if b {
		return operand{kind: isTrue}
	}
	return operand{kind: isFalse}
}

type expr func(lookup) operand

type token struct {
	kind string // variable, string, regex, null, or the operator itself
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
	variableName = regexp.MustCompile(`^\$\w+`)
	stringText   = regexp.MustCompile(`^("[^"\n]*"|'[^'\n]*')`)
	// Two characters at least, as GitLab has it.
	regexText    = regexp.MustCompile(`^/(?:[^/]|\\/)+[^\\]/[ismU]*`)
	operatorText = regexp.MustCompile(`^(==|!=|=~|!~|&&|\|\||\(|\))`)
	// patternText is a whole text that is a pattern; slashes in it need no escape.
	patternText = regexp.MustCompile(`^/(.*)/([ismU]*)$`)
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
		} else if strings.HasPrefix(text, "null") {
			t = token{kind: "null", text: "null"}
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
	m := patternText.FindStringSubmatch(text)
	if m == nil {
		return nil, fmt.Errorf("%s is no /regular expression/", cut(text, 40))
	}
	pattern := m[1]
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
				if o := l(v); o.holds() {
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
				if o := l(v); !o.holds() {
					return o
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
			return truth(l.kind == r.kind && l.text == r.text)
		case "!=":
			return truth(l.kind != r.kind || l.text != r.text)
		}
		return truth(matches(l.string(), r) == (op == "=~"))
	}
}

// matches reports whether text matches a pattern. A variable or a string may
// hold one; where it holds something else, text has to be a part of that.
func matches(text string, pattern operand) bool {
	switch {
	case pattern.re != nil:
		return pattern.re.MatchString(text)
	case !pattern.holds():
		return false
	}
	if re, err := compile(pattern.string()); err == nil {
		return re.MatchString(text)
	}
	return strings.Contains(pattern.string(), text)
}

func (p *exprParser) primary() (expr, error) {
	t, ok := p.accept("variable", "string", "regex", "null", "(")
	if !ok {
		return nil, errExpression
	}
	var o operand
	switch t.kind {
	case "variable":
		name := t.text[1:]
		return func(v lookup) operand {
			if s, ok := v(name); ok {
				return operand{kind: isText, text: s}
			}
			return operand{}
		}, nil
	case "string":
		o = operand{kind: isText, text: t.text[1 : len(t.text)-1]}
	case "regex":
		o = operand{kind: isText, text: t.text, re: t.re}
	case "(":
		e, err := p.or()
		if err != nil {
			return nil, err
		}
		if _, ok := p.accept(")"); !ok {
			return nil, fmt.Errorf("%w: missing )", errExpression)
		}
		return e, nil
	}
	return func(lookup) operand { return o }, nil
}
