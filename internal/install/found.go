package install

import (
	"fmt"
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

// basePath warns of an application that lives under a path which is only known at run time. The provider is mounted beside it,
// on what is served, so that its paths and the metadata at the root do not move; a session cookie may be limited to that path.
func (j *job) basePath() string {
	for _, r := range j.router.Routes {
		if base, ok := strings.CutSuffix(r.Pattern, ` + "/"`); ok && !r.Known && j.MountPath == "" {
			return fmt.Sprintf("%s:%d serves under %s, which is only known at run time. The provider is mounted at %s all the same: if your session\n"+
				"cookie is limited to that path, browsers do not send it there. Then give the path:\n"+
				"lockspire install --mount-path /base%s", r.File, r.Line, base, j.in.MountPath, j.in.MountPath)
		}
	}
	return ""
}
