package lockspire

import "testing"

func TestAppendToKeepsQueryAndFragmentInTheirPlaces(t *testing.T) {
	i := Interaction{ID: "i", ReturnTo: "/lockspire/interactions/i"}
	const added = "interaction_id=i&return_to=%2Flockspire%2Finteractions%2Fi"
	for path, want := range map[string]string{
		"/login":          "/login?" + added,
		"/login?tab=1":    "/login?tab=1&" + added,
		"/#/login":        "/?" + added + "#/login",
		"/login?tab=1#in": "/login?tab=1&" + added + "#in",
		"/login#a?b":      "/login?" + added + "#a?b",
	} {
		if got := i.AppendTo(path); got != want {
			t.Errorf("%s becomes %s, want %s", path, got, want)
		}
	}
}
