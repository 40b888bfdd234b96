package templates

import (
	"fmt"
	"go/token"
	"regexp"
	"strings"
)

// Session kinds: how the account resolver reads who is signed in.
const (
	SessionFunc         = "func"             // a func of the host that takes the request or its context
	SessionCookie       = "cookie"           // a func of the host that takes the value of a cookie
	SessionSCS          = "scs"              // alexedwards/scs v2
	SessionGorilla      = "gorilla/sessions" // gorilla/sessions
	SessionSecureCookie = "securecookie"     // gorilla/securecookie
)

// Session is how the application tells who is signed in. The zero value leaves that to a person.
type Session struct {
	Checks   string `json:"checks,omitempty"`   // what is nil when nobody is: paths behind the result, "." for itself, separated by blanks
	Cookie   string `json:"cookie,omitempty"`   // name of the cookie or the session
	Func     string `json:"func,omitempty"`     // the host's func
	Gives    string `json:"gives,omitempty"`    // "value", "ok" or "error": what Func returns beside the account
	ID       string `json:"id,omitempty"`       // type of the id
	Import   string `json:"import,omitempty"`   // package of Func, or of the library
	Injected bool   `json:"injected,omitempty"` // Func cannot be imported: Host.SignedIn is its way here
	Key      string `json:"key,omitempty"`      // of the id in the session
	Kind     string `json:"kind,omitempty"`     // one of the Session constants
	Open     string `json:"open,omitempty"`     // why a person has to write this, though something was found
	Package  string `json:"package,omitempty"`  // name of the package Import
	Path     string `json:"path,omitempty"`     // from the result to the id
	Takes    string `json:"takes,omitempty"`    // "request", "context", "gin", "echo" or "fiber"
	Zero     string `json:"zero,omitempty"`     // what the id is when nobody is signed in, where nothing else tells
}

var (
	memberPath = regexp.MustCompile(`^(\.[A-Za-z_][A-Za-z0-9_]*(\(\))?)*$`)
	plainText  = regexp.MustCompile(`^[ -~]*$`)
)

// sessionIDs are the types of an id that a session can hold, and how each becomes text.
var sessionIDs = map[string]string{
	"int64": "$strconv.FormatInt(%s, 10)", "int": "$strconv.Itoa(%s)", "signed": "$strconv.FormatInt(int64(%s), 10)",
	"int32": "$strconv.FormatInt(int64(%s), 10)", "int16": "$strconv.FormatInt(int64(%s), 10)", "int8": "$strconv.FormatInt(int64(%s), 10)",
	"uint64": "$strconv.FormatUint(%s, 10)", "unsigned": "$strconv.FormatUint(uint64(%s), 10)", "uint": "$strconv.FormatUint(uint64(%s), 10)",
	"uint32": "$strconv.FormatUint(uint64(%s), 10)", "uint16": "$strconv.FormatUint(uint64(%s), 10)", "uint8": "$strconv.FormatUint(uint64(%s), 10)",
	"string": "%s", "text": "string(%s)", "stringer": "%s.String()",
}

// Filled reports whether CurrentAccount reads the session, rather than being a stub.
func (s Session) Filled() bool { return s.Kind != "" && s.Open == "" }

// Validate reports what rendering cannot work with: a manifest can be edited by anybody who can open a pull request.
func (s Session) validate(bad func(field, format string, args ...any)) {
	if s == (Session{}) {
		return
	}
	if s.Kind == "" || !plainText.MatchString(s.Open+s.Key+s.Cookie) {
		bad("session", "kind, open, key or cookie is not plain text")
	}
	if !s.Filled() {
		return
	}
	checks := strings.Fields(s.Checks)
	for i, check := range checks {
		checks[i] = strings.TrimSuffix(check, ".")
	}
	switch {
	case sessionIDs[s.ID] == "":
		bad("session.id", "%q is not the type of an id", s.ID)
	case !memberPath.MatchString(s.Path) || !memberPath.MatchString(strings.Join(checks, "")):
		bad("session.path", "%q, %q is not a way through fields", s.Path, s.Checks)
	case s.Zero != "" && s.Zero != "0" && s.Zero != `""`:
		bad("session.zero", "%q is not a literal", s.Zero)
	case s.Injected:
	case !importPath(s.Import) || !token.IsIdentifier(s.Package):
		bad("session.import", "%q is not the import path of package %q", s.Import, s.Package)
	case (s.Kind == SessionFunc || s.Kind == SessionCookie) && !token.IsExported(s.Func):
		bad("session.func", "%q is not exported", s.Func)
	}
}

// HostField is the declaration of the field of Host through which the session comes, "" for none.
func (s Session) hostField() string {
	switch {
	case !s.Filled():
		return ""
	case s.Injected:
		return "\t//: Host.SignedIn\n\tSignedIn func(r *$http.Request) (" + s.InjectedType() + ", bool)\n\n"
	case s.Kind == SessionSCS:
		return "\t//: Host.Sessions\n\tSessions *$found.SessionManager\n\n"
	case s.Kind == SessionGorilla:
		return "\t//: Host.Sessions\n\tSessions $found.Store\n\n"
	case s.Kind == SessionSecureCookie:
		return "\t//: Host.Sessions\n\tSessions *$found.SecureCookie\n\n"
	}
	return ""
}

// InjectedType is the type of the id that Host.SignedIn returns: it needs no import.
func (s Session) InjectedType() string {
	switch s.ID {
	case "int64", "signed":
		return "int64"
	case "uint64", "unsigned":
		return "uint64"
	}
	return "string"
}

// InjectedID turns an expression of the id's type into InjectedType.
func (s Session) InjectedID(expr string) string {
	switch s.ID {
	case "signed":
		return "int64(" + expr + ")"
	case "unsigned":
		return "uint64(" + expr + ")"
	case "text":
		return "string(" + expr + ")"
	case "stringer":
		return expr + ".String()"
	}
	return expr
}

// Nobody is the condition under which nobody is signed in, given the name of the result.
func (s Session) Nobody(name string) string {
	var parts []string
	switch s.Gives {
	case "ok":
		parts = append(parts, "!ok")
	case "error":
		parts = append(parts, "err != nil")
	}
	for _, check := range strings.Fields(s.Checks) {
		parts = append(parts, name+strings.TrimSuffix(check, ".")+" == nil")
	}
	if s.Zero != "" {
		parts = append(parts, name+s.Path+" == "+s.Zero)
	}
	return strings.Join(parts, " || ")
}

// Result is the name of what Func returns.
func (s Session) Result() string {
	if s.Path == "" {
		return "id"
	}
	return "user"
}

// Assigned is the left side of a call of Func.
func (s Session) Assigned() string {
	switch s.Gives {
	case "ok":
		return s.Result() + ", ok := "
	case "error":
		return s.Result() + ", err := "
	}
	return s.Result() + " := "
}

const (
	nobodySignedIn = " {\n\t\treturn $lockspire.Account{}, $lockspire.ErrNotSignedIn\n\t}\n"
	noSessions     = "\tif a.host.Sessions == nil {\n\t\treturn $lockspire.Account{}, $lockspire.ErrNotWired\n\t}\n"
)

// currentAccount is the body of CurrentAccount.
func (s Session) currentAccount(in Inputs) string {
	subject := func(expr string) string {
		return "\treturn $lockspire.Account{Subject: " + fmt.Sprintf(sessionIDs[s.ID], expr) + "}, nil\n"
	}
	if s.Injected {
		s.ID = s.InjectedType()
		return "\tif a.host.SignedIn == nil {\n\t\treturn $lockspire.Account{}, $lockspire.ErrNotWired\n\t}\n" +
			"\tid, ok := a.host.SignedIn(r)\n\tif !ok" + nobodySignedIn + subject("id")
	}
	switch s.Kind {
	case SessionFunc:
		return takenFrom(in, s.Takes) + "\t" + s.Assigned() + "$found." + s.Func + "(" + argument(s.Takes) + ")\n" +
			"\tif " + s.Nobody(s.Result()) + nobodySignedIn + subject(s.Result()+s.Path)
	case SessionCookie:
		cookie := "cookie"
		if s.Package == cookie {
			cookie = "sent"
		}
		return fmt.Sprintf("\t%s, err := r.Cookie(%q)\n\tif err != nil", cookie, s.Cookie) + nobodySignedIn +
			"\t" + s.Assigned() + "$found." + s.Func + "(" + cookie + ".Value)\n" +
			"\tif " + s.Nobody(s.Result()) + nobodySignedIn + subject(s.Result()+s.Path)
	case SessionSCS:
		get := map[string]string{"int": "GetInt", "int64": "GetInt64", "int32": "GetInt32", "string": "GetString"}[s.ID]
		if get == "" {
			return noSessions + fmt.Sprintf("\tid, ok := a.host.Sessions.Get(r.Context(), %q).(%s)\n\tif !ok || id == 0", s.Key, s.ID) + nobodySignedIn + subject("id")
		}
		return noSessions + fmt.Sprintf("\tid := a.host.Sessions.%s(r.Context(), %q)\n\tif id == %s", get, s.Key, zeroOf(s.ID)) + nobodySignedIn + subject("id")
	case SessionGorilla:
		return noSessions + fmt.Sprintf("\tsession, err := a.host.Sessions.Get(r, %q)\n", s.Cookie) + `	if err != nil {
		//: CurrentAccount.broken
		var broken interface{ IsDecode() bool }
		if $errors.As(err, &broken) && broken.IsDecode() {
			return $lockspire.Account{}, $lockspire.ErrNotSignedIn
		}
		return $lockspire.Account{}, err
	}
` + fmt.Sprintf("\tid, ok := session.Values[%q].(%s)\n\tif !ok || id == %s", s.Key, s.ID, zeroOf(s.ID)) + nobodySignedIn + subject("id")
	case SessionSecureCookie:
		return noSessions + fmt.Sprintf("\tcookie, err := r.Cookie(%q)\n\tif err != nil", s.Cookie) + nobodySignedIn +
			fmt.Sprintf("\tvar id %s\n\tif err := a.host.Sessions.Decode(%q, cookie.Value, &id); err != nil || id == %s", s.ID, s.Key, zeroOf(s.ID)) +
			nobodySignedIn + subject("id")
	}
	return ""
}

func zeroOf(id string) string {
	if id == "string" {
		return `""`
	}
	return "0"
}

// takenFrom gets the framework's context, where the host's func takes that.
func takenFrom(in Inputs, takes string) string {
	name := map[string]string{"gin": "GinContext", "echo": "EchoContext", "fiber": "FiberContext"}[takes]
	if name == "" {
		return ""
	}
	return "\tc, mounted := " + name + "(r)\n\tif !mounted {\n\t\treturn $lockspire.Account{}, $lockspire.ErrNotWired\n\t}\n"
}

func argument(takes string) string {
	switch takes {
	case "request":
		return "r"
	case "context":
		return "r.Context()"
	}
	return "c"
}

// Found names what tells who is signed in, as comments speak of it.
func (w words) Found() string {
	s := w.Session
	switch {
	case s.Injected:
		return "Host.SignedIn"
	case s.Kind == SessionFunc || s.Kind == SessionCookie:
		return s.Package + "." + s.Func
	}
	return "the key " + s.Key + " of Host.Sessions"
}
