package install

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
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
		what, next := j.conflict(route), wordOtherMountPath(j.in.MountPath)
		if what == "" {
			continue
		}
		if j.router.Kind == hostrepo.KindGin && route.CatchAll() {
			next = wordNoRoute
		}
		refusals = append(refusals, &plan.Refusal{Exit: 1, Path: route.File, Line: route.Line, Col: route.Col, What: what, Next: next})
	}
	return refusals
}

// conflict says what is wrong with a route of the host beside ours, "" when nothing is.
func (j *job) conflict(route hostrepo.Route) string {
	switch j.router.Kind {
	case hostrepo.KindServeMux:
		return j.muxConflict(route)
	case hostrepo.KindChi:
		return j.chiConflict(route)
	case hostrepo.KindGin:
		return j.ginConflict(route)
	case hostrepo.KindGorilla, hostrepo.KindFiber:
		return j.orderConflict(route)
	}
	return j.pathConflict(route) // echo: static before parameter before wildcard; a handler is asked after us
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

// pathConflict is for routers in which a path that is written out goes before all others: only the same path, whatever
// its parameters are called, would be taken from the host.
func (j *job) pathConflict(route hostrepo.Route) string {
	pattern := strings.TrimSpace(route.Method + " " + route.Pattern)
	for _, path := range templates.Paths(j.in) {
		if samePattern(route.Pattern, path) {
			return wordSameRoute(pattern)
		}
	}
	if j.in.MountPath == "/" && route.CatchAll() {
		return wordRootNeedsNoCatchAll(pattern)
	}
	return ""
}

// ginConflict: gin panics when a wildcard meets another route below the same prefix, and when two parameters of different
// names are in one place.
func (j *job) ginConflict(route hostrepo.Route) string {
	if j.left(route) {
		return ""
	}
	host := strings.TrimSpace(route.Method + " " + route.Pattern)
	if what := j.pathConflict(route); what != "" {
		return what
	}
	for _, path := range templates.Paths(j.in) {
		before, _, wildcard := strings.Cut(route.Pattern, "*")
		if wildcard && strings.HasPrefix(path, before) {
			return wordGinPanics(host, path)
		}
		if otherParameter(route.Pattern, path) {
			return wordGinPanics(host, path)
		}
	}
	return ""
}

// leaveMethods: gin keeps a tree of routes for each method, so a wildcard such as OPTIONS /*any is only in the way of what
// is registered for that method. Where no endpoint needs the method, it stays the host's.
func (j *job) leaveMethods() {
	if j.router.Kind != hostrepo.KindGin {
		return
	}
	var methods []string
	for _, route := range j.router.Routes {
		if route.Known && strings.Contains(route.Pattern, "*") && templates.CanLeave(route.Method) && j.ginConflict(route) != "" {
			methods = append(methods, route.Method)
		}
	}
	slices.Sort(methods)
	j.in.HostMethods = strings.Join(slices.Compact(methods), ",")
}

// otherParameter reports whether two patterns are equal up to a segment where both have a parameter, by different names.
func otherParameter(host, ours string) bool {
	x, y := strings.Split(host, "/"), strings.Split(ours, "/")
	for i := 0; i < len(x) && i < len(y); i++ {
		if isParameter(x[i]) && isParameter(y[i]) {
			return strings.Trim(x[i], "{}:") != strings.Trim(y[i], "{}:")
		}
		if x[i] != y[i] {
			return false
		}
	}
	return false
}

// orderConflict: in gorilla/mux and fiber the first match wins. A route that matches whatever the first segment is comes
// after our call; one below a part of our path may stand before it.
func (j *job) orderConflict(route hostrepo.Route) string {
	if what := j.pathConflict(route); what != "" {
		return what
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(route.Pattern, "/"), "/")
	if route.CatchAll() || strings.ContainsAny(first, "{:*+") {
		return ""
	}
	for _, path := range templates.Paths(j.in) {
		if matches(route, strings.ReplaceAll(path, "{id}", "id")) {
			return wordHidden(strings.TrimSpace(route.Method+" "+route.Pattern), path)
		}
	}
	return ""
}

// matches reports whether a route of gorilla/mux or fiber answers a path.
func matches(route hostrepo.Route, path string) bool {
	if prefix := strings.TrimSuffix(route.Pattern, "*"); route.Subtree && !strings.ContainsAny(prefix, "{:") {
		return strings.HasPrefix(path, prefix)
	}
	x, y := strings.Split(route.Pattern, "/"), strings.Split(path, "/")
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i] != y[i] && !takes(x[i], y[i]) {
			return false
		}
	}
	return true
}

// takes reports whether a segment of a pattern is a parameter that can be text.
func takes(segment, text string) bool {
	if !isParameter(segment) {
		return strings.ContainsAny(segment, "{:*+") // a parameter within the segment
	}
	_, expression, ok := strings.Cut(strings.Trim(segment, "{}"), ":")
	if !ok || strings.HasPrefix(segment, ":") {
		return true
	}
	re, err := regexp.Compile("^(?:" + expression + ")$")
	return err != nil || re.MatchString(text)
}

// samePattern compares two patterns; the names of parameters do not matter.
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

// isParameter: "{id}" of chi, gorilla and net/http, ":id" of gin, echo and fiber.
func isParameter(segment string) bool {
	return strings.HasPrefix(segment, "{") && strings.HasSuffix(segment, "}") || strings.HasPrefix(segment, ":")
}

// left reports whether the route is a wildcard that keeps its method.
func (j *job) left(route hostrepo.Route) bool {
	return route.Method != "" && strings.Contains(route.Pattern, "*") && slices.Contains(strings.Split(j.in.HostMethods, ","), route.Method)
}

// leftMethods warns of the methods that the host's wildcard keeps, with the place of the wildcard.
func (j *job) leftMethods() []string {
	var out []string
	if j.router == nil {
		return nil
	}
	for _, route := range j.router.Routes {
		if route.Known && j.left(route) {
			out = append(out, wordLeftMethod(fmt.Sprintf("%s:%d", route.File, route.Line), route.Method, route.Pattern))
		}
	}
	return out
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
