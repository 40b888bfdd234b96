package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lockspire/lockspire/internal/verify"
)

func readTop(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// The command lines of documents and CI files: "lockspire verify --x", also after a version or a quote.
var (
	commandLine = regexp.MustCompile("(?:^|[\\s`/(])lockspire(?:@v[0-9.]+)?((?: [a-z][a-z-]*)+)((?: [^`|;&)\n]+)?)")
	flagWord    = regexp.MustCompile(`(?:^|[\s\[(,])(--[a-z][a-z-]*)`)
	formatWord  = regexp.MustCompile(`--format "?([a-z]+)`)
)

func TestCIFilesNameCommandsAndFlagsThatExist(t *testing.T) {
	root := newRoot(&terminal{})
	verifyCommand, _, err := root.Find([]string{"verify"})
	if err != nil {
		t.Fatal(err)
	}
	flags := func(where, text string) (n int) {
		for _, m := range flagWord.FindAllStringSubmatch(text, -1) {
			name := strings.TrimPrefix(m[1], "--")
			if verifyCommand.Flags().Lookup(name) == nil && verifyCommand.InheritedFlags().Lookup(name) == nil {
				t.Errorf("%s names --%s, which verify does not have", where, name)
			}
			n++
		}
		for _, m := range formatWord.FindAllStringSubmatch(text, -1) {
			if !slices.Contains(verify.Formats, m[1]) {
				t.Errorf("%s names the format %s", where, m[1])
			}
		}
		return n
	}
	_, script, _ := strings.Cut(readTop(t, "action.yml"), "run: |")
	if n := flags("action.yml", script); n < 8 {
		t.Errorf("only %d flags were seen in action.yml", n)
	}
	hooks := readTop(t, ".pre-commit-hooks.yaml")
	if !strings.Contains(hooks, "entry: lockspire verify\n") {
		t.Error("the hook does not call verify")
	}
	flags(".pre-commit-hooks.yaml", hooks)
	prose, _, _ := strings.Cut(readTop(t, "docs/verify.md"), "\n# Rules")
	for name, text := range map[string]string{"docs/verify.md": prose, "docs/ci.md": readTop(t, "docs/ci.md")} {
		if n := flags(name, text); n < 5 {
			t.Errorf("only %d flags were seen in %s", n, name)
		}
		lines := commandLine.FindAllStringSubmatch(text, -1)
		if len(lines) < 3 {
			t.Errorf("only %d command lines were seen in %s", len(lines), name)
		}
		for _, m := range lines {
			if cmd, _, err := root.Find(strings.Fields(m[1])); err != nil || cmd == root {
				t.Errorf("%s names lockspire%s, which is no command", name, m[1])
			}
		}
	}
	for _, m := range regexp.MustCompile(`id: (lockspire-[a-z]+)`).FindAllStringSubmatch(readTop(t, "docs/ci.md"), -1) {
		if !strings.Contains(hooks, "- id: "+m[1]+"\n") {
			t.Errorf("docs/ci.md names the hook %s", m[1])
		}
	}
}

var (
	inputName = regexp.MustCompile(`(?m)^  ([a-z-]+):\n    description:`)
	inputUse  = regexp.MustCompile(`(?m)^        ([A-Z_]+): \$\{\{ inputs\.([a-z-]+) \}\}$`)
)

// The step of the action is run as it stands, with the command built here in the place of the one that go install gets.
func TestTheActionKeepsTheExitCodeAndQuotesItsInputs(t *testing.T) {
	action := readTop(t, "action.yml")
	declared, _, _ := strings.Cut(action, "\noutputs:")
	used := map[string]string{"working-directory": ""}
	for _, m := range inputUse.FindAllStringSubmatch(action, -1) {
		used[m[2]] = m[1]
	}
	for _, m := range inputName.FindAllStringSubmatch(declared, -1) {
		if _, ok := used[m[1]]; !ok {
			t.Errorf("the input %s is not used", m[1])
		}
		delete(used, m[1])
	}
	if len(used) != 0 {
		t.Errorf("inputs are used that are not declared: %v", used)
	}
	_, script, _ := strings.Cut(action, "run: |\n")
	if strings.Contains(script, "${{") {
		t.Error("an input is pasted into the script, where a shell reads it")
	}

	bin, host := t.TempDir(), t.TempDir()
	command, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		filepath.Join(bin, "go"): "#!/bin/sh\nif [ \"$1\" != install ]; then exec '" + goTool + "' \"$@\"; fi\n" +
			"[ \"$2\" = github.com/lockspire/lockspire/cmd/lockspire@v0.1.0 ] && ln -s '" + command + "' \"$GOBIN/lockspire\"\n",
		filepath.Join(host, "go.mod"):  "module example.com/host\n\ngo 1.25.0\n",
		filepath.Join(host, "main.go"): "package main\n\nimport \"net/http\"\n\nfunc main() {\n\tmux := http.NewServeMux()\n\thttp.ListenAndServe(\":1\", mux)\n}\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	step := func(dir string, env ...string) (exit int, out, result string) {
		output := filepath.Join(t.TempDir(), "output")
		cmd := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "GITHUB_OUTPUT="+output, "TMPDIR="+t.TempDir(), "GOWORK=off", reportEnv+"=",
			"VERSION=", "ACTION_REF=v0.1.0", "FAIL_ON=error", "STRICT=false", "SUPPRESS=true", "BASELINE=", "SARIF=", "TAGS=", "TIMEOUT=10m")
		cmd.Env = append(cmd.Env, env...)
		text, err := cmd.CombinedOutput()
		data, _ := os.ReadFile(output)
		return exitOf(err), string(text), string(data)
	}
	sarif := `my $(touch hacked) report.sarif`
	if exit, out, result := step(host, "SARIF="+sarif); exit != 1 || result != "exit-code=1\n" || !strings.Contains(out, "::error file=main.go,line=6,") {
		t.Errorf("findings: exit %d, %q\n%s", exit, result, out)
	}
	if _, err := os.Stat(filepath.Join(host, sarif)); err != nil {
		t.Errorf("the SARIF report: %v", err)
	}
	if _, err := os.Stat(filepath.Join(host, "hacked")); err == nil {
		t.Error("the shell ran an input")
	}
	if exit, out, result := step(t.TempDir()); exit != 3 || result != "exit-code=3\n" || !strings.Contains(out, "::error title=lockspire verify could not run::") {
		t.Errorf("no module: exit %d, %q\n%s", exit, result, out)
	}
	if exit, out, result := step(host, "VERSION=v9.9.9"); exit != 3 || result != "exit-code=3\n" {
		t.Errorf("no such version: exit %d, %q\n%s", exit, result, out)
	}
	if exit, out, result := step(host, "ACTION_REF="); exit != 2 || result != "exit-code=2\n" || !strings.Contains(out, "::error ") {
		t.Errorf("no version: exit %d, %q\n%s", exit, result, out)
	}
	if exit, out, _ := step(host, "FAIL_ON=everything", "STRICT=true", "SUPPRESS=false", "TAGS=a,b", "BASELINE=none.json"); exit != 2 || !strings.Contains(out, "--fail-on") {
		t.Errorf("a wrong input: exit %d\n%s", exit, out)
	}
}
