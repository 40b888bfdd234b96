package templates

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"
)

const maxHeader = 4 << 10

// directive are lines that a compiler or a migration tool obeys in a comment, and the words that mark a file as generated:
// a header is text for people.
var directive = regexp.MustCompile(`^\s*(\+|go:|line |export |lint:|nolint|migrate:|----)|^Code generated .* DO NOT EDIT\.$`)

// HeaderText is the text of a header file without the comment marks that it may have, or an error that names what cannot
// be in a comment of every kind of file.
func HeaderText(content []byte) (string, error) {
	if len(content) > maxHeader {
		return "", fmt.Errorf("it has %d bytes, and a header may have %d", len(content), maxHeader)
	}
	if !utf8.Valid(content) {
		return "", errors.New("it is not UTF-8")
	}
	text := strings.TrimPrefix(strings.ReplaceAll(string(content), "\r\n", "\n"), "\ufeff")
	text = strings.Trim(text, " \t\n")
	if inner, ok := strings.CutPrefix(text, "/*"); ok {
		text, ok = strings.CutSuffix(inner, "*/")
		if !ok {
			return "", errors.New("its comment is not closed")
		}
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		line = strings.TrimRight(line, " \t")
		for _, mark := range []string{"//", "--", "#", " *"} {
			if rest, ok := strings.CutPrefix(line, mark); ok {
				line = strings.TrimPrefix(rest, " ")
				break
			}
		}
		lines[i] = line
	}
	text = strings.Trim(strings.Join(lines, "\n"), "\n")
	if text == "" {
		return "", errors.New("it is empty")
	}
	return text, checkHeader(text)
}

func checkHeader(text string) error {
	if len(text) > maxHeader {
		return fmt.Errorf("it has more than %d bytes", maxHeader)
	}
	if strings.Contains(text, "*/") || strings.Contains(text, "{{") || strings.Contains(text, "}}") {
		return errors.New("it may not hold */, {{ or }}")
	}
	for i, line := range strings.Split(text, "\n") {
		switch {
		case strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			return fmt.Errorf("line %d holds a control character", i+1)
		case directive.MatchString(line):
			return fmt.Errorf("line %d is an instruction to a tool, not text: %s", i+1, line)
		}
	}
	return nil
}

// withHeader puts the host's header first, as a comment of the file's own kind.
func (in Inputs) withHeader(name string, content []byte) []byte {
	if in.Header == "" {
		return content
	}
	var b bytes.Buffer
	each := func(mark, text string) {
		for line := range strings.SplitSeq(text, "\n") {
			b.WriteString(strings.TrimRight(mark+" "+line, " ") + "\n")
		}
	}
	switch path.Ext(name) {
	case ".go":
		each("//", in.Header)
		b.WriteString("\n") // a comment that touches the package clause would be its documentation
	case ".html":
		fmt.Fprintf(&b, "{{/*\n%s\n*/ -}}\n", in.Header)
	case ".sql":
		each("--", strings.ReplaceAll(in.Header, ";", ",")) // some runners split at any semicolon
	default:
		each("#", in.Header)
	}
	b.Write(content)
	return b.Bytes()
}
