package plantest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
}

// The go command downloads what Proxy published, and changed content is another
// version.
func TestProxyPublishesUnderAVersionOfTheContent(t *testing.T) {
	src, dir := t.TempDir(), t.TempDir()
	write(t, src, "go.mod", "module example.test/published\n\ngo 1.24.0\n")
	write(t, src, "p.go", "package published\n")
	first, err := Proxy(dir, src)
	if err != nil {
		t.Fatal(err)
	}
	same, err := Proxy(t.TempDir(), src)
	if err != nil || same.Version != first.Version {
		t.Errorf("the same content is %s and %s, %v", first.Version, same.Version, err)
	}
	write(t, src, "p.go", "package published\n\nvar X int\n")
	second, err := Proxy(dir, src)
	if err != nil || second.Version == first.Version {
		t.Errorf("other content is %s again, %v", second.Version, err)
	}
	for _, p := range []Published{first, second} {
		cmd := exec.Command("go", "mod", "download", "-json", p.Path+"@"+p.Version)
		cmd.Dir = t.TempDir()
		cmd.Env = append(append(os.Environ(), p.Env()...), "GOMODCACHE="+filepath.Join(cmd.Dir, "cache"), "GOFLAGS=-modcacherw", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), `"Sum": "h1:`) {
			t.Errorf("%s: %v\n%s", p.Version, err, out)
		}
	}
}
