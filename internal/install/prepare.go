package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
)

// prepare decides everything, from the manifest where there is one and from the host where there is none.
func prepare(ctx context.Context, repo *hostrepo.Repo, o Options) (*job, error) {
	j := &job{Options: o, repo: repo, plan: &plan.Plan{Root: repo.ModuleRoot}}
	recorded, err := readManifest(repo.ModuleRoot)
	if err != nil {
		return nil, err
	}
	var refusals plan.Refusals
	if recorded != nil {
		refusals, err = j.resume(ctx, recorded)
	} else {
		refusals = j.decide(ctx)
	}
	if err != nil {
		return nil, err
	}
	require, more := j.chooseRuntime()
	refusals = append(refusals, more...)
	if err := refusals.Err(); err != nil {
		return nil, err
	}
	if require != nil {
		j.plan.Modules = append(j.plan.Modules, *require)
	}
	return j, nil
}

func readManifest(root string) (*manifest.Manifest, error) {
	if _, err := os.Lstat(filepath.Join(root, filepath.FromSlash(manifest.Path))); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return manifest.Read(root)
}

// resume takes the inputs from an earlier run: a second run completes what is missing and changes no decision.
func (j *job) resume(ctx context.Context, recorded *manifest.Manifest) (plan.Refusals, error) {
	j.recorded = recorded
	if err := json.Unmarshal(recorded.Inputs, &j.in); err != nil {
		return nil, &plan.Refusal{Exit: 1, Path: manifest.Path, What: fmt.Sprintf("the recorded inputs do not read: %v", err), Next: "git log -p -- " + manifest.Path}
	}
	if err := j.in.Validate(); err != nil {
		return nil, &plan.Refusal{Exit: 1, Path: manifest.Path, What: err.Error(), Next: "git log -p -- " + manifest.Path}
	}
	refusals := j.differs()
	if j.NoWire || !j.in.Wire || j.wired() || len(refusals) > 0 {
		return refusals, nil
	}
	// The host removed the call: it is offered again.
	router, refusals := j.repo.Root(j.Router)
	if len(refusals) > 1 && j.Router == "" {
		if choice := j.askRouter(ctx, refusals); choice != "" {
			router, refusals = j.repo.Root(choice)
		}
	}
	if len(refusals) > 0 {
		return refusals, nil
	}
	if router.Kind != j.in.Router || router.TypePath != j.in.RouterImport {
		return plan.Refusals{{
			Exit: 1, Path: router.File, Line: router.Line, Col: router.Col, What: wordOtherRouter(router.Type, j.in.Router), Next: "lockspire install --no-wire",
		}}, nil
	}
	j.router = router
	j.handle, j.reader = j.handleFor(), j.readerFor()
	return append(j.unfitPlace(), j.routeConflicts()...), nil
}

// readerFor finds what the recorded resolver reads.
func (j *job) readerFor() *hostrepo.Reader {
	s := j.in.Session
	for i := range j.router.Readers {
		r := &j.router.Readers[i]
		if s.Filled() && r.Kind == s.Kind && r.Import == s.Import && r.Func == s.Func && r.Key == s.Key && (r.Call != "") == s.Injected {
			return r
		}
	}
	return nil
}

// handleFor finds the handle that the recorded inputs need. Without one the call says so by its nil field.
func (j *job) handleFor() *hostrepo.Handle {
	for i := range j.router.Database {
		h := &j.router.Database[i]
		if h.Kind == j.in.Database && (h.Engine == "" || h.Engine == j.in.Engine) {
			return h
		}
	}
	return nil
}
