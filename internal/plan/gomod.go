package plan

import (
	"bytes"
	"fmt"
	"go/version"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

// requirement is one line that go.mod shall have.
type requirement struct {
	mod      module.Version
	indirect bool
}

// setRequire gives go.mod the requirement r and changes no other line. modfile
// finds the places; the bytes are spliced, because printing the file again
// would settle its line endings, spacing and order as well. The places are
// those that go mod tidy chooses.
func setRequire(raw []byte, r requirement) ([]byte, error) {
	f, err := modfile.Parse("go.mod", raw, nil)
	if err != nil {
		return nil, modRefusal("go.mod", err)
	}
	e := modEdit{raw: raw, file: f, eol: eolOf(raw)}
	for _, have := range f.Require {
		if have.Mod.Path != r.mod.Path {
			continue
		}
		if have.Indirect && !r.indirect {
			// What is imported now belongs among the direct requirements.
			e.removeLine(have.Syntax)
			return setRequire(e.raw, r)
		}
		e.replaceToken(have.Syntax, have.Mod.Version, r.mod.Version)
		return e.raw, nil
	}
	e.insert(r)
	after, err := modfile.Parse("go.mod", e.raw, nil)
	if err != nil || !slices.ContainsFunc(after.Require, func(a *modfile.Require) bool { return a.Mod == r.mod && a.Indirect == r.indirect }) {
		return nil, fmt.Errorf("go.mod: the requirement %s could not be placed", r.mod)
	}
	return e.raw, nil
}

// setGo gives go.mod the go line v.
func setGo(raw []byte, v string) ([]byte, error) {
	f, err := modfile.Parse("go.mod", raw, nil)
	if err != nil {
		return nil, modRefusal("go.mod", err)
	}
	e := modEdit{raw: raw, file: f, eol: eolOf(raw)}
	if f.Go != nil {
		e.replaceToken(f.Go.Syntax, f.Go.Version, v)
		return e.raw, nil
	}
	at := 0
	if f.Module != nil {
		at = e.lineEnd(f.Module.Syntax.End.Byte)
	}
	e.splice(at, at, e.eol+"go "+v+e.eol)
	return e.raw, nil
}

// sameLanguage reports that a go line may go from a to b without any change to
// what the host's code means: 1.24 and 1.24.0 are one language.
func sameLanguage(a, b string) bool { return version.Lang("go"+a) == version.Lang("go"+b) }

// olderGo reports that go line a is older than b; "" is what a missing line means.
func olderGo(a, b string) bool {
	if a == "" {
		a = "1.16"
	}
	return version.Compare("go"+a, "go"+b) < 0
}

func eolOf(raw []byte) string {
	if bytes.Contains(raw, []byte("\r\n")) {
		return "\r\n"
	}
	return "\n"
}

// modEdit is one edit of a go.mod. After a splice the positions are stale.
type modEdit struct {
	raw  []byte
	file *modfile.File
	eol  string
}

func (e *modEdit) splice(from, to int, text string) {
	e.raw = slices.Concat(e.raw[:from], []byte(text), e.raw[to:])
}

// lineStart and lineEnd are the bounds of the line of text around offset at;
// the end is behind its newline.
func (e *modEdit) lineStart(at int) int { return bytes.LastIndexByte(e.raw[:at], '\n') + 1 }

func (e *modEdit) lineEnd(at int) int {
	if i := bytes.IndexByte(e.raw[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(e.raw)
}

func (e *modEdit) replaceToken(line *modfile.Line, old, new string) {
	if i := strings.LastIndex(string(e.raw[line.Start.Byte:line.End.Byte]), old); i >= 0 {
		at := line.Start.Byte + i
		e.splice(at, at+len(old), new)
	}
}

// removeLine takes out a requirement, and its statement if nothing else is in it.
func (e *modEdit) removeLine(line *modfile.Line) {
	from, to := e.lineStart(line.Start.Byte), e.lineEnd(line.End.Byte)
	for _, stmt := range e.file.Syntax.Stmt {
		if block, ok := stmt.(*modfile.LineBlock); ok && len(block.Line) == 1 && block.Line[0] == line {
			from, to = e.lineStart(block.Start.Byte), e.lineEnd(block.RParen.Pos.Byte)
		}
	}
	if !line.InBlock || from < e.lineStart(line.Start.Byte) {
		to = e.skipBlank(to)
	}
	e.splice(from, to, "")
}

// skipBlank is the offset behind one empty line at offset at, if there is one.
func (e *modEdit) skipBlank(at int) int {
	if end := e.lineEnd(at); len(bytes.TrimSpace(e.raw[at:end])) == 0 {
		return end
	}
	return at
}

// insert puts a new requirement where go mod tidy would.
func (e *modEdit) insert(r requirement) {
	text := modfile.AutoQuote(r.mod.Path) + " " + r.mod.Version
	if r.indirect {
		text += " // indirect"
	}
	switch stmt := e.home(r.indirect).(type) {
	case *modfile.LineBlock:
		e.intoBlock(stmt, r.mod.Path, text)
	case *modfile.Line:
		e.besideLine(stmt, r.mod.Path, text)
	default:
		e.newStatement(r.indirect, "require "+text)
	}
}

// home is the last statement that holds only requirements of the same kind. Like
// go mod tidy it prefers one without comments, which may be a single line, but
// rather than open a second block it accepts a commented block.
func (e *modEdit) home(indirect bool) modfile.Expr {
	var clean, commented modfile.Expr
	for _, stmt := range e.file.Syntax.Stmt {
		switch stmt := stmt.(type) {
		case *modfile.Line:
			if isRequire(stmt.Token) && !hasComments(stmt.Comments) && isIndirect(stmt) == indirect {
				clean = stmt
			}
		case *modfile.LineBlock:
			if !isRequire(stmt.Token) || len(stmt.Line) == 0 {
				continue
			}
			if slices.ContainsFunc(stmt.Line, func(l *modfile.Line) bool { return isIndirect(l) != indirect }) {
				continue
			}
			if hasComments(stmt.Comments) || slices.ContainsFunc(stmt.Line, func(l *modfile.Line) bool { return hasComments(l.Comments) }) {
				commented = stmt
			} else {
				clean = stmt
			}
		}
	}
	if clean != nil {
		return clean
	}
	return commented
}

func isRequire(tokens []string) bool { return len(tokens) > 0 && tokens[0] == "require" }

func isIndirect(line *modfile.Line) bool {
	return len(line.Suffix) > 0 && slices.Contains(strings.FieldsFunc(line.Suffix[0].Token, func(r rune) bool { return strings.ContainsRune("/; \t\r", r) }), "indirect")
}

// hasComments reports comments other than the indirect mark.
func hasComments(c modfile.Comments) bool {
	return len(c.Before) > 0 || len(c.After) > 0 || len(c.Suffix) > 1 ||
		len(c.Suffix) == 1 && strings.TrimSpace(strings.TrimPrefix(c.Suffix[0].Token, "//")) != "indirect"
}

// intoBlock adds a line to a block, behind the last line that sorts before it.
func (e *modEdit) intoBlock(block *modfile.LineBlock, path, text string) {
	at := e.lineEnd(block.LParen.Pos.Byte)
	prefix := "\t"
	for _, line := range block.Line {
		prefix = string(e.raw[e.lineStart(line.Start.Byte):line.Start.Byte])
		if linePath(line) > path {
			break
		}
		at = e.lineEnd(line.End.Byte)
	}
	e.splice(at, at, prefix+text+e.eol)
}

// besideLine makes a block of a single require line and the new one.
func (e *modEdit) besideLine(line *modfile.Line, path, text string) {
	from, to := line.Start.Byte, e.lineEnd(line.End.Byte)
	// The mark and the spacing behind "require" move into the block as they are.
	have := strings.TrimSpace(string(e.raw[from+len("require") : to]))
	first, second := have, text
	if linePath(line) > path {
		first, second = text, have
	}
	e.splice(from, to, "require ("+e.eol+"\t"+first+e.eol+"\t"+second+e.eol+")"+e.eol)
}

// newStatement adds a require statement of its own: direct ones ahead of the
// indirect ones, otherwise behind the last, otherwise at the end of the file.
func (e *modEdit) newStatement(indirect bool, text string) {
	if !indirect {
		if next := e.home(true); next != nil {
			start, _ := next.Span()
			at := start.Byte
			if before := next.Comment().Before; len(before) > 0 {
				at = before[0].Start.Byte
			}
			at = e.lineStart(at)
			e.splice(at, at, text+e.eol+e.eol)
			return
		}
	}
	at := len(e.raw)
	for _, stmt := range e.file.Syntax.Stmt {
		var tokens []string
		switch stmt := stmt.(type) {
		case *modfile.Line:
			tokens = stmt.Token
		case *modfile.LineBlock:
			tokens = stmt.Token
		}
		if isRequire(tokens) {
			_, end := stmt.Span()
			at = e.lineEnd(end.Byte)
		}
	}
	text = e.eol + text + e.eol
	if at > 0 && e.raw[at-1] != '\n' {
		text = e.eol + text
	}
	e.splice(at, at, text)
}

func linePath(line *modfile.Line) string {
	tokens := line.Token
	if isRequire(tokens) && !line.InBlock {
		tokens = tokens[1:]
	}
	if len(tokens) == 0 {
		return ""
	}
	return strings.Trim(tokens[0], "\"`")
}
