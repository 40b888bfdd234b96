//go:build unix

package plan

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// I96. Replaced files keep their mode, new ones follow the umask.
func TestI96ApplyKeepsModesAndFollowsTheUmask(t *testing.T) {
	root := newFixture(t)
	p := fixturePlan(root)
	old := syscall.Umask(0o077)
	_, err := p.Apply(t.Context())
	syscall.Umask(old)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{"run.sh": 0o755, "server.go": 0o640, "go.mod": 0o644, "internal/authserver/gen.go": 0o600} {
		if info, err := os.Stat(filepath.Join(root, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v (%v)", name, info.Mode().Perm(), want, err)
		}
	}
}
