package install

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/templates"
)

// routeConflicts refuses what would take a route of the host away, or panic when the host starts. Every route at fault
// is listed.
func (j *job) routeConflicts() plan.Refusals {
	var refusals plan.Refusals
	for _, route := range j.router.Routes {
		if !route.Known {
			continue
		}
		what := ""
		switch j.router.Kind {
		case hostrepo.KindServeMux:
			what = j.muxConflict(route)
		case hostrepo.KindChi:
			what = j.chiConflict(route)
		}
		if what != "" {
			refusals = append(refusals, &plan.Refusal{
				Exit: 1, Path: route.File, Line: route.Line, Col: route.Col, What: what, Next: wordOtherMountPath(j.in.MountPath),
			})
		}
	}
	return refusals
}

// muxConflict asks net/http itself, with the two patterns on a mux of their own.
func (j *job) muxConflict(route hostrepo.Route) string {
	host := strings.TrimSpace(route.Method + " " + route.Pattern)
	for _, path := range templates.Paths(j.in) {
		if route.Pattern == path {
			return wordSameRoute(host)
		}
		for _, method := range templates.Methods {
			mux := http.NewServeMux()
			if !route.Group && registers(mux, host) == nil && registers(mux, method+" "+path) != nil {
				return wordPanics(host, method+" "+path)
			}
		}
	}
	if root := j.in.MountPath == "/"; root && route.CatchAll() {
		return wordRootNeedsNoCatchAll(host)
	}
	return ""
}

// registers returns what the mux panics with when it takes the pattern, or nil.
func registers(mux *http.ServeMux, pattern string) (panicked any) {
	defer func() { panicked = recover() }()
	mux.Handle(pattern, http.NotFoundHandler())
	return nil
}

// chiConflict: a later registration of the same pattern replaces the earlier one silently, and a sub-router at the
// mount path would be split between the host and us.
func (j *job) chiConflict(route hostrepo.Route) string {
	pattern := strings.TrimSpace(route.Method + " " + route.Pattern)
	for _, path := range templates.Paths(j.in) {
		if samePattern(route.Pattern, path) {
			return wordSameRoute(pattern)
		}
	}
	switch prefix := strings.TrimSuffix(j.in.MountPath, "/"); {
	case j.in.MountPath == "/" && route.CatchAll():
		return wordRootNeedsNoCatchAll(pattern)
	case prefix != "" && route.Subtree && (route.Pattern == prefix+"/*" || route.Pattern == prefix):
		return wordSubRouter(pattern)
	}
	return ""
}

// samePattern compares two chi patterns; the names of parameters do not matter.
func samePattern(a, b string) bool {
	x, y := strings.Split(a, "/"), strings.Split(b, "/")
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i] != y[i] && !(isParameter(x[i]) && isParameter(y[i])) {
			return false
		}
	}
	return true
}

func isParameter(segment string) bool {
	return strings.HasPrefix(segment, "{") && strings.HasSuffix(segment, "}")
}

// sharedPrefix warns of other routes below the mount path: they keep working, but a reader should know.
func (j *job) sharedPrefix() []string {
	if j.router == nil || j.in.MountPath == "/" {
		return nil
	}
	var out []string
	for _, route := range j.router.Routes {
		if route.Known && strings.HasPrefix(route.Pattern, j.in.MountPath+"/") {
			out = append(out, fmt.Sprintf("%s:%d %s", route.File, route.Line, strings.TrimSpace(route.Method+" "+route.Pattern)))
		}
	}
	return out
}
