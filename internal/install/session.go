package install

import (
	"slices"
	"strconv"
	"strings"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/templates"
)

// sessionNone leaves who is signed in to a person, whatever was found.
const sessionNone = "none"

// chooseSession finds what tells who is signed in, for the account resolver. Nothing that could be wrong is taken: with a
// second factor about, with an error whose meaning only the host knows, or with an id that is no text, the resolver stays a
// stub and says why.
func (j *job) chooseSession() plan.Refusals {
	if j.router == nil || j.Session == sessionNone {
		return nil
	}
	readers := j.router.Readers
	if j.Session != "" {
		named := func(r hostrepo.Reader) bool { return r.Name == j.Session }
		i := slices.IndexFunc(readers, named)
		if i < 0 {
			return j.noSuchSession()
		}
		j.readWith(readers[i])
		return nil
	}
	var whole []hostrepo.Reader
	for _, r := range readers {
		same := func(have hostrepo.Reader) bool { return have.Account == r.Account }
		if r.Problem == "" && !slices.ContainsFunc(whole, same) {
			whole = append(whole, r)
		}
	}
	// A func of the host goes before the library that it may well read itself.
	if funcs := slices.DeleteFunc(slices.Clone(whole), isLibrary); len(funcs) > 0 {
		whole = funcs
	}
	switch {
	case len(whole) == 1:
		j.readWith(whole[0])
	case len(whole) > 1:
		var refusals plan.Refusals
		for _, r := range whole {
			refusals = append(refusals, &plan.Refusal{
				Exit: 3, Path: r.File, Line: r.Line, Col: r.Col, What: wordManySessions(r, len(whole)), Next: sessionFlag(r.Name),
			})
		}
		return refusals
	case len(readers) > 0:
		j.readWith(readers[0])
	}
	return nil
}

func isLibrary(r hostrepo.Reader) bool {
	return r.Kind != hostrepo.ReaderFunc && r.Kind != hostrepo.ReaderToken
}

func sessionFlag(name string) string {
	if strings.ContainsAny(name, "()* ") {
		name = "'" + name + "'"
	}
	return "lockspire install --session " + name
}

func (j *job) noSuchSession() plan.Refusals {
	var next []string
	for _, r := range j.router.Readers {
		next = append(next, sessionFlag(r.Name))
	}
	return plan.Refusals{{Exit: 2, What: wordNoSuchSession(j.Session), Next: strings.Join(append(next, sessionFlag(sessionNone)), "\n")}}
}

// readWith turns a reader into inputs.
func (j *job) readWith(r hostrepo.Reader) {
	j.reader = &r
	s := templates.Session{
		Kind: r.Kind, Import: r.Import, Package: r.Package, Func: r.Func, Takes: r.Takes, Gives: r.Gives, Path: r.Path, ID: r.ID, Zero: r.Zero,
		Key: r.Key, Cookie: r.Cookie, Injected: r.Call != "",
	}
	for _, check := range r.Checks {
		s.Checks = strings.TrimSpace(s.Checks + " " + check + ".")
	}
	s.Checks = strings.ReplaceAll(s.Checks, "..", ".")
	if r.Problem == "" && s.Injected && j.httpName() == "" {
		r.Problem = "the file with the router does not import net/http"
	}
	if r.Problem != "" {
		s = templates.Session{Kind: r.Kind, Open: sessionName(r) + ": " + r.Problem}
	}
	j.in.Session = s
}

func sessionName(r hostrepo.Reader) string {
	if isLibrary(r) && r.Key != "" {
		return r.Name + " with the key " + strconv.Quote(r.Key)
	}
	return r.Name
}

// httpName is what the file at the insertion point calls net/http, "" when it does not import it.
func (j *job) httpName() string {
	name := j.router.Insert.ImportName("net/http")
	if name == "." || name == "_" {
		return ""
	}
	return name
}

// sessionField is the field of the Host literal that carries the session: a manager, a func, or lines of a closure that
// turns what the host's func returns into what the resolver asks for.
func (j *job) sessionField(qualifier string) string {
	s, r := j.in.Session, j.reader
	switch {
	case r == nil || !s.Filled():
		return ""
	case r.Host != "":
		return "Sessions: " + r.Host
	case !s.Injected:
		return ""
	case s.Takes == hostrepo.TakesRequest && s.Gives == hostrepo.GivesOK && s.Path == "" && s.ID == s.InjectedType():
		return "SignedIn: " + r.Call
	}
	request, result := "r", s.Result()
	if strings.HasPrefix(r.Call, "r.") {
		request = "request"
	}
	if strings.HasPrefix(r.Call, result+".") {
		result = "found"
	}
	zero := "0"
	if s.InjectedType() == "string" {
		zero = `""`
	}
	var lines []string
	argument := request
	switch s.Takes {
	case hostrepo.TakesContext:
		argument = request + ".Context()"
	case hostrepo.TakesGin, hostrepo.TakesEcho, hostrepo.TakesFiber:
		get := map[string]string{hostrepo.TakesGin: "GinContext", hostrepo.TakesEcho: "EchoContext", hostrepo.TakesFiber: "FiberContext"}[s.Takes]
		argument = "context"
		lines = append(lines, "\tcontext, mounted := "+qualifier+get+"("+request+")", "\tif !mounted {", "\t\treturn "+zero+", false", "\t}")
	}
	lines = append(lines, "\t"+strings.Replace(s.Assigned(), s.Result(), result, 1)+r.Call+"("+argument+")",
		"\tif "+s.Nobody(result)+" {", "\t\treturn "+zero+", false", "\t}", "\treturn "+s.InjectedID(result+s.Path)+", true")
	return "SignedIn: func(" + request + " *" + j.httpName() + ".Request) (" + s.InjectedType() + ", bool) {\n" + strings.Join(lines, "\n") + "\n}"
}
