package upgrade

import (
	"context"
	"fmt"
	"go/types"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"

	"golang.org/x/tools/go/packages"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/plan"
)

// removed are the names of the runtime's API that were taken away, with what to
// use instead. Within a major version it stays empty: hosts are not to be broken.
var removed = map[string]string{}

// stub is one method that a type of the host lacks.
type stub struct {
	dir, pkg string // of the package that declares the type
	recv     string // "*accountResolver"
	iface    string // "AccountResolver"
	text     string // the method, ready to paste
	imports  []string
}

// explain turns the compiler's words about the seam into what a person has to do.
// With WriteStubs the lacking methods are planned as a new file of the host, and
// the plan is proved again.
func (w *work) explain(ctx context.Context, report *Report, err error) error {
	faults := compileErrors(err)
	if faults == nil {
		return err
	}
	w.stubs = lackingMethods(w.broken, w.root)
	if len(w.stubs) > 0 && w.WriteStubs {
		if err := w.writeStubs(); err != nil {
			return err
		}
		w.WriteStubs = false // once
		again := w.plan.Check(ctx, w.Env)
		report.Outcomes = w.outcomes
		report.sort()
		return w.explain(ctx, report, again)
	}
	all, _ := plan.AsRefusals(err)
	var out plan.Refusals
	told := map[string]bool{}
	for _, r := range all {
		switch {
		case r.Compiler == "":
			out = append(out, r)
		case strings.Contains(r.Compiler, "missing method") && len(w.stubs) > 0:
			// One method is named even where three are missing: told below, once per type.
		default:
			out = append(out, w.replacement(r))
		}
	}
	for _, s := range w.stubs {
		if told[s.recv+s.text] {
			continue
		}
		told[s.recv+s.text] = true
		out = append(out, &plan.Refusal{Exit: 1, Path: s.dir, What: fmt.Sprintf("your %s lacks a method of lockspire.%s", strings.TrimPrefix(s.recv, "*"), s.iface),
			Next: "lockspire upgrade --write-stubs    # writes this into a new file:\n" + s.text})
	}
	return fold(out).Err()
}

// mostFaults keeps one missing import from filling the screen.
const mostFaults = 30

func fold(all plan.Refusals) plan.Refusals {
	kept, left := plan.Refusals{}, 0
	for _, r := range all {
		if r.Compiler != "" && len(kept) >= mostFaults {
			left++
			continue
		}
		kept = append(kept, r)
	}
	if left > 0 {
		kept = append(kept, &plan.Refusal{Exit: 1, What: fmt.Sprintf("and %d more compile errors", left), Next: "mend the first ones and run the command again"})
	}
	return kept
}

var undefined = regexp.MustCompile(`undefined: (?:\w+\.)?(\w+)|undefined \(type \*?(?:[\w./-]+\.)?(\w+) has no field or method (\w+)|unknown field (\w+) in struct literal of type (?:[\w./-]+\.)?(\w+)`)

// replacement names what takes the place of an API that is gone.
func (w *work) replacement(r *plan.Refusal) *plan.Refusal {
	m := undefined.FindStringSubmatch(r.Compiler)
	if m == nil {
		return r
	}
	name := m[1]
	if m[3] != "" {
		name = m[2] + "." + m[3]
	}
	if m[4] != "" {
		name = m[5] + "." + m[4]
	}
	instead := w.Removed[name]
	if instead == "" {
		return r
	}
	return &plan.Refusal{Exit: 1, Path: r.Path, Line: r.Line, Col: r.Col, What: "lockspire." + name + " is gone from the runtime", Next: instead}
}

// lackingMethods finds the types of the host that an interface of the runtime
// outgrew: where the compiler says so, all methods that are missing.
func lackingMethods(pkgs []*packages.Package, root string) []stub {
	var out []stub
	for _, p := range pkgs {
		runtime := p.Imports[hostrepo.RuntimeModule]
		if runtime == nil || runtime.Types == nil || p.Types == nil {
			continue
		}
		seen := map[string]bool{}
		for _, e := range p.Errors {
			m := doesNotImplement.FindStringSubmatch(e.Msg)
			if m == nil || seen[m[1]+m[2]] {
				continue
			}
			seen[m[1]+m[2]] = true
			out = append(out, stubsOf(p, runtime.Types, m[1], m[2], root)...)
		}
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].dir+out[i].recv+out[i].text < out[j].dir+out[j].recv+out[j].text
	})
	return slices.CompactFunc(out, func(a, b stub) bool { return a.dir == b.dir && a.text == b.text })
}

// doesNotImplement has the type, with its star, and the interface.
var doesNotImplement = regexp.MustCompile(`(\*?[\w./-]+) does not implement ([\w./-]+) \(missing method \w+\)`)

// stubsOf are the methods of the runtime's interface that a type lacks.
func stubsOf(p *packages.Package, runtime *types.Package, typeName, ifaceName, root string) []stub {
	name := path.Base(strings.TrimPrefix(typeName, "*"))
	name = name[strings.LastIndexByte(name, '.')+1:]
	ifaceName = ifaceName[strings.LastIndexByte(ifaceName, '.')+1:]
	obj, iface := p.Types.Scope().Lookup(name), runtime.Scope().Lookup(ifaceName)
	if obj == nil || iface == nil {
		return nil
	}
	it, ok := iface.Type().Underlying().(*types.Interface)
	if !ok {
		return nil
	}
	methods := types.NewMethodSet(types.NewPointer(obj.Type()))
	recv := "*" + name
	if !strings.HasPrefix(typeName, "*") {
		recv = name
	}
	var out []stub
	for i := range it.NumMethods() {
		m := it.Method(i)
		if methods.Lookup(p.Types, m.Name()) != nil {
			continue
		}
		s := stub{dir: dirOf(p, root), pkg: p.Name, recv: recv, iface: ifaceName}
		s.text, s.imports = methodText(p.Types, recv, m)
		out = append(out, s)
	}
	return out
}

// dirOf is the module-relative directory of a package.
func dirOf(p *packages.Package, root string) string {
	if len(p.GoFiles) > 0 {
		if rel, err := filepath.Rel(root, filepath.Dir(p.GoFiles[0])); err == nil {
			return filepath.ToSlash(rel)
		}
	}
	return p.PkgPath
}

// methodText writes a method that compiles: it answers zero values, and an error
// where there is one to answer.
func methodText(in *types.Package, recv string, m *types.Func) (string, []string) {
	imports := map[string]bool{}
	qualify := func(other *types.Package) string {
		if other == in {
			return ""
		}
		imports[other.Path()] = true
		return other.Name()
	}
	sig := m.Signature()
	var params, results, values []string
	for i := range sig.Params().Len() {
		v := sig.Params().At(i)
		name := v.Name()
		if name == "" {
			name = "_"
		}
		kind := types.TypeString(v.Type(), qualify)
		if sig.Variadic() && i == sig.Params().Len()-1 {
			kind = "..." + strings.TrimPrefix(kind, "[]")
		}
		params = append(params, name+" "+kind)
	}
	var declared []string
	for i := range sig.Results().Len() {
		kind := types.TypeString(sig.Results().At(i).Type(), qualify)
		results = append(results, kind)
		if kind == "error" {
			imports["errors"] = true
			values = append(values, `errors.New("`+m.Name()+` is not written yet")`)
			continue
		}
		declared = append(declared, fmt.Sprintf("\tvar result%d %s\n", i, kind))
		values = append(values, fmt.Sprintf("result%d", i))
	}
	out := strings.Join(results, ", ")
	if len(results) > 1 {
		out = "(" + out + ")"
	}
	if out != "" {
		out += " "
	}
	body := strings.Join(declared, "")
	if len(values) > 0 {
		body += "\treturn " + strings.Join(values, ", ") + "\n"
	}
	text := fmt.Sprintf("func (%s) %s(%s) %s{\n%s}", recv, m.Name(), strings.Join(params, ", "), out, body)
	return text, slices.Sorted(maps.Keys(imports))
}

// writeStubs plans one new file per package.
func (w *work) writeStubs() error {
	byDir := map[string][]stub{}
	for _, s := range w.stubs {
		byDir[s.dir] = append(byDir[s.dir], s)
	}
	for _, dir := range slices.Sorted(maps.Keys(byDir)) {
		name, err := w.freeName(dir)
		if err != nil {
			return err
		}
		why := "methods that the new runtime asks for, to be written by you"
		if err := w.change(name, plan.Host, stubFile(byDir[dir]), why); err != nil {
			return err
		}
		w.outcome(name, Added, why)
	}
	return nil
}

// freeName is a file of the host's that is not there yet.
func (w *work) freeName(dir string) (string, error) {
	for n := 1; ; n++ {
		name := path.Join(dir, "lockspire_stubs.go")
		if n > 1 {
			name = path.Join(dir, fmt.Sprintf("lockspire_stubs%d.go", n))
		}
		there, _, err := plan.ReadHost(w.root, name)
		if err != nil || there == nil {
			return name, err
		}
	}
}

func stubFile(stubs []stub) []byte {
	imports := map[string]bool{}
	var methods []string
	for _, s := range stubs {
		for _, p := range s.imports {
			imports[p] = true
		}
		methods = append(methods, s.text)
	}
	var std, others []string
	for _, p := range slices.Sorted(maps.Keys(imports)) {
		switch {
		case p == hostrepo.RuntimeModule:
			others = append(others, "\tlockspire \""+p+"\"\n")
		case strings.Contains(strings.Split(p, "/")[0], "."):
			others = append(others, "\t\""+p+"\"\n")
		default:
			std = append(std, "\t\""+p+"\"\n")
		}
	}
	groups := strings.Join(std, "")
	if len(std) > 0 && len(others) > 0 {
		groups += "\n"
	}
	groups += strings.Join(others, "")
	text := "package " + stubs[0].pkg + "\n\n"
	if groups != "" {
		text += "import (\n" + groups + ")\n\n"
	}
	return []byte(text + strings.Join(methods, "\n\n") + "\n")
}
