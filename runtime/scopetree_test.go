package lockspire

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestAHierarchyThatMeansNothingIsRefusedByItsField(t *testing.T) {
	named := func(name string, implies ...string) Scope { return Scope{Name: name, Implies: implies} }
	for _, c := range []struct {
		name   string
		scopes []Scope
		want   []string
	}{
		{"unknown", []Scope{named("a", "b")}, []string{`Scopes[0].Implies: "b" is not in Config.Scopes`}},
		{"itself", []Scope{named("a"), named("b", "b")}, []string{`Scopes[1].Implies: "b" implies itself`}},
		{"circle", []Scope{named("a", "b"), named("b", "c"), named("c", "a"), named("d", "a")},
			[]string{`Scopes[0].Implies: "a" implies itself, by way of b, c, a`}},
		{"two circles", []Scope{named("a", "b"), named("b", "a"), named("c", "d"), named("d", "c")},
			[]string{`Scopes[0].Implies`, `Scopes[2].Implies`}},
		{"circle further on", []Scope{named("d", "a"), named("a", "b"), named("b", "a")}, []string{`Scopes[1].Implies: "a" implies itself`}},
		{"twice", []Scope{named("a", "b", "b"), named("b")}, []string{`Scopes[0].Implies: "b" is listed twice`}},
		{"openid", []Scope{named("a", "openid")}, []string{`Scopes[0].Implies: openid cannot be implied`}},
		{"offline_access", []Scope{named("a", "offline_access")}, []string{`Scopes[0].Implies: offline_access cannot be implied`}},
		{"of openid", []Scope{named("openid", "a"), named("a")}, []string{`Scopes[0].Implies: openid implies nothing`}},
		{"shared", []Scope{named("a", "b", "c"), named("b", "d"), named("c", "d"), named("d")}, nil},
	} {
		var got []string
		normalizeScopes(c.scopes, func(field, format string, args ...any) {
			got = append(got, field+": "+fmt.Sprintf(format, args...))
		})
		if len(got) != len(c.want) {
			t.Errorf("%s: reported %q", c.name, got)
			continue
		}
		for i, want := range c.want {
			if !strings.HasPrefix(got[i], want) {
				t.Errorf("%s: reported %q; want %q", c.name, got[i], want)
			}
		}
	}
}

func TestAHierarchyReachesThroughOthersAndKeepsItsInput(t *testing.T) {
	h := newHierarchy([]Scope{{Name: "read"}, {Name: "admin", Implies: []string{"write"}}, {Name: "write", Implies: []string{"read"}}, {Name: "other"}})
	asked := make([]string, 1, 8)
	asked[0] = "admin"
	if got := h.with(asked); !slices.Equal(got, []string{"admin", "read", "write"}) {
		t.Errorf("admin is good for %v", got)
	}
	if rest := asked[:2]; rest[1] != "" {
		t.Errorf("the caller's list was written to: %v", rest)
	}
	if got := h.with([]string{"other", "unknown"}); !slices.Equal(got, []string{"other", "unknown"}) {
		t.Errorf("what implies nothing: %v", got)
	}
	if got := hierarchy(nil).with([]string{"a"}); !slices.Equal(got, []string{"a"}) {
		t.Errorf("the zero value: %v", got)
	}
}
