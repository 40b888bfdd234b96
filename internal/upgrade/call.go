package upgrade

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/plan"
)

// calls sees to the calls to Mount, which are the host's lines, where the new
// version's Mount is called otherwise. The edit is shown as a diff. It is written
// only where the call is byte for byte what install wrote, and only with Yes.
func (w *work) calls(fresh Generation, mounts []hostrepo.Mount) error {
	if fresh.Call == nil {
		return nil
	}
	for _, mount := range mounts {
		src, _, err := plan.ReadHost(w.root, mount.File)
		if err != nil {
			return err
		}
		from, to, ok := callAt(src, mount.Line, mount.Col)
		if !ok {
			continue // the file changed since it was read: Apply would stop
		}
		old := string(src[from:to])
		text, asWritten := fresh.Call(old)
		if text == old {
			continue
		}
		after := bytes.Join([][]byte{src[:from], []byte(text), src[to:]}, nil)
		if asWritten && w.Yes {
			if err := w.change(mount.File, plan.Host, after, "the call to Mount, in its new form"); err != nil {
				return err
			}
			w.plan.Changes[len(w.plan.Changes)-1].Insert = true
			w.outcome(mount.File, Updated, fmt.Sprintf("line %d: the call to Mount, in its new form", mount.Line))
			continue
		}
		why, next := "the call is not as install wrote it, so it is yours to change", "write there:  "+text
		if asWritten {
			why, next = "the call is as install wrote it", "lockspire upgrade --yes    # changes this line as well"
		}
		w.outcomes = append(w.outcomes, Outcome{Path: mount.File, Verdict: Refused, Why: "Mount is called otherwise in this version", Edit: diff(mount.File, src, after)})
		w.blockers = append(w.blockers, &plan.Refusal{Exit: 1, Path: mount.File, Line: mount.Line, Col: mount.Col,
			What: "Mount is called otherwise in this version; " + why, Next: next})
	}
	return nil
}

// callAt finds the call expression that begins at a place.
func callAt(src []byte, line, col int) (from, to int, ok bool) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "", src, parser.SkipObjectResolution)
	if err != nil {
		return 0, 0, false
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, is := n.(*ast.CallExpr)
		if is && !ok {
			if at := files.PositionFor(call.Pos(), false); at.Line == line && at.Column == col {
				from, to, ok = at.Offset, files.PositionFor(call.End(), false).Offset, true
			}
		}
		return !ok
	})
	return from, to, ok
}
