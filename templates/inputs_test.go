package templates

import (
	"strings"
	"testing"
)

func TestI77NormalMountPath(t *testing.T) {
	for given, want := range map[string]string{
		"/lockspire": "/lockspire", "lockspire": "/lockspire", "/lockspire/": "/lockspire", "/a/b-c_d.e~f": "/a/b-c_d.e~f", "/": "/",
	} {
		if got, err := NormalMountPath(given); err != nil || got != want {
			t.Errorf("%q gives %q, %v; want %q", given, got, err, want)
		}
	}
	for given, rule := range map[string]string{
		"": "empty", "//": "empty segment", "/a//b": "empty segment", "/a/../b": "dot segment", "/a/./b": "dot segment", "/a%2fb": "escape",
		"/{tenant}": "wildcard", "/a*": "wildcard", "/:id": "wildcard", "/a?b": "query", "/Auth": "lower case",
		"/.well-known": "reserved", "/.well-known/x": "reserved", "/a\"b": "may only use", "/ä": "may only use",
	} {
		if got, err := NormalMountPath(given); err == nil || !strings.Contains(err.Error(), rule) {
			t.Errorf("%q gives %q, %v; want an error about %q", given, got, err, rule)
		}
	}
}

// A manifest can be edited in a pull request, so its inputs are checked before anything is rendered from them.
func TestValidateNamesEveryFieldAtFault(t *testing.T) {
	in := muxInputs()
	in.Package, in.MountPath, in.LoginPath = "../outside", "/Auth/", "//evil.example"
	in.DriverImport, in.Router, in.Module = "a\"; import \"os", "martini", "example.com/../x"
	in.Schema = "auth"
	_, err := Render(in)
	if err == nil {
		t.Fatal("rendered")
	}
	for _, field := range []string{"package", "mount_path", "login_path", "driver_import", "router", "module", "schema"} {
		if !strings.Contains(err.Error(), "inputs: "+field) {
			t.Errorf("no word about %s in:\n%v", field, err)
		}
	}
}
