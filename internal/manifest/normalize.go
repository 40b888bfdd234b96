package manifest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"go/scanner"
	"go/token"
	"path"
	"sort"
	"strconv"
	"strings"
)

// Sum is the hex SHA-256 of content, as it stands in [File.SHA256].
func Sum(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// Normalized is the hash that decides whether a person edited a file. What
// formatters, editors and git do to a file on their own does not change it:
//
//   - Go: line endings, a BOM, blank lines, indentation, the order and grouping
//     of imports, and the comma that goes with a bracket on its own line;
//   - SQL: line endings, a BOM, trailing space and blank lines;
//   - everything else: line endings, a BOM, trailing space and newlines at the
//     end.
//
// Any other change, a comment's words included, gives another hash. A Go file
// that does not scan is compared as text.
func Normalized(name string, content []byte) string {
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	switch strings.ToLower(path.Ext(name)) {
	case ".go":
		if tokens, ok := goTokens(content); ok {
			return hashAll("go", tokens)
		}
	case ".sql":
		var kept []string
		for _, line := range trimmedLines(content) {
			if line != "" {
				kept = append(kept, line)
			}
		}
		return hashAll("sql", kept)
	}
	return hashAll("text", trimmedLines(content))
}

// hashAll hashes parts with their lengths, so that no two lists collide by
// being joined.
func hashAll(kind string, parts []string) string {
	h := sha256.New()
	for _, part := range append([]string{kind}, parts...) {
		h.Write([]byte(strconv.Itoa(len(part)) + ":" + part))
	}
	return hex.EncodeToString(h.Sum(nil))
}

func trimmedLines(content []byte) []string {
	text := strings.ReplaceAll(string(content), "\r\n", "\n")
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " \t\r")
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// lexeme is one Go token. breaks says that a newline stands between it and
// the token before.
type lexeme struct {
	tok    token.Token
	lit    string
	breaks bool
}

// goTokens returns the imports as a sorted set and then all other tokens of a
// Go file, or false when it does not scan.
func goTokens(content []byte) ([]string, bool) {
	lexemes, ok := scan(content)
	if !ok {
		return nil, false
	}
	body, imports := splitImports(lexemes)
	sort.Strings(imports)
	out := []string{"imports"}
	for i, spec := range imports {
		if i == 0 || spec != imports[i-1] {
			out = append(out, spec)
		}
	}
	out = append(out, "body")
	for i, l := range body {
		if !redundant(body, i) {
			out = append(out, l.tok.String(), l.lit)
		}
	}
	return out, true
}

func scan(content []byte) ([]lexeme, bool) {
	var s scanner.Scanner
	files := token.NewFileSet()
	file := files.AddFile("", files.Base(), len(content))
	failed := false
	s.Init(file, content, func(token.Position, string) { failed = true }, scanner.ScanComments)
	var out []lexeme
	last := 1
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			return out, !failed
		}
		line := file.PositionFor(pos, false).Line
		l := lexeme{tok: tok, lit: lit, breaks: line > last}
		switch {
		case tok == token.COMMENT:
			l.lit = strings.Join(strings.Fields(lit), " ")
		case tok == token.SEMICOLON:
			// Written out or put in by the scanner at a newline: the same.
			l.lit = ""
		case !tok.IsLiteral():
			l.lit = ""
		}
		out = append(out, l)
		last = line + strings.Count(lit, "\n")
		if tok == token.SEMICOLON {
			// The literal of an inserted semicolon is the newline itself; the
			// next token stands on a later line by its own position.
			last = line
		}
	}
}

// splitImports takes the import declarations out of the token stream. Each
// spec, and each comment among them, becomes one string.
func splitImports(lexemes []lexeme) (body []lexeme, imports []string) {
	for i := 0; i < len(lexemes); i++ {
		if lexemes[i].tok != token.IMPORT {
			body = append(body, lexemes[i])
			continue
		}
		var spec []string
		flush := func() {
			if len(spec) > 0 {
				imports = append(imports, strings.Join(spec, " "))
			}
			spec = nil
		}
		grouped := false
	decl:
		for i++; i < len(lexemes); i++ {
			switch l := lexemes[i]; l.tok {
			case token.LPAREN:
				grouped = true
			case token.RPAREN:
				grouped = false
			case token.SEMICOLON:
				flush()
				if !grouped {
					break decl
				}
			case token.COMMENT:
				imports = append(imports, l.lit)
			case token.PERIOD:
				spec = append(spec, ".")
			default:
				spec = append(spec, l.lit)
			}
		}
		flush()
	}
	return body, imports
}

// redundant reports whether the token at i depends on layout alone: a comma
// before a bracket that closes on a later line, or a semicolon before a
// closing bracket.
func redundant(body []lexeme, i int) bool {
	tok := body[i].tok
	if tok != token.COMMA && tok != token.SEMICOLON {
		return false
	}
	breaks := false
	for _, next := range body[i+1:] {
		breaks = breaks || next.breaks
		switch next.tok {
		case token.COMMENT:
			continue
		case token.RPAREN, token.RBRACK, token.RBRACE:
			return tok == token.SEMICOLON || breaks
		}
		return false
	}
	return tok == token.SEMICOLON // at the end of the file
}
