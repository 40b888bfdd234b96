package lockspire

import (
	"fmt"
	"slices"
	"strings"
)

// hierarchy says by name what each scope implies, directly and through others,
// in catalogue order (Scope.Implies). The zero value implies nothing. It is
// immutable.
type hierarchy map[string][]string

// newHierarchy follows the implications of a catalogue that checkHierarchy has
// passed.
func newHierarchy(scopes []Scope) hierarchy {
	h := hierarchy{}
	for _, scope := range scopes {
		reached := reachedFrom(scopes, scope.Name)
		for _, other := range scopes {
			if slices.Contains(reached, other.Name) {
				h[scope.Name] = append(h[scope.Name], other.Name)
			}
		}
	}
	return h
}

// with returns scopes followed by what they imply: all that a token which
// carries scopes is good for.
func (h hierarchy) with(scopes []string) []string {
	all := scopes
	for _, scope := range scopes {
		if len(h[scope]) > 0 {
			all = union(all, h[scope])
		}
	}
	return all
}

// reachedFrom lists what scope implies, however far away, itself too where the
// way leads back.
func reachedFrom(scopes []Scope, scope string) []string {
	var reached []string
	ahead := directlyImplied(scopes, scope)
	for len(ahead) > 0 {
		next := ahead[0]
		ahead = ahead[1:]
		if !slices.Contains(reached, next) {
			reached = append(reached, next)
			ahead = append(ahead, directlyImplied(scopes, next)...)
		}
	}
	return reached
}

func directlyImplied(scopes []Scope, name string) []string {
	i := slices.IndexFunc(scopes, func(s Scope) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return slices.Clone(scopes[i].Implies)
}

// checkHierarchy reports implications that mean nothing. openid and
// offline_access stand for a sign-in and for access while the user is away: they
// are asked for by name, and no scope of an API comes along with them.
func checkHierarchy(scopes []Scope, report reporter) {
	var circle []string
	for i, scope := range scopes {
		field := fmt.Sprintf("Scopes[%d].Implies", i)
		if len(scope.Implies) > 0 && userScope(scope.Name) {
			report(field, "%s implies nothing; it is not about an API", scope.Name)
		}
		for j, name := range scope.Implies {
			switch {
			case userScope(name):
				report(field, "%s cannot be implied; clients ask for it by name", name)
			case !slices.ContainsFunc(scopes, func(s Scope) bool { return s.Name == name }):
				report(field, "%q is not in Config.Scopes", name)
			case slices.Contains(scope.Implies[:j], name):
				report(field, "%q is listed twice", name)
			}
		}
		reached := reachedFrom(scopes, scope.Name)
		if slices.Contains(reached, scope.Name) && !slices.Contains(circle, scope.Name) {
			// Once for all that are on it.
			circle = append(circle, reached...)
			report(field, "%q implies itself, by way of %s", scope.Name, strings.Join(reached, ", "))
		}
	}
}
