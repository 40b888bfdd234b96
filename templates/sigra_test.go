package templates

import (
	"bytes"
	"go/scanner"
	"go/token"
	"path"
	"testing"
)

// With --sigra-host nothing but comments differs, whatever the session; golden/sigra-host has the difference for people.
func TestI111SigraHostChangesNothingButComments(t *testing.T) {
	inputs := variants()
	for name, session := range map[string]Session{
		"a func":   {Kind: SessionFunc, Import: "example.com/app/scope", Package: "scope", Func: "From", Takes: "context", Gives: "value", Checks: ". .User.", Path: ".User.ID", ID: "stringer"},
		"scs":      {Kind: SessionSCS, Import: "github.com/alexedwards/scs/v2", Package: "scs", Key: "userID", ID: "int64"},
		"injected": {Kind: SessionFunc, Injected: true, Takes: "request", Gives: "ok", Path: ".id", ID: "signed"},
		"open":     {Kind: SessionFunc, Open: "scope.From: it is generic, and only you know for which type"},
	} {
		in := muxInputs()
		in.Session = session
		inputs[name] = in
	}
	for name, in := range inputs {
		t.Run(name, func(t *testing.T) {
			in.SigraHost = false
			plain, err := Render(in)
			if err != nil {
				t.Fatal(err)
			}
			in.SigraHost = true
			sigra, err := Render(in)
			if err != nil {
				t.Fatal(err)
			}
			differ := 0
			for i := range plain {
				if plain[i].Path != sigra[i].Path || len(plain) != len(sigra) {
					t.Fatalf("other files: %s and %s", plain[i].Path, sigra[i].Path)
				}
				if bytes.Equal(plain[i].Content, sigra[i].Content) {
					continue
				}
				differ++
				if path.Ext(plain[i].Path) != ".go" || code(plain[i].Content) != code(sigra[i].Content) {
					t.Errorf("%s: more than comments differs:\n%s", plain[i].Path, sigra[i].Content)
				}
			}
			if differ == 0 {
				t.Error("no comment speaks of the current scope")
			}
		})
	}
}

// code is the tokens of a file without its comments.
func code(source []byte) string {
	fset := token.NewFileSet()
	var s scanner.Scanner
	s.Init(fset.AddFile("", fset.Base(), len(source)), source, nil, 0)
	var out bytes.Buffer
	for {
		_, tok, text := s.Scan()
		if tok == token.EOF {
			return out.String()
		}
		if tok != token.SEMICOLON {
			out.WriteString(tok.String() + " " + text + "\n")
		}
	}
}
