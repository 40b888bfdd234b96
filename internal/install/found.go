package install

import (
	"strings"

	"github.com/lockspire/lockspire/internal/hostrepo"
)

// foundSession says what the account resolver reads, or why it reads nothing of what was found.
func (j *job) foundSession(add func(what, format string, args ...any)) {
	switch r := j.reader; {
	case r != nil && j.in.Session.Filled():
		add("session", "%s, %s:%d", sessionName(*r), r.File, r.Line)
	case r != nil:
		add("session", "%s, %s:%d, which is not enough: %s", sessionName(*r), r.File, r.Line, strings.TrimPrefix(j.in.Session.Open, sessionName(*r)+": "))
	case j.router != nil && len(j.repo.Sessions) > 0 && j.recorded == nil:
		s := j.repo.Sessions[0]
		add("session", "%s, %s:%d; nothing was found that tells who is signed in", s.Name, s.File, s.Line)
	}
}

// handleWords names a handle by its library and by what Mount is given.
func handleWords(h *hostrepo.Handle) string {
	if h.Library != "" && h.Library != h.Kind {
		return h.Kind + " " + h.Expr + " (" + h.Library + ")"
	}
	return h.Kind + " " + h.Expr
}

func (j *job) engineWords() string {
	if j.in.EngineAtStart {
		return "sqlite or postgres: the database is asked at start"
	}
	return j.in.Engine
}
