package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// settings is what a script of clients/ knows, as its developer would.
type settings struct {
	Issuer      string `json:"issuer"`
	API         string `json:"api"`
	RedirectURI string `json:"redirect_uri"`
	Client      struct {
		ID     string `json:"id"`
		Secret string `json:"secret,omitempty"`
	} `json:"client"`
	Service struct {
		ID     string `json:"id"`
		Secret string `json:"secret"`
	} `json:"service"`
}

// said is one line of a script: a step that it has done, or the address that a
// person has to open.
type said struct {
	Did       string `json:"did"`
	Authorize string `json:"authorize"`
	Decision  string `json:"decision"`
}

// node runs a script of clients/ with the packages of package-lock.json. It
// must do the steps in their order, and end well.
func (h *host) node(t *testing.T, script string, s settings, steps ...string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join("node_modules", "oauth4webapi")); err != nil {
		t.Fatalf("the npm packages are not installed; run: make deps (%v)", err)
	}
	s.Issuer, s.API, s.RedirectURI = h.issuer, h.url+"/api", callbackURL
	encoded, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "node", filepath.Join("clients", script))
	command.Env = append(os.Environ(), "CLIENT="+string(encoded), "NO_COLOR=1")
	var stderr strings.Builder
	command.Stderr = &stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatalf("node cannot be run; run: make deps (%v)", err)
	}
	var done []string
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		var line said
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Errorf("%s printed %q", script, lines.Text())
			continue
		}
		if line.Authorize == "" {
			done = append(done, line.Did)
			continue
		}
		back := signInAndDecide(t, h, line.Authorize, line.Decision)
		if _, err := stdin.Write([]byte(back.String() + "\n")); err != nil {
			t.Error(err)
		}
	}
	if err := command.Wait(); err != nil {
		t.Errorf("%s: %v\n%s", script, err, stderr.String())
	}
	if !slices.Equal(done, steps) {
		t.Errorf("%s did %q, want %q", script, done, steps)
	}
}
