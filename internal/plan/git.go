package plan

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// gitState is what git knows about the targets of a plan.
type gitState struct {
	usable bool
	// dirty holds module-relative paths with uncommitted changes and how git
	// marks them; an untracked directory ends in a slash.
	dirty map[string]string
	// ignored says for a path which rule hides it: ".gitignore:3: /internal/".
	ignored map[string]string
}

// noGit is said once where nothing but our own undo can take a run back.
const noGit = "git does not keep this module, so .lockspire/undo is the only way back"

// readGit asks git about the module. Every failure means "not usable": a missing
// program, no repository, or one that git refuses to open.
func (p *Plan) readGit(ctx context.Context, env Env) *gitState {
	g := &gitState{dirty: map[string]string{}, ignored: map[string]string{}}
	prefix, err := p.git(ctx, env, nil, "rev-parse", "--show-prefix")
	if err != nil {
		return g
	}
	if p.isIgnored(ctx, env, "go.mod") {
		return g // a scratch module in an ignored directory of some other repository
	}
	status, err := p.git(ctx, env, nil, "status", "--porcelain=v1", "-z", "--untracked-files=normal", "--ignore-submodules=all", "--", ".")
	if err != nil {
		return g
	}
	g.usable = true
	g.readStatus(status, strings.TrimSuffix(string(prefix), "\n"))
	var targets bytes.Buffer
	for _, c := range p.ordered() {
		if c.After != nil && !isVendor(c.Path) {
			targets.WriteString(c.Path + "\x00")
		}
	}
	// Exit code 1 means that nothing is ignored; the output is empty then.
	out, _ := p.git(ctx, env, targets.Bytes(), "check-ignore", "-v", "-z", "--stdin")
	g.readIgnored(out)
	return g
}

func (p *Plan) isIgnored(ctx context.Context, env Env, path string) bool {
	_, err := p.git(ctx, env, nil, "check-ignore", "-q", path)
	return err == nil
}

// git runs a reading git command. It takes no lock, so that the index stays
// byte for byte the same, and starts no program that the repository names.
func (p *Plan) git(ctx context.Context, env Env, stdin []byte, args ...string) ([]byte, error) {
	args = append([]string{"--no-optional-locks", "-c", "core.fsmonitor=false", "-C", p.Root}, args...)
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env = env.environ()
	cmd.Stdin = bytes.NewReader(stdin)
	return cmd.Output()
}

// readStatus parses "XY path" entries; a rename is followed by its old path.
// Paths count from the top of the repository, prefix is the module's place there.
func (g *gitState) readStatus(out []byte, prefix string) {
	parts := strings.Split(string(out), "\x00")
	for i := 0; i < len(parts); i++ {
		if len(parts[i]) < 4 {
			continue
		}
		mark, name := parts[i][:2], parts[i][3:]
		if strings.ContainsAny(mark, "RC") {
			i++
		}
		if strings.HasPrefix(prefix, name) && strings.HasSuffix(name, "/") {
			g.dirty["./"] = mark // the module lies inside an untracked directory
		} else if rel, ok := strings.CutPrefix(name, prefix); ok {
			g.dirty[rel] = mark
		}
	}
}

// readIgnored parses the four fields of each check-ignore match.
func (g *gitState) readIgnored(out []byte) {
	parts := strings.Split(string(out), "\x00")
	for ; len(parts) >= 4; parts = parts[4:] {
		source, line, pattern, name := parts[0], parts[1], parts[2], parts[3]
		if !strings.HasPrefix(pattern, "!") {
			g.ignored[name] = fmt.Sprintf("%s:%s: %s", source, line, pattern)
		}
	}
}

// mark is how git marks path, "" for a clean file.
func (g *gitState) mark(path string) string {
	if mark, ok := g.dirty[path]; ok {
		return mark
	}
	for name, mark := range g.dirty { // untracked directories; they do not overlap
		if covers(name, path) {
			return mark
		}
	}
	return ""
}

// covers reports an untracked directory that path lies in.
func covers(name, path string) bool {
	return name == "./" || strings.HasSuffix(name, "/") && strings.HasPrefix(path, name)
}

// refusals are the files that git could not bring back, and those it would never
// have seen.
func (g *gitState) refusals(p *Plan, env Env) Refusals {
	var rs Refusals
	ignored := map[string][]string{} // by rule
	var rules []string
	for _, c := range p.ordered() {
		mark := g.mark(c.Path)
		if c.Before != nil && mark != "" && !env.AllowDirty && !isVendor(c.Path) {
			what := "has uncommitted changes, and the plan would change it too"
			if mark == "??" {
				what = "is not in git yet, and the plan would change it"
			}
			rs = append(rs, &Refusal{Exit: 1, Path: c.Path, What: what, Next: "git add " + c.Path + " && git commit   # or run again with --allow-dirty"})
		}
		if rule := g.ignored[c.Path]; rule != "" && !env.AllowIgnored {
			if ignored[rule] == nil {
				rules = append(rules, rule)
			}
			ignored[rule] = append(ignored[rule], c.Path)
		}
	}
	for _, rule := range rules { // a rule that takes a directory is one fault, not twenty
		paths := ignored[rule]
		what := "git ignores this path (" + rule + "), so it would never be committed"
		if n := len(paths) - 1; n > 0 {
			what = fmt.Sprintf("git ignores this path and %d more of the plan (%s), so they would never be committed", n, rule)
		}
		rs = append(rs, &Refusal{Exit: 1, Path: paths[0], What: what, Next: "git check-ignore -v " + paths[0] + "   # or run again with --allow-ignored"})
	}
	return rs
}

// warnings are worth a line and stop nothing.
func (g *gitState) warnings(p *Plan, env Env) []string {
	if !g.usable {
		return []string{noGit}
	}
	others := 0
	for name := range g.dirty {
		if !slices.ContainsFunc(p.ordered(), func(c Change) bool { return c.Path == name || covers(name, c.Path) }) {
			others++
		}
	}
	var out []string
	if others == 1 {
		out = append(out, "1 other path has uncommitted changes; it is not touched")
	} else if others > 1 {
		out = append(out, fmt.Sprintf("%d other paths have uncommitted changes; they are not touched", others))
	}
	if env.AllowDirty && slices.ContainsFunc(p.ordered(), func(c Change) bool { return c.Before != nil && g.mark(c.Path) != "" }) {
		out = append(out, "files with uncommitted changes are written over; the copies are in .lockspire/undo until the next run")
	}
	return out
}
