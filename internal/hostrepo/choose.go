package hostrepo

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/lockspire/lockspire/internal/plan"
)

// Root returns the router to wire. choice is what --router was given, "" for nothing: a file:line of a listed
// candidate. Without a choice there must be exactly one candidate; the refusals list what was found otherwise.
func (r *Repo) Root(choice string) (*Router, plan.Refusals) {
	if choice != "" {
		return r.chosen(choice)
	}
	var real []*Router
	for i := range r.Routers {
		if !r.Routers[i].Minor {
			real = append(real, &r.Routers[i])
		}
	}
	switch {
	case len(real) == 0:
		return nil, r.noRouter()
	case len(real) == 1:
		if syntax := r.syntaxIn(real[0]); syntax != nil {
			return nil, syntax
		}
		if real[0].Problem != "" {
			return nil, plan.Refusals{real[0].refusal()}
		}
		return real[0], nil
	}
	out := plan.Refusals{}
	for _, c := range real {
		what := fmt.Sprintf("one of %d routers that are served: %s", len(real), c.describe())
		next := "lockspire install --router " + c.File + ":" + strconv.Itoa(c.Line)
		if c.Problem != "" {
			what += "; " + c.Problem
			next = c.Next
		}
		out = append(out, &plan.Refusal{Exit: 3, Path: c.File, Line: c.Line, Col: c.Col, What: what, Next: next})
	}
	return nil, out
}

func (r *Repo) chosen(choice string) (*Router, plan.Refusals) {
	places := r.spellings(choice)
	for i := range r.Routers {
		c := &r.Routers[i]
		at := c.File + ":" + strconv.Itoa(c.Line)
		if slices.Contains(places, at) || slices.Contains(places, at+":"+strconv.Itoa(c.Col)) ||
			c.Insert.File != "" && slices.Contains(places, c.Insert.File+":"+strconv.Itoa(c.Insert.Line)) {
			if syntax := r.syntaxIn(c); syntax != nil {
				return nil, syntax
			}
			if c.Problem != "" {
				return nil, plan.Refusals{c.refusal()}
			}
			return c, nil
		}
	}
	var known []string
	for _, c := range r.Routers {
		known = append(known, "lockspire install --router "+c.File+":"+strconv.Itoa(c.Line))
	}
	return nil, plan.Refusals{{
		Exit: 2, What: "--router " + choice + " names no router that is served here",
		Next: strings.Join(append(known, "lockspire install --dry-run    # without --router lists them"), "\n"),
	}}
}

// spellings are the module-relative forms of a file:line that a person or an editor gave: relative to the module or to
// the directory of the run, or absolute, through whatever symbolic link.
func (r *Repo) spellings(choice string) []string {
	file, line, ok := strings.Cut(choice[len(filepath.VolumeName(choice)):], ":")
	if !ok {
		return nil
	}
	file = filepath.FromSlash(choice[:len(filepath.VolumeName(choice))] + file)
	names := []string{filepath.Join(r.ModuleRoot, file), filepath.Join(r.Dir, file)}
	if filepath.IsAbs(file) {
		names = []string{file}
	}
	root, err := filepath.EvalSymlinks(r.ModuleRoot)
	if err != nil {
		root = r.ModuleRoot
	}
	var out []string
	for _, name := range names {
		out = append(out, r.rel(name)+":"+line)
		if real, err := filepath.EvalSymlinks(name); err == nil {
			if rel, err := filepath.Rel(root, real); err == nil {
				out = append(out, filepath.ToSlash(rel)+":"+line)
			}
		}
	}
	return out
}

func (c *Router) refusal() *plan.Refusal {
	return &plan.Refusal{Exit: max(c.Exit, 1), Path: c.File, Line: c.Line, Col: c.Col, What: c.Problem, Next: c.Next}
}

func (c *Router) describe() string {
	s := c.Type
	if c.Expr != "" {
		s += " " + c.Expr
	}
	if c.Func != "" {
		s += " in " + c.Func
	}
	if len(c.Served) > 0 && c.Served[0].Addr != "" {
		s += ", address " + c.Served[0].Addr
	}
	if len(c.Routes) == 1 {
		return s + ", 1 route"
	}
	return fmt.Sprintf("%s, %d routes", s, len(c.Routes))
}

// syntaxIn refuses a router whose file does not parse: a splice needs a syntax tree.
func (r *Repo) syntaxIn(c *Router) plan.Refusals {
	var out plan.Refusals
	for _, e := range r.SyntaxErrors {
		if e.File == c.File || e.File == c.Insert.File {
			out = append(out, syntaxRefusal(e))
		}
	}
	return out
}

func syntaxRefusal(e LoadError) *plan.Refusal {
	return &plan.Refusal{Exit: 3, Path: e.File, Line: e.Line, Col: e.Col, What: "the file does not parse: " + e.Msg, Next: "gofmt -l " + e.File}
}

func (r *Repo) noRouter() plan.Refusals {
	if len(r.SyntaxErrors) > 0 {
		var out plan.Refusals
		for _, e := range r.SyntaxErrors {
			out = append(out, syntaxRefusal(e))
		}
		return out
	}
	if len(r.Hidden) > 0 {
		return r.behindTags()
	}
	if untyped := r.untyped(); len(untyped) > 0 {
		return untyped
	}
	others := r.otherModules()
	if len(r.Mains) == 0 {
		return append(plan.Refusals{{
			Exit: 1, What: "this module has no main package, so nothing in it can serve",
			Next: "lockspire install --no-wire    # writes the package and the migrations only",
		}}, others...)
	}
	what := "no http.Server, ListenAndServe or Serve call of this module serves a router"
	if n := len(r.Errors); n > 0 {
		e := r.Errors[0]
		what += fmt.Sprintf(" that could be typed; the module has %d load errors, the first is %s:%d: %s", n, e.File, e.Line, e.Msg)
	}
	out := plan.Refusals{{Exit: 3, What: what, Next: "lockspire install --no-wire    # then make the printed call where routes are registered"}}
	out = append(out, others...)
	for _, c := range r.Routers {
		out = append(out, &plan.Refusal{Exit: 3, Path: c.File, Line: c.Line, Col: c.Col, What: "left out, since it only redirects or shows debug pages: " + c.describe(), Next: "lockspire install --router " + c.File + ":" + strconv.Itoa(c.Line)})
	}
	return out
}

// behindTags lists the routers that another build has, where this one has none.
func (r *Repo) behindTags() plan.Refusals {
	var out plan.Refusals
	for _, h := range r.Hidden {
		out = append(out, &plan.Refusal{
			Exit: 3, Path: h.File, Line: h.Line, Col: h.Col,
			What: h.Call + " is in a file that this build leaves out, and the build serves nothing else", Next: h.Command("lockspire install"),
		})
	}
	return out
}

const nextUntyped = "go build ./...    # generate or download what is missing, then lockspire install\n" +
	"lockspire install --no-wire    # or make the printed call yourself"

// unproven is why types decide nothing in a package that has load errors.
func (r *Repo) unproven(pkg, what string) string {
	what = "unproven: " + what
	for _, e := range r.Errors {
		if e.Package == pkg {
			return fmt.Sprintf("%s, since its package does not type-check (%s:%d: %s)", what, e.File, e.Line, e.Msg)
		}
	}
	return what
}

// untyped lists the routers that syntax shows in packages with load errors, where types would have to say whether they are
// served: a library that is not downloaded, or a generated package that is not committed.
func (r *Repo) untyped() plan.Refusals {
	var out plan.Refusals
	for _, p := range r.Packages {
		if !slices.ContainsFunc(r.Errors, func(e LoadError) bool { return e.Package == p.PkgPath }) {
			continue
		}
		for _, f := range p.Syntax {
			h, found := routerIn(r.Fset, r.Position(f.Package).File, f)
			if !found || h.Kind == "" {
				continue
			}
			out = append(out, &plan.Refusal{
				Exit: 3, Path: h.File, Line: h.Line, Col: h.Col, Next: nextUntyped,
				What: r.unproven(p.PkgPath, h.Call+" makes a router here and nothing says who serves it"),
			})
		}
	}
	return out
}

// otherModules names the routers that syntax shows in modules below this one, where this one has none: they may be what a
// person had in mind.
func (r *Repo) otherModules() plan.Refusals {
	var out plan.Refusals
	for _, dir := range r.Nested {
		t, err := scanTree(filepath.Join(r.ModuleRoot, filepath.FromSlash(dir)), nil)
		if err != nil {
			continue // its own conflict markers are told when it is asked about
		}
		for _, rel := range t.golang {
			f, fset, err := parseFile(filepath.Join(r.ModuleRoot, filepath.FromSlash(dir), filepath.FromSlash(rel)))
			if err != nil || strings.HasSuffix(rel, "_test.go") {
				continue
			}
			if h, found := routerIn(fset, dir+"/"+rel, f); found {
				out = append(out, &plan.Refusal{
					Exit: 1, Path: h.File, Line: h.Line, Col: h.Col, What: h.Call + " is in another module, " + dir, Next: "lockspire install -C " + dir,
				})
				break
			}
		}
	}
	return out
}
